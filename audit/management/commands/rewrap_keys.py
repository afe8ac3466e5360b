"""manage.py rewrap_keys: exchange the key that the keys of Details are wrapped under."""

from typing import Any

from django.core.management.base import BaseCommand

from audit import rewrapping
from audit.actors import command_line


class Command(BaseCommand):
    help = (
        "Make a new installation.key, wrap every log's key under it, and set the old one aside. Stop the other"
        " processes before. Interrupted, run it again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = rewrapping.rewrap(actor=command_line())
        self.stdout.write(
            f"{done.keys} keys wrapped anew. The old key is {done.old}: keep it with backups of before."
        )
