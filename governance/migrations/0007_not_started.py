from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("governance", "0006_callback_state")]

    operations = [
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("process__isnull", True), ("status", "pending")),
                fields=["workspace"],
                name="approval_not_started",
            ),
        ),
    ]
