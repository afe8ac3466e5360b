"""Rows from before carry what the new columns say of them."""

from django.db import migrations
from django.db.models import F, OuterRef, Subquery

MOVED = {
    "viewflow_process": ("flow_class", "governance/flows.ApprovalFlow"),
    "viewflow_task": ("flow_task", "governance/flows.ApprovalFlow."),
}


def carry_over(apps, schema_editor):
    """Votes fill their own voter's place; an inbox holds what waits, by its deadline."""
    vote = apps.get_model("governance", "Vote")
    vote.objects.filter(seat=None).update(seat=F("person"))
    link = apps.get_model("governance", "ApprovalLink")
    approval = apps.get_model("governance", "Approval")
    of_link = approval.objects.filter(pk=OuterRef("approval_id"))
    link.objects.update(deadline=Subquery(of_link.values("expires_at")[:1]))
    link.objects.exclude(approval__status="pending").update(waiting=False)
    link.objects.filter(approval__votes__person=F("person")).update(waiting=False)


def move_flow(apps, schema_editor):
    """viewflow names a flow by its module, which is a package now."""
    with schema_editor.connection.cursor() as cursor:
        for table, (column, before) in MOVED.items():
            after = before.replace("flows.", "flows.approval.")
            cursor.execute(
                f"UPDATE {table} SET {column} = REPLACE({column}, %s, %s) WHERE {column} LIKE %s",  # noqa: S608
                [before, after, f"{before}%"],
            )


class Migration(migrations.Migration):
    dependencies = [("governance", "0002_approvals_deepened"), ("viewflow", "0015_task_scheduled")]

    operations = [
        migrations.RunPython(carry_over, migrations.RunPython.noop),
        migrations.RunPython(move_flow, migrations.RunPython.noop),
    ]
