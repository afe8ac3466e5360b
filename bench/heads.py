"""One workspace's head held for 5 s by another session, while another workspace goes on.

Promised, on PostgreSQL: the other workspace's p99 rises by less than 20 ms; agents of the held one are
refused within 5 s and never allowed while it is held; afterwards everything works. (SQLite has one writer:
whoever holds the database holds everybody, and the refusals alone are promised there.)
"""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from statistics import median

import pytest

from bench.kill import installed
from bench.pressure import Answer, Caller, PromiseBroken, percentile, pressing, reading
from tests.faults.processes import Installation
from tests.services import postgres_cluster

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


def run(world: Installation, gates: Sequence[int], *, hold: bool) -> tuple[list[Answer], float, float]:
    """globex asks; where acme's head is held, acme asks too. All answers, and when the five seconds began and
    ended. Without the hold acme is silent, so that the comparison does not profit from its falling silent."""
    asking = callers(world, gates, "globex") + (callers(world, gates, "acme") if hold else [])
    with pressing(asking, pause=PAUSE) as answers:
        time.sleep(1.0)
        with world.held("acme") if hold else nullcontext():
            began = time.time()
            time.sleep(HELD_SECONDS)
            ended = time.time()
        time.sleep(1.0)
    return answers, began, ended


def of(answers: Sequence[Answer], workspace: str, since: float, until: float) -> list[Answer]:
    """The workspace's answers to what was asked before the end of that time and not answered before it."""
    return [a for a in answers if a.caller == workspace and a.asked < until and a.at > since]


def measure() -> None:
    """Print paired runs. Raises PromiseBroken when a figure is worse than promised."""
    try:
        with postgres_cluster() as cluster, installed(cluster.create_database("bench")) as world:
            pairs(world)
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


def pairs(world: Installation) -> None:
    """Run by run: nobody holds anything, then acme's head is held."""
    gates = world.gates(1)
    run(world, gates, hold=False)  # loads what the gates need
    print(f"{'the other workspace, PostgreSQL, one gate':44}{'p50 ms':>9}{'p99 ms':>9}{'answers':>9}")
    rises, broken = [], []
    for number in range(1, PAIRS + 1):
        figures = []
        for hold in (False, True):
            answers, began, ended = run(world, gates, hold=hold)
            other = of(answers, "globex", began, ended)
            figures.append(percentile(other, 0.99))
            name = f"run {number}, {'a head held for 5 s' if hold else 'nothing held'}"
            print(f"{name:44}{percentile(other, 0.5):>9.2f}{figures[-1]:>9.2f}{len(other):>9,}", flush=True)
        rises.append(figures[1] - figures[0])
        broken += judge_held(answers, began, ended)
    print(
        f"p99 rises by {median(rises):.2f} ms, the median of {', '.join(f'{rise:.2f}' for rise in rises)}\n"
    )
    if median(rises) >= RISE:
        broken.append(f"the other workspace's p99 rose by {median(rises):.1f} ms")
    if broken:
        raise PromiseBroken(f"Worse than promised: {'; '.join(broken)}.")


def judge_held(answers: Sequence[Answer], began: float, ended: float) -> list[str]:
    """Print what became of the held workspace's callers; what of it breaks the promise."""
    held = of(answers, "acme", began, ended)
    early = [answer for answer in held if answer.at < ended]
    slowest = max(answer.milliseconds for answer in held)
    words = Counter(answer.word for answer in early)
    after = Counter(answer.word for answer in answers if answer.caller == "acme" and answer.asked > ended)
    print(
        f"{'':4}the held workspace: {dict(words)} while held, slowest {slowest:,.0f} ms; then {dict(after)}"
    )
    broken = [f"{word} while held" for word in words if word not in REFUSALS]
    if slowest > REFUSED_WITHIN:
        broken.append(f"a caller of the held workspace waited {slowest:,.0f} ms")
    if not after["allow"] or after.keys() - {"allow"}:
        broken.append(f"after the hold the answers were {dict(after)}")
    return broken
