"""Publishers that are killed, that are two, and whose worker hangs: what is signed is one history, and it goes on."""

import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.faults.processes import Installation
from tests.servers import wait_until

WRITE = """
import sys, time
import django
django.setup()
from audit import log
ids = list(map(int, sys.argv[1:]))
while True:
    for log_id in ids:
        with log.write(log_id) as entries:
            entries.append("workspaces.link.created", actor="system")
    time.sleep(0.02)
"""
OWE_A_MAIL = """
from workspaces import emergencies, people
from workspaces.models import Workspace
root = people.create_person("root@installation.test", name="Root", actor="system").row
root = people.set_operator(root, True, actor="system").row
emergencies.break_glass(Workspace.objects.get(slug="acme"), root, reason="To look.", actor="system")
print("0")
"""
NEWEST = "SELECT coalesce(max(id), 0) FROM audit_checkpoint"


@contextmanager
def growing(world: Installation) -> Iterator[None]:
    """Another process writes to both workspaces' logs while the block runs."""
    world.spawn(sys.executable, "-c", WRITE, *map(str, world.logs.values()))
    writer = world.running[-1]
    try:
        yield
    finally:
        world.running.remove(writer)
        writer.terminate()
        writer.wait()


def behind(world: Installation) -> list[int]:
    """The logs whose newest checkpoint is not over their head."""
    rows = world.execute(
        "SELECT h.log_id FROM audit_head h WHERE h.size > coalesce("
        "(SELECT max(c.size) FROM audit_checkpoint c WHERE c.log_id = h.log_id), 0)"
    )
    return [log_id for (log_id,) in rows]


def is_newer(world: Installation, seen: list[Any]) -> bool:
    """Whether another checkpoint is stored than those that were seen."""
    return world.execute(NEWEST) > seen


def everything_is_signed(world: Installation) -> None:
    """Wait until it is, and see that nothing was halted."""
    wait_until(lambda: not behind(world), what="A checkpoint over every head")
    assert world.execute("SELECT halted FROM audit_head WHERE halted <> ''") == []


def test_neither_a_mail_server_that_hangs_nor_a_kill_keeps_anything_from_being_signed(
    installation: Installation,
) -> None:
    """Signed is what is written while the worker waits for a greeting, which it does for ten seconds."""
    installation.script(OWE_A_MAIL)
    with socket.create_server(("127.0.0.1", 0)) as silent, growing(installation):
        installation.worker(COUNTERSIGN_SMTP_URL=f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        worker = installation.running[-1]
        hanging, _ = silent.accept()
        wait_until(partial(is_newer, installation, installation.execute(NEWEST)), what="Another checkpoint")
        waiting = (
            "SELECT count(*) FROM audit_owed WHERE lease_until IS NOT NULL AND done_at IS NULL AND error = ''"
        )
        assert installation.execute(waiting) == [(1,)]
        worker.kill()
        worker.wait()
        hanging.close()
        installation.worker()
        wait_until(partial(is_newer, installation, installation.execute(NEWEST)), what="Another checkpoint")
    everything_is_signed(installation)


@pytest.mark.thorough
def test_two_publishers_sign_one_history(installation: Installation) -> None:
    """The other one on another volume, with a copy of the first one's files as of now."""
    other = installation.folder / "other-keys"
    shutil.copytree(installation.folder / "keys", other)
    with growing(installation):
        installation.worker(COUNTERSIGN_KEYS_DIR=str(other))
        for _ in range(4):
            wait_until(
                partial(is_newer, installation, installation.execute(NEWEST)), what="Another checkpoint"
            )
    everything_is_signed(installation)
    assert installation.execute(
        "SELECT count(*) FROM audit_checkpoint a JOIN audit_checkpoint b ON a.log_id = b.log_id AND a.size < b.size"
        " WHERE a.time >= b.time"
    ) == [(0,)]
    installation.end()
    assert "another worker" not in (installation.folder / "processes.log").read_text()
    assert "intact" in installation.manage("verify_log")
