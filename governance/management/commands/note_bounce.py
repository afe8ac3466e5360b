"""manage.py note_bounce: take a mail server's notification from standard input, and note whom it could not reach."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error

from governance import bounces, undelivered

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the mail server keeps the notification and comes back


class Command(BaseCommand):
    help = (
        "Note a delivery status notification (RFC 3464) from standard input, so that the portal shows whom a mail did "
        "not reach. Pipe what comes to the address that mails are sent from into it. What is no such notification "
        "is ignored."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="Say nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        raw = sys.stdin.buffer.read(bounces.LONGEST)
        while sys.stdin.buffer.read(bounces.LONGEST):
            continue  # a mail server takes a closed pipe for a failure
        try:
            told = undelivered.note_bounce(raw)
        except Error as error:
            self.stderr.write(f"The database is away: {error}")
            sys.exit(TRY_AGAIN)
        if not options["quiet"]:
            self.stdout.write(told)
