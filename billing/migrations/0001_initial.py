import functools

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import workspaces.identifiers


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("workspaces", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        default=functools.partial(workspaces.identifiers.public_id, *("bud",)),
                        editable=False,
                        max_length=40,
                        unique=True,
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("workspace", "The whole workspace"),
                            ("agent", "One agent"),
                            ("session", "Each session"),
                        ],
                        default="workspace",
                        max_length=10,
                    ),
                ),
                (
                    "window",
                    models.CharField(
                        choices=[("day", "Day"), ("week", "Week"), ("month", "Month"), ("ever", "For ever")],
                        default="month",
                        max_length=5,
                    ),
                ),
                ("limit_nanos", models.BigIntegerField(help_text="Nano-US-dollars.")),
                (
                    "warn_at",
                    models.JSONField(blank=True, default=list, help_text="Shares of the limit, in percent."),
                ),
                (
                    "agent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="workspaces.agent",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="workspaces.workspace",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Account",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        help_text="Start of the window, and the session where one is meant.", max_length=300
                    ),
                ),
                ("limit_nanos", models.BigIntegerField()),
                ("spent_nanos", models.BigIntegerField(default=0)),
                ("held_nanos", models.BigIntegerField(default=0)),
                (
                    "overage_nanos",
                    models.BigIntegerField(default=0, help_text="Spent beyond the limit by settlement."),
                ),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="accounts",
                        to="billing.budget",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("decision", models.CharField(max_length=40, unique=True)),
                ("accounts", models.JSONField(help_text="Primary keys of the accounts.")),
                ("held_nanos", models.BigIntegerField()),
                ("charged_nanos", models.BigIntegerField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "Held"),
                            ("settled", "Settled"),
                            ("assumed", "charged in full because no outcome came"),
                            ("released", "the call provably never started"),
                        ],
                        default="held",
                        max_length=8,
                    ),
                ),
                ("created", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="holds",
                        to="workspaces.agent",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="workspaces.workspace",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                fields=("workspace", "scope", "agent", "window"),
                name="one_budget_per_window",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit_nanos__gte", 0)), name="limit_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("agent__isnull", False), ("scope", "agent")),
                    models.Q(("scope", "agent"), _negated=True),
                    _connector="OR",
                ),
                name="agent_budget_has_agent",
            ),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.UniqueConstraint(fields=("budget", "key"), name="one_account_per_window"),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("held_nanos__gte", 0), ("overage_nanos__gte", 0), ("spent_nanos__gte", 0)
                ),
                name="amounts_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "limit_nanos__gte",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("spent_nanos"), "+", models.F("held_nanos")
                            ),
                            "-",
                            models.F("overage_nanos"),
                        ),
                    )
                ),
                name="admission_never_over_limit",
            ),
        ),
    ]
