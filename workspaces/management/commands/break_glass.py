"""manage.py break_glass WORKSPACE: an hour of an owner's view for an operator of the installation."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import command_line
from workspaces import emergencies
from workspaces.models import User, Workspace


class Command(BaseCommand):
    help = "Let an operator of the installation see a workspace as its owners do, for an hour; the owners are mailed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workspace", help="Its slug.")
        parser.add_argument("--reason", required=True, help="The owners read it.")
        parser.add_argument(
            "--as", dest="email", default="", help="The operator; needed where there are several."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}; check the slug.")
        person = self.operator(options["email"].lower())
        try:
            row = emergencies.break_glass(workspace, person, reason=options["reason"], actor=command_line())
        except (emergencies.NotAnOperator, emergencies.NoReason) as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"{person.email} sees {workspace.slug} until {row.until:%Y-%m-%d %H:%M:%S} UTC. Its owners are mailed."
        )

    def operator(self, email: str) -> User:
        """The operator that was named, or the only one. Raises CommandError."""
        operators = User.objects.filter(is_superuser=True, is_active=True)
        found = list((operators.filter(email=email) if email else operators)[:2])
        if len(found) > 1:
            raise CommandError("Several people operate this installation; name one with --as EMAIL.")
        if not found:
            raise CommandError("There is no such operator of the installation; see manage.py operator.")
        return found[0]
