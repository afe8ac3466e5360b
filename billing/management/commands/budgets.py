"""manage.py budgets --check WORKSPACE: add up accounts, charges and log, and name what does not fit."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.book import dollars
from billing.soundness import Soundness, examine
from workspaces.models import Workspace


class Command(BaseCommand):
    help = (
        "Add up what a workspace's accounts, charges and log say of its money, and compare them to the nano-dollar."
        " Exit code 0: they agree; 1: they do not; 2: there is no such workspace."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", metavar="WORKSPACE", required=True, help="The workspace's slug.")
        parser.add_argument("--json", action="store_true", help="One JSON document instead of lines.")

    def handle(self, *args: Any, **options: Any) -> None:
        slug: str = options["check"]
        workspace = Workspace.objects.filter(slug=slug).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {slug!r}.", returncode=2)
        found = examine(workspace)
        if options["json"]:
            self.stdout.write(json.dumps({"sound": found.sound, **asdict(found)}, indent=2))
        else:
            self.stdout.write("\n".join(lines(slug, found)))
        if not found.sound:
            raise CommandError(f"Accounts, charges and log of {slug} do not agree.", returncode=1)


def lines(slug: str, found: Soundness) -> list[str]:
    """The findings, a line each, and the line that sums up."""
    told = [f"{slug}: {finding}" for finding in found.findings]
    if found.more_findings:
        told.append(f"{slug}: and {found.more_findings:,} more")
    sums = found.charges
    verdict = "all agree" if found.sound else f"{len(found.findings) + found.more_findings:,} disagreements"
    return [
        *told,
        f"{slug}: {sums.calls:,} charges of ${dollars(sums.charged)} and {sums.tokens:,} tokens, in flight"
        f" ${dollars(sums.held)} and {sums.held_tokens:,} tokens, {found.accounts:,} accounts: {verdict}",
    ]
