"""One workspace's head held for 5 s by another session, while another workspace goes on.

Promised, on PostgreSQL: the other workspace's p99 rises by less than 20 ms; agents of the held one are
refused within 5 s and never allowed while it is held; afterwards everything works. (SQLite has one writer:
whoever holds the database holds everybody, and the refusals alone are promised there.)
"""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

import pytest

from bench.kill import installed
from bench.pressure import Answer, Caller, PromiseBroken, percentile, pressing, reading
from tests.faults.processes import Installation
from tests.servers import postgres_cluster

PAIRS = 3
HELD_SECONDS = 5.0
RISE = 20.0  # milliseconds
REFUSED_WITHIN = 5_000.0  # milliseconds
CONNECTIONS = 8
PAUSE = (
    0.01  # seconds between an answer and the next question, so that the load leaves the processors some room
)
REFUSALS = ("log_unavailable", "too_late")


def callers(world: Installation, gates: Sequence[int], workspace: str) -> list[Caller]:
    """A few connections of each of two bots, over all gates."""
    return [
        Caller(workspace, gates[number % len(gates)], reading(world.key(bot), f"{time.time_ns()}-{number}"))
        for bot in (f"{workspace}-0", f"{workspace}-1")
        for number in range(CONNECTIONS)
    ]


@dataclass(frozen=True, slots=True)
class Run:
    """All answers, when the five seconds began and ended, and by how many entries acme's log grew in them."""

    answers: list[Answer]
    began: float
    ended: float
    grown: int


def run(world: Installation, gates: Sequence[int], *, hold: bool) -> Run:
    """globex asks; where acme's head is held, acme asks too. Without the hold acme is silent, so that the
    comparison does not profit from its falling silent."""
    asking = callers(world, gates, "globex") + (callers(world, gates, "acme") if hold else [])
    with pressing(asking, pause=PAUSE) as answers:
        time.sleep(1.0)
        with world.held("acme") if hold else nullcontext():
            began, size = time.time(), world.size("acme")
            time.sleep(HELD_SECONDS)
            grown, ended = world.size("acme") - size, time.time()
        time.sleep(1.0)
    return Run(answers, began, ended, grown)


def measure() -> None:
    """Print paired runs. Raises PromiseBroken when a figure is worse than promised."""
    try:
        with postgres_cluster() as cluster, installed(cluster.create_database("bench")) as world:
            pairs(world)
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


def pairs(world: Installation) -> None:
    """Run by run: nobody holds anything, and acme's head is held; each comes first in turn."""
    gates = world.gates(1)
    run(world, gates, hold=False)  # loads what the gates need
    print(f"{'the other workspace, PostgreSQL, one gate':44}{'p50 ms':>9}{'p99 ms':>9}{'answers':>9}")
    rises, broken = [], []
    for number in range(1, PAIRS + 1):
        figures = {}
        for hold in (False, True) if number % 2 else (True, False):
            outcome = run(world, gates, hold=hold)
            other = [
                a for a in outcome.answers if a.caller == "globex" and outcome.began < a.at < outcome.ended
            ]
            figures[hold] = percentile(other, 0.99)
            name = f"run {number}, {'a head held for 5 s' if hold else 'nothing held'}"
            print(f"{name:44}{percentile(other, 0.5):>9.2f}{figures[hold]:>9.2f}{len(other):>9,}", flush=True)
            if hold:
                broken += judge_held(outcome)
        rises.append(figures[True] - figures[False])
    print(
        f"p99 rises by {median(rises):.2f} ms, the median of {', '.join(f'{rise:.2f}' for rise in rises)}\n"
    )
    if median(rises) >= RISE:
        broken.append(f"the other workspace's p99 rose by {median(rises):.1f} ms")
    if broken:
        raise PromiseBroken(f"Worse than promised: {'; '.join(broken)}.")


def judge_held(outcome: Run) -> list[str]:
    """Print what became of the held workspace's callers; what of it breaks the promise.

    An ``allow`` that was committed just before the hold may still arrive in it; to what is asked then, none."""
    theirs = [answer for answer in outcome.answers if answer.caller == "acme" and answer.at > outcome.began]
    slowest = max(answer.milliseconds for answer in theirs)
    early = Counter(a.word for a in theirs if a.asked > outcome.began and a.at < outcome.ended)
    refused = Counter(a.word for a in theirs if a.word in REFUSALS)
    after = Counter(answer.word for answer in theirs if answer.asked > outcome.ended)
    print(
        f"{'':4}the held workspace: {outcome.grown} entries and {dict(refused)}, slowest {slowest:,.0f} ms;"
        f" then {dict(after)}"
    )
    broken = [f"{word} while held" for word in early if word not in REFUSALS]
    if outcome.grown:
        broken.append(f"{outcome.grown} entries while held")
    if slowest > REFUSED_WITHIN:
        broken.append(f"a caller of the held workspace waited {slowest:,.0f} ms")
    if not after["allow"] or after.keys() - {"allow"}:
        broken.append(f"after the hold the answers were {dict(after)}")
    return broken
