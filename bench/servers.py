"""The processes that are measured: uvicorn or daphne on a free port, ended by the block's end."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
STARTS_WITHIN = 30.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(server: str, application: str, port: int) -> list[str]:
    """The command line of a server, as production runs it."""
    if server == "daphne":
        return [str(BIN / "daphne"), "-b", "127.0.0.1", "-p", str(port), "-v", "0", application]
    return [str(BIN / "uvicorn"), application, "--port", str(port), "--loop", "uvloop", "--http", "httptools",
            "--no-access-log", "--no-date-header", "--log-level", "warning"]  # fmt: skip


def surroundings(folder: Path | str, **more: str) -> dict[str, str]:
    """The environment of an installation that is measured: its data in a folder, and keys that may ask as often as
    they like."""
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COUNTERSIGN_DATA_DIR": str(folder),
        "COUNTERSIGN_SECRET_KEY": "bench " * 10,
        "COUNTERSIGN_GATE_RATE": "1000000000",
        "COUNTERSIGN_GATE_BURST": "1000000000",
        **more,
    }


@contextmanager
def serving(
    server: str, application: str, environment: dict[str, str], *, processes: int = 1
) -> Iterator[list[int]]:
    """Ports of so many processes that serve the application."""
    ports = [free_port() for _ in range(processes)]
    running = [
        subprocess.Popen(command(server, application, port), env={**os.environ, **environment})
        for port in ports
    ]
    try:
        for port in ports:
            wait_for(port)
        yield ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=20)


def wait_for(port: int) -> None:
    """Wait until something answers HTTP there. Raises TimeoutError."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"Nothing answers on port {port} after {STARTS_WITHIN:.0f} s.")


def manage(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a management command; its output is captured."""
    root = Path(__file__).resolve().parent.parent
    return subprocess.run(
        [sys.executable, str(root / "manage.py"), *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
