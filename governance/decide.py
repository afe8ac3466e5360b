"""The decision itself: a pure function of configuration, question and facts.

Nothing here reads a database, a clock or a random number. Policies never open a door: a call is allowed when it is
granted, its agent's standing permits it, and no rule objects; the most severe objection wins, whatever the order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from governance.conditions import ConditionFailed, Scope
from governance.requests import Prepared
from governance.rules import Effect
from governance.ruleset import CompiledRule
from governance.subjects import AgentEntry, ToolEntry
from workspaces.arguments import InvalidArguments
from workspaces.declarations import Derived
from workspaces.resources import AmbiguousResource, PatternSet

SUPERVISION = "standing:supervised"
LOOP = "loop"  # in the lifts of an approval: this call may go on with a loop, once
BUDGET = "budget:"  # before a budget's public id: it may be raised once for this call


@dataclass(frozen=True, slots=True)
class Question:
    """One call, and what the configuration says of who asks. ``arguments`` is as sent; claims may be absent."""

    agent: AgentEntry
    standing: str
    tool_name: str
    tool: ToolEntry | None
    arguments: dict[str, Any]
    rules: Sequence[CompiledRule]
    patterns: PatternSet[int]
    resource_labels: Mapping[int, frozenset[str]]
    lists: Mapping[str, list[str]]
    action: str | None = None
    resource: str | None = None
    reason: str = ""
    on_behalf_of: str = ""
    may_act_for: bool = True
    context: dict[str, Any] = field(default_factory=dict)
    prepared: Prepared | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What happened before, as of this call. ``used`` maps a rule's index to what its counter holds."""

    now: datetime
    labels: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()
    calls: int = 0
    repeats: int = 0
    spend: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[int, int] = field(default_factory=dict)
    lifted: frozenset[str] = frozenset()
    refused: str = ""


@dataclass(slots=True)
class Verdict:
    """The answer, and everything that explains it. ``results`` has one letter a candidate rule, in policy order:
    ``m`` matched, ``.`` not, ``e`` its condition failed (which counts as matched)."""

    decision: str
    code: str
    reasons: list[dict[str, Any]] = field(default_factory=list)
    action: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    derived: list[Derived] = field(default_factory=list)
    granted_by: list[list[int]] = field(default_factory=list)
    results: str = ""
    asks: list[CompiledRule] = field(default_factory=list)
    lifted: list[CompiledRule] = field(default_factory=list)
    supervised: bool = False
    supervision_lifted: bool = False
    consumes: list[tuple[CompiledRule, int]] = field(default_factory=list)
    labels: frozenset[str] = frozenset()
    would: str = ""
    retry_after: int = 0
    standing: str = "active"
    writes: bool = False  # a tool that reads touches something in another way, too
    short: str = ""  # the code of what was short: money, or sessions
    loop: dict[str, Any] = field(default_factory=dict)  # what goes round in circles
    # What stops it beside the rules and people may lift, by name, with what each may cover; and what they lifted.
    further: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: dict[str, dict[str, Any]] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)  # by how much, by the budget's public id
    downgrade: dict[str, str] = field(default_factory=dict)  # the cheaper model to ask again with

    def fall_short(self, code: str, message: str, **more: Any) -> None:
        """Turn the verdict into a denial for something that is short, found after the rules."""
        self.decision, self.code, self.short = "deny", code, code
        self.reasons.insert(0, {"code": code, "effect": "deny", "message": message, **more})

    def wait_for(self, further: dict[str, dict[str, Any]], code: str, message: str, **more: Any) -> None:
        """Have people asked about something that stops the call beside its rules. Whoever is asked anew is asked for
        everything, also for what was lifted before."""
        self.decision, self.code, self.short = "pending", code, code
        self.reasons.insert(0, {"code": code, "effect": "require_approval", "message": message, **more})
        self.further = {**self.passed, **further}
        # Nothing but this is enforced on who is observed.
        self.asks = [] if self.would else [*self.asks, *self.lifted]
        self.lifted, self.supervision_lifted, self.passed = [], False, {}


def is_for_one_call(lift: str) -> bool:
    """Whether what an approval lifts is looked at each time, so that nothing lifts it in advance."""
    return lift in (SUPERVISION, LOOP) or lift.startswith(BUDGET)


