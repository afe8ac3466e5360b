"""Passkeys as second factors (WebAuthn Level 2): a browser or a key signs a challenge of ours for this very origin.

They need a name: where the portal's address is an IP address, or plain HTTP elsewhere than on localhost, browsers
refuse them, and none are offered.
"""

import base64
import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from django.conf import settings
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from audit import log
from workspaces import factors
from workspaces.factors import FactorRefused, Type
from workspaces.models import User

CHALLENGE = "passkey_challenge"  # in a session: what the next answer has to sign
LONGEST_NAME = 60
LONGEST_ANSWER = 20_000  # characters of JSON
MOST = 10  # of one person
BROKEN = "The browser's answer does not fit; try again."


def available() -> bool:
    """Whether browsers take passkeys for the portal's address."""
    public = urlsplit(settings.PUBLIC_URL)
    host = public.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return public.scheme == "https" or host == "localhost"
    return False


def server() -> Fido2Server:
    """Judges what browsers answer, which must come from the portal's own origin."""
    public = urlsplit(settings.PUBLIC_URL)
    party = PublicKeyCredentialRpEntity(id=public.hostname, name="Countersign")
    origin = f"{public.scheme}://{public.netloc}"
    return Fido2Server(party, verify_origin=lambda told: told == origin)


def of(person: User) -> list[Authenticator]:
    """A person's passkeys."""
    return list(factors.of(person).filter(type=Type.WEBAUTHN).select_related("user"))


def offer(session: Any, person: User) -> dict[str, Any]:
    """What the browser needs to make a passkey, as JSON has it; the challenge is kept in the session."""
    if not available() or len(of(person)) >= MOST:
        raise FactorRefused(
            f"A person has at most {MOST} passkeys, and none where browsers do not take them."
        )
    whose = PublicKeyCredentialUserEntity(
        id=person.public_id.encode(), name=person.email, display_name=str(person)
    )
    options, state = server().register_begin(
        whose,
        [key_of(row) for row in of(person)],
        resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    session[CHALLENGE] = state
    return dict(options)


def enroll(session: Any, person: User, *, name: str, answer: str, actor: str) -> list[str]:
    """Give a person the passkey that the browser made. Returns recovery codes to be shown this once, none where the
    person has some already. Raises FactorRefused."""
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise FactorRefused(f"Give the passkey a name of at most {LONGEST_NAME} characters.")
    state = session.pop(CHALLENGE, None)
    try:
        made = server().register_complete(state, RegistrationResponse.from_dict(parsed(answer)))
        if made.credential_data is None:
            raise ValueError("no credential")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FactorRefused(BROKEN) from error
    key = base64.b64encode(made.credential_data).decode()
    with log.write(log.installation_log_id()) as entries:
        data = {"name": name, "key": key, "counter": made.counter}
        factor = Authenticator(user=person, type=Type.WEBAUTHN, data=data, created_at=entries.now)
        factors.note_enrolled(factor, actor=actor, entries=entries)
        return factors.first_recovery_codes(person, actor=actor)


def ask(session: Any, person: User) -> dict[str, Any]:
    """What the browser needs to use one of the person's passkeys, as JSON has it; the challenge is kept in the
    session."""
    options, state = server().authenticate_begin(
        [key_of(row) for row in of(person)], UserVerificationRequirement.PREFERRED
    )
    session[CHALLENGE] = state
    return dict(options)


def used(session: Any, person: User, answer: str, *, purpose: str) -> Authenticator | None:
    """The passkey that signed the challenge of this session, which counts once. Raises TooManyCodes."""
    state = session.pop(CHALLENGE, None)
    return factors.judged(person, lambda: matching(person, state, answer), purpose=purpose)


def shown(post: Mapping[str, str], session: Any, person: User, *, purpose: str) -> Authenticator | None:
    """The factor that a form shows, by a passkey's answer or by a code. Raises TooManyCodes."""
    if answer := post.get("passkey", ""):
        return used(session, person, answer, purpose=purpose)
    return factors.use_code(person, post.get("code", ""), purpose=purpose)


def matching(person: User, state: Any, answer: str) -> Authenticator | None:
    """The passkey that signed, with its counter moved on; None for an answer that does not fit, and for a counter that
    went back, as a copy's would."""
    rows = {key_of(row).credential_id: row for row in of(person)}
    try:
        response = AuthenticationResponse.from_dict(parsed(answer))
        key = server().authenticate_complete(state, [key_of(row) for row in rows.values()], response)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    row, counter = rows[key.credential_id], response.response.authenticator_data.counter
    if counter <= row.data["counter"] and (counter or row.data["counter"]):
        return None
    row.data = {**row.data, "counter": counter}
    return row


def key_of(row: Authenticator) -> AttestedCredentialData:
    """A passkey's id and public key."""
    return AttestedCredentialData(base64.b64decode(row.data["key"]))


def parsed(answer: str) -> dict[str, Any]:
    """A browser's answer. Raises ValueError."""
    document = json.loads(answer) if len(answer) <= LONGEST_ANSWER else None
    if not isinstance(document, dict):
        raise ValueError("no credential")
    return document
