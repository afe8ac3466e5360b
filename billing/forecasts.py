"""What will be spent by a window's end, out of what was spent by day so far. Pure; amounts are of any one unit.

The days to come are taken to be like the days before: their mean, and how far days lie from it. The range is meant to
hold what really comes four times of five (Student's t for the few days that are known). It knows nothing of what you
plan, and says nothing at all before it has seen MINIMUM whole days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

MINIMUM = 3  # whole days
# The ninth decile of Student's t by degrees of freedom; beyond these it is near the normal distribution's.
NINTH = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372)
NORMAL = 1.32


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected by the end, at least and at most; ``days`` are the whole days that it rests on."""

    expected: int
    low: int
    high: int
    days: int


def forecast(spent: int, before: Sequence[int], left: float) -> Forecast | None:
    """What the window will have cost. ``spent`` in it so far; ``before`` what each whole day cost up to yesterday, the
    oldest first, of which days before the first that cost anything do not count; ``left`` days until its end. None
    where too few days are known."""
    days = begun(before)
    if left <= 0:
        return Forecast(spent, spent, spent, len(days))
    if len(days) < MINIMUM:
        return None
    mean = fmean(days)
    # Of the sum of the days to come, and of the mean itself, which is known from so many days only.
    spread = t(len(days) - 1) * stdev(days) * sqrt(left + left * left / len(days))
    expected = spent + round(mean * left)
    low, high = spent + round(mean * left - spread), spent + round(mean * left + spread)
    return Forecast(expected, min(max(spent, low), expected), max(high, expected), len(days))


def begun(before: Sequence[int]) -> list[int]:
    """The days from the first one on that cost anything."""
    first = next((number for number, amount in enumerate(before) if amount), len(before))
    return list(before[first:])


def t(freedom: int) -> float:
    """How many standard deviations nine of ten stay below."""
    return NINTH[freedom - 1] if freedom <= len(NINTH) else NORMAL