class Refusal(Exception):
    """A denial found on the way, with the code and the reasons it carries."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.reason = {"code": code, "effect": "deny", "message": message, **more}


def decide(question: Question, facts: Facts) -> Verdict:
    """Judge one call. Under ``observe`` an objection is recorded as ``would`` and the call is allowed."""
    verdict = Verdict("allow", "granted", standing=question.standing)
    try:
        judge(verdict, question, facts)
    except Refusal as refusal:
        verdict.decision, verdict.code = "deny", refusal.code
        verdict.reasons.insert(0, refusal.reason)
    if question.standing == "observe" and verdict.decision != "allow":
        verdict.would = verdict.decision
        verdict.decision, verdict.code = "allow", "observed"
    return verdict


def judge(verdict: Verdict, question: Question, facts: Facts) -> None:
    """Fill in the verdict; raises Refusal at the first thing that no rule could lift."""
    standing = question.standing
    if standing in ("suspended", "revoked"):
        raise Refusal(
            "contained", f"This agent is {standing}; it may act again when an owner of the workspace says so."
        )
    tool = understand(verdict, question)
    verdict.labels = tool.compiled.declaration.labels  # also where a refusal is only observed
    reads = verdict.action == "read" and all(derived.action == "read" for derived in verdict.derived)
    verdict.writes = verdict.action == "read" and not reads
    if standing == "read_only" and not reads:
        raise Refusal(
            "contained", "This agent may only read for now; ask an owner of the workspace to loosen that."
        )
    require_grants(verdict, question, tool, facts.now)
    judge_rules(verdict, question, tool, facts)
    verdict.supervised = standing == "supervised" and not reads
    carried = [question.resource_labels[key] for keys in verdict.granted_by for key in keys]
    verdict.labels = verdict.labels.union(*carried)
    conclude(verdict, facts)


def understand(verdict: Verdict, question: Question) -> ToolEntry:
    """Find the tool, bring the arguments into the form that is judged, and derive the resources."""
    tool = question.tool
    if tool is None:
        raise Refusal(
            "unknown_tool",
            f"This workspace has no tool {question.tool_name!r}; ask its developers to declare it.",
        )
    declaration = tool.compiled.declaration
    verdict.action = declaration.action.value
    try:
        verdict.arguments = judged_arguments(question, tool)
    except InvalidArguments as error:
        raise Refusal(
            "invalid_arguments",
            "The arguments do not fit the tool's schema; correct them and ask again.",
            problems=error.problems,
        ) from error
    try:
        verdict.derived = tool.compiled.derive(verdict.arguments)
    except AmbiguousResource as error:
        raise Refusal("ambiguous_resource", str(error)) from error
    if question.action is not None and question.action != verdict.action:
        raise Refusal(
            "invalid_arguments", f"The tool's action is {verdict.action!r}; leave yours out, or give this."
        )
    if question.resource is not None and question.resource not in {item.resource for item in verdict.derived}:
        raise Refusal(
            "invalid_arguments",
            "The resource does not agree with the arguments; leave it out, or make them agree.",
        )
    if question.on_behalf_of and not question.may_act_for:
        raise Refusal(
            "no_permission",
            "This agent may not act for that person; its owner can add the person to acts_for.",
        )
    return tool


def judged_arguments(question: Question, tool: ToolEntry) -> dict[str, Any]:
    """The arguments in the form that is judged: as prepared by this very declaration, or made now. Raises
    InvalidArguments."""
    prepared = question.prepared
    if prepared is None or prepared.tool is not tool.compiled:
        return tool.compiled.judge_arguments(question.arguments)
    if prepared.arguments is None:
        assert prepared.error is not None
        raise prepared.error
    return prepared.arguments


def require_grants(verdict: Verdict, question: Question, tool: ToolEntry, now: datetime) -> None:
    """Refuse what was not granted: the tool itself, and each action on each derived resource."""
    agent = question.agent
    missing = []
    if not in_force(agent.tools, tool.id, now):
        missing.append({"permission": "use", "tool": question.tool_name})
    for item in verdict.derived:
        if item.resource.startswith("tool:"):  # nothing but the tool itself is touched; `use` suffices
            verdict.granted_by.append([])
            continue
        matches = question.patterns.match(item.resource)
        verdict.granted_by.append(matches)
        if not any(in_force(agent.resources, (key, item.action.value), now) for key in matches):
            missing.append({"permission": item.action.value, "resource": item.resource})
    if missing:
        first = missing[0]
        what = f"{first['permission']} {first.get('resource') or first.get('tool')}"
        raise Refusal(
            "no_permission",
            f"This agent has no grant in force to {what}; ask for it at /v1/access-requests, or have its owner "
            "grant it.",
            missing=missing,
        )


def in_force(grants: Mapping[Any, datetime | None], key: Any, now: datetime) -> bool:
    """Whether a grant is there and has not ended."""
    if key not in grants:
        return False
    ends = grants[key]
    return ends is None or ends > now


def judge_rules(verdict: Verdict, question: Question, tool: ToolEntry, facts: Facts) -> None:
    """Judge every candidate rule for every derived resource; note what matched, failed, is asked and counted."""
    if not question.rules:
        return
    scope = Scope(
        agent=question.agent.view,
        tool=tool.view,
        action=verdict.action,
        resource=verdict.derived[0].resource,
        args=verdict.arguments,
        session={
            "labels": sorted(facts.labels),
            "tools": list(facts.tools),
            "calls": facts.calls,
            "repeats": facts.repeats,
        },
        spend=facts.spend,
        now=facts.now,
        lists=question.lists,
        context=question.context,
        reason=question.reason,
        on_behalf_of=question.on_behalf_of,
    )
    targets = [
        (item.resource, item.action.value, labels_of(keys, question))
        for item, keys in zip(verdict.derived, verdict.granted_by, strict=True)
    ]
    results = []
    for rule in question.rules:
        result = matches(rule, scope, targets)
        results.append(result)
        if result != ".":
            object_to(verdict, rule, result, facts)
    verdict.results = "".join(results)


def labels_of(keys: Sequence[int], question: Question) -> list[str]:
    """The labels of the named resources whose patterns a derived resource matches."""
    return sorted(frozenset().union(*(question.resource_labels[key] for key in keys)))


def matches(rule: CompiledRule, scope: Scope, targets: Sequence[tuple[str, str, list[str]]]) -> str:
    """``m``, ``.`` or ``e``: one matching resource is a match, and a failing condition is one too."""
    found = "."
    for resource, action, labels in targets:
        if rule.actions and action not in rule.actions:
            continue
        if (rule.resources or rule.except_resources) and not rule.covers(resource):
            continue
        if rule.condition is None:
            return "m"
        try:
            if rule.condition.evaluate(scope.for_resource(resource, action, labels)):
                return "m"
        except ConditionFailed:
            found = "e"
    return found


def object_to(verdict: Verdict, rule: CompiledRule, result: str, facts: Facts) -> None:
    """Note what a matched rule does: deny, ask, or count and then perhaps one of the two."""
    effect, code, amount = rule.rule.effect, "rule", 0
    if effect is Effect.LIMIT:
        measured = rule.amount(verdict.arguments)
        amount = rule.ceiling + 1 if measured is None else measured
        verdict.consumes.append((rule, amount))
        if facts.used.get(rule.index, 0) + amount <= rule.ceiling:
            return
        limit = rule.rule.limit
        effect = Effect(limit.then) if limit else Effect.DENY
        code = "rate_limited"
    reason: dict[str, Any] = {
        "code": code,
        "rule": rule.rule.name,
        "effect": effect.value,
        "message": rule.rule.message or default_message(rule, effect),
    }
    if result == "e":
        reason["condition"] = "failed"
    if rule.claims:
        reason["claims"] = list(rule.claims)
    if effect is Effect.REQUIRE_APPROVAL and rule.digest in facts.lifted:
        verdict.lifted.append(rule)
        return
    verdict.reasons.append(reason)
    if effect is Effect.REQUIRE_APPROVAL:
        verdict.asks.append(rule)


def default_message(rule: CompiledRule, effect: Effect) -> str:
    """What the agent is told when the rule's author wrote nothing."""
    if effect is Effect.REQUIRE_APPROVAL:
        asks = f"The rule “{rule.rule.name}” asks for a person's approval"
        return f"{asks}; wait for it, then ask again with its id as “approval”."
    if rule.rule.effect is Effect.LIMIT:
        return f"The limit “{rule.rule.name}” is reached; wait until its window has moved on."
    return f"The rule “{rule.rule.name}” forbids this call; do something else, or ask its author."


