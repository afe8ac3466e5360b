"""manage.py rewrap_keys: exchange the key that the keys of Details are wrapped under."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import envelopes, keys, rewrapping
from audit.actors import command_line
from audit.watermarks import Stopped


class Command(BaseCommand):
    help = (
        "Make a new installation.key, wrap every log's key under it, and set the old one aside. Stop the other"
        " processes before. Interrupted, run it again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = rewrapping.rewrap(actor=command_line())
        except (envelopes.SealedOtherwise, keys.BadKeyFile, Stopped, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"{done.keys} keys wrapped anew. The old key is {done.old}: keep it with backups of before."
        )
