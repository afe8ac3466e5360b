"""manage.py log_adopt: go on with a log that was halted, as it is, in a new epoch."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import adoption, heads, keys, publishing
from audit.actors import command_line
from audit.models import Log
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Let a log be written to again that lost entries or heads.json. It goes on as it is, in a new epoch whose first"
        " entry names what was signed before; every verifier has to be told of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--workspace", metavar="SLUG", help="This workspace's log.")
        which.add_argument("--installation", action="store_true", help="The installation's own log.")
        which.add_argument("--log", metavar="UUID", type=uuid.UUID, help="The log of this uuid.")
        parser.add_argument("--reason", required=True, help="Who reads the log sees it.")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Say why; whoever verifies the log will ask.")
        try:
            adopted = adoption.adopt(self.log(options), reason=reason, actor=command_line())
        except (
            adoption.NotAdoptable,
            publishing.WrongKey,
            heads.BadHeadsFile,
            keys.BadKeyFile,
            OSError,
        ) as refusal:
            raise CommandError(str(refusal)) from None
        before = adopted.before
        self.stdout.write(
            f"{adopted.origin} goes on from {adopted.size:,} entries, root {adopted.root.hex()}. Signed last were"
            f" {before.size:,} entries in epoch {before.epoch}, root {before.root.hex()}. Auditors who accept that add"
            f" to their policy: epoch {adopted.origin.removesuffix(f'/{adopted.epoch}')} {adopted.epoch}"
        )

    def log(self, options: dict[str, Any]) -> Log:
        """The log that was named. Raises CommandError."""
        logs = Log.objects.all()
        if options["installation"]:
            logs = logs.filter(kind=Log.Kind.INSTALLATION)
        elif options["log"]:
            logs = logs.filter(uuid=options["log"])
        else:
            logs = logs.filter(pk__in=Workspace.objects.filter(slug=options["workspace"]).values("log_id"))
        row = logs.first()
        if row is None:
            raise CommandError("There is no such log; check the name.")
        return row
