"""One served installation with a database of its own, for stories: daphne, and a worker if one is wanted."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # seconds until a message that ought to come is missed


@dataclass
class Portal:
    """daphne on a database of its own; it may be killed and started again."""

    folder: Path
    port: int
    server: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    known: dict[str, Any] = field(default_factory=dict)  # what the seeding told

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "COUNTERSIGN_DATA_DIR": str(self.folder),
            "COUNTERSIGN_SQLITE": str(self.folder / "countersign.sqlite3"),
            "COUNTERSIGN_PUBLIC_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(ROOT),
        }
        return {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | ours

    def seed(self, module: str) -> None:
        """Migrate, and put into the database what the module's ``seed`` makes; what that returns is ``known``."""
        code = f"""
import json
from django.core.management import call_command
from tests import schema
from {module} import seed
schema.begin()
call_command("migrate", verbosity=0, skip_checks=True)
print(json.dumps(seed()))"""
        said, _ = self.script(code).communicate()
        self.known = json.loads(said.splitlines()[-1])

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "daphne",
            "-b",
            "127.0.0.1",
            "-p",
            str(self.port),
            "config.asgi:application",
        ]
        with (self.folder / "server.log").open("ab") as output:
            self.server = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )
        wait_until(self.answers, what="The portal")

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/admin/login/", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()

    def work(self) -> None:
        """Start a worker."""
        command = [sys.executable, "manage.py", "work", "--quiet"]
        with (self.folder / "worker.log").open("ab") as output:
            self.worker = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )

    def end(self) -> None:
        """End its processes."""
        for process in (self.server, self.worker):
            if process is not None:
                process.kill()
                process.wait()

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def script(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Run some code in a process of its own, with Django set up."""
        command = [sys.executable, "-c", f"import django\ndjango.setup()\n{code}", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)

    def sign_in(self, name: str) -> httpx.Client:
        """A browser's session of this person: that of the seeding, where it made one, or by a one-time link."""
        browser = httpx.Client(base_url=self.url)
        if session := self.known.get("sessions", {}).get(name):
            browser.cookies.set("sessionid", session)
            return browser
        address = f"/signin/{self.known['links'][name].pop()}/"
        page = browser.get(address)
        assert page.status_code == 200
        assert "sessionid" not in browser.cookies, "Opening a link must not sign anybody in."
        form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert form is not None
        answer = browser.post(address, data={"csrfmiddlewaretoken": form[1]}, headers={"Referer": self.url})
        assert answer.status_code == 302, answer.text
        again = browser.post(address, data={"csrfmiddlewaretoken": browser.cookies["csrftoken"]})
        assert again.status_code == 410
        return browser

    def listen(self, browser: httpx.Client, origin: str = "", **query: Any) -> Any:
        address = httpx.URL(f"ws://127.0.0.1:{self.port}/ws/feed/", params={"workspace": "acme", **query})
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
        return connect(
            str(address),
            origin=Origin(origin or self.url),
            additional_headers=cookie,
            open_timeout=PATIENCE,
            proxy=None,
        )
