"""An installation as those outside meet it: a database of its own, real processes that serve it, and what an
outsider's session can do to that database.
"""

import atexit
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench.servers import command, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
GATE = "config.gate:application"
PORTAL = "config.asgi:application"
ENDS_WITHIN = 20  # seconds for a server to end in order


class Entry(NamedTuple):
    """One entry of a log: what the database searches by, and its body."""

    number: int
    type: str
    agent: str
    outcome: str
    data: dict[str, Any]


@dataclass
class Installation:
    """A seeded database, a SQLite file in ``folder`` or at ``database_url``, and the processes that serve it."""

    folder: Path
    database_url: str = ""
    logs: dict[str, int] = field(default_factory=dict)
    bots: dict[str, dict[str, str]] = field(default_factory=dict)
    signin: str = ""
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def sqlite(self) -> Path:
        return self.folder / "countersign.sqlite3"

    @property
    def environment(self) -> dict[str, str]:
        """What its processes see; keys ask as often as they like."""
        ours = {
            "COUNTERSIGN_DATA_DIR": str(self.folder),
            "COUNTERSIGN_SQLITE": str(self.sqlite),
            "COUNTERSIGN_SECRET_KEY": "for tests of faults only " * 3,
            "COUNTERSIGN_GATE_RATE": "1000000000",
            "COUNTERSIGN_GATE_BURST": "1000000000",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
        }
        if self.database_url:
            ours["DATABASE_URL"] = self.database_url
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return inherited | ours

    def seed(self) -> "Installation":
        """Migrate the database and put the cast into it; on SQLite once a test process, for all that it makes."""
        if self.database_url:
            return self.take(json.loads(self.run("-m", "tests.faults.seeding").splitlines()[-1]))
        self.folder.mkdir(parents=True, exist_ok=True)
        original, made = seeded()
        shutil.copyfile(original, self.sqlite)
        shutil.copytree(original.parent / "keys", self.folder / "keys")
        return self.take(made)

    def take(self, made: dict[str, Any]) -> "Installation":
        """Know what the seeding made."""
        self.logs, self.bots, self.signin = made["logs"], made["bots"], made["signin"]
        return self

    def key(self, bot: str) -> str:
        return self.bots[bot]["key"]

    def serve(self, application: str, *, server: str = "uvicorn", **environment: str) -> int:
        """Start a server; its port, once it answers."""
        port = free_port()
        self.spawn(*command(server, application, port), **environment)
        wait_for(port)
        return port

    def gates(self, count: int, **environment: str) -> list[int]:
        """Start so many gates; their ports."""
        return [self.serve(GATE, **environment) for _ in range(count)]

    def worker(self, **environment: str) -> None:
        """Start the process that performs what is owed."""
        self.spawn(sys.executable, "manage.py", "work", "--quiet", **environment)

    def spawn(self, *arguments: str, **environment: str) -> None:
        """Start a process that ends with the installation; what it says goes to ``processes.log``."""
        with (self.folder / "processes.log").open("ab") as output:
            self.running.append(
                subprocess.Popen(
                    arguments, cwd=ROOT, env=self.environment | environment, stdout=output, stderr=output
                )
            )

    def run(self, *arguments: str) -> str:
        """What Python prints with these arguments. Raises RuntimeError with its complaint when it fails."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{arguments[:3]} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def manage(self, *arguments: str) -> str:
        """What a management command prints."""
        return self.run("manage.py", *arguments)

    def script(self, code: str, *arguments: str) -> Any:
        """The JSON that some code prints last, with Django set up."""
        return json.loads(
            self.run("-c", f"import django\ndjango.setup()\n{code}", *arguments).splitlines()[-1]
        )

    def operator(self, portal: int) -> httpx.Client:
        """Otto's session at the portal, by his one-time link; CSRF header included. Once an installation."""
        address = f"http://127.0.0.1:{portal}"
        browser = httpx.Client(base_url=address, headers={"Referer": address}, timeout=30)
        page = browser.get(f"/signin/{self.signin}/")
        form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert form is not None, page.text
        answer = browser.post(page.url.path, data={"csrfmiddlewaretoken": form[1]})
        assert answer.status_code == 302, answer.text
        browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
        return browser

    def connect(self) -> Any:
        """A session of an outsider with the database; each statement commits unless it says BEGIN."""
        if not self.database_url:
            return sqlite3.connect(self.sqlite, isolation_level=None, timeout=30)
        import psycopg  # installed where PostgreSQL is used

        return psycopg.connect(self.database_url, autocommit=True)

    def execute(self, statement: str) -> list[Any]:
        """The rows of one statement, in a session of its own."""
        connection = self.connect()
        try:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def entries(self, workspace: str, kinds: str = "%") -> list[Entry]:
        """The log of a workspace in order: the entries whose type is like ``kinds``."""
        rows = self.execute(
            'SELECT "index", type, agent, outcome, body FROM audit_entry'
            f" WHERE log_id = {self.logs[workspace]} AND type LIKE '{kinds}' ORDER BY \"index\""
        )
        return [
            Entry(number, kind, agent, outcome, json.loads(bytes(body))["data"])
            for number, kind, agent, outcome, body in rows
        ]

    def size(self, workspace: str) -> int:
        """How many entries the workspace's log has now."""
        ((size,),) = self.execute(f"SELECT size FROM audit_head WHERE log_id = {self.logs[workspace]}")
        return int(size)

    @contextmanager
    def held(self, workspace: str) -> Iterator[None]:
        """Another session holds the workspace's head while the block runs; on SQLite, the whole database."""
        connection = self.connect()
        try:
            if self.database_url:
                connection.execute("BEGIN")
                connection.execute(
                    f"SELECT 1 FROM audit_head WHERE log_id = {self.logs[workspace]} FOR NO KEY UPDATE"
                )
            else:
                connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def crowd_pending(self, approval: str, count: int) -> None:
        """Copies of a pending approval: as many more that wait, as if each had been asked for."""
        names = (
            "workspace_id, agent_id, decision, tool, action, risk, session, binding, lifts, requirements,"
            " on_behalf_of_id, epoch, status, created, expires_at, settled_at, used_by, entry_index, key, policy,"
            " excluded, plan, version, round, asks, raises"
        )
        self.execute(
            f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {count})"
            f" INSERT INTO governance_approval (public_id, {names})"
            f" SELECT public_id || '-' || n, {names} FROM governance_approval, many"
            f" WHERE public_id = '{approval}'"
        )

    def end(self) -> None:
        """End its processes."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(ENDS_WITHIN)
        self.running.clear()


@cache
def seeded() -> tuple[Path, dict[str, Any]]:
    """A SQLite file with the cast, to be copied, and what was made in it."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-seeded-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    world = Installation(folder)
    made = json.loads(world.run("-m", "tests.faults.seeding").splitlines()[-1])
    return world.sqlite, made
