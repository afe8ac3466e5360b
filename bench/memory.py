"""Resident memory of a gate after 20,000 checks and after 200,000, each of another call in a session of its own.

Promised: after 200,000 it is less than after 20,000 plus 20 MiB.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench import load
from bench.pressure import PromiseBroken, check
from tests.faults.processes import GATE, Installation

EARLY, LATE = 20_000, 200_000
PORTION = 20_000  # checks rendered at once
PROMISED = 20 * 1024  # KiB
CONNECTIONS = 32


def measure() -> None:
    """Print both figures. Raises PromiseBroken when the later one is too large."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        world = Installation(Path(folder))
        out = Path(folder) / "seed.json"
        world.run("-m", "bench.seeding", str(out), "50", "20")
        keys = json.loads(out.read_text())["keys"]
        try:
            port = world.serve(GATE)
            figures = {}
            for asked in range(PORTION, LATE + 1, PORTION):
                ask(port, list(checks(keys, asked - PORTION, PORTION)))
                if asked in (EARLY, LATE):
                    figures[asked] = resident(world.running[0].pid)
                    print(f"{'':4}after {asked:>9,} checks: {figures[asked]['VmRSS'] / 1024:8.1f} MiB resident,"
                          f" {figures[asked]['RssAnon'] / 1024:.1f} MiB of it its own", flush=True)  # fmt: skip
        finally:
            world.end()
    grown = figures[LATE]["VmRSS"] - figures[EARLY]["VmRSS"]
    print(f"{'':4}grown by {grown / 1024:.1f} MiB\n")
    if grown >= PROMISED:
        raise PromiseBroken(f"The gate has grown by {grown / 1024:.1f} MiB; promised are less than 20.")


def ask(port: int, prepared: list[bytes]) -> None:
    """Send the checks and wait for their answers, each of which must be a decision."""
    outcome = uvloop.run(load.drive([port], CONNECTIONS, prepared))
    if outcome.answers.keys() - set(load.WORDS):
        raise PromiseBroken(f"Answers that are no decisions: {dict(outcome.answers)}")


def checks(keys: list[str], first: int, count: int) -> Iterator[bytes]:
    """Distinct calls, two in three allowed; every tenth with an Idempotency-Key and a call_id."""
    for number in range(first, first + count):
        folder = "closed" if number % 3 == 0 else "open"
        arguments = {"folder": folder, "name": f"d-{number}", "size": number % 1000, "title": "A title"}
        body = {"tool": f"tool-{1 + number % 19:02}", "session": f"run-{number // 5}", "arguments": arguments}
        if number % 10:
            yield check(keys[number % len(keys)], body)
        else:
            yield check(
                keys[number % len(keys)], {**body, "call_id": f"c-{number}"}, idempotency_key=f"k-{number}"
            )


def resident(pid: int) -> dict[str, int]:
    """VmRSS and its parts of a process, in KiB, as proc(5) tells them."""
    rows = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if row[0].startswith(("VmRSS", "Rss"))}
