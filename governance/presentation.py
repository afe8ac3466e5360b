"""What a reviewer is shown of a call, on the page and in the mail.

Everything that comes from an agent is hostile text: what a font would hide (bidirectional controls,
zero-width and control characters, look-alikes of a space) is spelled out as its code point, so that nobody
approves what they do not see.
"""

import json
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audit.details import read_detail
from governance.models import Approval

# Categories that a font shows as nothing or as a gap; and characters of other categories that do the same.
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
HIDDEN = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
VARIATION_SELECTORS = [range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)]


def visible(text: str, *, keep: str = " ") -> str:
    """The text with every hidden character but those in ``keep`` written as ``⟨U+202E⟩``."""
    return "".join(c if c in keep or not is_hidden(c) else f"⟨U+{ord(c):04X}⟩" for c in text)


def is_hidden(character: str) -> bool:
    """Whether a reader would not see this character, or not know it from a space."""
    if character < "\x7f":
        return character < " "
    return (
        character in HIDDEN
        or unicodedata.category(character) in HIDDEN_CATEGORIES
        or any(ord(character) in selectors for selectors in VARIATION_SELECTORS)
    )


def pretty(value: Any) -> str:
    """A JSON value over several lines, hidden characters spelled out."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False), keep=" \n")


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


def question(approval: Approval) -> Question:
    """Read what the approval asks, with times in the workspace's zone. What was withheld stays withheld: only
    what stands in the decision's Detail is shown."""
    detail = read_detail(approval.workspace.log_id, approval.entry_index)
    zone = zone_of(approval.workspace.timezone)
    resources = detail.get("resources") or []
    return Question(
        workspace=visible(str(approval.workspace)),
        agent=visible(approval.agent.name),
        tool=visible(approval.tool),
        action=visible(approval.action),
        risk=approval.risk,
        resources=[visible(each) if isinstance(each, str) else pretty(each) for each in resources],
        arguments=pretty(detail["arguments"]) if "arguments" in detail else None,
        reason=visible(str(detail.get("reason") or ""), keep=" \n"),
        on_behalf_of=visible(str(approval.on_behalf_of or "")),
        asked=asked_by(approval),
        created=approval.created.astimezone(zone),
        deadline=approval.expires_at.astimezone(zone),
    )


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
