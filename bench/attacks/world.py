"""An honest installation with 10,000 entries, a witness beside it, and what outsiders kept of it.

Kept are: an auditor's policy and the checkpoint of their last visit, the receipts of the agents, and yesterday's copy
of the database. The installation is stopped when it is handed over; attacks work on copies of it.
"""

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from countersign import Countersign

from bench.servers import free_port
from tests.faults.processes import GATE, ROOT, Installation

ENTRIES = 10_000
ASKING = 4  # threads
PATIENCE = 60.0  # seconds until what was written is published and witnessed
READ = {"path": "/srv/reports/q3.csv"}

IDENTITY = """
import json, sys
from audit import log
from audit.models import Log
print(json.dumps([log.installation_log_id(), str(Log.objects.get(pk=sys.argv[1]).uuid)]))
"""
HEAD = """
import json
from audit.models import Checkpoint, Head, Log
acme = int(__import__("sys").argv[1])
newest = Checkpoint.objects.filter(log__kind="installation").order_by("-size").first()
own = Checkpoint.objects.filter(log_id=acme).order_by("-size").first()
print(json.dumps({
    "size": Head.objects.get(log_id=acme).size,
    "published": own.size if own else 0,
    "note": own.note if own else "",
    "witnessed": newest.cosignatures.count() if newest else 0,
}))
"""
EXPORT = """
import json, sys
from pathlib import Path
from audit import bundles
print(json.dumps(bundles.write(int(sys.argv[1]), Path(sys.argv[2])).size))
"""


@dataclass
class Copy:
    """An installation that belongs to the attacker: the whole folder, keys included unless they are taken away."""

    folder: Path
    installation: Installation
    acme: int
    root: int
    uuid: str

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """The database as its administrator has it; what was done is committed."""
        with closing(sqlite3.connect(self.installation.sqlite)) as connection:
            yield connection
            connection.commit()

    def bundle(self, name: str = "acme.zip", log: int | None = None) -> Path:
        """What an auditor is handed of this installation."""
        path = self.folder / name
        self.installation.script(EXPORT, str(log or self.acme), str(path))
        return path


@dataclass
class World:
    """The honest installation and what is kept outside of it."""

    folder: Path
    honest: Installation
    acme: int
    root: int
    uuid: str

    @property
    def policy(self) -> Path:
        """Keys, and the witness that must have cosigned."""
        return self.folder / "policy.txt"

    @property
    def unwitnessed(self) -> Path:
        """The same keys, and no witness."""
        return self.folder / "policy-without-witness.txt"

    @property
    def kept(self) -> Path:
        """The checkpoint that the auditor has from the last visit."""
        return self.folder / "kept.checkpoint"

    @property
    def receipts(self) -> Path:
        """What the agents were answered."""
        return self.folder / "receipts.jsonl"

    @property
    def yesterday(self) -> Path:
        """The database when half of the entries were there."""
        return self.folder / "yesterday.sqlite3"

    def copy(self, name: str) -> Copy:
        """A copy to attack."""
        folder = self.folder / name
        shutil.copytree(self.honest.folder / "keys", folder / "keys")
        installation = Installation(folder, logs=self.honest.logs, bots=self.honest.bots)
        save(self.honest.sqlite, installation.sqlite)
        return Copy(folder, installation, self.acme, self.root, self.uuid)


def build(folder: Path, entries: int = ENTRIES) -> World:
    """An installation that served so many checks, was published and witnessed, and stopped."""
    honest = Installation(folder / "honest").seed()
    root, uuid = honest.script(IDENTITY, str(honest.logs["acme"]))
    world = World(folder, honest, honest.logs["acme"], root, uuid)
    policy, witness = engage_witness(world)
    try:
        honest.worker(COUNTERSIGN_WITNESS_POLICY=str(policy))
        port = honest.serve(GATE)
        ask(world, port, entries // 2)
        wait_until_witnessed(world)
        save(honest.sqlite, world.yesterday)
        ask(world, port, entries - entries // 2)
        world.kept.write_text(wait_until_witnessed(world))
        world.policy.write_text(honest.manage("trust_policy"))
    finally:
        honest.end()
        witness.terminate()
        witness.wait(timeout=20)
    lines = [line for line in policy.read_text().splitlines() if line.startswith("witness ")]
    trusted = [
        line for line in world.policy.read_text().splitlines() if not line.startswith(("witness", "quorum"))
    ]
    world.policy.write_text("\n".join([*trusted, *lines, "quorum w", ""]))
    world.unwitnessed.write_text("\n".join([*trusted, "quorum none", ""]))
    return world


def engage_witness(world: World) -> tuple[Path, "subprocess.Popen[bytes]"]:
    """Start a witness for the installation's log; the policy by which the worker finds it."""
    folder = world.folder / "witness"
    folder.mkdir()
    command = [
        sys.executable,
        "-m",
        "audit.witness",
        "--key",
        str(folder / "key"),
        "--name",
        "witness.test/1",
    ]
    printed = subprocess.run([*command, "--print-key"], cwd=ROOT, capture_output=True, text=True, check=True)
    world.honest.manage("work", "--once", "--quiet")  # signs for the first time
    trusted = world.honest.manage("trust_policy").splitlines()
    logs = folder / "logs.txt"
    logs.write_text("".join(f"{line}\n" for line in trusted if line.startswith("log ")))
    port = free_port()
    policy = folder / "policy.txt"
    policy.write_text(f"witness w {printed.stdout.strip()} http://127.0.0.1:{port}/\nquorum w\n")
    arguments = ["--logs", str(logs), "--state", str(folder / "state"), "--listen", f"127.0.0.1:{port}"]
    with (folder / "log").open("wb") as output:
        return policy, subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=output, stderr=output)


def ask(world: World, port: int, count: int) -> None:
    """So many checks of several agents, whose receipts are kept."""
    bots = [bot for name, bot in world.honest.bots.items() if name.startswith("acme-")][:ASKING]

    def work(key: str) -> None:
        client = Countersign(f"http://127.0.0.1:{port}", key, timeout=30, receipts=world.receipts)
        for _ in range(count // len(bots)):
            client.check("files.read", READ)

    threads = [threading.Thread(target=work, args=(bot["key"],)) for bot in bots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wait_until_witnessed(world: World) -> str:
    """Wait until everything is published, and the witness has cosigned; the workspace's checkpoint."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        state = world.honest.script(HEAD, str(world.acme))
        if state["published"] == state["size"] and state["witnessed"]:
            return str(state["note"])
        time.sleep(0.5)
    raise TimeoutError(f"Nothing was published and witnessed within {PATIENCE:.0f} s: {state}.")


def save(source: Path, target: Path) -> None:
    """Copy a SQLite database whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
