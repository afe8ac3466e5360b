"""manage.py reset_factors EMAIL: for who lost their phone and their recovery codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import command_line
from workspaces import factors
from workspaces.models import User


class Command(BaseCommand):
    help = "Remove all second factors of a person and end their sessions; they are mailed. Be sure it is they who ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].lower()
        person = User.objects.filter(email=email).first()
        if person is None:
            raise CommandError(f"There is no person {email}; check the address.")
        count = factors.reset(person, actor=command_line())
        if not count:
            raise CommandError(f"{email} has no second factor.")
        self.stdout.write(
            f"{email} has no second factor any more, and is signed out everywhere. They are mailed."
        )
