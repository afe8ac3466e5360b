"""Real servers for the tests, on loopback only: PostgreSQL, SMTP and a browser.

A program that is not installed skips the test that asks for it. With COUNTERSIGN_REQUIRE_SERVICES=1, as in
continuous integration, such a skip is a failure, so that a missing program never looks like a passing suite.

What takes long is skipped too, unless THOROUGH=1, as in continuous integration: tests that are marked so, and of the
tests of faults and walks that run on both databases, PostgreSQL's turn.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from bench.servers import free_port as free_port

REQUIRE = "COUNTERSIGN_REQUIRE_SERVICES"
THOROUGH = "THOROUGH"
TWICE = ("faults", "stateful")  # folders whose tests run on SQLite and once more on PostgreSQL
SERVICE_MARKERS = ("service", "postgres", "browser")
FIXTURE_MARKERS = {"postgres_server": "postgres", "chromium": "browser"}
POSTGRES_LEAST = 15
TAKES_LONG = "takes long: THOROUGH=1 runs it"
PATIENCE = 30.0  # seconds for a server to come up, on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the servers that it asks for, so that no test can forget its marker; skip what takes long."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if marker := FIXTURE_MARKERS.get(fixture):
                item.add_marker(marker)
        second_turn = item.get_closest_marker("postgres") and item.path.parent.name in TWICE
        if item.get_closest_marker("thorough") or second_turn:
            item.add_marker(pytest.mark.skipif(f"os.environ.get('{THOROUGH}') != '1'", reason=TAKES_LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a service into a failure where services are required."""
    report = yield
    needs_service = any(item.get_closest_marker(name) for name in SERVICE_MARKERS)
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and needs_service
        and os.environ.get(REQUIRE) == "1"
        and TAKES_LONG not in str(report.longrepr)
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE}=1, and this test was skipped. {reason}"
    return report


def executable(name: str, *more: str) -> str:
    """The path of the first of these programs that is installed; skips the test when none is."""
    for candidate in (name, *more):
        if path := shutil.which(candidate):
            return path
    pytest.skip(f"{name} is not installed.")


def wait_until(ready: Callable[[], bool], *, what: str) -> None:
    """Poll until `ready` answers True; raises RuntimeError naming `what` after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up within {PATIENCE:.0f} s.")
        time.sleep(0.02)


@dataclass
class PostgresServer:
    """A private cluster. It listens on 127.0.0.1:port and on a Unix socket in `folder`; fsync is on."""

    binaries: Path
    folder: Path
    port: int
    account: str | None  # the system's user that runs it; None is whoever runs the tests
    user: str = "countersign"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def initialize(self) -> None:
        self._run("initdb", "-D", self.data, "-U", self.user, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "200",
            "fsync": "on",
            "synchronous_commit": "on",
        }
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Start the cluster and wait until it answers."""
        wait = ("-w", "-t", str(int(PATIENCE)))
        self._run("pg_ctl", "start", "-D", self.data, "-l", self.folder / "server.log", *wait)

    def stop(self, mode: str = "fast") -> None:
        """Stop the cluster: `fast` ends the sessions in order, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-D", self.data, "-m", mode, "-w")

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database, empty unless it copies another, and return its URL."""
        where = ("-h", self.folder, "-p", str(self.port), "-U", self.user)
        self._run("createdb", *where, "-T", template, name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, ending the sessions in it."""
        where = ("-h", self.folder, "-p", str(self.port), "-U", self.user)
        self._run("dropdb", "--force", "--if-exists", *where, name)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        # The server inherits these handles: a pipe would keep the test waiting for its end.
        with (self.folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.account,
                group=self.account,
                extra_groups=None if self.account is None else [],
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self.folder / 'commands.log').read_text()[-2000:]}")


def postgres_binaries() -> Path:
    """The folder of the newest installed PostgreSQL's programs; skips the test when there is none."""
    versions = {
        int(path.parts[-3]): path.parent for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    }
    if versions and max(versions) >= POSTGRES_LEAST:
        return versions[max(versions)]
    if os.geteuid() != 0 and (initdb := shutil.which("initdb")):
        return Path(initdb).parent
    pytest.skip(f"PostgreSQL {POSTGRES_LEAST} or newer is not installed.")


@contextmanager
def postgres_cluster() -> Iterator[PostgresServer]:
    """A private cluster in a temporary folder, crashed and removed at the block's end."""
    binaries = postgres_binaries()
    # Not pytest's own folder: user postgres may not enter that, and a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="countersign-postgres-"))
    try:
        account = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if account is not None:
            shutil.chown(folder, account, account)
        server = PostgresServer(binaries, folder, free_port(), account)
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One cluster for each test process; a test that stops it starts it again."""
    with postgres_cluster() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium, for Playwright's `executable_path`."""
    return executable("chromium", "chromium-browser", "google-chrome")


@dataclass
class SmtpSink:
    """A mail server that keeps what it is sent, in order, and delivers nothing."""

    host: str
    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # recipients, and what is answered to them

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """aiosmtpd's hook: take the recipient, or not."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def sent_to(self, address: str) -> list[EmailMessage]:
        """The messages whose envelope named this recipient."""
        return [message for message in self.messages if address in message["X-Envelope-To"].split(", ")]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook: keep the message, with the recipients of its envelope in X-Envelope-To."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        message["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.messages.append(message)
        return "250 Kept"


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """A mail server on a free port of 127.0.0.1, running until the test ends."""
    sink = SmtpSink("127.0.0.1", free_port())
    controller = Controller(sink, hostname=sink.host, port=sink.port)
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
