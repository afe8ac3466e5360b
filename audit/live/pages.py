"""What a socket sends: who is looking, what they may see, and the entries after their cursor. Synchronous."""

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils.module_loading import import_string

from audit import registry
from audit.log import newest
from audit.models import Entry

PAGE = 200
COLUMNS = ("id", "index", "time", "type", "actor", "agent", "tool", "resource", "outcome", "session")


class Refused(Exception):
    """The socket is to be closed with this code (RFC 6455, private use) and this sentence."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Access:
    """What a person may see of one log as of ``read_at`` (monotonic seconds); agents None is everything."""

    agents: set[str] | None
    read_at: float


@dataclass(frozen=True, slots=True)
class Page:
    """Visible entries in order, the log's size when they were read, and the index up to which it was read."""

    entries: list[dict[str, Any]]
    size: int
    cursor: int


def person_of(session_key: str | None) -> Any:
    """Who is signed in under this session, from the database. Raises Refused (4401)."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    person = get_user(request)
    if not (person.is_authenticated and person.is_active):
        raise Refused(4401, "Sign in to the portal again.")
    return person


def access(session_key: str | None, log_id: int) -> Access:
    """What the session's person may see of a log now. Raises Refused: 4401 signed out, 4404 not visible."""
    now = time.monotonic()
    logs = import_string(settings.AUDIT_READERS)(person_of(session_key))
    if log_id not in logs:
        raise Refused(4404, "There is no such workspace.")
    return Access(logs[log_id], now)


def read(log_id: int, granted: Access, *, after: int, limit: int) -> Page:
    """At most ``limit`` visible entries with an index above ``after``, in order."""
    size = newest(log_id)
    if size <= after + 1 or limit <= 0:
        return Page([], size, after)
    rows = Entry.objects.filter(log_id=log_id, index__gt=after, index__lt=size).order_by("index")
    if granted.agents is not None:
        rows = rows.filter(agent__in=granted.agents)
    entries = [told(values) for values in rows.values(*COLUMNS)[:limit]]
    cursor = entries[-1]["index"] if len(entries) == limit else size - 1
    return Page(entries, size, cursor)


def told(values: dict[str, Any]) -> dict[str, Any]:
    """One entry as it is sent."""
    return {**values, "time": values["time"].isoformat(timespec="milliseconds"), "sentence": sentence(values)}


def sentence(values: dict[str, Any]) -> str:
    """What an entry says, in words. An entry that names no agent is about all of them."""
    kind = registry.entry_types.get(values["type"])
    if kind is None:
        return str(values["type"])
    return kind.sentence.format_map({**values, "agent": values["agent"] or "every agent"})
