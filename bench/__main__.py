"""``python -m bench [PART …]``: parts are sqlite, daphne, rules, large, grants, with-budgets, with-many-budgets,
postgres, and those that promise something: kill, heads, crash, memory, large-bodies, replay, portal, search, audit,
approvals, approval-races, budget, runaway, loops, spend; without a name all of them. Exit status 1 where a figure does
not count, or is worse than promised."""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import (
    approval_races,
    approvals,
    audit,
    bodies,
    budgets,
    crash,
    heads,
    kill,
    load,
    loops,
    memory,
    portal,
    replay,
    runaway,
    search,
    spend,
)
from bench.pressure import PromiseBroken
from bench.servers import manage, serving, surroundings

GATE = {"uvicorn": "config.gate:application", "daphne": "config.asgi:application"}
ECHO = "bench.echo:application"
COUNTS = {1: 2_000, 16: 12_000, 64: 24_000, 256: 24_000}


class Invalid(Exception):
    """The run does not count: entries and answers differ, or the log does not verify."""


@dataclass(slots=True)
class World:
    """A seeded database, and how its servers find it."""

    environment: dict[str, str]
    keys: list[str]
    answered: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the requests, to try the benchmark itself"
    )
    options = parser.parse_args()
    if options.quick:
        COUNTS.update({connections: count // 10 for connections, count in COUNTS.items()})
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite"
          f" {sqlite3.sqlite_version}; load generator and servers share the cores")  # fmt: skip
    chosen = options.parts or list(PARTS)
    if speeds := [part for part in chosen if part not in PROMISES]:
        print(
            "each row: 60 % allowed, 30 % denied, 10 % over a limit; distinct arguments; every answer is durable\n"
        )
        print(f"{'':44}{'conns':>6}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for part in speeds:
        PARTS[part]()
    return 0 if all([kept(part) for part in chosen if part in PROMISES]) else 1  # noqa: C419 - each is measured


def kept(part: str) -> bool:
    """Whether what the part promises was kept; what was not is printed."""
    try:
        PROMISES[part]()
    except PromiseBroken as broken:
        print(f"{part}: {broken}")
        return False
    return True


@contextmanager
def world(agents: int = 50, rules: int = 20, money: str = "", **environment: str) -> Iterator[World]:
    """Seed a database in a temporary folder; afterwards check that the log holds exactly what was answered."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        settings = surroundings(folder, **environment)
        out = Path(folder) / "seed.json"
        subprocess.run(
            [sys.executable, "-m", "bench.seeding", str(out), str(agents), str(rules), money],
            env={**os.environ, **settings}, check=True,
        )  # fmt: skip
        made = World(settings, json.loads(out.read_text())["keys"])
        yield made
        verify(made)


def verify(made: World) -> None:
    """Raise Invalid unless the log verifies and holds one check entry an answer."""
    told = manage(made.environment, "verify_log")
    if told.returncode:
        raise Invalid(f"The log does not verify:\n{told.stdout}{told.stderr}")
    counted = manage(made.environment, "shell", "-v", "0", "-c", "from audit.models import Entry; "
                     "print(Entry.objects.filter(type__startswith='governance.check.').count())")  # fmt: skip
    entries = int(counted.stdout.split()[-1])
    if entries != made.answered:
        raise Invalid(f"{made.answered} answers but {entries} entries.")
    print(f"{'':4}{entries:,} entries = {made.answered:,} answers; the log verifies\n")


def measure(made: World, ports: list[int], name: str, connections: int, *, seed: int) -> load.Outcome:
    """One run against the gate; every answer must be a decision."""
    outcome = load.run(ports, made.keys, connections=connections, count=COUNTS[connections], seed=seed)
    made.answered += len(outcome.latencies)
    wrong = {word: count for word, count in outcome.answers.items() if word not in load.WORDS}
    if wrong:
        raise Invalid(f"{name}: answers that are no decisions: {wrong}")
    report(name, connections, outcome)
    return outcome


def warm(made: World, ports: list[int]) -> None:
    """Load snapshot, agents and candidate rules before the clock starts."""
    outcome = load.run(ports, made.keys, connections=8, count=3_000, seed=999)
    made.answered += len(outcome.latencies)


def report(name: str, connections: int, outcome: load.Outcome) -> None:
    print(f"{name:44}{connections:>6}{outcome.rate:>12,.0f}{outcome.percentile(0.5):>9.2f}"
          f"{outcome.percentile(0.99):>9.2f}", flush=True)  # fmt: skip


def baseline(server: str, made: World, *connections: int) -> None:
    """The echo on the same kind of server, with the same load."""
    with serving(server, ECHO, made.environment) as ports:
        for number in connections:
            outcome = load.run(ports, made.keys, connections=number, count=COUNTS[number], seed=number)
            report(f"bare ASGI echo, {server}", number, outcome)


def on(server: str, *connections: int) -> None:
    with world() as made:
        baseline(server, made, *connections)
        with serving(server, GATE[server], made.environment) as ports:
            warm(made, ports)
            for number in connections:
                measure(made, ports, f"checks, {server}, SQLite synchronous=FULL", number, seed=number)


def with_rules(*sizes: tuple[int, int]) -> None:
    """The same checks under few and many (rules, agents), in the same run."""
    for count, fleet in sizes:
        with world(fleet, count) as made, serving("uvicorn", GATE["uvicorn"], made.environment) as ports:
            warm(made, ports)
            measure(made, ports, f"checks, {count:,} rules, {fleet:,} agents", 64, seed=64)


def across_grants() -> None:
    """The same checks while a grant is given and taken away again and again."""
    with world() as made, serving("uvicorn", GATE["uvicorn"], made.environment) as ports:
        warm(made, ports)
        measure(made, ports, "checks, nothing changes", 16, seed=16)
        root = Path(__file__).resolve().parent
        changer = subprocess.Popen(
            [sys.executable, str(root / "changing_grants.py")], env={**os.environ, **made.environment}
        )
        try:
            measure(made, ports, "checks, a grant changes 20 times a second", 16, seed=17)
        finally:
            changer.terminate()
            changer.wait()


def under_budgets(fleet: int) -> None:
    """The same checks where nothing costs anything, where each call costs something, and where each agent has a budget
    a day and one a session, and the workspace one a month; by turns, since a machine is not always as fast."""
    for turn in range(2):
        for name, money in (("nothing costs", ""), ("calls cost, no budgets", "costs"),
                            ("budgets on every agent", "budgets")):  # fmt: skip
            with (
                world(fleet, money=money) as made,
                serving("uvicorn", GATE["uvicorn"], made.environment) as ports,
            ):
                warm(made, ports)
                measure(made, ports, f"checks, {fleet:,} agents, {name}", 64, seed=64 + turn)


def on_postgres() -> None:
    """Two gates on one workspace; needs PostgreSQL's programs, not a running server."""
    import pytest  # the cluster is the tests' own

    from tests.servers import postgres_cluster

    try:
        with postgres_cluster() as cluster, world(DATABASE_URL=cluster.create_database("bench")) as made:
            baseline("uvicorn", made, 64)
            for gates in (1, 2):
                with serving("uvicorn", GATE["uvicorn"], made.environment, processes=gates) as ports:
                    warm(made, ports)
                    for number in (1, 64):
                        measure(
                            made, ports, f"checks, uvicorn × {gates}, PostgreSQL", number, seed=number + gates
                        )
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


PARTS: dict[str, Callable[[], None]] = {
    "sqlite": lambda: on("uvicorn", 1, 16, 64, 256),
    "daphne": lambda: on("daphne", 1, 16, 64, 256),
    "rules": lambda: with_rules((20, 50), (100, 50)),
    "large": lambda: with_rules((100, 50), (10_000, 5_000)),
    "grants": across_grants,
    "with-budgets": lambda: under_budgets(50),
    "with-many-budgets": lambda: under_budgets(5_000),
    "postgres": on_postgres,
}
PROMISES = {
    "kill": kill.measure,
    "heads": heads.measure,
    "crash": crash.measure,
    "memory": memory.measure,
    "large-bodies": bodies.measure,
    "replay": replay.measure,
    "portal": portal.measure,
    "search": search.measure,
    "audit": audit.measure,
    "approvals": approvals.measure,
    "approval-races": approval_races.measure,
    "budget": budgets.measure,
    "runaway": runaway.measure,
    "loops": loops.measure,
    "spend": spend.measure,
}
PARTS |= PROMISES

if __name__ == "__main__":
    try:
        sys.exit(main())
    except Invalid as error:
        sys.exit(f"No figures: {error}")
