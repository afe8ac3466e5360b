"""One call tried out: what would be decided, and what each rule says of it. Nothing is written, held or counted.

The decision is the gate's own pure function over a snapshot of the workspace as it is now; only what the session brings
with it is said by whoever tries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from billing import budgets
from billing.budgets import Ledger
from governance.conditions import Condition, ConditionFailed, Scope
from governance.decide import Facts, Question, Verdict, decide
from governance.expenses import cost_in
from governance.memory import Memory, counter_key
from governance.models import PolicyVersion
from governance.ruleset import CompiledRule, RuleSet
from governance.snapshot import Snapshot, UnreadableRules
from governance.subjects import AgentEntry
from workspaces.models import ActsFor, Agent

RESULTS = {"m": "matched", ".": "did not match", "e": "could not be evaluated, which counts as matched"}
NOT_ASKED = "not asked"


class TrialRefused(ValueError):
    """A call that cannot be tried; the message says what to do."""

    code, status = "trial_refused", 409


@dataclass(frozen=True, slots=True)
class Call:
    """A call to try: what an agent would send, and what its session would have behind it."""

    agent: Agent
    tool: str
    arguments: dict[str, Any]
    session: str = ""
    labels: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()
    calls: int = 0
    repeats: int = 0
    reason: str = ""
    on_behalf_of: str = ""
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one candidate rule says. ``letter`` as in a decision's entry, empty where the rules were not asked;
    ``failure`` is why its condition could not be evaluated."""

    name: str
    effect: str
    when: str
    letter: str
    result: str
    failure: str
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What would be decided. ``others`` counts the rules that do not speak of this agent and tool at all."""

    verdict: Verdict
    standing: str
    rules: list[RuleResult]
    others: int
    revision: int
    shortage: str


class Watched(Condition):
    """A condition that remembers why it failed."""

    __slots__ = ("failure",)

    def __init__(self, inner: Condition) -> None:
        super().__init__(inner.text, inner._program)
        self.failure = ""

    def evaluate(self, scope: Scope) -> bool:
        try:
            return super().evaluate(scope)
        except ConditionFailed as failed:
            self.failure = str(failed)
            raise


def attempt(call: Call, *, version: PolicyVersion | None, now: datetime) -> Trial:
    """Judge the call by a version of its workspace's policy, or by no rules. Limits and budgets are as they are now.

    Raises TrialRefused where the version cannot be read in the workspace."""
    snapshot = Snapshot(call.agent.workspace.log_id)
    agent = snapshot.agent(call.agent.pk)
    assert agent is not None
    rules = read_rules(version, snapshot)
    candidates = [watch(rule) for rule in rules.candidates(call.tool, agent.name, agent.labels)]
    ledger = Ledger(snapshot.workspace_id, now, snapshot.timezone, snapshot.budgets)
    ledger.load([tried(call, agent)])
    question = pose(call, agent, snapshot, candidates, now)
    facts = Facts(
        now=now,
        labels=call.labels,
        tools=call.tools,
        calls=call.calls,
        repeats=call.repeats,
        spend=ledger.spend_view(tried(call, agent)),
        used=used(snapshot.workspace_id, agent, call, candidates, now),
    )
    verdict = decide(question, facts)
    return Trial(
        verdict=verdict,
        standing=question.standing,
        rules=[told(rule, verdict.results, place) for place, rule in enumerate(candidates)],
        others=len(rules.rules) - len(candidates),
        revision=snapshot.revision,
        shortage=shortage(snapshot, ledger, agent, call) if verdict.decision == "allow" else "",
    )


def read_rules(version: PolicyVersion | None, snapshot: Snapshot) -> RuleSet:
    """The rules of a version as they would judge. Raises TrialRefused."""
    if version is None:
        return RuleSet([], {})
    try:
        return snapshot.rules_of(version)
    except UnreadableRules as error:
        raise TrialRefused(str(error)) from error


def watch(rule: CompiledRule) -> CompiledRule:
    """The rule with a condition that remembers why it failed."""
    return replace(rule, condition=Watched(rule.condition)) if rule.condition else rule


def pose(
    call: Call, agent: AgentEntry, snapshot: Snapshot, rules: Sequence[CompiledRule], now: datetime
) -> Question:
    """The call as the decision asks it."""
    tool = snapshot.tools.get(call.tool)
    principals = ActsFor.objects.filter(
        agent_id=agent.id, person__email=call.on_behalf_of.lower(), person__is_active=True
    )
    return Question(
        agent=agent,
        standing=snapshot.standing_of(agent, now),
        tool_name=call.tool,
        tool=tool,
        arguments=call.arguments,
        rules=rules if tool else (),
        patterns=snapshot.patterns,
        resource_labels=snapshot.resource_labels,
        lists=snapshot.lists,
        reason=call.reason,
        on_behalf_of=call.on_behalf_of,
        may_act_for=not call.on_behalf_of or principals.exists(),
        context=call.context,
    )


def used(
    workspace_id: int, agent: AgentEntry, call: Call, rules: Sequence[CompiledRule], now: datetime
) -> dict[int, int]:
    """What the counters of limits hold now, by the rules' indexes."""
    keys = {
        rule.index: counter_key(workspace_id, rule, agent.id, call.session) for rule in rules if rule.window
    }
    memory = Memory(workspace_id, now)
    memory.load([(agent.id, call.session)], keys.values())
    return {rule.index: memory.used(keys[rule.index], rule.window) for rule in rules if rule.window}


def shortage(snapshot: Snapshot, ledger: Ledger, agent: AgentEntry, call: Call) -> str:
    """Why the budgets would not bear what the tool declares to cost; empty where they would."""
    found = ledger.check(tried(call, agent), cost_in(snapshot, ledger.day, call.tool))
    return found.message if found else ""


def tried(call: Call, agent: AgentEntry) -> budgets.Call:
    """The call as budgets see it."""
    return budgets.Call(agent.id, call.session, call.tool)


def told(rule: CompiledRule, results: str, place: int) -> RuleResult:
    """What a candidate rule said, in words."""
    letter = results[place] if results else ""
    failure = rule.condition.failure if isinstance(rule.condition, Watched) and letter == "e" else ""
    return RuleResult(
        name=rule.rule.name,
        effect=rule.rule.effect.value,
        when=rule.rule.when or "",
        letter=letter,
        result=RESULTS.get(letter, NOT_ASKED),
        failure=failure,
        claims=rule.claims,
    )
