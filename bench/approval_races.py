"""Races over approvals on both databases: of approve, reject, expire, cancel and kill at once exactly one takes effect,
one approval is used once however many use it at once, and every loser is told why with a 409."""

import json
import os
from collections.abc import Iterator

import pytest  # its skips say which program is not installed

from bench.kill import installed
from bench.pressure import PromiseBroken
from tests.faults.processes import Installation
from tests.servers import postgres_cluster

ROUNDS = int(os.environ.get("ROUNDS", "1000"))
USES = "64 consumers"
SCENARIOS = [
    "approve/reject", "votes of a quorum", "approve/expire", "approve/cancel", "approve/kill", USES,
]  # fmt: skip


def measure() -> None:
    """Print every scenario's outcomes. Raises PromiseBroken if any round had two, or a loser without its reason."""
    print(f"races over approvals, {ROUNDS:,} rounds each\n")
    print(f"{'':32}{'rounds':>7}{'seconds':>9}  outcomes; what losers were told")
    broken = on_sqlite()
    try:
        broken += on_postgres()
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")
    print()
    if broken:
        raise PromiseBroken("; ".join(broken))


def on_sqlite() -> list[str]:
    """All scenarios on SQLite, with one gate; what was not as it must be."""
    with installed(verified=False) as world:
        return [wrong for scenario in SCENARIOS for wrong in race("SQLite", world, scenario, gates=1)]


def on_postgres() -> list[str]:
    """All scenarios on PostgreSQL, with two gates; what was not as it must be."""
    with postgres_cluster() as cluster, installed(cluster.create_database("bench"), verified=False) as world:
        return [wrong for scenario in SCENARIOS for wrong in race("PostgreSQL", world, scenario, gates=2)]


def race(database: str, world: Installation, scenario: str, *, gates: int) -> Iterator[str]:
    """Run and print one scenario; what was not as it must be."""
    ports = [str(port) for port in world.gates(gates)] if scenario == USES else []
    said = world.run("-m", "bench.approval_rounds", str(ROUNDS), scenario, "--", *ports)
    told = json.loads(said.splitlines()[-1])
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(told["outcomes"].items()))
    losers = ", ".join(f"{count:,} {code}" for code, count in sorted(told["losers"].items()))
    print(
        f"{database:12}{scenario:20}{told['rounds']:>7,}{told['seconds']:>9.0f}  {outcomes}; {losers or 'none'}",
        flush=True,
    )
    if told["failed"] or told["rounds"] != ROUNDS:
        yield f"{database} {scenario}: {told['failed']} rounds, such as {told['broken']}"
