"""What a later version of a policy changes, rule by rule. The order of rules means nothing, so it is no change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rules = Sequence[Mapping[str, Any]]
FIELDS = {
    "effect": "Effect",
    "tools": "Tools",
    "agents": "Agents",
    "actions": "Actions",
    "resources": "Resources",
    "except_resources": "Except resources",
    "when": "When",
    "reviewers": "Reviewers",
    "quorum": "Quorum",
    "expires_in": "Answer within",
    "veto": "One rejection ends it",
    "escalate": "Asked later",
    "calls": "At most, calls",
    "sum": "At most, sum of",
    "max": "At most",
    "per": "In a window of",
    "by": "Counted by",
    "then": "Above it",
    "message": "Agents are told",
    "ask": "Reviewers are asked",
}
ABSENT = {
    "tools": "all",
    "agents": "all",
    "actions": "all",
    "resources": "all",
    "when": "always",
    "veto": "yes",
}
SECONDS = frozenset({"expires_in", "per"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a rule, its value as people read it before and after. Of a list, ``gone`` and ``came``."""

    name: str
    before: str
    after: str
    gone: tuple[str, ...] = ()
    came: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that was added, removed, changed or renamed. ``before`` is its name where that was another."""

    kind: str
    name: str
    effect: str
    fields: tuple[FieldChange, ...] = ()
    before: str = ""


def differences(before: Rules, after: Rules) -> list[RuleChange]:
    """The changed rules: removed ones first, then changed ones, then added ones, each in its policy's order.

    Rules are the same where their names are. A rule that only got another name is renamed, not removed and added.
    """
    old, new = ({rule["name"]: plain(rule) for rule in rules} for rules in (before, after))
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    renamed = {}
    for name in added:
        if same := next((each for each in removed if old[each] == new[name]), None):
            renamed[name] = same
            removed.remove(same)
    changed = [name for name in new if name in old and old[name] != new[name]]
    return [
        *(RuleChange("removed", name, old[name]["effect"], changes(old[name], {})) for name in removed),
        *(
            RuleChange("changed", name, new[name]["effect"], changes(old[name], new[name]))
            for name in changed
        ),
        *(RuleChange("renamed", name, new[name]["effect"], before=was) for name, was in renamed.items()),
        *(
            RuleChange("added", name, new[name]["effect"], changes({}, new[name]))
            for name in added
            if name not in renamed
        ),
    ]


def plain(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without its name, the parts of approval and limit beside the others, and lists without an order."""
    flat = {name: value for name, value in rule.items() if name not in ("name", "approval", "limit")}
    flat |= {**rule.get("approval", {}), **rule.get("limit", {})}
    if "escalate" in flat:
        flat["escalate"] = [told_rung(rung) for rung in flat["escalate"]]
    return {name: sorted(value) if isinstance(value, list) else value for name, value in flat.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """The fields that differ. Where one side is no rule at all, only what the other one says."""
    return tuple(
        change(name, before, after)
        for name in FIELDS
        if before.get(name) != after.get(name) and (name in before or name in after)
    )


def change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> FieldChange:
    """One field that differs."""
    one, other = before.get(name), after.get(name)
    gone = came = ()
    if isinstance(one, list) and isinstance(other, list):
        gone = tuple(each for each in one if each not in other)
        came = tuple(each for each in other if each not in one)
    return FieldChange(
        FIELDS[name], told(name, one) if before else "", told(name, other) if after else "", gone, came
    )


def told(name: str, value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ABSENT.get(name, "nothing")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ("; " if name == "escalate" else ", ").join(value)
    if name in SECONDS:
        return span(value)
    return str(value).replace("_", " ") if name in ("effect", "then") else str(value)


def told_rung(rung: Mapping[str, Any]) -> str:
    """A step of an approval's ladder as people read it."""
    return f"after {span(rung['after'])} {', '.join(sorted(rung['reviewers']))}"


def span(seconds: int) -> str:
    """A length of time as it is written in rules."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def with_spans(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule whose lengths of time are written as ``1h``."""
    for part, name in (("approval", "expires_in"), ("limit", "per")):
        if part in rule:
            rule = {**rule, part: {**rule[part], name: span(rule[part][name])}}
    if rungs := rule.get("approval", {}).get("escalate"):
        spelled = [{**rung, "after": span(rung["after"])} for rung in rungs]
        rule = {**rule, "approval": {**rule["approval"], "escalate": spelled}}
    return rule
