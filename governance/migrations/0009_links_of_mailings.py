from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("governance", "0008_mailings")]

    operations = [
        migrations.RemoveField(
            model_name="approvallink",
            name="code_digest",
        ),
        migrations.RemoveField(
            model_name="approvallink",
            name="digest",
        ),
        migrations.AlterField(
            model_name="approvallink",
            name="opened_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When this person, and not a mail scanner, first saw what is asked.",
                null=True,
            ),
        ),
    ]
