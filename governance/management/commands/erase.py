"""manage.py erase: erase personal values from a workspace's log, and say what had left before."""

import re
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from audit.absences import Ranges
from audit.actors import command_line
from audit.models import Erasure
from governance import erasure
from workspaces.models import Workspace

ENTRIES = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
SHOWN = 20  # ranges of indexes


class Command(BaseCommand):
    help = (
        "Erase personal values from a workspace's log: what mentions a person, or the Details of entries. Shows what it"
        " found; with --yes, erases it. Exit code 0: shown or erased; 1: held or refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", required=True, metavar="SLUG")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--person", metavar="EMAIL", help="What mentions this address, or any other text.")
        which.add_argument("--entries", metavar="A-B", help="The Details of these entries.")
        which.add_argument("--entry", metavar="N", help="The Detail of one entry.")
        parser.add_argument("--field", default="", help="With --entry: this field alone, such as arguments.")
        parser.add_argument("--basis", required=True, help="Legal basis; stands in the log for good.")
        parser.add_argument(
            "--reason", required=True, help="Why; kept beside the log, and erasable like the rest."
        )
        parser.add_argument(
            "--yes", action="store_true", help="Erase what is found, instead of showing it only."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        if options["field"] and not options["entry"]:
            raise CommandError("--field goes with --entry.")
        actor = command_line()
        try:
            row = erasure.start(
                workspace,
                text=options["person"] or "",
                **entries_of(options["entries"] or options["entry"]),
                field=options["field"],
                basis=options["basis"],
                reason=options["reason"],
                actor=actor,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        erasure.run(row)
        self.tell(row)
        if not options["yes"]:
            erasure.cancel(row, actor=actor)
            self.stdout.write("Nothing was erased; say --yes to erase it.")
            return
        erasure.confirm(row, actor=actor)
        erasure.run(row)
        row.refresh_from_db()
        if row.status == Erasure.Status.HELD:
            raise CommandError(
                "A legal hold stands; it is erased by the worker when that is released.", returncode=1
            )
        self.stdout.write(f"Erased from {row.erased:,} entries.")
        for name, value in sorted(row.left.items()):
            told = value if isinstance(value, int) else ", ".join(value)
            self.stdout.write(f"Had left before, and is not erased there: {name}: {told}")

    def tell(self, row: Erasure) -> None:
        """What was found: counts and indexes, never the values."""
        row.refresh_from_db()
        indexes = row.items.order_by("index").values_list("index", flat=True)
        merged = Ranges((index, index) for index in indexes.iterator()).merged
        named = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in merged[:SHOWN])
        more = f" and {len(merged) - SHOWN:,} more ranges" if len(merged) > SHOWN else ""
        self.stdout.write(
            f"{row.found:,} entries hold something to erase{': ' if named else ''}{named}{more}."
        )
        if row.in_use:
            self.stdout.write(
                f"{row.in_use:,} values stay, because the configuration has them: change it first."
            )
        if row.in_clear:
            self.stdout.write(
                f"{row.in_clear:,} entries name it in their bodies, from which nothing is erased."
            )


def entries_of(text: str | None) -> dict[str, int]:
    """The entries that ``A-B`` or ``N`` names. Raises CommandError."""
    if text is None:
        return {}
    match = ENTRIES.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} names no entries; write an index, or two with - between.")
    first, last = match.groups()
    return {"first": int(first), "last": int(last or first)}
