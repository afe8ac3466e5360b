"""manage.py signin_link EMAIL: a one-time address by which a person signs in, such as the first owner."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from audit.actors import command_line
from workspaces import people
from workspaces.models import User

LONGEST = 24 * 60  # minutes


class Command(BaseCommand):
    help = "Print a one-time sign-in address for a person who is here already, such as from a workspace file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--minutes", type=int, default=15, help="How long it is good; 1440 at most (15).")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].lower(), is_active=True).first()
        if person is None:
            raise CommandError(
                f"There is no active person {options['email']}; name them in a workspace file and apply it."
            )
        if not 0 < options["minutes"] <= LONGEST:
            raise CommandError(f"A link is good for 1 to {LONGEST} minutes.")
        lifetime = timedelta(minutes=options["minutes"])
        token = people.signin_link(person, actor=command_line(), expires_in=lifetime)
        self.stdout.write(f"{settings.PUBLIC_URL}{reverse('sign_in', args=[token])}")
