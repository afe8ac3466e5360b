from django.db import migrations

RENAMED = [
    ("budget", "limit_nanos", "limit_amount"),
    ("account", "limit_nanos", "limit_amount"),
    ("account", "spent_nanos", "spent"),
    ("account", "held_nanos", "held"),
    ("account", "overage_nanos", "overage"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="budget", name="limit_not_negative"),
        migrations.RemoveConstraint(model_name="budget", name="one_budget_per_window"),
        migrations.RemoveConstraint(model_name="budget", name="one_budget_per_agent_and_window"),
        migrations.RemoveConstraint(model_name="account", name="amounts_not_negative"),
        migrations.RemoveConstraint(model_name="account", name="admission_never_over_limit"),
        *(migrations.RenameField(model, old, new) for model, old, new in RENAMED),
    ]
