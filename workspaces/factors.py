"""Second factors: what people have besides a password, how a code is judged, and how long it counts.

The rows are django-allauth's ``Authenticator``, one table for all kinds; they are configuration, so that one which was
planted is named by ``verify_log``. What is done with them is done here, under the installation's log: a code counts
once, whichever process it reaches, and wrong ones are counted where every process sees them. A TOTP secret is sealed
as Details are; of recovery codes hashes are kept.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, generate_totp_secret, hotp_value
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from audit import envelopes, log, owed
from audit.models import Log
from workspaces.models import CodeGuesses, User
from workspaces.people import actor_of, save_person

Type = Authenticator.Type
# How sessions, votes and entries name the kinds.
NAMES = {Type.TOTP: "totp", Type.WEBAUTHN: "webauthn", Type.RECOVERY_CODES: "recovery"}
MARK = "second_factor"  # in a session: which row was used, and when
MOST_GUESSES = 5
LOCKED_FOR = timedelta(hours=1)
TOLERANCE = 1  # steps of 30 s that a clock may be off (RFC 6238, section 5.2)
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits: too many to be guessed from their hashes
MAIL = "workspaces.factor.mail"
WRONG = "This code is wrong, or was used already; wait for the next one."


class FactorRefused(ValueError):
    """A change of somebody's second factors that cannot be; the message says what to do."""


class TooManyCodes(Exception):
    """Too many wrong codes were given for a person; even the right one is refused for an hour."""

    code, status, wait = "too_many_codes", 429, 3600

    def __init__(self) -> None:
        super().__init__(
            "Too many wrong codes were given for you; wait for an hour, or ask an operator of the installation."
        )


def has_second_factor(person: User) -> bool:
    """Whether the person has one to be asked for; recovery codes alone are none."""
    return bool(of(person).exclude(type=Type.RECOVERY_CODES).exists())


def of(person: User) -> Any:
    """A person's factors, the oldest first."""
    return Authenticator.objects.filter(user=person).order_by("pk")


def fresh(request: HttpRequest) -> str:
    """The kind of second factor that was used in this session lately enough to approve what is risky: ``totp``,
    ``webauthn``, ``recovery``, ``sso`` where the settings let a provider's word count, or nothing. A token of the API
    has no session."""
    mark = request.session.get(MARK)
    if not mark or getattr(request, "auth", None) is not None or not isinstance(request.user, User):
        return ""
    if not 0 <= time.time() - mark["at"] < settings.CONFIRM_FOR.total_seconds():
        return ""
    if mark["row"] is None:
        return "sso" if settings.OIDC_FACTORS else ""
    row = of(request.user).filter(pk=mark["row"]).first()
    return NAMES[row.type] if row else ""


def remember(session: Any, factor: Authenticator) -> None:
    """Note in a session that this factor was used in it just now."""
    session[MARK] = {"row": factor.pk, "at": time.time()}


def remember_provider(session: Any, at: float) -> None:
    """Note in a session that its person showed the provider a second factor, in seconds since 1970."""
    session[MARK] = {"row": None, "at": at}


def confirm_address(then: str) -> str:
    """The page that asks for the second factor, and then leads to ``then``, a path of this portal."""
    return f"{reverse('confirm')}?{urlencode({'next': then})}"


def shown_in(request: HttpRequest, person: User, code: str) -> str:
    """The kind of second factor that a request of this person shows: by its session, or by a code in it, which is used
    up. Raises TooManyCodes."""
    return fresh(request) or check_code(person, code)


def check_code(person: User, code: str, *, purpose: str = "api") -> str:
    """The kind of factor that a code shows, ``totp`` or ``recovery``, used up by this; nothing for a wrong code.
    Raises TooManyCodes."""
    factor = use_code(person, code, purpose=purpose)
    return NAMES[factor.type] if factor else ""


def use_code(person: User, code: str, *, purpose: str, now: float | None = None) -> Authenticator | None:
    """The factor that a code belongs to. It counts this once, which is an entry, as is a wrong one. An empty code is
    no guess. ``now`` is in seconds since 1970. Raises TooManyCodes."""
    code = "".join(code.split()).replace("-", "").lower()
    if not code:
        return None
    at = time.time() if now is None else now
    return judged(person, lambda: matching(person, code, at), purpose=purpose)


