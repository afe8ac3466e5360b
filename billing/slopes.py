"""Whether an agent's sessions cost more and more: by the middles of the earlier and the later ones. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

ENOUGH = 12  # sessions
GREW = 1.5  # times
BARS = 24  # of a chart


@dataclass(frozen=True, slots=True)
class Growth:
    """``before`` and ``after``: the middle cost of the first and of the last third; ``extra``: what all sessions cost
    beyond the former."""

    sessions: int
    before: int
    after: int
    extra: int


def growth(costs: Sequence[int]) -> Growth | None:
    """How the cost of sessions grew, given oldest first; None where it did not, or where they are too few to say. Each
    third must lie above the one before, so that one dear session, or one dear day, is no trend."""
    if len(costs) < ENOUGH:
        return None
    third = len(costs) // 3
    first, second, last = (median_low(part) for part in (costs[:third], costs[third:-third], costs[-third:]))
    if not first <= second <= last or last < GREW * first or last == 0:
        return None
    return Growth(len(costs), first, last, max(0, sum(costs) - first * len(costs)))


def condensed(costs: Sequence[int]) -> list[int]:
    """The same as at most BARS middles, in order."""
    if len(costs) <= BARS:
        return list(costs)
    edges = [len(costs) * number // BARS for number in range(BARS + 1)]
    return [median_low(costs[start:end]) for start, end in pairwise(edges)]
