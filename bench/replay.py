"""A draft replayed over recorded decisions by the worker, each of which it has to judge anew.

Promised: 100,000 decisions in less than a minute. The baseline reads the same entries and Details and judges nothing.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.pressure import PromiseBroken
from bench.servers import manage

CALLS = 100_000
RULES = 100
PROMISED = 60.0  # seconds


def measure() -> None:
    """Print decisions a second beside the baseline's. Raises PromiseBroken."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        environment = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "COUNTERSIGN_DATA_DIR": folder,
            "COUNTERSIGN_SECRET_KEY": "bench " * 10,
        }
        out = Path(folder) / "seed.json"
        run(environment, "bench.seeding", str(out), "50", str(RULES))
        run(environment, "bench.recorded", str(out), str(CALLS), str(RULES))
        told = json.loads(out.read_text())
        begun = time.perf_counter()
        worked = manage(environment, "work", "--once", "--quiet")
        seconds = time.perf_counter() - begun
        if worked.returncode or worked.stderr:
            raise PromiseBroken(f"The worker failed: {worked.stdout}{worked.stderr}")
        counted = manage(environment, "shell", "-v", "0", "-c", COUNTS)
        counts = json.loads(counted.stdout.splitlines()[-1])
    print(f"{'':4}{'reading the record':40}{CALLS / told['read_seconds']:>12,.0f} decisions a second")
    print(f"{'':4}{f'replay, {RULES} rules, all of them changed':40}{CALLS / seconds:>12,.0f} decisions a second,"
          f" {seconds:.1f} s")  # fmt: skip
    print(f"{'':4}{counts}\n")
    if counts.get("calls") != CALLS or any(name.startswith("not: ") for name in counts):
        raise PromiseBroken(f"{CALLS:,} calls were recorded and not all were judged: {counts}")
    if seconds >= PROMISED:
        raise PromiseBroken(f"{CALLS:,} decisions took {seconds:.0f} s; promised are less than 60.")


COUNTS = "import json; from governance.models import Replay; print(json.dumps(Replay.objects.get().counts))"


def run(environment: dict[str, str], module: str, *arguments: str) -> None:
    """Run a module of the benchmark in a process of its own."""
    subprocess.run([sys.executable, "-m", module, *arguments], env={**os.environ, **environment}, check=True)
