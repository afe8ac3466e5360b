"""Second factors of the cast: an authenticator app that the tests read, and sessions in which it was just used."""

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client

from workspaces import factors
from workspaces.models import User
from workspaces.people import actor_of

PERIOD = 30
shown: dict[str, int] = {}  # the last step whose code a test was given


def enroll(person: User) -> str:
    """Give a person an authenticator app; its secret."""
    secret = factors.new_secret()
    # The first code is of the step before, so that two more can be had at once.
    now = time.time() - PERIOD
    factors.enroll_totp(person, secret=secret, code=code_at(secret, now), actor=actor_of(person), now=now)
    return secret


def code_at(secret: str, now: float) -> str:
    """What the app shows at this time, in seconds since 1970."""
    return str(format_hotp_value(hotp_value(secret, int(now) // PERIOD)))


def code(secret: str) -> str:
    """A code that was not used yet: this half minute's, or the next one's, which a clock that is ahead would show."""
    current = int(time.time()) // PERIOD
    step = max(current, shown.get(secret, 0) + 1)
    assert step <= current + factors.TOLERANCE, (
        "An app has no third code within half a minute; enroll another person."
    )
    shown[secret] = step
    return code_at(secret, step * PERIOD)


def confirm(client: Client, person: User) -> None:
    """Have this person's second factor be just used in this browser, in which they are signed in."""
    if not factors.has_second_factor(person):
        enroll(person)
    session = client.session
    factors.remember(session, Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).get())
    session.save()
