"""One embedded installation: its folder, its settings, its two server processes."""

import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

from demo.processes import ROOT, Child

HOST = "127.0.0.1"
STARTED_WITHIN = 30.0  # seconds


class NotReady(Exception):
    """The servers did not come up in time."""


def free_port() -> int:
    """A TCP port of this machine that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Installation:
    """Where it lies and how it is reached. Everything of it is below ``folder``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://{HOST}:{port}"

    def set_up(self, smtp_url: str = "") -> None:
        """Make it what the settings of this process and its children say, and bring its database up to date.

        Nothing of Django may be imported before. Settings in the caller's environment do not count. Without
        an SMTP address mails become files in ``outbox``.
        """
        for name in list(os.environ):
            if name.startswith("COUNTERSIGN_") or name == "DATABASE_URL":
                del os.environ[name]
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        os.environ["COUNTERSIGN_DATA_DIR"] = str(self.folder)
        os.environ["COUNTERSIGN_PUBLIC_URL"] = self.url
        if smtp_url:
            os.environ["COUNTERSIGN_SMTP_URL"] = smtp_url
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0, skip_checks=True, interactive=False)

    def start(self, children: list[Child]) -> None:
        """Start server and worker, and wait until the gate is ready. Raises NotReady and Stopped."""
        daphne = [sys.executable, "-m", "daphne", "-v", "0", "-b", HOST, "-p", str(self.port)]
        work = [sys.executable, "manage.py", "work"]
        for name, command in (("server", [*daphne, "config.asgi:application"]), ("worker", work)):
            log = self.folder / f"{name}.log"
            children.append(Child(name, command, env=dict(os.environ), cwd=ROOT, log=log))
        end = time.monotonic() + STARTED_WITHIN
        while not self.is_ready():
            for child in children:
                child.check()
            if time.monotonic() > end:
                tails = "\n".join(child.tail() for child in children)
                raise NotReady(f"The server was not ready within {STARTED_WITHIN:.0f} s.\n{tails}".rstrip())
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether the gate can decide and record."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False
