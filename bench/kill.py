"""Killing an agent under load: when the last ``allow`` was answered, and what the log holds after the kill.

Promised: no ``allowed`` entry of the agent after the kill's, and no ``allow`` answered later than 250 ms after
the kill was confirmed, from the command line and from the portal, with two gates, and with 10,000 calls waiting for
people.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest  # its skips say which program is not installed

from bench.pressure import Answer, Caller, PromiseBroken, pressing, reading
from tests.faults.processes import PORTAL, Installation
from tests.servers import postgres_cluster

PROMISED = 250.0  # milliseconds
VICTIM_CONNECTIONS = 24
OTHER_CONNECTIONS = 8
AFTERMATH = 1.0  # seconds of load after the kill, in which a late answer would come
WAITING = 10_000
REASON = "It behaves oddly."

Killer = Callable[
    [str], tuple[float, float]
]  # kills the bot of that name; when it was requested and confirmed


@dataclass(frozen=True, slots=True)
class Kill:
    """What became of one kill. Times are seconds of the wall clock: when whoever kills began, when the step
    was requested and confirmed as the step itself says, and the last ``allow`` that the agent was answered.
    ``allowed_before`` and ``allowed_after`` count entries, the others answers."""

    began: float
    requested: float
    confirmed: float
    latest: float
    allowed_before: int
    allowed_after: int
    refused: int
    allowed_to_late_questions: int
    others_after: int

    @property
    def milliseconds(self) -> float:
        """How long after the confirmation the last ``allow`` was answered; negative when before it."""
        return (self.latest - self.confirmed) * 1000


def kill_under_load(
    world: Installation, gates: Sequence[int], victim: str, bystander: str, kill: Killer
) -> Kill:
    """Two agents of acme ask all gates as fast as they are answered; the victim is killed meanwhile."""
    crowd = [(victim, number) for number in range(VICTIM_CONNECTIONS)]
    crowd += [(bystander, number) for number in range(OTHER_CONNECTIONS)]
    callers = [
        Caller(name, gates[number % len(gates)], reading(world.key(name), f"{time.time_ns()}-{number}"))
        for name, number in crowd
    ]
    with pressing(callers) as answers:
        wait_for_allow(answers, victim, len(gates))
        began = time.time()
        requested, confirmed = kill(victim)
        time.sleep(max(0.0, confirmed + AFTERMATH - time.time()))
    theirs = [answer for answer in answers if answer.caller == victim]
    allowed = [answer.at for answer in theirs if answer.word == "allow"]
    later = Counter(answer.word for answer in theirs if answer.asked > confirmed)
    before, after = entries_around(world, victim)
    return Kill(
        began, requested, confirmed, max(allowed), before, after,
        refused=later["deny"],
        allowed_to_late_questions=later["allow"],
        others_after=sum(
            answer.caller == bystander and answer.word == "allow" and answer.asked > confirmed
            for answer in answers
        ),
    )  # fmt: skip


def wait_for_allow(answers: Sequence[Answer], victim: str, gates: int) -> None:
    """Wait until the victim is being allowed at full pace: every gate has loaded what it needs by then."""
    deadline = time.monotonic() + 20
    while sum(answer.caller == victim and answer.word == "allow" for answer in answers) < 200 * gates:
        if time.monotonic() > deadline:
            raise PromiseBroken(f"{victim} was not allowed anything before the kill.")
        time.sleep(0.05)


def entries_around(world: Installation, victim: str) -> tuple[int, int]:
    """How many ``allowed`` entries of the agent stand before its last containment entry, how many after it."""
    public_id = world.bots[victim]["id"]
    steps = [
        e.number for e in world.entries("acme", "governance.containment.changed") if e.agent == public_id
    ]
    allowed = [e.number for e in world.entries("acme", "governance.check.allowed") if e.agent == public_id]
    after = sum(number > steps[-1] for number in allowed)
    return len(allowed) - after, after


def by_command(world: Installation) -> Killer:
    """``manage.py contain``; it tells when it was requested and confirmed."""

    def kill(victim: str) -> tuple[float, float]:
        told = world.manage(
            "contain", "suspended", "--workspace", "acme", "--agent", victim, "--reason", REASON
        )
        times = re.search(r"requested (\S+), confirmed (\S+)", told)
        assert times is not None, told
        return seconds(times[1]), seconds(times[2])

    return kill


def by_portal(world: Installation, operator: httpx.Client) -> Killer:
    """POST to the portal in an operator's session. The server tells when it confirmed, before its 200 arrives."""

    def kill(victim: str) -> tuple[float, float]:
        path = f"/api/v1/workspaces/acme/agents/{world.bots[victim]['id']}/containment"
        answer = operator.post(path, json={"standing": "suspended", "reason": REASON})
        assert answer.status_code == 200, answer.text
        return seconds(answer.json()["requested_at"]), seconds(answer.json()["confirmed_at"])

    return kill


