"""manage.py verify_log: recompute the logs, rebuild the configuration, and name what does not fit."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.findings import Finding, Report
from audit.models import Log
from audit.rebuild import Rebuild
from audit.verification import verify
from governance.conduct import Conduct
from workspaces.models import Workspace

EVERY = 0.5  # seconds between two lines of progress


@dataclass(frozen=True, slots=True)
class Verified:
    """One log with its name among people, what was found, and how many rows it accounts for."""

    name: str
    uuid: str
    report: Report
    rows: int

    def as_dict(self) -> dict[str, Any]:
        report = self.report
        return {
            "name": self.name,
            "log": self.uuid,
            "intact": report.intact,
            "entries": report.entries,
            "root": report.root.hex(),
            "revision": report.revision,
            "details": report.details,
            "erased": report.erased,
            "pruned": report.pruned,
            "configuration_rows": self.rows,
            "first_bad_entry": report.first_bad,
            "findings": [told(finding) for finding in report.findings],
            "more_findings": report.more_findings,
        }

    def lines(self) -> list[str]:
        """The findings, a line each, and the line that sums up."""
        report = self.report
        lines = [f"{self.name}: {finding.place}: {printable(finding.message)}" for finding in report.findings]
        if report.more_findings:
            lines.append(f"{self.name}: and {report.more_findings:,} more findings")
        verdict = "intact"
        if not report.intact:
            verdict = f"{len(report.findings) + report.more_findings:,} findings"
            if report.first_bad is not None:
                verdict += f", the first bad entry is {report.first_bad}"
        erased = f"{report.erased:,} details erased"
        if report.intact and report.erased:
            erased += ", commitments intact"
        pruned = f" and {report.pruned:,} pruned" if report.pruned else ""
        return [
            *lines,
            f"{self.name}: {report.entries:,} entries{pruned}, root {report.root.hex()}, {erased},"
            f" configuration {self.rows:,} rows: {verdict}",
        ]


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
            rebuild = Rebuild(log.pk)
            report = verify(log, [rebuild, Conduct()], ticker(name, told_on) if told_on else None)
            verified.append(Verified(name, str(log.uuid), report, rebuild.rows))
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


def told(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    kind, key = finding.row or (None, None)
    row = {"kind": kind, "key": key} if kind else None
    return {"code": finding.code, "entry": finding.index, "row": row, "message": finding.message}


def ticker(name: str, stream: Any) -> Callable[[int, int], None]:
    """What tells on a stream, now and then, how many entries of a log were read."""
    last = time.monotonic()

    def tick(read: int, size: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= EVERY or read >= size:
            last = now
            stream.write(f"{name}: {read:,} of {size:,} entries")

    return tick


def printable(text: str) -> str:
    """Without what a terminal would obey: a message quotes what somebody may have planted."""
    return "".join(character if character.isprintable() else "�" for character in text)
