"""manage.py leaver EMAIL --reason …: a person leaves the installation."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import command_line
from governance import leavers
from workspaces.models import User


class Command(BaseCommand):
    help = (
        "Deactivate a person in one step: their sessions, links and tokens end, calls that wait for them are asked of "
        "others, and their agents become supervised in seven days unless somebody takes them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--reason", required=True, help="Kept with the entry.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would happen, and change nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].lower()).first()
        if person is None:
            raise CommandError(f"There is no person {options['email']}; check the address.")
        if options["dry_run"]:
            done = leavers.preview(person)
        else:
            try:
                done = leavers.leave(person, reason=options["reason"], actor=command_line())
            except leavers.CannotLeave as refusal:
                raise CommandError(str(refusal)) from refusal
        self.stdout.write(
            f"{person.email} {'would leave' if options['dry_run'] else 'left'}: {len(done.workspaces)} workspaces, "
            f"{done.signin_links} sign-in links, {done.tokens} tokens.\n"
            f"Waiting calls: {len(done.go_on)} go on, {len(done.fall_to_owners)} fall to owners, "
            f"{len(done.end)} end.\nAgents without an owner: {len(done.agents)}"
            + "".join(f"\n  {agent} in {agent.workspace}" for agent in done.agents)
        )
        for workspace in done.headless:
            self.stderr.write(f"{workspace} has no active owner now; see manage.py apply.")
