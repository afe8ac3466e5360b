"""A real gate whose database fails under load: nobody is allowed what is not in the log, nobody hangs, and afterwards
all works again without a restart."""

import os
import resource
import secrets
import signal
import string
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.faults.processes import GATE, Installation
from tests.servers import PostgresServer, wait_until
from workspaces.identifiers import checksum

HANG = 5.0  # seconds; a caller who waits longer has been left hanging
DEADLINE = "2"  # seconds that the gate gives itself, so that a busy machine does not look like a hanging gate
DURING = 1.5  # seconds of load while the database fails
REFUSED = {"log_unavailable", "too_late", "overloaded"}


@dataclass
class Told:
    """What agents were told: the status, and the decision's id or the problem's code."""

    answers: list[tuple[int, str, str]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    over: bool = False

    def count(self, word: str, since: int = 0) -> int:
        return sum(said == word for _, said, _ in self.answers[since:])

    def refused(self, since: int) -> bool:
        return any(status == 503 for status, _, _ in self.answers[since:])


def stranger() -> str:
    """A well-formed key that nobody has, so that each has to be looked up."""
    body = "".join(secrets.choice(string.ascii_letters) for _ in range(40))
    return f"csk_{body}{checksum(body)}"


def agent(told: Told, port: int, key: Callable[[], str], name: str) -> None:
    """Ask without a pause until it is over. A caller who hangs is a trouble, and asks no more."""
    number = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG) as client:
        while not told.over:
            number += 1
            body = {"tool": "files.read", "arguments": {"path": f"/srv/reports/{name}-{number}"}}
            try:
                answer = client.post("/v1/check", json=body, headers={"authorization": f"Bearer {key()}"})
                said = answer.json()
                told.answers.append(
                    (answer.status_code, said.get("decision") or said["code"], said.get("id", ""))
                )
            except Exception as error:
                told.troubles.append(error)
                return
            if number % 10 == 0:
                time.sleep(0.01)


@contextmanager
def asking(world: Installation, port: int) -> Iterator[Told]:
    """Four agents and a stranger ask while the block runs."""
    told = Told()
    keys: list[Callable[[], str]] = [partial(world.key, f"acme-{number}") for number in range(4)]
    threads = [
        threading.Thread(target=agent, args=(told, port, key, str(number)))
        for number, key in enumerate([*keys, stranger])
    ]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        told.over = True
        for thread in threads:
            thread.join()


def endure(world: Installation, failing: Callable[[], AbstractContextManager[None]]) -> None:
    """Let the database fail under load, and see what agents are told before, meanwhile and afterwards."""
    port = world.serve(GATE, COUNTERSIGN_GATE_DEADLINE=DEADLINE)
    with asking(world, port) as told:
        wait_until(lambda: told.count("allow") > 20, what="The first answers")
        with failing():
            began = len(told.answers)
            wait_until(lambda: told.refused(began), what="A refusal")
            time.sleep(DURING)
        ended = len(told.answers)
        wait_until(lambda: told.count("allow", ended) > 20, what="The gate after the fault")
        wait_until(lambda: told.count("unknown_key", ended) > 20, what="Looking keys up after the fault")
    assert told.troubles == []
    assert {said for status, said, _ in told.answers if status == 503} <= REFUSED
    assert {said for status, said, _ in told.answers if status != 503} == {"allow", "unknown_key"}
    recorded = {entry.data["decision"] for entry in world.entries("acme", "governance.check.allowed")}
    assert {decision for _, said, decision in told.answers if said == "allow"} <= recorded
    world.end()
    world.manage("verify_log")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 24 MiB in memory, where root may mount one; skips the test elsewhere."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("Mounting a small disk needs root.")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    @contextmanager
    def full() -> Iterator[None]:
        filler = tmp_path / "disk" / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                for size in (1 << 20, 1 << 12):
                    with suppress(OSError):  # no space left
                        while True:
                            file.write(bytes(size))
                yield
            finally:
                filler.unlink()

    with small_disk(tmp_path / "disk"):
        world = Installation(tmp_path / "disk").seed()
        try:
            endure(world, full)
        finally:
            world.end()


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    world = Installation(tmp_path).seed()

    @contextmanager
    def limited() -> Iterator[None]:
        (gate,) = world.running
        before = resource.prlimit(gate.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gate.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            yield
        finally:
            resource.prlimit(gate.pid, resource.RLIMIT_FSIZE, before)

    try:
        endure(world, limited)
    finally:
        world.end()


@pytest.fixture(scope="module")
def scaled(
    on_postgres: Callable[[Path], Installation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The cast on PostgreSQL."""
    made = on_postgres(tmp_path_factory.mktemp("scaled"))
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_postgres_that_stops_and_starts_again(
    postgres_server: PostgresServer, scaled: Installation, mode: str
) -> None:
    @contextmanager
    def stopped() -> Iterator[None]:
        postgres_server.stop(mode)
        try:
            yield
        finally:
            postgres_server.start()

    endure(scaled, stopped)


def test_a_postgres_that_hangs(postgres_server: PostgresServer, scaled: Installation) -> None:
    @contextmanager
    def hanging() -> Iterator[None]:
        postmaster = int((postgres_server.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [postmaster, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    endure(scaled, hanging)


def test_a_postgres_that_only_reads(postgres_server: PostgresServer, scaled: Installation) -> None:
    def switch(command: str) -> None:
        name = scaled.database_url.rpartition("/")[2]
        with psycopg.connect(postgres_server.url(), autocommit=True) as administrator:
            administrator.execute(f'ALTER DATABASE "{name}" {command}')
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    @contextmanager
    def reading() -> Iterator[None]:
        switch("SET default_transaction_read_only = on")
        try:
            yield
        finally:
            switch("RESET default_transaction_read_only")

    endure(scaled, reading)