def seconds(stamp: str) -> float:
    """A time stamp in seconds of the wall clock."""
    return datetime.fromisoformat(stamp).timestamp()


def crowd(world: Installation, gate: int, bot: str) -> None:
    """Let 10,000 calls wait for people: one that was asked for, and its copies."""
    with httpx.Client(headers={"Authorization": f"Bearer {world.key(bot)}"}, timeout=30) as agent:
        asked = agent.post(
            f"http://127.0.0.1:{gate}/v1/check",
            json={"tool": "billing.refund", "arguments": {"invoice": "F-1", "amount": 200}},
        ).json()
    assert asked["decision"] == "pending", asked
    world.crowd_pending(asked["approval"]["id"], WAITING - 1)


def measure() -> None:
    """Print every scenario's figures. Raises PromiseBroken if any was worse than promised."""
    print(
        f"{'kill under load':58}{'in all ms':>10}{'step ms':>9}{'last allow ms':>15}{'allowed entries':>17}"
    )
    print(f"{'':58}{'':>10}{'':>9}{'after the step':>15}{'after its own':>17}")
    broken = []
    for name, kill in scenarios():
        in_all, step = (kill.confirmed - kill.began) * 1000, (kill.confirmed - kill.requested) * 1000
        print(
            f"{name:58}{in_all:>10.0f}{step:>9.1f}{kill.milliseconds:>15.1f}{kill.allowed_after:>17}",
            flush=True,
        )
        if kill.milliseconds > PROMISED or kill.allowed_after or not kill.refused:
            broken.append(name)
    print()
    if broken:
        raise PromiseBroken(f"Worse than promised ({PROMISED:.0f} ms, no entry): {'; '.join(broken)}.")


def scenarios() -> Iterator[tuple[str, Kill]]:
    """Each scenario with what became of it."""
    yield from on_sqlite()
    try:
        yield from on_postgres()
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


@contextmanager
def installed(database_url: str = "", *, verified: bool = True) -> Iterator[Installation]:
    """A seeded installation in a temporary folder; its log verifies at the end, unless what is asked there is made up
    (``verified`` false)."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        world = Installation(Path(folder), database_url).seed()
        try:
            yield world
        finally:
            world.end()
        if verified:
            world.manage("verify_log")


def on_sqlite() -> Iterator[tuple[str, Kill]]:
    """One gate on SQLite; the kill comes from another process."""
    with installed() as world:
        gates, kill = world.gates(1), by_command(world)
        yield "SQLite, command line", kill_under_load(world, gates, "acme-0", "acme-5", kill)
        crowd(world, gates[0], "support-bot")
        world.worker()
        name = f"SQLite, command line, {WAITING:,} waiting, a worker"
        yield name, kill_under_load(world, gates, "acme-1", "acme-5", kill)


def on_postgres() -> Iterator[tuple[str, Kill]]:
    """Two gates and a portal on PostgreSQL."""
    with ExitStack() as stack:
        cluster = stack.enter_context(postgres_cluster())
        world = stack.enter_context(installed(cluster.create_database("bench")))
        gates = world.gates(2)
        operator = world.operator(world.serve(PORTAL, server="daphne"))
        stack.callback(operator.close)
        kill = by_portal(world, operator)
        yield "PostgreSQL, 2 gates, portal", kill_under_load(world, gates, "acme-0", "acme-5", kill)
        crowd(world, gates[0], "support-bot")
        world.worker()
        name = f"PostgreSQL, 2 gates, portal, {WAITING:,} waiting, a worker"
        yield name, kill_under_load(world, gates, "acme-1", "acme-5", kill)
