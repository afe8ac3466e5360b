"""How a session begins: after the password, the one-time link or the provider's word, whoever has a second factor is
asked for it, and only then signed in.

What is between is a session of nobody that says who may go on, for ten minutes. Changing the password or ending the
person's sessions ends it too.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme

from workspaces import factors
from workspaces.models import User
from workspaces.people import note_sign_in

BY_LINK = "came_by_link"  # in a session: no old password is asked for
SIGNED_IN = "signed_in"  # in a session: when its person last showed a password, a link or a provider's word
GOING_ON = "going_on"  # in a session of nobody: who has only the second factor to show yet
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
PATIENCE = 600  # seconds between password and code


class NotGoingOn(Exception):
    """Nobody is halfway signed in here, or too long ago."""


@dataclass(frozen=True, slots=True)
class Halfway:
    """Who showed who they are, and has a second factor to show. ``known_by`` is how, ``then`` where they go."""

    person: str
    hash: str
    known_by: str
    then: str
    at: float


def begin(request: HttpRequest, person: User, *, known_by: str, then: str) -> str:
    """Sign a person in who was recognized, or have them asked for their second factor first. Returns the address to go
    to. Without its entry nobody is signed in."""
    if not factors.has_second_factor(person):
        sign_in(request, person, known_by=known_by)
        return then
    halfway = Halfway(person.public_id, person.get_session_auth_hash(), known_by, then, time.time())
    request.session.flush()
    request.session[GOING_ON] = asdict(halfway)
    return reverse("sign_in_code")


def halfway_in(request: HttpRequest) -> tuple[User, Halfway]:
    """Who is halfway signed in here. Raises NotGoingOn."""
    halfway = Halfway(
        **(request.session.get(GOING_ON) or {"person": "", "hash": "", "known_by": "", "then": "", "at": 0})
    )
    person = User.objects.filter(public_id=halfway.person, is_active=True).first()
    if (
        person is None
        or not 0 <= time.time() - halfway.at < PATIENCE
        or not constant_time_compare(halfway.hash, person.get_session_auth_hash())
    ):
        raise NotGoingOn("It took too long, or your password was changed meanwhile; sign in again.")
    return person, halfway


def go_on(request: HttpRequest, factor: Authenticator) -> str:
    """Sign in who is halfway, after the factor was used. Returns the address to go to. Raises NotGoingOn."""
    person, halfway = halfway_in(request)
    del request.session[GOING_ON]
    sign_in(request, person, known_by=halfway.known_by, factor=factor)
    return halfway.then


def sign_in(
    request: HttpRequest,
    person: User,
    *,
    known_by: str,
    factor: Authenticator | None = None,
    shown_at: float | None = None,
) -> None:
    """The entry, then the session. ``factor`` is what was used just now; ``shown_at`` says that the provider was shown
    a second factor, and when, in seconds since 1970."""
    second = factors.NAMES[factor.type] if factor else "sso" if shown_at is not None else ""
    note_sign_in(person, known_by=known_by, second_factor=second)
    login(request, person, backend=MODEL_BACKEND)
    request.session[SIGNED_IN] = time.time()
    if known_by == "link":
        request.session[BY_LINK] = True
    if factor is not None:
        factors.remember(request.session, factor)
    elif shown_at is not None:
        factors.remember_provider(request.session, shown_at)


def note_password(session: Any) -> None:
    """The person showed their password again."""
    session[SIGNED_IN] = time.time()


def is_new(request: HttpRequest) -> bool:
    """Whether the sign-in itself is as fresh as a second factor has to be."""
    at = request.session.get(SIGNED_IN, 0)
    return bool(0 <= time.time() - at < settings.CONFIRM_FOR.total_seconds())


def inside(address: str, otherwise: str) -> str:
    """An address to go on to where it is a path of this portal, else the other one."""
    is_path = address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
    return address if is_path else otherwise
