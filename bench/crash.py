"""A server and the worker killed with SIGKILL under load, 25 times, uvicorn and daphne in turn, and started again on
what is left; on SQLite and on PostgreSQL.

Promised: no decision that an agent was told is missing from the log, the log verifies, and the publisher goes on where
it was: in the end a checkpoint is over everything, and what was signed at any time agrees with it.
"""

import asyncio
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.pressure import PromiseBroken, check
from tests.faults.processes import GATE, PORTAL, Installation
from tests.servers import postgres_cluster

ROUNDS = 25
CONNECTIONS = 16
SERVERS = {"uvicorn": GATE, "daphne": PORTAL}
SIGNED = """
import json
from audit.models import Checkpoint, Head
print(json.dumps([
    {"log": head.log_id, "size": head.size, "checkpoints": len(sizes), "signed": max(sizes, default=0)}
    for head in Head.objects.order_by("log_id")
    for sizes in [list(Checkpoint.objects.filter(log_id=head.log_id).values_list("size", flat=True))]
]))
"""


def measure() -> None:
    """Print what 25 kills left, on both databases. Raises PromiseBroken when anything is missing."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        on("SQLite", Installation(Path(folder)).seed())
    try:
        with postgres_cluster() as cluster, TemporaryDirectory(prefix="countersign-bench-") as folder:
            on("PostgreSQL", Installation(Path(folder), cluster.create_database("bench")).seed())
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


def on(database: str, world: Installation) -> None:
    """One database. Raises PromiseBroken."""
    try:
        told, unanswered = kill_rounds(world, ROUNDS)
        signed = checkpoints(world)
    finally:
        world.end()
    print(
        f"{database}, {ROUNDS} kills: {len(told):,} decisions told, none missing from the log, which verifies;"
    )
    print(f"{unanswered:,} recorded and never told; {signed:,} checkpoints, the last one over everything\n")


def checkpoints(world: Installation) -> int:
    """How many checkpoints were signed. Raises PromiseBroken where the newest of a log is not over all its entries."""
    world.manage("work", "--once", "--quiet")
    logs = world.script(SIGNED)
    behind = [
        f"{each['log']}: {each['signed']} of {each['size']}"
        for each in logs
        if each["signed"] != each["size"]
    ]
    if behind:
        raise PromiseBroken(f"The publisher did not go on: {behind}")
    return sum(each["checkpoints"] for each in logs)


def kill_rounds(world: Installation, rounds: int) -> tuple[dict[str, str], int]:
    """Start, ask, kill, so many times. Decisions told by id, and how many the log knows beyond those. Raises
    PromiseBroken when one is missing or differs, and RuntimeError when the log does not verify."""
    told: dict[str, str] = {}
    for number in range(rounds):
        server = list(SERVERS)[number % 2]
        world.worker()
        port = world.serve(SERVERS[server], server=server)
        before = len(told)
        asyncio.run(ask_until_killed(world, port, number, told))
        print(f"{'':4}kill {number + 1:2} of {server:8}{len(told) - before:>8,} decisions told", flush=True)
    world.manage("verify_log")
    recorded = {
        entry.data["decision"]: entry.type.removeprefix("governance.check.")
        for entry in world.entries("acme", "governance.check.%")
    }
    words = {"allow": "allowed", "deny": "denied", "pending": "pending"}
    missing = [decision for decision, word in told.items() if recorded.get(decision) != words[word]]
    if missing:
        raise PromiseBroken(f"{len(missing)} of {len(told)} decisions told are not in the log: {missing[:3]}")
    return told, len(recorded) - len(told)


async def ask_until_killed(world: Installation, port: int, number: int, told: dict[str, str]) -> None:
    """Ask over all connections, kill the server and the worker within two seconds of the first answer, see every
    connection end."""
    dice = random.Random(number)
    process, worker = world.running.pop(), world.running.pop()
    asking = [
        asyncio.create_task(ask(port, calls(world.key(f"acme-{each % 4}"), f"{number}-{each}"), told))
        for each in range(CONNECTIONS)
    ]
    before = len(told)
    while len(told) == before and not any(task.done() for task in asking):
        await asyncio.sleep(0.01)
    for each in dice.sample([process, worker], 2):
        await asyncio.sleep(dice.uniform(0.05, 0.9))
        await asyncio.to_thread(end, each)
    await asyncio.gather(*asking)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def calls(key: str, name: str) -> Iterator[bytes]:
    """Distinct checks, one in four of them denied."""
    number = 0
    while True:
        number += 1
        folder = "secrets" if number % 4 == 0 else "reports"
        yield check(key, {"tool": "files.read", "arguments": {"path": f"/srv/{folder}/{name}-{number}.csv"}})


async def ask(port: int, requests: Iterator[bytes], told: dict[str, str]) -> None:
    """Ask one after the other until the connection ends; ``told`` gets each decision, by id, when it is here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in requests:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
            answer = json.loads(await reader.readexactly(length))
            if "receipt" in answer:
                told[answer["id"]] = answer["decision"]
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the server is dead
    finally:
        writer.close()
