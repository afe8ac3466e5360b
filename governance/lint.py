"""Whether the rules of a policy can do what they say in this workspace: dead, dangerous and unreadable rules.

A rule that silently never matches, or matches every call for want of a field, is refused when it is saved,
with the place that is at fault.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from governance.condition_checks import check_condition
from governance.forms import Form, covers
from governance.notation import suggestion
from governance.reach import Catalog, Reach, Target, arguments_of
from governance.reading import Problem
from governance.rules import Effect, Review, Rule
from governance.selection import LABEL, Glob
from governance.shapes import NUMBERS, Shape
from workspaces.resources import Pattern

__all__ = ["Catalog", "check"]

GROUP = "group:"
STOPS_EVERYTHING = (
    "This rule denies every call of every agent. Name its tools (“*” if you mean it), or use containment."
)


def check(rules: Sequence[Rule], catalog: Catalog) -> list[Problem]:
    """Every reason why a rule is dead, dangerous or unreadable, in the order of the rules."""
    problems: list[Problem] = []
    sound: list[Guard] = []
    for index, rule in enumerate(rules):
        reach = Reach(index, rule, catalog)
        found = list(reach.problems)
        found += check_condition(reach)
        found += _check_sum(reach)
        if rule.approval is not None:
            found += _check_reviewers(index, rule.approval, catalog)
        if not found and _stops_everything(rule):
            found.append(Problem((index, "effect"), STOPS_EVERYTHING))
        if not found:
            sound.append(Guard(index, rule, reach))
        problems += found
    problems += _shadowed(sound, catalog)
    return sorted(problems, key=lambda problem: problem.path[0])


def _stops_everything(rule: Rule) -> bool:
    selectors = (rule.tools, rule.agents, rule.actions, rule.resources, rule.except_resources)
    return rule.effect is Effect.DENY and rule.when is None and not any(selectors)


def _check_reviewers(index: int, approval: Review, catalog: Catalog) -> list[Problem]:
    """Reviewers exist, and enough of them to meet the quorum, at the latest when everybody was asked. The agent's owner
    votes only where named."""
    problems: list[Problem] = []
    voters: set[str] = set()
    where: tuple[str | int, ...] = (index, "approval")
    places = [((*where, "reviewers"), approval.reviewers)]
    places += [
        ((*where, "escalate", step, "reviewers"), rung.reviewers)
        for step, rung in enumerate(approval.escalate)
    ]
    for place, reviewers in places:
        for position, reviewer in enumerate(reviewers):
            found, message = voters_behind(reviewer, catalog)
            voters |= found
            if message:
                problems.append(Problem((*place, position), message))
    if not problems and approval.quorum > len(voters):
        many = "one person" if len(voters) == 1 else f"{len(voters)} people"
        message = (
            f"The quorum is {approval.quorum}, but only {many} could vote; no call would ever be approved."
        )
        problems.append(Problem((*where, "quorum"), message))
    return problems


def voters_behind(reviewer: str, catalog: Catalog) -> tuple[frozenset[str], str]:
    """The people whom a reviewer's name stands for, and what is wrong with the name."""
    if reviewer.startswith(GROUP):
        name = reviewer.removeprefix(GROUP)
        members = catalog.groups.get(name)
        if members is None:
            return frozenset(), f"There is no group “{name}”.{suggestion(name, catalog.groups)}"
        return members, "" if members else f"The group “{name}” is empty; add people to it."
    if reviewer != "owner" and reviewer not in catalog.people:
        return frozenset(), f"Nobody here has the address “{reviewer}”.{suggestion(reviewer, catalog.people)}"
    return frozenset([reviewer]), ""


