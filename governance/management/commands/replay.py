"""manage.py replay: evaluate the conditions of recorded decisions again, where their arguments are still there."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from governance.management.commands.verify_log import ticker
from governance.rechecks import Rechecked, recheck
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Judge every recorded decision again, with the rules that judged it and the arguments that are still there,"
        " and name the first that differs. Exit code 0: none does; 1: some do; 2: there is no such workspace."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--workspace", metavar="SLUG", help="This workspace's decisions only.")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["workspace"]
        rows = Workspace.objects.order_by("slug")
        workspaces = list(rows.filter(slug=slug) if slug else rows)
        if slug and not workspaces:
            raise CommandError(f"There is no workspace {slug!r}.", returncode=2)
        bad = []
        for workspace in workspaces:
            progress = ticker(workspace.slug, self.stderr) if sys.stderr.isatty() else None
            found = recheck(workspace, progress)
            self.stdout.write("\n".join(lines(workspace.slug, found)))
            if found.first is not None:
                bad.append(workspace.slug)
        if bad:
            raise CommandError(
                f"Decisions come out otherwise than they were recorded: {', '.join(bad)}.", returncode=1
            )


def lines(name: str, found: Rechecked) -> list[str]:
    """What was found in one workspace."""
    told = [
        f"{name}: {count:,} decisions cannot be judged: {why}" for why, count in found.unjudged.most_common()
    ]
    if found.elsewhere:
        told.append(f"{name}: {found.elsewhere:,} decisions were settled before any rule was asked")
    verdict = "all as recorded"
    if found.first is not None:
        verdict = f"{found.differing:,} differ, first entry {found.first}: {found.how}"
    return [
        *told,
        f"{name}: {found.decisions:,} decisions, {found.conditions:,} conditions evaluated: {verdict}",
    ]
