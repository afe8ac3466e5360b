"""Why a call waits for people: what each rule that asks says, and what it saw when it was judged.

Read from the entry of the pending decision, or of the last edit, and from the version of the policy that it names, so
that it is what happened and not what the rules of today would make of it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from audit.models import Entry
from governance.decide import LOOP
from governance.expressions import ConditionError, Name, Node, Select, children, parse
from governance.facts import path_of
from governance.models import Approval, PolicyVersion
from governance.presentation import Question, visible
from governance.rules import Limit, Rule, RuleErrors, parse_rules
from governance.ruleset import MICRO

LONGEST = 200  # characters of a value that a condition looked at
SPANS = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")]
SELECTORS = ("tools", "agents", "actions", "resources", "except_resources")
SESSION: dict[str, Any] = {
    "labels": [],
    "tools": [],
    "calls": 0,
    "repeats": 0,
}  # what an entry leaves out if empty
LOOPS = {
    "repeats": "The same call was made {count} times before this one, with the same result; {limit} are allowed.",
    "ping_pong": "Two calls took turns {count} times before this one; {limit} are allowed.",
    "retries": "The agent says that it tried this {count} times before; {limit} are allowed.",
    "velocity": "It would cost this agent more in an hour than {limit} times what its dearest hour did.",
}
COUNTED_BY = {"agent": "this agent", "session": "this session", "workspace": "the workspace"}


@dataclass(frozen=True, slots=True)
class Ground:
    """One rule that asks. ``saw`` are the (name, value) that its condition reads; ``limit`` is empty without one."""

    rule: str
    covers: list[tuple[str, str]]
    condition: str
    failed: bool
    saw: list[tuple[str, str]]
    limit: str
    known: bool


def grounds(approval: Approval, question: Question | None) -> list[Ground]:
    """The rules that ask, in the approval's order. Values of arguments and claims only with a ``question``, from who
    may see them. Two queries."""
    entry = Entry.objects.filter(log_id=approval.workspace.log_id, index=approval.call_index).first()
    data = json.loads(bytes(entry.body))["data"] if entry is not None else {}
    facts = data.get("facts")  # an edit's entry has none
    digest = approval.policy or data.get("policy", "")
    version = PolicyVersion.objects.filter(workspace=approval.workspace, digest=digest).first()
    content = list(version.content) if version is not None else []
    places = {rule.get("name"): index for index, rule in enumerate(content)}
    failures = {each.get("rule") for each in data.get("reasons", ()) if each.get("condition")}
    scope = scope_of(approval, question, facts)
    found = []
    for requirement in approval.requirements:
        if requirement.get("digest") in approval.raises:
            continue  # stands apart, with what it would be raised by
        name = requirement["rule"]
        index = places.get(name)
        rule = rule_of(content[index]) if index is not None else None
        found.append(
            Ground(
                rule=visible(name),
                covers=covers(rule) if rule else [],
                condition=visible(rule.when, keep=" \n") if rule and rule.when else "",
                failed=name in failures,
                saw=saw(rule.when, scope) if rule and rule.when else [],
                limit=limit_told(rule.limit, index or 0, facts)
                if rule and rule.limit
                else loop_told(requirement, facts),
                known=rule is not None,
            )
        )
    return found


def rule_of(content: Mapping[str, Any]) -> Rule | None:
    """One rule of a version; None for one that this program cannot read."""
    try:
        return parse_rules([content])[0]
    except RuleErrors:
        return None


def covers(rule: Rule) -> list[tuple[str, str]]:
    """What the rule speaks of: (word, names); nothing where it speaks of everything."""
    named = ((word, getattr(rule, word)) for word in SELECTORS)
    return [(word.replace("_", " "), visible(", ".join(names))) for word, names in named if names]


def scope_of(
    approval: Approval, question: Question | None, facts: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a condition may read, as far as it is kept."""
    scope: dict[str, Any] = {
        "agent": {"name": approval.agent.name, "labels": approval.agent.labels},
        "tool": {"name": approval.tool, "action": approval.action, "risk": approval.risk},
        "action": approval.action,
    }
    if facts is not None:
        known = {name: facts.get(name, empty) for name, empty in SESSION.items()}
        scope |= {"session": known, "spend": facts.get("spend", {})}
        scope |= {"now": f"{approval.created:%Y-%m-%d %H:%M:%S} UTC"}
    if question is not None:
        scope |= {"args": question.values, "resource": question.raw[0] if question.raw else ""}
        scope |= {"reason": question.reason, "on_behalf_of": question.on_behalf_of}
    return scope


def saw(condition: str, scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of what a condition reads, each once, in its order."""
    try:
        tree = parse(condition)
    except ConditionError:
        return []
    found = {}
    for path in dict.fromkeys(paths(tree)):
        if path[0] in scope:
            value: Any = scope
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
            found[".".join(path)] = told(value)
    return [(visible(name), value) for name, value in found.items()]


def paths(node: Node) -> Iterator[tuple[str, ...]]:
    """The longest names in a tree, such as ``args.amount``."""
    if isinstance(node, Select) and node.test:
        node = Select(node.offset, node.operand, node.field, False)
    path = path_of(node)
    if path is not None:
        yield path
    elif not isinstance(node, Name):
        for child in children(node):
            yield from paths(child)


def told(value: Any) -> str:
    """A value in a line."""
    if value is None:
        return "not there"
    text = visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def limit_told(limit: Limit, index: int, facts: Mapping[str, Any] | None) -> str:
    """A limit and, if it is known, how far its counter was, in a sentence."""
    span, whose = span_of(limit.per), COUNTED_BY.get(limit.by, limit.by)
    what = f"{limit.calls:,} calls" if limit.sum is None else f"{limit.max:,f} as the sum of {limit.sum}"
    most = f"At most {what} in {span} by {whose}"
    if facts is None:
        return f"{most}."
    used = int(facts.get("used", {}).get(str(index), 0))
    before = f"{used:,} were made" if limit.sum is None else f"{amount(used)} were reached"
    return f"{most}; {before} before this one."


def loop_told(requirement: Mapping[str, Any], facts: Mapping[str, Any] | None) -> str:
    """What went round before this call, where a loop is what is asked about."""
    loop = (facts or {}).get("loop")
    if requirement.get("digest") != LOOP or not loop:
        return ""
    return LOOPS.get(loop["kind"], "It came {count} times; {limit} are allowed.").format(**loop)


def amount(micro: int) -> str:
    """Millionths as a plain number."""
    return f"{(Decimal(micro) / MICRO).normalize():,f}"


def span_of(seconds: int) -> str:
    """A whole number of seconds in the longest unit that fits."""
    size, unit = next((size, unit) for size, unit in SPANS if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}{'s' if count != 1 else ''}"
