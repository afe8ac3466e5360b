"""manage.py verify_log: recompute the logs, rebuild the configuration, and name what does not fit."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.models import Log
from governance.verified import verified_log
from workspaces.models import Workspace

EVERY = 0.5  # seconds between two lines of progress


class Command(BaseCommand):
    help = (
        "Verify every log, or one workspace's: hashes, order, details, what agents were allowed, and each"
        " configuration row. Exit code 0: intact; 1: findings; 2: there is no such workspace."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", metavar="SLUG", help="This workspace's log only.")
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")
        parser.add_argument(
            "--progress", action="store_true", help="Tell on stderr how far it is; the default on a terminal."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        told_on = self.stderr if options["progress"] or sys.stderr.isatty() else None
        verified = []
        for log, name in self.logs(options["workspace"]):
            verified.append(verified_log(log, name, ticker(name, told_on) if told_on else None))
            if not options["json"]:
                self.stdout.write("\n".join(verified[-1].lines()))
        intact = all(each.report.intact for each in verified)
        if options["json"]:
            document = {"intact": intact, "logs": [each.as_dict() for each in verified]}
            self.stdout.write(json.dumps(document, indent=2))
        if not intact:
            bad = ", ".join(each.name for each in verified if not each.report.intact)
            raise CommandError(f"What is stored is not what was recorded: {bad}.", returncode=1)

    def logs(self, slug: str | None) -> list[tuple[Log, str]]:
        """The logs to verify and their names: slugs, ``installation``, or the UUID of an orphan."""
        names = dict(Workspace.objects.values_list("log_id", "slug"))
        logs = [
            (log, names.get(log.pk) or (log.kind if log.kind == Log.Kind.INSTALLATION else str(log.uuid)))
            for log in Log.objects.order_by("pk")
        ]
        if slug is None:
            return logs
        found = [(log, name) for log, name in logs if names.get(log.pk) == slug]
        if not found:
            raise CommandError(f"There is no workspace {slug!r}.", returncode=2)
        return found


def ticker(name: str, stream: Any) -> Callable[[int, int], None]:
    """What tells on a stream, now and then, how many entries of a log were read."""
    last = time.monotonic()

    def tick(read: int, size: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= EVERY or read >= size:
            last = now
            stream.write(f"{name}: {read:,} of {size:,} entries")

    return tick
