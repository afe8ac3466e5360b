"""``manage.py apply FILE.yaml``: make one workspace what its file says."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.actors import command_line
from governance import manifest_reading, reconciliation
from governance.key_file import KeyFileExists
from governance.manifest_file import MAX_BYTES, FileRefused
from governance.manifest_run import Report

MOST_PROBLEMS = 100


class Command(BaseCommand):
    help = (
        "Make one workspace what a file says: all of it, or nothing. What the file does not name is kept and "
        "told. "
        "The format is described in docs/concepts/workspace-file.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the workspace file, such as workspace.yaml")
        parser.add_argument(
            "--keys", type=Path, metavar="OUT.json", help="a new file for the keys of new agents"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would change, and change nothing"
        )
        parser.add_argument("--prune", action="store_true", help="remove what the file does not name")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            report = reconciliation.apply(
                manifest_reading.parse(raw),
                actor=command_line(),
                prune=options["prune"],
                dry_run=options["dry_run"],
                keys=options["keys"],
            )
        except FileRefused as refused:
            lines = [problem.at(str(path)) for problem in refused.problems]
            if len(lines) > MOST_PROBLEMS:
                lines[MOST_PROBLEMS:] = [f"… and {len(lines) - MOST_PROBLEMS} more."]
            told = "\n".join(lines)
            count = len(refused.problems)
            raise CommandError(f"{count} problem{'s'[: count != 1]}; nothing was changed.\n{told}") from None
        except (KeyFileExists, OSError) as error:
            raise CommandError(f"Nothing was changed. {error}") from None
        self.tell(report, options["keys"])

    def tell(self, report: Report, keys: Path | None) -> None:
        """Print the report: changes first, then what was left as it is."""
        styles = {"+": self.style.SUCCESS, "~": self.style.WARNING, "-": self.style.ERROR}
        for line in report.changes:
            self.stdout.write(styles[line[0]](line))
        for line in [*report.kept, *report.notes]:
            self.stdout.write(line)
        if report.dry_run:
            self.stdout.write("This was a dry run; nothing was changed.")
            return
        if report.keys:
            self.stdout.write(f"New keys: {report.keys}, in {keys} and nowhere else.")
        count = len(report.changes)
        done = f"{count} change{'s'[: count != 1]}" if report.changes else "Nothing had to change"
        self.stdout.write(f"{done}; the workspace is at revision {report.revision}.")
