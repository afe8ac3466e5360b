"""manage.py operator EMAIL: who may contain the whole installation."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import command_line
from workspaces import people
from workspaces.changes import Change
from workspaces.models import User


class Command(BaseCommand):
    help = "Make a person an operator of the installation; create them where they are not here yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="Of a person who is created by this.")
        parser.add_argument("--revoke", action="store_true", help="Make them an operator no more.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor, email = command_line(), options["email"].lower()
        person = User.objects.filter(email=email).first()
        if person is None and options["revoke"]:
            raise CommandError(f"There is no person {email}; check the address.")
        person = person or people.create_person(email, name=options["name"], actor=actor).row
        applied = people.set_operator(person, not options["revoke"], actor=actor)
        what = "is no operator" if options["revoke"] else "is an operator of this installation"
        already = " already" if applied.change is Change.UNCHANGED else ""
        self.stdout.write(f"{email} {what}{already}. Sign-in: manage.py signin_link {email}")
