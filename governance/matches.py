"""What each rule of a policy would match in a workspace, by name, for people who write it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from governance.conditions import CLAIMS, compile_condition
from governance.expressions import ConditionError
from governance.forms import Form, can_meet, covers
from governance.reach import Catalog, Reach
from governance.rules import Rule
from workspaces.resources import Pattern, PatternError

FIRST = 6  # names that are shown of each kind
MOST_PAIRS = 4_000  # of named resources and what tools can touch, compared for one rule


@dataclass(frozen=True, slots=True)
class Names:
    """How many, and the first few in order. ``everything``: all that there is of the kind."""

    count: int
    first: tuple[str, ...]
    everything: bool = False

    @property
    def more(self) -> int:
        return self.count - len(self.first)


@dataclass(frozen=True, slots=True)
class Match:
    """What one rule would match. ``resources`` None: too many to compare here. ``claims`` are what its condition
    takes from the agent's own words."""

    index: int
    name: str
    effect: str
    agents: Names
    tools: Names
    resources: Names | None
    claims: tuple[str, ...]


def matches(rules: Sequence[Rule], catalog: Catalog, *, most: int) -> list[Match]:
    """What each of the first ``most`` rules would match; conditions aside, which depend on the call."""
    patterns = {}
    for name, text in catalog.resources.items():
        try:
            patterns[name] = Pattern.parse(text)
        except PatternError:
            continue
    found = []
    for index, rule in enumerate(rules[:most]):
        reach = Reach(index, rule, catalog)
        resources = resources_of(reach, patterns)
        found.append(
            Match(
                index=index,
                name=rule.name,
                effect=rule.effect.value,
                agents=names(reach.agents, len(catalog.agents)),
                tools=names((target.tool.name for target in reach.targets), len(catalog.tools)),
                resources=None if resources is None else names(resources, len(patterns)),
                claims=claims(rule),
            )
        )
    return found


def names(found: Iterable[str], of: int) -> Names:
    """Names counted, each once."""
    ordered = sorted(set(found))
    return Names(len(ordered), tuple(ordered[:FIRST]), everything=len(ordered) == of > 0)


def resources_of(reach: Reach, patterns: dict[str, Pattern]) -> list[str] | None:
    """The named resources that some call which the rule speaks of could touch; None where that is too much work."""
    forms = {form for target in reach.targets for _, form in target.resources}
    if len(forms) * len(patterns) > MOST_PAIRS:
        return None
    return [
        name
        for name, pattern in patterns.items()
        if spoken_of(reach, pattern) and any(can_meet(pattern, form) for form in forms)
    ]


def spoken_of(reach: Reach, pattern: Pattern) -> bool:
    """Whether the rule speaks of some resource that the pattern matches."""
    form = Form(pattern.canonical, pattern.form)
    if any(covers(exception, form) for exception in reach.exceptions):
        return False
    return not reach.rule.resources or any(can_meet(mine, form) for mine in reach.patterns)


def claims(rule: Rule) -> tuple[str, ...]:
    """The claims that the condition reads: what the agent says of itself, and nobody has checked."""
    if rule.when is None:
        return ()
    try:
        return tuple(sorted(compile_condition(rule.when).names & CLAIMS))
    except ConditionError:
        return ()
