"""Every page of the portal, with a million log entries, 5,000 agents and 100,000 approvals, through daphne.

Promised: the 95th percentile of each page is at most 300 ms, on a machine that does nothing else. The database is made
once, and kept in the system's folder for temporary files until the code that makes it changes.
"""

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from bench.pressure import PromiseBroken
from bench.servers import serving

ROOT = Path(__file__).resolve().parents[1]
PORTAL = "config.asgi:application"
BASELINE = "/healthz"
PROMISED = 300.0  # milliseconds
WARM, ROUNDS = 2, 20


def prepared(name: str = "portal") -> tuple[dict[str, str], Path]:
    """The environment of an installation that ``bench.<name>_seeding`` prepared, and the file that describes it."""
    seeds = sorted({ROOT / "bench/portal_seeding.py", ROOT / f"bench/{name}_seeding.py"})
    made_by = [*seeds, *sorted(ROOT.glob("*/migrations/*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_by)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"countersign-bench-{name}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COUNTERSIGN_DATA_DIR": str(folder),
        "COUNTERSIGN_SQLITE": str(folder / "countersign.sqlite3"),
        "COUNTERSIGN_SECRET_KEY": "bench " * 10,
    }
    described = folder / "pages.json"
    if not described.exists():
        for rest in folder.glob("countersign.sqlite3*"):
            rest.unlink()
        begun = time.perf_counter()
        seeding = [sys.executable, "-m", f"bench.{name}_seeding", str(described)]
        subprocess.run(seeding, cwd=ROOT, env={**os.environ, **environment}, check=True)
        print(f"{'':4}seeded in {time.perf_counter() - begun:.0f} s: {folder}")
    return environment, described


class Browser:
    """One connection that stays open, with the session of one person."""

    def __init__(self, port: int, session: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Cookie": f"sessionid={session}"}

    def open(self, address: str) -> tuple[float, int, int]:
        """Milliseconds, status and bytes of one page."""
        begun = time.perf_counter()
        self.connection.request("GET", address, headers=self.headers)
        answer = self.connection.getresponse()
        size = len(answer.read())
        return (time.perf_counter() - begun) * 1000, answer.status, size


def measured(browser: Browser, address: str) -> tuple[float, float, int, int]:
    """p50 and p95 of a page in milliseconds, its status and its size."""
    for _ in range(WARM):
        browser.open(address)
    taken = [browser.open(address) for _ in range(ROUNDS)]
    steps = quantiles([each[0] for each in taken], n=20, method="inclusive")
    return steps[9], steps[18], taken[-1][1], taken[-1][2]


def measure(name: str = "portal") -> None:
    """Open each page of a prepared installation, slowest first in the table. Raises PromiseBroken."""
    environment, described = prepared(name)
    seeded = json.loads(described.read_text())
    found = []
    with serving("daphne", PORTAL, environment) as (port,):
        browser = Browser(port, seeded["session"])
        for pattern, address in {BASELINE: BASELINE, **seeded["pages"]}.items():
            found.append((*measured(browser, address), pattern))
    print(f"{'page':76}{'p50 ms':>8}{'p95 ms':>8}{'kB':>8}")
    opened = [each for each in found if each[2] == 200]
    for p50, p95, _, size, pattern in sorted(opened, key=lambda each: -each[1]):
        mark = "  over" if p95 > PROMISED else ""
        print(f"{pattern:76}{p50:>8.0f}{p95:>8.0f}{size / 1000:>8.0f}{mark}")
    print(f"{'':4}and {len(found) - len(opened)} that lead on, or are for others or another method")
    slow = [pattern for _, p95, _, _, pattern in found if p95 > PROMISED]
    failed = [pattern for _, _, status, _, pattern in found if status >= 500]
    if slow or failed:
        raise PromiseBroken(
            f"{len(slow)} of {len(found)} pages are over {PROMISED:.0f} ms: {', '.join(slow) or 'none'};"
            f" server errors: {', '.join(failed) or 'none'}."
        )
