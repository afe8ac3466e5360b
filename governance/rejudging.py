"""Recorded calls judged once more: by the policy that judged them, to see that it still comes to the same, and then by
a draft, with the facts that were recorded.

Everything but the rules stays as it was: grants, budgets, standings and approvals are taken as the record has them. A
call that the recorded policy would not decide today as it did then has lost something that it rested on, and counts as
not to be judged; so does one whose arguments are gone.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from governance import windows
from governance.decide import REFUSED_APPROVAL, SUPERVISION, Facts, Question, Verdict, decide
from governance.memory import counter_key
from governance.models import PolicyVersion
from governance.ruleset import CompiledRule, RuleSet
from governance.snapshot import Snapshot, UnreadableRules, entry_of
from governance.subjects import AgentEntry, ToolEntry, effective_standing
from workspaces.arguments import Tool, is_withheld
from workspaces.declarations import Action
from workspaces.models import Agent

# Why a recorded call is not to be judged, as the page tells it.
GONE = "its tool, its agent or the policy that judged it is not there any more"
ERASED = "its arguments were erased"
HIDDEN = "a rule reads what was withheld of it (a secret, or an argument declared sensitive)"
CHANGED = "what it rested on has changed since: the tool, the agent, resources or lists"


class NotToBeJudged(Exception):
    """Why nothing can be said of one recorded call."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision's entry. ``data`` is the body's."""

    index: int
    entry_id: int
    time: datetime
    agent: str
    tool: str
    session: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A call that a draft decides otherwise: ``block``, ``ask`` or ``allow``, what it was and would be, and the rules
    that object before and after."""

    kind: str
    before: str
    after: str
    rules_before: list[str]
    rules_after: list[str]


@dataclass(slots=True)
class Standings:
    """How agents stood at each entry, from the steps that the log has since then and how they stand now.

    ``steps`` are (index, scope, from, to) in order; a scope is an agent's public id, ``workspace`` or ``installation``.
    """

    now: Mapping[str, str]
    steps: Sequence[tuple[int, str, str, str]]
    by_scope: dict[str, list[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for index, scope, before, after in self.steps:
            self.by_scope[scope].append((index, before, after))

    def at(self, scope: str, index: int) -> str:
        """How a scope stood when the entry of this index was written."""
        steps = self.by_scope.get(scope)
        if not steps:
            return self.now.get(scope, "active")
        place = bisect_right([step[0] for step in steps], index)
        return steps[place - 1][2] if place else steps[0][1]

    def of(self, agent: str, index: int, time: datetime) -> str:
        """The standing that held for an agent; an observation is judged as ``active``, since it changes no verdict."""
        scopes = (agent, "workspace", "installation")
        return effective_standing(time, *((self.at(scope, index), None) for scope in scopes))


class AsJudged(Tool):
    """A tool whose arguments come from the record: completed and checked already, and perhaps withheld in part."""

    def judge_arguments(self, arguments: dict[str, Any], **_: Any) -> dict[str, Any]:
        return arguments


class Rejudge:
    """Judges recorded calls of one workspace, in the log's order, by the draft's rules.

    ``counters`` hold what limits count that are new in the draft: their windows begin empty, and fill with the calls
    that the draft allows. They go on in the next slice.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        draft: RuleSet,
        standings: Standings,
        counters: dict[str, list[list[int]]],
    ) -> None:
        self.snapshot = snapshot
        self.draft = draft
        self.standings = standings
        self.counters = counters
        self.policies: dict[str, RuleSet | None] = {"": RuleSet([], {})}
        self.tools: dict[str, ToolEntry] = {}
        self.agents = self.load_agents()
        self.candidates: dict[tuple[str, str, str], list[CompiledRule]] = {}

    def load_agents(self) -> dict[str, AgentEntry]:
        """Every agent, by public id, as if everything were granted to it: what was not, the record says."""
        tools: dict[int, datetime | None] = {tool.id: None for tool in self.snapshot.tools.values()}
        resources: dict[tuple[int, str], datetime | None] = {
            (key, action.value): None for key in self.snapshot.resource_labels for action in Action
        }
        rows = Agent.objects.filter(workspace_id=self.snapshot.workspace_id)
        return {row.public_id: entry_of(row, tools=tools, resources=resources) for row in rows}

    def policy(self, digest: str) -> RuleSet | None:
        """The rules of a version by its name; None where they cannot be read any more."""
        if digest not in self.policies:
            versions = PolicyVersion.objects.filter(workspace_id=self.snapshot.workspace_id, digest=digest)
            version = versions.first()
            try:
                found = None if version is None else self.snapshot.rules_of(version)
            except UnreadableRules:
                found = None
            self.policies[digest] = found
        return self.policies[digest]

    def rules_for(self, call: Recorded, *, draft: bool) -> list[CompiledRule]:
        """The candidate rules of the draft, or of the policy that judged. Raises NotToBeJudged."""
        digest = "draft" if draft else call.data.get("policy", "")
        key = digest, call.agent, call.tool
        found = self.candidates.get(key)
        if found is None:
            agent = self.agents.get(call.agent)
            rules = self.draft if draft else self.policy(digest)
            if agent is None or rules is None or call.tool not in self.snapshot.tools:
                raise NotToBeJudged(GONE)
            found = self.candidates[key] = rules.candidates(call.tool, agent.name, agent.labels)
        return found

    def needs_detail(self, call: Recorded) -> bool:
        """Whether the call's arguments have to be read: other rules could speak of it than did. Raises
        NotToBeJudged."""
        before = {rule.digest for rule in self.rules_for(call, draft=False)}
        return before != {rule.digest for rule in self.rules_for(call, draft=True)}

    def judge(self, call: Recorded, detail: Mapping[str, Any]) -> Difference | None:
        """How the draft decides otherwise, or None where it does not. Raises NotToBeJudged."""
        decision, code = underlying(call.data)
        arguments = detail.get("arguments")
        if not isinstance(arguments, dict):
            raise NotToBeJudged(ERASED)
        recorded, drafted = (self.rules_for(call, draft=draft) for draft in (False, True))
        refuse_hidden([*recorded, *drafted], detail)
        before = self.verdict(call, detail, recorded, recorded)
        if before.results != call.data.get("rules", "") or before.decision != decision:
            raise NotToBeJudged(CHANGED)
        if not same_resources(before, detail):
            raise NotToBeJudged(CHANGED)
        after = self.verdict(call, detail, drafted, recorded)
        self.count(call, after, recorded)
        held = "deny" if code == "too_many_pending" and after.decision == "pending" else after.decision
        was = "deny" if code == "too_many_pending" else decision
        if held == was:
            return None
        return Difference(kind_of(held), was, held, objecting(before), objecting(after))

    def verdict(
        self,
        call: Recorded,
        detail: Mapping[str, Any],
        rules: Sequence[CompiledRule],
        recorded: Sequence[CompiledRule],
    ) -> Verdict:
        """The verdict of some rules over the call, with the facts that its entry has."""
        agent = self.agents[call.agent]
        question = Question(
            agent=agent,
            standing=self.standings.of(call.agent, call.index, call.time),
            tool_name=call.tool,
            tool=self.tool(call.tool),
            arguments=detail["arguments"],
            rules=rules,
            patterns=self.snapshot.patterns,
            resource_labels=self.snapshot.resource_labels,
            lists=self.snapshot.lists,
            reason=detail.get("reason", ""),
            on_behalf_of=detail.get("on_behalf_of", ""),
            context=detail.get("context", {}),
        )
        return decide(question, self.facts(call, rules, recorded))

    def facts(self, call: Recorded, rules: Sequence[CompiledRule], recorded: Sequence[CompiledRule]) -> Facts:
        """The recorded facts. A limit that was there keeps what it had counted; an approval lifts rules by name."""
        facts = call.data.get("facts", {})
        used = {
            (rule.rule.name, rule.measure): int(facts.get("used", {}).get(str(rule.index), 0))
            for rule in recorded
            if rule.window
        }
        lifted = frozenset(call.data.get("lifted", ()))
        return Facts(
            now=call.time,
            labels=frozenset(facts.get("labels", ())),
            tools=tuple(facts.get("tools", ())),
            calls=facts.get("calls", 0),
            repeats=facts.get("repeats", 0),
            spend={name: float(text) for name, text in facts.get("spend", {}).items()},
            used={
                rule.index: used.get((rule.rule.name, rule.measure), self.counted(call, rule))
                for rule in rules
                if rule.window
            },
            lifted=frozenset(
                [rule.digest for rule in rules if rule.rule.name in lifted]
                + [SUPERVISION] * ("supervised" in lifted)
            ),
            refused=code if (code := underlying(call.data)[1]) in REFUSED_APPROVAL else "",
        )

    def counted(self, call: Recorded, rule: CompiledRule) -> int:
        """What a new limit's window holds by now."""
        buckets = self.counters.get(self.key(call, rule))
        return windows.used(buckets, rule.window, windows.milliseconds(call.time)) if buckets else 0

    def count(self, call: Recorded, after: Verdict, recorded: Sequence[CompiledRule]) -> None:
        """Count a call that the draft allows in the limits that are new in it."""
        if after.decision != "allow" or not after.consumes:
            return
        known = {(rule.rule.name, rule.measure) for rule in recorded}
        for rule, amount in after.consumes:
            if (rule.rule.name, rule.measure) not in known:
                key, now = self.key(call, rule), windows.milliseconds(call.time)
                self.counters[key] = windows.add(self.counters.get(key, []), rule.window, now, amount)

    def key(self, call: Recorded, rule: CompiledRule) -> str:
        return counter_key(self.snapshot.workspace_id, rule, self.agents[call.agent].id, call.session)

    def tool(self, name: str) -> ToolEntry:
        """A tool that takes arguments as they were judged."""
        found = self.tools.get(name)
        if found is None:
            entry = self.snapshot.tools[name]
            found = ToolEntry(entry.id, AsJudged(entry.compiled.declaration), entry.view)
            self.tools[name] = found
        return found


