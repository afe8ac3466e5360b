import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("governance", "0003_approvals_carried_over"),
        ("workspaces", "0004_callbacks_and_stewards"),
    ]

    operations = [
        migrations.AddField(
            model_name="vote",
            name="counts_for",
            field=models.JSONField(
                help_text="Indexes of the requirements that it counts for, as judged when it was given.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="RuleOrigin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "digest",
                    models.CharField(help_text="Of the rule, as a verdict names it.", max_length=64),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="governance.policyversion",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="workspaces.workspace",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["workspace", "digest"], name="one_origin_per_rule")
                ],
            },
        ),
    ]
