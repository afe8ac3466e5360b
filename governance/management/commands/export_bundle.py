"""manage.py export_bundle: one file with all evidence of a log, which verify.py judges on any computer."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import bundles
from audit.actors import command_line
from audit.log import installation_log_id
from governance.management.commands.verify_log import ticker
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Write a log's bundle: entries, tiles, checkpoints, witnesses' signatures and policies, for an auditor to"
        " verify without this installation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--workspace", metavar="SLUG", help="This workspace's log.")
        which.add_argument("--installation", action="store_true", help="The installation's log.")
        parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="Where to write it.")
        parser.add_argument(
            "--wait",
            type=float,
            default=15,
            metavar="SECONDS",
            help="How long to wait until the worker has signed the latest entries and witnesses have seen them.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["workspace"]
        log_id = installation_log_id() if slug is None else self.log_of(slug)
        name = slug or "installation"
        progress = ticker(name, self.stderr) if sys.stderr.isatty() else None
        try:
            checkpoint = bundles.export(
                log_id, options["out"], actor=command_line(), wait=options["wait"], progress=progress
            )
        except (bundles.NotPublished, OSError) as error:
            raise CommandError(str(error)) from error
        root = bytes(checkpoint.root).hex()
        self.stdout.write(f"{options['out']}: {name}, {checkpoint.size:,} entries, root {root}")

    def log_of(self, slug: str) -> int:
        found = Workspace.objects.filter(slug=slug).values_list("log_id", flat=True).first()
        if found is None:
            raise CommandError(f"There is no workspace {slug!r}.", returncode=2)
        return found
