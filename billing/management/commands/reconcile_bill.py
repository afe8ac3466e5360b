"""manage.py reconcile_bill WORKSPACE FILE: hold charges against a provider's bill."""

from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import bills
from billing.bill_files import LARGEST, NAMES, BillRefused
from billing.book import dollars
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Hold a workspace's charges against a provider's bill (CSV) and keep what came of it. The result goes to"
        " standard output as CSV. Exit code 0: they agree; 1: they differ; 2: the file or the workspace cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", help="The workspace's slug.")
        parser.add_argument("file", type=Path, help="The bill.")
        parser.add_argument("--zone", default="UTC", help="The time zone of the bill's days. Default: UTC.")
        parser.add_argument("--decimal", default="", choices=[".", ","], help="The sign before decimals.")
        parser.add_argument(
            "--day-first", action="store_true", default=None, help="01/02/2026 is in February."
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="WHAT=NAME",
            help=f"What a column is called, where that is not recognized: {', '.join(NAMES)}.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.", returncode=2)
        if options["zone"] not in available_timezones():
            raise CommandError(f"There is no time zone {options['zone']!r}.", returncode=2)
        if unnamed := [each for each in options["column"] if "=" not in each]:
            raise CommandError(f"Write --column WHAT=NAME instead of {unnamed[0]!r}.", returncode=2)
        try:
            check = bills.check_bill(
                workspace,
                content_of(options["file"]),
                zone=options["zone"],
                columns=dict(each.split("=", 1) for each in options["column"]),
                decimal=options["decimal"],
                day_first=options["day_first"],
                actor="system",
            )
        except BillRefused as refusal:
            raise CommandError(f"{refusal.code}: {refusal}", returncode=2) from refusal
        self.stdout.write(bills.as_csv(check), ending="")
        self.stderr.write(
            f"{check.public_id}: billed ${dollars(check.billed_nanos)}, charged ${dollars(check.charged_nanos)}"
        )
        if any(line["billed"] != line["charged"] or line["unpriced"] for line in check.lines):
            raise CommandError("The bill and the charges differ.", returncode=1)


def content_of(file: Path) -> bytes:
    """A file's bytes, of which no more is read than a bill may have. Raises CommandError."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise CommandError(f"bill_unreadable: {error}", returncode=2) from error