def _check_sum(reach: Reach) -> list[Problem]:
    """The summed argument is a number of every tool that the rule counts."""
    limit = reach.rule.limit
    if limit is None or limit.sum is None:
        return []
    problems: list[Problem] = []
    names = limit.sum.split(".")[1:]
    for target in reach.targets:
        shape: Shape | None = arguments_of(target.tool)
        for name in names:
            options = shape.fields or {} if shape else {}
            shape = options.get(name)
            if shape is None:
                message = f"{target.tool.name} declares no argument “{limit.sum}”.{suggestion(name, options)}"
                problems.append(Problem((reach.index, "limit", "sum"), message))
                break
        else:
            if shape is not None and not shape.kinds & NUMBERS:
                message = f"“{limit.sum}” of {target.tool.name} is no number; a sum needs one."
                problems.append(Problem((reach.index, "limit", "sum"), message))
    return problems[:1]


@dataclass(frozen=True, slots=True)
class Guard:
    """A rule without problems of its own, for comparing it with others."""

    index: int
    rule: Rule
    reach: Reach

    @property
    def targets(self) -> list[Target]:
        return self.reach.targets


def _shadowed(guards: Sequence[Guard], catalog: Catalog) -> list[Problem]:
    """Rules that change no answer, because a denial matches whenever they do."""
    by_condition: Mapping[str | None, list[Guard]] = defaultdict(list)
    for guard in guards:
        if guard.rule.effect is Effect.DENY:
            by_condition[guard.rule.when].append(guard)
    problems = []
    for guard in guards:
        denials = [*by_condition[None], *(by_condition[guard.rule.when] if guard.rule.when else [])]
        for denial in denials:
            if denial is guard or not _includes(denial, guard, catalog):
                continue
            mutual = guard.rule.effect is Effect.DENY and _same_condition(denial, guard)
            if mutual and guard.index < denial.index and _includes(guard, denial, catalog):
                continue  # the later of two equal rules is the one too many
            message = f"“{denial.rule.name}” denies every call that this rule matches; drop or narrow one."
            problems.append(Problem((guard.index,), message))
            break
    return problems


def _same_condition(one: Guard, other: Guard) -> bool:
    return one.rule.when == other.rule.when


def _includes(wide: Guard, narrow: Guard, catalog: Catalog) -> bool:
    """Whether ``wide`` matches wherever ``narrow`` does, conditions aside. By what the rules say, not by what
    the workspace happens to have today: a tool that is added tomorrow may not turn a dead rule into a live
    one."""
    return (
        _includes_names(wide.rule.tools, narrow.rule.tools)
        and _includes_agents(wide.rule.agents, narrow.rule.agents, catalog)
        and _includes_actions(wide, narrow)
        and _includes_resources(wide, narrow)
    )


def _includes_names(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(Glob(w).covers(Glob(n)) for w in wide) for n in narrow)


def _includes_agents(wide: Sequence[str], narrow: Sequence[str], catalog: Catalog) -> bool:
    if not wide:
        return True
    globs = [text for text in wide if not text.startswith(LABEL)]

    def included(text: str) -> bool:
        if text in wide or text.startswith(LABEL):
            return text in wide or "*" in globs
        labels = {f"{LABEL}{label}" for label in catalog.agents.get(text, ())}
        return not labels.isdisjoint(wide) or any(Glob(glob).covers(Glob(text)) for glob in globs)

    return bool(narrow) and all(included(text) for text in narrow)


def _includes_actions(wide: Guard, narrow: Guard) -> bool:
    if not wide.rule.actions:
        return True
    actions = {action for target in narrow.targets for action, _ in target.resources}
    return (
        bool(actions) and actions <= set(wide.rule.actions) and bool(narrow.rule.tools or narrow.rule.actions)
    )


def _includes_resources(wide: Guard, narrow: Guard) -> bool:
    if not set(wide.rule.except_resources) <= set(narrow.rule.except_resources):
        return False
    if not wide.rule.resources:
        return True
    return bool(narrow.rule.resources) and all(
        any(_includes_pattern(mine, theirs) for mine in wide.reach.patterns)
        for theirs in narrow.reach.patterns
    )


def _includes_pattern(wide: Pattern, narrow: Pattern) -> bool:
    return covers(wide, Form(narrow.canonical, narrow.form))
