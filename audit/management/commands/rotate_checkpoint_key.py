"""manage.py rotate_checkpoint_key: sign checkpoints with a new key from now on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import heads, keys, rotation
from audit.actors import command_line
from audit.watermarks import Stopped


class Command(BaseCommand):
    help = (
        "Exchange the key that signs checkpoints. An entry of the installation's log, signed by both keys, tells of it;"
        " the old key's file stays beside the new one. Nothing has to be restarted."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = rotation.rotate(actor=command_line())
        except (rotation.NothingToRotate, keys.BadKeyFile, heads.BadHeadsFile, Stopped, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"The old key is kept as {done.kept}. Tell witnesses and auditors the new one:")
        self.stdout.write(str(done.new))
