"""When an agent's calls count as a loop: the defaults, and the reading of what differs for one agent.

The written form is an object, on an agent's page, in the API and in a workspace file, such as
``{"repeats": 6, "then": "ask", "tools": {"jobs.status": 0}}``. What is left out is as it is here; 0 switches a kind
off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workspaces.schemas import Problem

MOST_TOOLS = 100
RANGES = {"repeats": 2, "ping_pong": 2, "retries": 1, "velocity": 2}  # from how much a kind makes sense
MOST = {"repeats": 64, "ping_pong": 32, "retries": 1000, "velocity": 1000}
MOST_MINUTES = 24 * 60
THEN = ("deny", "ask")


class LoopLimitsError(ValueError):
    """The limits cannot be read; ``problems`` says where and why."""

    code, status = "invalid_loop_limits", 400

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Stopped are the call that would be the same for the ``repeats``-th time, the one that would end the
    ``ping_pong``-th round of two, one of which its client says that it is a ``retries``-th retry, and one that would
    take an hour's cost to more than ``velocity`` times the agent's dearest. A call counts for ``minutes``."""

    repeats: int = 4
    ping_pong: int = 3
    retries: int = 3
    velocity: int = 10
    minutes: int = 10
    then: str = "deny"
    tools: Mapping[str, int] = field(default_factory=dict)

    def repeats_of(self, tool: str) -> int:
        """By which identical call of this tool it is stopped; 0 never."""
        return self.tools.get(tool, self.repeats)


DEFAULTS = LoopLimits()


def parse_loop_limits(written: Any) -> LoopLimits:
    """The limits that an agent's object means. Raises LoopLimitsError with every problem found."""
    if not isinstance(written, dict):
        raise LoopLimitsError([Problem((), "Loop limits are an object; {} stands for the defaults.")])
    problems: list[Problem] = []
    for name, value in written.items():
        if name in RANGES:
            check_count(problems, (name,), value, RANGES[name], MOST[name], off=True)
        elif name == "minutes":
            check_count(problems, (name,), value, 1, MOST_MINUTES, off=False)
        elif name == "then":
            if value not in THEN:
                problems.append(Problem((name,), 'What happens “then” is "deny" or "ask".'))
        elif name == "tools":
            check_tools(problems, value)
        else:
            known = ", ".join([*RANGES, "minutes", "then", "tools"])
            problems.append(Problem((str(name),), f"There is no loop limit {name!r}; there are {known}."))
    if problems:
        raise LoopLimitsError(problems)
    return LoopLimits(**written)


def check_count(
    problems: list[Problem], path: tuple[str, ...], value: Any, least: int, most: int, *, off: bool
) -> None:
    """Note a number that is none, or makes no sense here."""
    if type(value) is int and (least <= value <= most or (off and value == 0)):
        return
    also = ", or 0 to switch it off" if off else ""
    problems.append(Problem(path, f"“{path[-1]}” is a whole number from {least} to {most}{also}."))


def check_tools(problems: list[Problem], value: Any) -> None:
    """Note what is no object of repeats by tools' names."""
    if not isinstance(value, dict) or len(value) > MOST_TOOLS:
        problems.append(
            Problem(("tools",), f"“tools” is an object of repeats by tool, {MOST_TOOLS} tools at most.")
        )
        return
    for tool, repeats in value.items():
        check_count(problems, ("tools", str(tool)), repeats, RANGES["repeats"], MOST["repeats"], off=True)


def read_loop_limits(stored: Any) -> LoopLimits:
    """What a row says, for decisions: the defaults where a row cannot be read, which is never looser than they are."""
    try:
        return parse_loop_limits(stored)
    except LoopLimitsError:
        return DEFAULTS