def judged(person: User, find: Callable[[], Authenticator | None], *, purpose: str) -> Authenticator | None:
    """What ``find`` finds under the log's lock, which is saved as used; finding nothing counts as a wrong code. Raises
    TooManyCodes."""
    with log.write(log.installation_log_id()) as entries:
        guesses = guesses_of(person, entries)
        if guesses.count >= MOST_GUESSES:
            raise TooManyCodes
        factor = find()
        if factor is None:
            note_wrong(guesses, purpose=purpose, entries=entries)
        else:
            note_use(factor, purpose=purpose, entries=entries)
    return factor


def guesses_of(person: User, entries: log.Writer) -> CodeGuesses:
    """How many wrong codes were given lately. The log's head is locked, so nobody else counts meanwhile."""
    guesses = CodeGuesses.objects.filter(person=person).first()
    if guesses is None or entries.now - guesses.last >= LOCKED_FOR:
        guesses = CodeGuesses(person=person, count=0, last=entries.now)
    return guesses


def note_wrong(guesses: CodeGuesses, *, purpose: str, entries: log.Writer) -> None:
    """Count a wrong code, which is an entry; the last that is taken says that it was."""
    guesses.count += 1
    guesses.last = entries.now
    guesses.save()
    person = guesses.person
    data = {"person": person.public_id, "purpose": purpose, "locked": guesses.count >= MOST_GUESSES}
    entries.append("workspaces.factor.refused", actor=actor_of(person), data=data)


def note_use(factor: Authenticator, *, purpose: str, entries: log.Writer) -> None:
    """Save a factor as it was used: the entry, and an end to counting."""
    person: User = factor.user
    factor.last_used_at = entries.now
    factor.save()
    CodeGuesses.objects.filter(person=person).delete()
    data = {**naming(factor), "purpose": purpose}
    entries.record("workspaces.factor.used", actor=actor_of(person), saved=[factor], data=data)


def matching(person: User, code: str, now: float) -> Authenticator | None:
    """The factor whose code this is, changed so that it is used up, and not saved yet."""
    for factor in of(person).filter(type__in=(Type.TOTP, Type.RECOVERY_CODES)).select_related("user"):
        if factor.type == Type.TOTP:
            step = matching_step(secret_of(factor), code, now, after=factor.data["step"])
            if step is not None:
                factor.data = {**factor.data, "step": step}
                return factor
        elif (digest := digest_of(person, code)) in factor.data["codes"]:
            factor.data = {"codes": [each for each in factor.data["codes"] if each != digest]}
            return factor
    return None


def matching_step(secret: str, code: str, now: float, *, after: int = -1) -> int | None:
    """The time step of RFC 6238 whose code this is, among those after the last one used; None for a wrong code."""
    current = int(now) // app_settings.TOTP_PERIOD
    for step in range(max(current - TOLERANCE, after + 1), current + TOLERANCE + 1):
        if hmac.compare_digest(
            format_hotp_value(hotp_value(secret, step)), code.encode("ascii", "replace").decode()
        ):
            return step
    return None


def new_secret() -> str:
    """160 random bits in base32, for an authenticator app."""
    return str(generate_totp_secret())


def enroll_totp(person: User, *, secret: str, code: str, actor: str, now: float | None = None) -> list[str]:
    """Give a person an authenticator app, whose first code shows that it has the secret. Returns recovery codes to be
    shown this once, none where the person has some already. Raises FactorRefused."""
    step = matching_step(secret, "".join(code.split()), time.time() if now is None else now)
    if step is None:
        raise FactorRefused(
            "This is not the code that the app shows now; check the clock of your device, and try again."
        )
    with log.write(log.installation_log_id()) as entries:
        if of(person).filter(type=Type.TOTP).exists():
            raise FactorRefused("You have an authenticator app already; remove it first.")
        data = {"secret": seal(person, secret), "step": step}
        factor = Authenticator(user=person, type=Type.TOTP, data=data, created_at=entries.now)
        note_enrolled(factor, actor=actor, entries=entries)
        return first_recovery_codes(person, actor=actor)


def first_recovery_codes(person: User, *, actor: str) -> list[str]:
    """Recovery codes for who has none yet, to be shown this once."""
    if of(person).filter(type=Type.RECOVERY_CODES).exists():
        return []
    return make_recovery_codes(person, actor=actor)