def conclude(verdict: Verdict, facts: Facts) -> None:
    """The most severe objection wins: deny, then approval, then allow."""
    denials = [reason for reason in verdict.reasons if reason["effect"] == "deny"]
    if denials:
        verdict.reasons.sort(key=lambda reason: reason["effect"] != "deny")
        verdict.decision, verdict.code = "deny", denials[0]["code"]
        return
    verdict.supervision_lifted = verdict.supervised and SUPERVISION in facts.lifted
    if verdict.supervised and not verdict.supervision_lifted:
        verdict.reasons.append({"code": "contained", "effect": "require_approval", "message": SUPERVISED})
    if any(reason["effect"] == "require_approval" for reason in verdict.reasons):
        if facts.refused:
            raise Refusal(facts.refused, REFUSED_APPROVAL[facts.refused])
        verdict.decision, verdict.code = "pending", verdict.reasons[0]["code"]
        verdict.asks += verdict.lifted  # whoever is asked anew is asked for everything, not for what is left
        verdict.lifted, verdict.supervision_lifted = [], False


SUPERVISED = (
    "This agent is supervised: a person approves everything but reads. Wait for the approval, then ask again with "
    "its id as “approval”."
)
REFUSED_APPROVAL = {
    "approval_rejected": "A reviewer said no; do not repeat this call.",
    "approval_expired": "The approval ran out, or was taken back; ask again without it, and under another call_id "
    "if you gave one, and people are asked anew.",
    "approval_mismatch": "The approval was given for another call; ask again without it.",
    "approval_used": "The approval was used before; each allows one call. Ask again without it, and under another "
    "call_id if you gave one.",
}
