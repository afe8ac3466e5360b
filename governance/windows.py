"""Sliding windows in constant space: what a ``limit`` rule counts.

A window of length W is kept as at most 61 buckets of W/60. A bucket counts until its youngest moment is W old, so
that no span of length W ever holds more than the limit; an old amount may count up to W/60 too long.
"""

from datetime import datetime

PARTS = 60
MOST = 2**53 - 1


def width(per: int) -> int:
    """Length of a bucket in milliseconds, for a window of ``per`` seconds."""
    return max(1, per * 1000 // PARTS)


def milliseconds(now: datetime) -> int:
    """The time as milliseconds since 1970."""
    return int(now.timestamp() * 1000)


def used(buckets: list[list[int]], per: int, now: int) -> int:
    """What the window still counts at ``now`` (milliseconds)."""
    size, span = width(per), per * 1000
    return min(MOST, sum(amount for start, amount in buckets if (start + 1) * size + span > now))


def add(buckets: list[list[int]], per: int, now: int, amount: int) -> list[list[int]]:
    """The buckets after ``amount`` more at ``now``; what no longer counts is dropped."""
    size, span = width(per), per * 1000
    kept = [bucket for bucket in buckets if (bucket[0] + 1) * size + span > now]
    start = now // size
    if kept and kept[-1][0] >= start:
        kept[-1] = [kept[-1][0], min(MOST, kept[-1][1] + amount)]
    else:
        kept.append([start, amount])
    return kept
