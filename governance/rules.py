"""The rules of a policy as data: read from a workspace file, checked for shape, written back the same.

What a rule means together with the workspace's tools and agents is checked by ``governance.lint``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from governance.reading import Problem, Reading
from workspaces.declarations import Action

MAX_WINDOW = 366 * 86400
MIN_EXPIRY, MAX_EXPIRY = 60, 30 * 86400
MAX_RUNGS = 5
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


class RuleErrors(ValueError):
    """Rules that cannot be read; ``problems`` says why, all at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Rung:
    """Who is asked too when nothing was decided ``after`` so many seconds."""

    after: int
    reviewers: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"after": self.after, "reviewers": list(self.reviewers)}


@dataclass(frozen=True, slots=True)
class Review:
    """Who must countersign: e-mail addresses, ``group:<name>`` or ``owner``; ``expires_in`` in seconds. Without
    ``veto`` it takes so many rejections that the quorum cannot be reached any more."""

    reviewers: tuple[str, ...]
    quorum: int = 1
    expires_in: int = 3600
    veto: bool = True
    escalate: tuple[Rung, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        """The reviewers, and those of every rung."""
        named = [*self.reviewers, *(name for rung in self.escalate for name in rung.reviewers)]
        return tuple(dict.fromkeys(named))

    def as_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "reviewers": list(self.reviewers), "quorum": self.quorum, "expires_in": self.expires_in
        }  # fmt: skip
        if not self.veto:
            plain["veto"] = False
        if self.escalate:
            plain["escalate"] = [rung.as_dict() for rung in self.escalate]
        return plain


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
        reading = Reading((index,), problems)
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


def _rule(reading: Reading, raw: object) -> Rule | None:
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
    reading: Reading,
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


def _review(reading: Reading, raw: object) -> Review | None:
    fields = ("reviewers", "quorum", "expires_in", "veto", "escalate")
    entry = reading.known(raw, fields, "An approval")
    if entry is None:
        return None
    veto = entry.get("veto", True)
    if not isinstance(veto, bool):
        reading.refuse("“veto” is true or false: whether one rejection ends it.", "veto")
    expires_in = reading.duration(entry, "expires_in", MIN_EXPIRY, MAX_EXPIRY, 3600)
    return Review(
        _reviewers(reading, entry),
        reading.whole(entry, "quorum", 1) or 1,
        expires_in,
        veto is not False,
        _rungs(reading, entry.get("escalate"), expires_in),
    )


def _reviewers(reading: Reading, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Who is asked: by address, in a group, or as the owner."""
    reviewers = reading.texts(entry, "reviewers")
    if entry.get("reviewers") is None:
        reading.refuse("An approval needs reviewers: e-mail addresses, group:<name> or owner.", "reviewers")
    for position, reviewer in enumerate(reviewers):
        if reviewer != "owner" and not reviewer.startswith("group:") and "@" not in reviewer:
            message = f"“{reviewer}” is no reviewer: write an e-mail address, group:<name> or owner."
            reading.refuse(message, "reviewers", position)
    return reviewers


def _rungs(reading: Reading, raw: object, expires_in: int) -> tuple[Rung, ...]:
    """Who is asked later, each rung after the one before and before the time is over."""
    if raw is None:
        return ()
    if not isinstance(raw, list | tuple) or not 1 <= len(raw) <= MAX_RUNGS:
        message = (
            f"“escalate” is a list of up to {MAX_RUNGS} steps: [{{after: 20m, reviewers: [group:leads]}}]."
        )
        reading.refuse(message, "escalate")
        return ()
    rungs: list[Rung] = []
    for position, each in enumerate(raw):
        place = reading.inside("escalate").inside(position)
        entry = place.known(each, ("after", "reviewers"), "A step")
        if entry is None:
            continue
        after = place.duration(entry, "after", MIN_EXPIRY, MAX_EXPIRY, None)
        if after >= expires_in:
            place.refuse("Nobody is asked any more by then; the time to answer is over before.", "after")
        if rungs and after <= rungs[-1].after:
            place.refuse("Each step comes later than the one before.", "after")
        rungs.append(Rung(after, _reviewers(place, entry)))
    return tuple(rungs)


def _limit(reading: Reading, raw: object) -> Limit | None:
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


def _amount(reading: Reading, entry: Mapping[str, Any]) -> Decimal | None:
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
