"""An answer is given after its record is on the disk, and no gate starts where that could not be kept."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from bench.crash import kill_rounds
from bench.servers import command, free_port
from tests.faults.processes import GATE, PORTAL, ROOT, Installation
from tests.servers import PostgresServer, executable, wait_until

READ = {"tool": "files.read", "arguments": {"path": "/srv/reports/q3.csv"}}
SERVERS = [("uvicorn", GATE), ("daphne", PORTAL)]
SETTINGS = """
from pathlib import Path
from django.db.backends.signals import connection_created
from config.settings import *

"""
WEAK = {
    "synchronous is NORMAL": 'DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA synchronous = NORMAL"',
    "synchronous is OFF": 'DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA synchronous = OFF"',
    "journal mode is DELETE": """
def change(connection, **_):
    connection.connection.execute("PRAGMA journal_mode = DELETE")

connection_created.connect(change, weak=False)
""",
    "a network file system (nfs4)": """
from audit.sqlite import mounts

fake = Path(__file__).with_name("mountinfo")
fake.write_text("36 35 0:41 / / rw,relatime shared:1 - nfs4 files.test:/export rw,vers=4.2\\n")
mounts.MOUNTINFO = fake
""",
}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The cast on SQLite."""
    made = Installation(tmp_path_factory.mktemp("embedded")).seed()
    try:
        yield made
    finally:
        made.end()


def refusal(world: Installation, server: str, application: str, **environment: str) -> str:
    """What a server says last, as one line, that does not start."""
    done = subprocess.run(
        command(server, application, free_port()),
        cwd=ROOT,
        env=world.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    return " ".join(done.stderr[done.stderr.rindex("ImproperlyConfigured:") :].split())


@pytest.mark.parametrize(
    ("why", "server", "application"),
    [*((why, *SERVERS[0]) for why in WEAK), ("synchronous is NORMAL", *SERVERS[1])],
)
def test_a_gate_does_not_start_on_less_than_durable(
    embedded: Installation, tmp_path: Path, why: str, server: str, application: str
) -> None:
    (tmp_path / "weakened.py").write_text(SETTINGS + WEAK[why])
    weakened = {"DJANGO_SETTINGS_MODULE": "weakened", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    said = refusal(embedded, server, application, **weakened)
    assert "The gate does not start. " in said
    assert why in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("setting", "server", "application"),
    [("fsync", *SERVERS[0]), ("synchronous_commit", *SERVERS[1]), ("full_page_writes", *SERVERS[0])],
)
def test_a_gate_does_not_start_on_a_postgres_that_forgets(
    postgres_server: PostgresServer, tmp_path: Path, setting: str, server: str, application: str
) -> None:
    world = Installation(tmp_path, postgres_server.url())
    with psycopg.connect(postgres_server.url(), autocommit=True) as administrator:
        administrator.execute(f"ALTER SYSTEM SET {setting} = off")
        administrator.execute("SELECT pg_reload_conf()")
        try:
            said = refusal(world, server, application)
        finally:
            administrator.execute(f"ALTER SYSTEM RESET {setting}")
            administrator.execute("SELECT pg_reload_conf()")
    assert said.endswith(
        f"The gate does not start. PostgreSQL has {setting} = off; a crash could lose decisions. Switch it on."
    )


def test_a_gate_does_not_start_without_its_database(tmp_path: Path) -> None:
    world = Installation(tmp_path, f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    assert "The gate does not start. The database does not answer: " in refusal(world, *SERVERS[0])


@pytest.mark.service
@pytest.mark.parametrize(("server", "application"), SERVERS)
def test_every_decision_is_synced_before_it_is_answered(
    embedded: Installation, tmp_path: Path, server: str, application: str
) -> None:
    strace = executable("strace")
    counts, port = tmp_path / "counts", free_port()
    process = subprocess.Popen(
        [
            strace,
            "-f",
            "-c",
            "-e",
            "trace=fdatasync,fsync",
            "-o",
            str(counts),
            *command(server, application, port),
        ],
        cwd=ROOT,
        env=embedded.environment,
    )
    try:
        headers = {"authorization": f"Bearer {embedded.key('acme-0')}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            wait_until(lambda: answers(client), what="The gate under strace")
            told = {client.post("/v1/check", json=READ).raise_for_status().json()["id"] for _ in range(40)}
    finally:
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        subprocess.run(["kill", "-TERM", child], check=True)
        process.wait(30)
    assert len(told) == 40
    syncs = sum(
        int(row[1]) for row in re.findall(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)", counts.read_text(), re.M)
    )
    assert syncs >= 40, counts.read_text()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_no_decision_that_was_told_is_lost_when_the_server_is_killed(installation: Installation) -> None:
    told, _ = kill_rounds(installation, 2)
    assert len(told) > 20
    assert "allow" in told.values()
