"""What a reviewer is shown of a call, on the page and in the mail.

Everything that comes from an agent is hostile text: what a font would hide (bidirectional controls,
zero-width and control characters, look-alikes of a space) is spelled out as its code point, so that nobody
approves what they do not see.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audit.details import read_detail
from audit.models import Entry
from governance import raises
from governance.models import Approval
from governance.raises import Raise

# Categories that a font shows as nothing or as a gap; and characters of other categories that do the same.
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
HIDDEN = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
VARIATION_SELECTORS = [range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)]
OPENING = "⟨"  # itself spelled out, so that nobody can write what only we write
OVERLAYS = [range(0x0334, 0x0339), range(0x20D0, 0x2100)]  # strike out, or ring, the letter before them
MARKS = 2  # combining characters on one letter; languages need no more, and a stack covers its neighbors
REPEATED = 3  # of the same hidden character, or empty lines, that are shown one by one
SPACES = 16  # in a row; what comes after more of them would stand where nobody looks
INDENT = 2
DEEPEST = 64 * INDENT  # spaces at the start of a line of JSON: as deep as a request may nest
WIDE = " " * (SPACES + 1)


def visible(text: str, *, keep: str = " ") -> str:
    """The text with every hidden character but those in ``keep`` written as ``⟨U+202E⟩``, many of the same as
    ``⟨U+200B × 400⟩``. Long runs of kept spaces and line breaks end in their number, too, and no more than MARKS
    combining characters stand on a letter. Two different texts never look the same."""
    if text.isascii() and text.isprintable() and WIDE not in text:
        return text
    return "".join(spelled(text, keep))


def spelled(text: str, keep: str) -> Iterator[str]:
    """The parts of ``visible``."""
    before, stacked = "\n", 0
    for character, repeated in groupby(text):
        count = sum(1 for _ in repeated)
        if unicodedata.category(character) in ("Mn", "Me") and not is_hidden(character):
            free = 0 if is_overlay(character) or not carries(before) else max(0, MARKS - stacked)
            shown = min(free, count)
            stacked += shown
        else:
            stacked = 0
            shown = shown_of(character, count, before, keep)
        if shown:
            yield character * shown
            before = before if stacked else character
        if count > shown:
            yield code_points(character, count - shown)
            before = OPENING


def shown_of(character: str, count: int, before: str, keep: str) -> int:
    """How many of a run of one character are shown as they are."""
    if character == " " and " " in keep:
        return min(count, DEEPEST if before == "\n" else SPACES)
    if character == "\n" and "\n" in keep:
        return min(count, REPEATED)
    return count if character in keep or not is_hidden(character) else 0


def code_points(character: str, count: int) -> str:
    """A run of one character, spelled out."""
    name = f"U+{ord(character):04X}"
    return f"{OPENING}{name}⟩" * count if count <= REPEATED else f"{OPENING}{name} × {count}⟩"


def carries(character: str) -> bool:
    """Whether a combining character may stand on this one: a letter or a digit."""
    return unicodedata.category(character)[0] in "LNM"


def is_overlay(character: str) -> bool:
    """Whether a combining character crosses out what it stands on."""
    return any(ord(character) in overlays for overlays in OVERLAYS)


def is_hidden(character: str) -> bool:
    """Whether a reader would not see this character, or not know it from a space or from our own spelling."""
    if character < "\x7f":
        return character < " "
    return (
        character == OPENING
        or character in HIDDEN
        or unicodedata.category(character) in HIDDEN_CATEGORIES
        or any(ord(character) in selectors for selectors in VARIATION_SELECTORS)
    )


def pretty(value: Any) -> str:
    """A JSON value over several lines, hidden characters spelled out."""
    return visible(json.dumps(value, indent=INDENT, ensure_ascii=False), keep=" \n")


@dataclass(frozen=True, slots=True)
class Asked:
    """One requirement as its reviewers read it."""

    rule: str
    ask: str
    message: str
    quorum: int


@dataclass(frozen=True, slots=True)
class Question:
    """The call that waits, ready to be shown. ``arguments`` is None when its content was erased."""

    workspace: str
    agent: str
    tool: str
    action: str
    risk: str
    resources: list[str]
    arguments: str | None
    reason: str
    on_behalf_of: str
    asked: list[Asked]
    created: datetime
    deadline: datetime
    values: dict[str, Any] | None = None  # the arguments as they are kept
    context: str = ""  # what else the agent claims
    withheld: tuple[str, ...] = ()  # kinds of the secrets that were taken out
    raw: list[str] = field(default_factory=list)  # the resources as they are kept
    edited: bool = False  # whether a reviewer changed the call since the agent asked
    raises: list[Raise] = field(default_factory=list)  # budgets that it would raise


def question(approval: Approval) -> Question:
    """Read what the approval asks, with times in the workspace's zone: the call as it was last edited, if it was.
    What was withheld stays withheld: only what stands in the Details is shown."""
    log_id = approval.workspace.log_id
    detail = read_detail(log_id, approval.entry_index)
    edit = read_detail(log_id, approval.edit_index) if approval.edit_index is not None else None
    call = detail if edit is None else edit
    zone = zone_of(approval.workspace.timezone)
    resources = call.get("resources") or []
    return Question(
        workspace=visible(str(approval.workspace)),
        agent=visible(approval.agent.name),
        tool=visible(approval.tool),
        action=visible(approval.action),
        risk=approval.risk,
        resources=[visible(each) if isinstance(each, str) else pretty(each) for each in resources],
        arguments=pretty(call["arguments"]) if "arguments" in call else None,
        reason=visible(str(detail.get("reason") or ""), keep=" \n"),
        on_behalf_of=visible(str(approval.on_behalf_of or "")),
        asked=asked_by(approval),
        created=approval.created.astimezone(zone),
        deadline=approval.expires_at.astimezone(zone),
        values=call.get("arguments"),
        context=pretty(detail["context"]) if detail.get("context") else "",
        withheld=withheld_from(log_id, approval.call_index),
        raw=[str(each) for each in resources],
        edited=edit is not None,
        raises=raised_by(approval, zone),
    )


def raised_by(approval: Approval, zone: ZoneInfo) -> list[Raise]:
    """The budgets that an approval would raise, ready to be shown."""
    return [
        replace(each, title=visible(each.title), ends=each.ends.astimezone(zone) if each.ends else None)
        for each in raises.shown(approval)
    ]


def withheld_from(log_id: int, index: int) -> tuple[str, ...]:
    """Kinds of the secrets that a check's entry says were taken out."""
    body = Entry.objects.filter(log_id=log_id, index=index).values_list("body", flat=True).first()
    return tuple(json.loads(bytes(body))["data"].get("withheld", ())) if body is not None else ()


def asked_by(approval: Approval) -> list[Asked]:
    """What each matched rule asks of its reviewers."""
    return [
        Asked(
            rule=visible(requirement["rule"]),
            ask=visible(requirement.get("ask") or "", keep=" \n"),
            message=visible(requirement.get("message") or "", keep=" \n"),
            quorum=requirement["quorum"],
        )
        for requirement in approval.requirements
    ]


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name, or UTC where the name is unknown to this machine."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
