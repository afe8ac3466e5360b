"""What resources a template can yield, and whether a rule's patterns can ever meet them.

A form is a resource taken apart, with ``*`` for whatever an argument puts in. Encoded delimiters inside
arguments are not thought of: a pattern counts as covering a template when it covers all but such values.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from governance.selection import Glob
from workspaces.locators import DEFAULT_PORTS, Parts, parts
from workspaces.resources import Pattern

BARRIERS = frozenset("/?#@:,")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Form:
    """``text`` as one glob, and its parts; no parts where the whole address comes from an argument."""

    text: str
    parts: Parts | None


def form_of(template: str) -> Form:
    """The form of a resource template."""
    if PLACEHOLDER.fullmatch(template):
        return Form("*", None)
    text = PLACEHOLDER.sub("*", template)
    if text == "mailto:*":
        text = "mailto:*@*"
    elif text.startswith("file://*"):
        text = "file:///" + text.removeprefix("file://")
    taken = parts(text)
    if taken.scheme in DEFAULT_PORTS and not taken.path:
        taken = taken._replace(path="/")
    return Form(text, taken)


def top_level_arguments(template: str) -> list[str]:
    """The arguments that a template takes: ``file://{attachments[].path}`` takes attachments."""
    return [re.split(r"[.\[]", path, maxsplit=1)[0] for path in PLACEHOLDER.findall(template)]


def can_meet(pattern: Pattern, form: Form) -> bool:
    """Whether some resource of the form is matched."""
    if form.parts is None:
        return pattern.form.scheme != "tool"
    mine, other = pattern.form, form.parts
    if mine.scheme != other.scheme:
        return False
    if not (_any_query(mine) or (mine.query is None) == (other.query is None)):
        return False
    return (
        overlap(mine.user, other.user, BARRIERS)
        and overlap(mine.host, other.host, BARRIERS)
        and (mine.port == "*" or overlap(mine.port, other.port, BARRIERS))
        and overlap(mine.path, other.path)
        and (_any_query(mine) or overlap(mine.query or "", other.query or ""))
    )


def covers(pattern: Pattern, form: Form) -> bool:
    """Whether every resource of the form is matched."""
    if form.parts is None:
        return False
    mine, other = pattern.form, form.parts
    return (
        mine.scheme == other.scheme
        and all(
            Glob(a).covers(Glob(b))
            for a, b in ((mine.user, other.user), (mine.host, other.host), (mine.path, other.path))
        )
        and (mine.port in ("*", other.port))
        and (_any_query(mine) or mine.query == other.query)
    )


def _any_query(pattern: Parts) -> bool:
    return pattern.query == "*" or (pattern.query is None and pattern.path[-1:] == "*")


@lru_cache(maxsize=4096)
def overlap(one: str, other: str, barriers: frozenset[str] = frozenset()) -> bool:
    """Whether some text fits both globs; their stars stand for no barrier."""
    # Row by row: ends[j] says whether the first i characters of one and j of the other can be the same text.
    ends = [True]
    for character in other:
        ends.append(ends[-1] and character == "*")
    for mine in one:
        row = [ends[0] and mine == "*"]
        for position, theirs in enumerate(other):
            if mine == "*":
                met = ends[position + 1] or (row[position] and theirs not in barriers)
            elif theirs == "*":
                met = row[position] or (ends[position + 1] and mine not in barriers)
            else:
                met = ends[position] and mine == theirs
            row.append(met)
        ends = row
    return ends[-1]
