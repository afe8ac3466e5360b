"""A server killed with SIGKILL under load, 25 times, uvicorn and daphne in turn, and started again on what is left.

Promised: no decision that an agent was told is missing from the log, and the log verifies.
"""

import asyncio
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.pressure import PromiseBroken, check
from tests.faults.processes import GATE, PORTAL, Installation

ROUNDS = 25
CONNECTIONS = 16
SERVERS = {"uvicorn": GATE, "daphne": PORTAL}


def measure() -> None:
    """Print what 25 kills left. Raises PromiseBroken when anything is missing."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        world = Installation(Path(folder)).seed()
        try:
            told, unanswered = kill_rounds(world, ROUNDS)
        finally:
            world.end()
    print(f"{ROUNDS} kills: {len(told):,} decisions told, none missing from the log, which verifies;"
          f" {unanswered:,} recorded and never told\n")  # fmt: skip


def kill_rounds(world: Installation, rounds: int) -> tuple[dict[str, str], int]:
    """Start, ask, kill, so many times. Decisions told by id, and how many the log knows beyond those. Raises
    PromiseBroken when one is missing or differs, and RuntimeError when the log does not verify."""
    told: dict[str, str] = {}
    for number in range(rounds):
        server = list(SERVERS)[number % 2]
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
    """Ask over all connections, kill the server within a second of the first answer, see every connection end."""
    dice = random.Random(number)
    process = world.running.pop()
    asking = [
        asyncio.create_task(ask(port, calls(world.key(f"acme-{each % 4}"), f"{number}-{each}"), told))
        for each in range(CONNECTIONS)
    ]
    before = len(told)
    while len(told) == before and not any(task.done() for task in asking):
        await asyncio.sleep(0.01)
    await asyncio.sleep(dice.uniform(0.05, 0.9))
    await asyncio.to_thread(end, process)
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