def underlying(data: Mapping[str, Any]) -> tuple[str, str]:
    """Decision and code as the rules had them: what an observation let pass, and a question that nobody was left to
    be asked (``pending``), as if it had been enforced or asked."""
    decision, code = data["verdict"], data["code"]
    if would := data.get("would"):
        reasons = data.get("reasons") or [{}]
        decision, code = would, reasons[0].get("code", "")
    return ("pending" if code == "too_many_pending" else decision), code


def settled_elsewhere(data: Mapping[str, Any]) -> bool:
    """Whether something other than a rule refused the call (a grant, a standing, a budget), so that no policy would
    have let it through."""
    decision, code = underlying(data)
    if decision != "deny" or code == "rule" or code in REFUSED_APPROVAL:
        return False
    reasons = data.get("reasons") or [{}]
    return not (code == "rate_limited" and "rule" in reasons[0])


def kind_of(decision: str) -> str:
    return {"deny": "block", "pending": "ask", "allow": "allow"}[decision]


def objecting(verdict: Verdict) -> list[str]:
    """The rules that object, each once."""
    return list(dict.fromkeys(reason["rule"] for reason in verdict.reasons if "rule" in reason))


def same_resources(verdict: Verdict, detail: Mapping[str, Any]) -> bool:
    """Whether the call touches what it touched then."""
    return [item.resource for item in verdict.derived] == list(detail.get("resources", ()))


def refuse_hidden(rules: Iterable[CompiledRule], detail: Mapping[str, Any]) -> None:
    """Raise NotToBeJudged where a rule reads something of which the record holds a placeholder."""
    hidden = {name for name, value in detail["arguments"].items() if is_withheld(value)}
    claims = {name for name in ("reason", "context", "on_behalf_of") if is_withheld(detail.get(name))}
    if not hidden and not claims:
        return
    for rule in rules:
        reads = rule.condition.reads if rule.condition else {}
        arguments = reads.get("args", frozenset()) | frozenset(rule.sum_path[:1])
        if (hidden and arguments & (hidden | {"*"})) or claims & reads.keys():
            raise NotToBeJudged(HIDDEN)
