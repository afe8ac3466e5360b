"""Rules that were drafted before have their origins too."""

import hashlib

from django.db import migrations

from audit import canonical


def find_origins(apps, schema_editor):
    """Of each rule, the first version that has it word for word."""
    version_model = apps.get_model("governance", "PolicyVersion")
    origin = apps.get_model("governance", "RuleOrigin")
    for version in version_model.objects.order_by("workspace_id", "number").iterator():
        digests = {hashlib.sha256(canonical.encode(rule)).hexdigest()[:32] for rule in version.content}
        origin.objects.bulk_create(
            [
                origin(workspace_id=version.workspace_id, digest=digest, version=version)
                for digest in sorted(digests)
            ],
            ignore_conflicts=True,
        )


class Migration(migrations.Migration):
    dependencies = [("governance", "0004_who_counts")]

    operations = [migrations.RunPython(find_origins, migrations.RunPython.noop)]
