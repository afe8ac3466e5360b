"""Witnesses in processes of their own, for the tests of those who speak to them."""

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audit.notes import Verifier

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A witness in a process of its own, its folder, and its public key."""

    process: subprocess.Popen[str]
    folder: Path
    port: int
    verifier: Verifier

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]

    def raw(self, sent: bytes) -> bytes:
        """What comes back for these bytes until the witness closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            with suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(4096), b""))


def command(folder: Path, *more: str) -> list[str]:
    """The command line of a witness whose files are in this folder, on any port."""
    files = [
        "--key",
        str(folder / "witness.key"),
        "--logs",
        str(folder / "logs"),
        "--state",
        str(folder / "state"),
    ]
    return [sys.executable, "-m", "audit.witness", "--listen", "127.0.0.1:0", *files, *more]


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A start that is to end by itself."""
    return subprocess.run(command(folder, *more), cwd=ROOT, capture_output=True, text=True, timeout=60)


@contextmanager
def witness(folder: Path, logs: str, name: str = "example.com/witness") -> Iterator[Running]:
    """A witness of these logs, killed at the end; a second one on the same folder goes on where it was."""
    (folder / "logs").write_text(logs)
    process = subprocess.Popen(
        command(folder, "--name", name),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        _, key, _, address = process.stdout.readline().split()
        yield Running(process, folder, int(address.rpartition(":")[2]), Verifier.parse(key))
    finally:
        process.kill()
        process.communicate()
