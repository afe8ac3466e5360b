"""The rules of a policy as data: read from a workspace file, checked for shape, written back the same.

What a rule means together with the workspace's tools and agents is checked by ``governance.lint``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from workspaces.declarations import Action

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_WINDOW = 366 * 86400
MIN_EXPIRY, MAX_EXPIRY = 60, 30 * 86400
MAX_RULES = 10_000
MAX_NAME = 200
MAX_TEXT = 2_000
MAX_CONDITION = 1_000
ACTIONS = tuple(action.value for action in Action)
COUNTED_BY = ("agent", "session", "workspace")
FIELDS = ("name", "tools", "agents", "actions", "resources", "except_resources", "when", "effect", "approval",
          "limit", "message", "ask")  # fmt: skip
SUM_PATH = re.compile(r"args(\.[A-Za-z_][A-Za-z0-9_]*)+")


class Effect(StrEnum):
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a rule: where (rule index, field, …), a sentence that says what to do, and the
    place inside the condition (line and column from 1) where that applies."""

    path: tuple[str | int, ...]
    message: str
    column: int | None = None
    line: int | None = None


class RuleErrors(ValueError):
    """Rules that cannot be read; ``problems`` says why, all at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Review:
    """Who must countersign: e-mail addresses, ``group:<name>`` or ``owner``; ``expires_in`` in seconds."""

    reviewers: tuple[str, ...]
    quorum: int = 1
    expires_in: int = 3600

    def as_dict(self) -> dict[str, Any]:
        return {"reviewers": list(self.reviewers), "quorum": self.quorum, "expires_in": self.expires_in}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``calls`` allowed calls, or at most ``max`` as the sum of an argument, in ``per`` seconds."""

    calls: int | None
    sum: str | None
    max: Decimal | None
    per: int
    by: str = "agent"
    then: str = Effect.DENY.value

    def as_dict(self) -> dict[str, Any]:
        counted: dict[str, Any] = (
            {"sum": self.sum, "max": f"{self.max:f}"} if self.sum else {"calls": self.calls}
        )
        return {**counted, "per": self.per, "by": self.by, "then": self.then}


@dataclass(frozen=True, slots=True)
class Rule:
    """A guard on what is granted. Empty selectors mean all; ``when`` None means always."""

    name: str
    effect: Effect
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    except_resources: tuple[str, ...] = ()
    when: str | None = None
    approval: Review | None = None
    limit: Limit | None = None
    message: str = ""
    ask: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON without floats; what is empty is left out. ``parse_rules`` reads it back the same."""
        plain: dict[str, Any] = {"name": self.name, "effect": self.effect.value}
        for field in ("tools", "agents", "actions", "resources", "except_resources"):
            if values := getattr(self, field):
                plain[field] = list(values)
        for field in ("when", "message", "ask"):
            if text := getattr(self, field):
                plain[field] = text
        if self.approval:
            plain["approval"] = self.approval.as_dict()
        if self.limit:
            plain["limit"] = self.limit.as_dict()
        return plain


def parse_duration(text: object) -> int:
    """Seconds of ``90s``, ``30m``, ``1h``, ``1d`` or of a whole number of seconds. ValueError otherwise."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a number and s, m, h or d, such as 90s, 30m, 1h or 1d."
        )
    return int(match[1]) * UNITS[match[2]]


