import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def carry_over(apps, schema_editor):
    """The links of mails that are on their way already work on."""
    mailing = apps.get_model("governance", "Mailing")
    links = apps.get_model("governance", "ApprovalLink").objects.exclude(digest=None)
    for link in links.select_related("approval").iterator(chunk_size=500):
        sent = link.mailed_at or link.approval.created
        mailing.objects.create(
            link=link,
            person_id=link.person_id,
            agent_id=link.approval.agent_id,
            message=f"earlier-{link.pk}",
            digest=link.digest,
            code_digest=link.code_digest,
            created=sent,
            sent_at=sent,
            shown_at=link.opened_at,
            used_at=link.used_at,
        )


class Migration(migrations.Migration):
    dependencies = [
        ("governance", "0007_not_started"),
        ("workspaces", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Mailing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "message",
                    models.CharField(
                        help_text="What its Message-ID begins with.", max_length=40, unique=True
                    ),
                ),
                ("digest", models.BinaryField(null=True, unique=True)),
                ("code_digest", models.BinaryField(null=True)),
                ("created", models.DateTimeField()),
                ("sent_at", models.DateTimeField(help_text="When a mail server took it.", null=True)),
                (
                    "shown_at",
                    models.DateTimeField(
                        help_text="When its link first showed the call to anybody.", null=True
                    ),
                ),
                ("used_at", models.DateTimeField(help_text="When its link decided.", null=True)),
                (
                    "refusals",
                    models.JSONField(
                        default=dict, help_text="Why its link was refused → when that was recorded."
                    ),
                ),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workspaces.agent"
                    ),
                ),
                (
                    "link",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mailings",
                        to="governance.approvallink",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["person", "agent", "created"], name="mailing_by_person")],
            },
        ),
        migrations.RunPython(carry_over, migrations.RunPython.noop),
    ]