def make_recovery_codes(person: User, *, actor: str) -> list[str]:
    """New recovery codes in place of all old ones, to be shown this once. Raises FactorRefused."""
    codes = [secrets.token_bytes(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    texts = [base64.b32encode(code).decode().lower() for code in codes]
    with log.write(log.installation_log_id()) as entries:
        if not has_second_factor(person):
            raise FactorRefused("Recovery codes stand in for another factor; add an authenticator app first.")
        for old in of(person).filter(type=Type.RECOVERY_CODES):
            note_removed(old, actor=actor, entries=entries)
        data = {"codes": [digest_of(person, text) for text in texts]}
        factor = Authenticator(user=person, type=Type.RECOVERY_CODES, data=data, created_at=entries.now)
        note_enrolled(factor, actor=actor, entries=entries)
    return ["-".join(text[start : start + 4] for start in range(0, len(text), 4)) for text in texts]


def remove(factor: Authenticator, *, actor: str) -> None:
    """Take one factor from a person. With the last one their recovery codes go too."""
    person: User = factor.user
    with log.write(log.installation_log_id()) as entries:
        row = of(person).filter(pk=factor.pk).first()
        if row is None:
            return
        note_removed(row, actor=actor, entries=entries)
        if not has_second_factor(person):
            for left in of(person):
                note_removed(left, actor=actor, entries=entries)
        tell(person, "removed", entries)


def reset(person: User, *, actor: str) -> int:
    """Take all factors from a person who lost them, and end their sessions; how many there were. They are mailed."""
    with log.write(log.installation_log_id()) as entries:
        rows = list(of(person))
        for row in rows:
            note_removed(row, actor=actor, entries=entries)
        CodeGuesses.objects.filter(person=person).delete()
        if rows:
            person.refresh_from_db()
            person.session_epoch += 1
            save_person(entries, person, actor=actor)
            tell(person, "reset", entries)
    return len(rows)


def note_enrolled(factor: Authenticator, *, actor: str, entries: log.Writer) -> None:
    """Save a new factor: the entry, and a mail to its person, who did it or should hear of it."""
    factor.save()
    entries.record("workspaces.factor.enrolled", actor=actor, saved=[factor], data=naming(factor))
    if factor.type != Type.RECOVERY_CODES:
        tell(factor.user, "enrolled", entries)


def note_removed(factor: Authenticator, *, actor: str, entries: log.Writer) -> None:
    """Delete a factor, with its entry."""
    entries.record("workspaces.factor.removed", actor=actor, removed=[factor], data=naming(factor))
    factor.delete()


def tell(person: User, change: str, entries: log.Writer) -> None:
    """Have the worker mail a person that their factors changed."""
    owed.owe(MAIL, [{"person": person.public_id, "change": change}], due=entries.now)


def naming(factor: Authenticator) -> dict[str, Any]:
    """Whose factor an entry is about, and of which kind."""
    return {"person": factor.user.public_id, "factor": NAMES[factor.type]}


def digest_of(person: User, code: str) -> str:
    """SHA-256 of a recovery code and whose it is; with 80 random bits it needs no more."""
    return hashlib.sha256(f"{person.public_id} {code}".encode()).hexdigest()


def seal(person: User, secret: str) -> str:
    """A TOTP secret as it is stored: base64 of its envelope under the key of the installation's log, bound to its
    person."""
    return base64.b64encode(envelopes.seal_at(*home(), place_of(person), secret.encode())).decode()


def secret_of(factor: Authenticator) -> str:
    """A factor's TOTP secret. Raises SealedOtherwise where it was sealed under another key."""
    return opened(factor.user, factor.data["secret"])


def opened(person: User, sealed: str) -> str:
    """What was sealed for a person. Raises SealedOtherwise."""
    return envelopes.open_at(*home(), place_of(person), base64.b64decode(sealed)).decode()


def home() -> tuple[int, str]:
    """The log under whose key secrets are sealed: its id and uuid."""
    row = Log.objects.get(pk=log.installation_log_id())
    return row.pk, str(row.uuid)


def place_of(person: User) -> bytes:
    """Whose secret it is, as the seal names it."""
    return f"countersign totp {person.public_id}".encode()
