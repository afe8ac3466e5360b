"""Messages for chat tools: a ``text`` that incoming webhooks of Slack, Mattermost and Teams take, and ids beside it.

What an entry says in a chat is told by the app that knows it: it registers the types that it tells, and a function that
gets a log's id and an entry and returns a ``Notice``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from audit.formats import Line

MOST = 10  # entries of a message
LONGEST = 80  # characters of a name
MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'", "@": "(at)"})


@dataclass(frozen=True, slots=True)
class Notice:
    """An entry in a sentence, and the ids that a program may want."""

    text: str
    ids: dict[str, Any] = field(default_factory=dict)


Teller: TypeAlias = Callable[[int, Line], Notice]

tellers: dict[str, Teller] = {}


def teller(types: Sequence[str], tell: Teller) -> None:
    """Register who tells entries of these types."""
    tellers.update(dict.fromkeys(types, tell))


def name(text: str) -> str:
    """Somebody else's word in a chat: as code, in which no tool makes a link, a mention or markup of anything, with
    the characters replaced that could end it."""
    return f"`{shortened(text).translate(MARKS)}`"


def shortened(text: str) -> str:
    """A name, cut."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def message(log_id: int, lines: Sequence[Line]) -> tuple[bytes, str]:
    """Several entries as one webhook's body, and its media type. Each must be of a type that somebody tells."""
    told = []
    for line in lines:
        notice = tellers[line.told["type"]](log_id, line)
        ids = {"index": line.index, "time": line.told["time"], "type": line.told["type"], **notice.ids}
        told.append((notice.text, ids))
    body = {
        "text": "\n\n".join(text for text, _ in told),
        "countersign": {"log": lines[0].origin, "entries": [ids for _, ids in told]},
    }
    return orjson.dumps(body), "application/json"


def trial(at: str) -> tuple[bytes, str]:
    """What is sent to try a stream out."""
    body = {
        "text": "Countersign: a test. Approvals and warnings will be told here.",
        "countersign": {"test": True, "time": at},
    }
    return orjson.dumps(body), "application/json"
