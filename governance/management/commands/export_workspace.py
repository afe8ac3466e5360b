"""``manage.py export_workspace SLUG``: write the workspace file that ``apply`` reads."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance import manifest_writing
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Write one workspace as the file that apply reads. Applied to the same workspace it changes nothing. Keys, "
        "standings and what happened are not in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the workspace's slug, such as acme")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="a new file; left out: standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(slug=options["slug"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['slug']!r}.")
        text = manifest_writing.written(workspace)
        path: Path | None = options["output"]
        if path is None:
            self.stdout.write(text, ending="")
            return
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise CommandError(f"Nothing was written. {error}") from None
