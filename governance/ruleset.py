"""A policy in memory: its rules compiled, and indexed so that a decision meets only those that can match."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from audit import canonical
from governance.conditions import CLAIMS, Condition, compile_condition
from governance.rules import Rule, parse_rules
from governance.selection import Selector, compile_selector
from workspaces.resources import Pattern

MICRO = 10**6
MOST = 2**53 - 1  # what a JSON number holds exactly; a sum that reaches it is over every limit


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be judged. ``ceiling`` is the limit in calls, or in millionths of the summed argument;
    ``window`` is its length in seconds, 0 where the rule is no limit."""

    index: int
    rule: Rule
    digest: str
    condition: Condition | None
    tools: Selector
    agents: Selector
    actions: frozenset[str]
    resources: tuple[Pattern, ...]
    except_resources: tuple[Pattern, ...]
    ceiling: int
    window: int
    sum_path: tuple[str, ...]
    measure: str
    claims: tuple[str, ...]

    def covers(self, resource: str) -> bool:
        """Whether the rule speaks of this resource."""
        if self.resources and not any(pattern.matches(resource) for pattern in self.resources):
            return False
        return not any(pattern.matches(resource) for pattern in self.except_resources)

    def amount(self, arguments: Mapping[str, Any]) -> int | None:
        """What this call adds to the rule's counter; None where the summed argument is no number."""
        if not self.sum_path:
            return 1
        value: Any = arguments
        for name in self.sum_path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return min(max(0, math.ceil(Decimal(str(value)) * MICRO)), MOST)


def digest_of_rule(rule: Rule) -> str:
    """The name of a rule's content: half of the SHA-256 of its canonical JSON (RFC 8785), in hex."""
    return hashlib.sha256(canonical.encode(rule.as_dict())).hexdigest()[:32]


def compile_rule(index: int, rule: Rule, patterns: Mapping[str, str]) -> CompiledRule:
    """Compile a rule; ``patterns`` maps the workspace's resource names to their patterns."""

    def parse(names: Sequence[str]) -> tuple[Pattern, ...]:
        return tuple(Pattern.parse(patterns.get(name, name)) for name in names)

    condition = compile_condition(rule.when) if rule.when else None
    limit = rule.limit
    ceiling, measure = 0, ""
    if limit:
        ceiling = limit.calls if limit.calls is not None else int((limit.max or Decimal(0)) * MICRO)
        measure = f"{limit.sum or 'calls'}/{limit.per}/{limit.by}"
    return CompiledRule(
        index=index,
        rule=rule,
        digest=digest_of_rule(rule),
        condition=condition,
        tools=compile_selector(rule.tools),
        agents=compile_selector(rule.agents, with_labels=True),
        actions=frozenset(rule.actions),
        resources=parse(rule.resources),
        except_resources=parse(rule.except_resources),
        ceiling=ceiling,
        window=limit.per if limit else 0,
        sum_path=tuple(limit.sum.split(".")[1:]) if limit and limit.sum else (),
        measure=measure,
        claims=tuple(sorted(condition.names & CLAIMS)) if condition else (),
    )


class RuleSet:
    """The rules of one policy version. Costs of ``candidates`` grow with the rules of the tool, not of the policy."""

    def __init__(self, content: Sequence[Mapping[str, Any]], patterns: Mapping[str, str]) -> None:
        self.rules = [compile_rule(index, rule, patterns) for index, rule in enumerate(parse_rules(content))]
        self.by_tool: dict[str, list[CompiledRule]] = {}
        self.any_tool: list[CompiledRule] = []
        for rule in self.rules:
            if rule.tools.globs or rule.tools.everything:
                self.any_tool.append(rule)
            else:
                for name in rule.tools.exact:
                    self.by_tool.setdefault(name, []).append(rule)
        self.indexed: dict[str, tuple[dict[str, list[CompiledRule]], list[CompiledRule]]] = {}

    def candidates(self, tool: str, agent: str, labels: frozenset[str]) -> list[CompiledRule]:
        """The rules whose tools and agents match, in policy order."""
        if tool not in self.indexed:
            self.indexed[tool] = self.index_agents(tool)
        by_agent, any_agent = self.indexed[tool]
        found = [
            *by_agent.get(agent, ()),
            *(rule for rule in any_agent if rule.agents.matches(agent, labels)),
        ]
        return sorted(found, key=lambda rule: rule.index)

    def index_agents(self, tool: str) -> tuple[dict[str, list[CompiledRule]], list[CompiledRule]]:
        """The tool's rules: those that name agents exactly, by name, and the others."""
        matching = [rule for rule in self.any_tool if rule.tools.matches(tool)] + self.by_tool.get(tool, [])
        by_agent: dict[str, list[CompiledRule]] = {}
        any_agent = []
        for rule in matching:
            if rule.agents.globs or rule.agents.everything or rule.agents.labels:
                any_agent.append(rule)
            else:
                for name in rule.agents.exact:
                    by_agent.setdefault(name, []).append(rule)
        return by_agent, any_agent