def parse_rules(raw: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules in the format of a workspace file's ``policy``. RuleErrors names everything that is wrong."""
    if not isinstance(raw, list | tuple):
        raise RuleErrors([Problem((), "A policy is a list of rules.")])
    if len(raw) > MAX_RULES:
        raise RuleErrors([Problem((), f"A policy has at most {MAX_RULES} rules; this one has {len(raw)}.")])
    problems: list[Problem] = []
    rules: list[Rule] = []
    first_of: dict[str, int] = {}
    for index, entry in enumerate(raw):
        reading = _Reading((index,), problems)
        rule = _rule(reading, entry)
        if rule is None:
            continue
        if rule.name in first_of:
            reading.refuse(
                f"Rule {first_of[rule.name] + 1} has the name “{rule.name}” too; give each its own.", "name"
            )
        first_of.setdefault(rule.name, index)
        rules.append(rule)
    if problems:
        raise RuleErrors(problems)
    return tuple(rules)


class _Reading:
    """Takes the fields of one mapping and notes what is wrong with them."""

    def __init__(self, path: tuple[str | int, ...], problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems

    def refuse(self, message: str, *where: str | int) -> None:
        self.problems.append(Problem((*self.path, *where), message))

    def inside(self, field: str) -> "_Reading":
        return _Reading((*self.path, field), self.problems)

    def known(self, entry: object, fields: Sequence[str], what: str) -> Mapping[str, Any] | None:
        """The mapping, after refusing the fields that it should not have; None when it is no mapping."""
        if not isinstance(entry, Mapping):
            self.refuse(f"{what} is a mapping of fields.")
            return None
        for field in entry:
            if field not in fields:
                self.refuse(f"{what} has no field “{field}”; it has {', '.join(fields)}.", str(field))
        return entry

    def text(self, entry: Mapping[str, Any], field: str, limit: int) -> str:
        value = entry.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(f"“{field}” is text; put it in quotes.", field)
            return ""
        if len(value) > limit:
            self.refuse(f"“{field}” has at most {limit} characters; this one has {len(value)}.", field)
        return value.strip()

    def texts(self, entry: Mapping[str, Any], field: str) -> tuple[str, ...]:
        """A list of distinct texts. An empty list is refused: it reads as none and would mean all."""
        value = entry.get(field)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not value:
            self.refuse(f"“{field}” is a list of at least one name; leave it out to mean all.", field)
            return ()
        good = [text for text in value if isinstance(text, str) and text and text == text.strip()]
        for position, text in enumerate(value):
            if not (isinstance(text, str) and text and text == text.strip()):
                self.refuse(f"“{field}” holds names; {text!r} is none.", field, position)
            elif text in value[:position]:
                self.refuse(f"“{text}” is named twice; once is enough.", field, position)
        return tuple(good)

    def choice(self, entry: Mapping[str, Any], field: str, choices: Sequence[str], default: str) -> str:
        value = entry.get(field, default)
        if value not in choices:
            self.refuse(f"“{field}” is one of {', '.join(choices)}; {value!r} is none of them.", field)
            return default
        return str(value)

    def whole(self, entry: Mapping[str, Any], field: str, default: int | None) -> int | None:
        value = entry.get(field, default)
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**31
        ):
            self.refuse(f"“{field}” is a whole number of at least 1.", field)
            return default
        return value

    def duration(self, entry: Mapping[str, Any], field: str, low: int, high: int, default: int | None) -> int:
        value = entry.get(field, default)
        if value is None:
            self.refuse(f"“{field}” is missing: say how long, such as 1h.", field)
            return low
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.refuse(str(error), field)
            return low
        if not low <= seconds <= high:
            self.refuse(
                f"“{field}” lies between {low} s and {high // 86400} days; {value!r} does not.", field
            )
        return seconds


def _rule(reading: _Reading, raw: object) -> Rule | None:
    entry = reading.known(raw, FIELDS, "A rule")
    if entry is None:
        return None
    name = reading.text(entry, "name", MAX_NAME)
    if not name:
        reading.refuse("A rule needs a name; decisions and reviewers are shown it.", "name")
    if entry.get("effect") is None:
        reading.refuse("A rule needs an effect: deny, require_approval or limit.", "effect")
    effect = Effect(reading.choice(entry, "effect", [*Effect], Effect.DENY))
    actions = reading.texts(entry, "actions")
    for position, action in enumerate(actions):
        if action not in ACTIONS:
            reading.refuse(
                f"There is no action “{action}”; there are {', '.join(ACTIONS)}.", "actions", position
            )
    when = reading.text(entry, "when", MAX_CONDITION) or None
    if when is None and isinstance(entry.get("when"), str):
        reading.refuse("The condition is empty; leave “when” out to mean always.", "when")
    limit = _limit(reading.inside("limit"), entry["limit"]) if entry.get("limit") is not None else None
    approval = (
        _review(reading.inside("approval"), entry["approval"]) if entry.get("approval") is not None else None
    )
    _check_parts(reading, effect, approval=approval, limit=limit, entry=entry)
    return Rule(
        name=name,
        effect=effect,
        tools=reading.texts(entry, "tools"),
        agents=reading.texts(entry, "agents"),
        actions=actions,
        resources=reading.texts(entry, "resources"),
        except_resources=reading.texts(entry, "except_resources"),
        when=when,
        approval=approval,
        limit=limit,
        message=reading.text(entry, "message", MAX_TEXT),
        ask=reading.text(entry, "ask", MAX_TEXT),
    )


def _check_parts(
    reading: _Reading,
    effect: Effect,
    *,
    approval: Review | None,
    limit: Limit | None,
    entry: Mapping[str, Any],
) -> None:
    """An effect has the parts that it needs, and no part that nothing would read."""
    asks = effect is Effect.REQUIRE_APPROVAL or (limit is not None and limit.then == Effect.REQUIRE_APPROVAL)
    if asks and entry.get("approval") is None:
        reading.refuse(
            "A rule that requires approval says who gives it: approval: {reviewers: […]}.", "approval"
        )
    if effect is Effect.LIMIT and entry.get("limit") is None:
        reading.refuse("A limit says what it counts: limit: {calls: 20, per: 1m}.", "limit")
    if effect is not Effect.LIMIT and limit is not None:
        reading.refuse(f"A rule with the effect {effect} has no limit; set the effect to limit.", "limit")
    elif not asks and approval is not None:
        reading.refuse(
            "Nothing here asks a person; use the effect require_approval, or then: require_approval.",
            "approval",
        )
    if not asks and entry.get("ask"):
        reading.refuse("Nobody is asked by this rule, so nobody reads “ask”.", "ask")


def _review(reading: _Reading, raw: object) -> Review | None:
    entry = reading.known(raw, ("reviewers", "quorum", "expires_in"), "An approval")
    if entry is None:
        return None
    reviewers = reading.texts(entry, "reviewers")
    if entry.get("reviewers") is None:
        reading.refuse("An approval needs reviewers: e-mail addresses, group:<name> or owner.", "reviewers")
    for position, reviewer in enumerate(reviewers):
        if reviewer != "owner" and not reviewer.startswith("group:") and "@" not in reviewer:
            reading.refuse(
                f"“{reviewer}” is no reviewer: write an e-mail address, group:<name> or owner.",
                "reviewers",
                position,
            )
    expires_in = reading.duration(entry, "expires_in", MIN_EXPIRY, MAX_EXPIRY, 3600)
    return Review(reviewers, reading.whole(entry, "quorum", 1) or 1, expires_in)


def _limit(reading: _Reading, raw: object) -> Limit | None:
    entry = reading.known(raw, ("calls", "sum", "max", "per", "by", "then"), "A limit")
    if entry is None:
        return None
    calls = reading.whole(entry, "calls", None)
    sum_path = reading.text(entry, "sum", MAX_NAME) or None
    highest = _amount(reading, entry) if entry.get("max") is not None else None
    if (entry.get("calls") is None) == (entry.get("sum") is None):
        reading.refuse(
            "A limit counts either calls, or the sum of one argument: calls: 20, or sum: args.amount.",
            "calls",
        )
    if sum_path and not SUM_PATH.fullmatch(sum_path):
        reading.refuse(f"“{sum_path}” is no argument: write args.<field>.", "sum")
    if (entry.get("sum") is None) != (entry.get("max") is None):
        reading.refuse("A sum has a max, and only a sum has one: {sum: args.amount, max: 500}.", "max")
    return Limit(
        calls=calls,
        sum=sum_path,
        max=highest,
        per=reading.duration(entry, "per", 1, MAX_WINDOW, None),
        by=reading.choice(entry, "by", COUNTED_BY, "agent"),
        then=reading.choice(
            entry, "then", (Effect.DENY.value, Effect.REQUIRE_APPROVAL.value), Effect.DENY.value
        ),
    )


def _amount(reading: _Reading, entry: Mapping[str, Any]) -> Decimal | None:
    """A positive decimal; a float of a YAML file is taken as it was written."""
    value = entry["max"]
    try:
        amount = (
            Decimal(str(value))
            if isinstance(value, int | float | str) and not isinstance(value, bool)
            else None
        )
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or not 0 < amount < 10**15:
        reading.refuse("“max” is a number above 0.", "max")
        return None
    return amount.normalize()
