"""Proofs and verification over a million decisions, and how long an entry waits for its checkpoint.

Promised: inclusion and consistency proofs within 5 ms at the 99th percentile, a bundle of a million entries verified
within 60 s, an entry under a published checkpoint within 2 s at the 99th percentile; on SQLite and on PostgreSQL.
"""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench import load
from bench.pressure import PromiseBroken
from bench.servers import manage, serving, surroundings
from tests.servers import postgres_cluster

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = int(os.environ.get("COUNTERSIGN_BENCH_ENTRIES", "1000000"))
PROOF_MS, VERIFY_SECONDS, CHECKPOINT_SECONDS = 5.0, 60.0, 2.0
CHECKS = 12_000

WAITS = """
import json
from bisect import bisect_right
from statistics import quantiles
from audit.models import Checkpoint, Entry
log_id = {log_id}
signed = list(Checkpoint.objects.filter(log_id=log_id).order_by("size").values_list("size", "time"))
sizes = [size for size, _ in signed]
rows = Entry.objects.filter(log_id=log_id, index__gte={first}, index__lt=sizes[-1]).values_list("index", "time")
waits = [(signed[bisect_right(sizes, index)][1] - at).total_seconds() for index, at in rows]
cuts = quantiles(waits, n=100)
print(json.dumps({{"p50": cuts[49], "p99": cuts[98], "most": max(waits), "entries": len(waits)}}))
"""
HEAD = "from audit.models import Head; print(Head.objects.get(log_id={log_id}).size)"


def measure() -> None:
    """Both databases. Raises PromiseBroken."""
    broken = on("SQLite")
    try:
        with postgres_cluster() as cluster:
            broken += on("PostgreSQL", DATABASE_URL=cluster.create_database("bench"))
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")
    if broken:
        raise PromiseBroken("; ".join(broken))


def on(database: str, **environment: str) -> list[str]:
    """Print the figures of one database; what was promised and is not so."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        settings = surroundings(folder, **environment)
        out = Path(folder) / "seed.json"
        run(settings, "-m", "bench.seeding", str(out), "50", "20")
        run(settings, "-m", "bench.auditing", str(out), str(ENTRIES))
        told = json.loads(out.read_text())
        print(f"{database}, {told['size']:,} entries")
        print(
            f"{'':4}{'published, recording apart':44}{told['publishing']['published_per_second']:>12,.0f} a second"
        )
        print(f"{'':48}{'p50 ms':>9}{'p99 ms':>9}{'most':>9}")
        for name, line in (("read", "baseline: one entry read"), ("inclusion", "inclusion proof"),
                           ("consistency", "consistency proof")):  # fmt: skip
            figures = told[name]
            print(f"{'':4}{line:44}{figures['p50']:>9.2f}{figures['p99']:>9.2f}{figures['most']:>9.2f}")
        verified, memory, reading = verify(Path(folder))
        print(f"{'':4}{'bundle written':44}{told['export_seconds']:>9.1f} s")
        print(f"{'':4}{'baseline: its entries read and parsed':44}{reading:>9.1f} s")
        print(f"{'':4}{'verify.py':44}{verified:>9.1f} s, {memory:,.0f} MiB at most", flush=True)
        waits = wait_for_checkpoints(settings, told)
    print(
        f"{'':4}{'an entry waits for its checkpoint':44}{waits['p50']:>9.2f} s p50{waits['p99']:>9.2f} s p99\n"
    )
    slowest = max(told[name]["p99"] for name in ("inclusion", "consistency"))
    found = []
    if slowest > PROOF_MS:
        found.append(f"{database}: a proof takes {slowest:.1f} ms at the 99th percentile")
    if verified > VERIFY_SECONDS:
        found.append(f"{database}: verifying takes {verified:.0f} s")
    if waits["p99"] > CHECKPOINT_SECONDS:
        found.append(f"{database}: an entry waits {waits['p99']:.1f} s for its checkpoint")
    return found


def verify(folder: Path) -> tuple[float, float, float]:
    """Seconds that the outsider's verifier takes and MiB at most, and seconds to read and parse the same lines."""
    bundle = folder / "bundle.zip"
    begun = time.perf_counter()
    with zipfile.ZipFile(bundle) as archive, archive.open("entries.jsonl") as lines:
        for line in lines:
            json.loads(line)
    reading = time.perf_counter() - begun
    command = [sys.executable, str(ROOT / "audit/verify.py"), "verify", str(bundle)]
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "--policy", str(folder / "policy.txt")], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise PromiseBroken(f"The bundle does not verify: exit status {process.returncode}.")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024, reading


def wait_for_checkpoints(settings: dict[str, str], told: dict[str, object]) -> dict[str, float]:
    """Seconds from an entry to the checkpoint over it, while a gate is as busy as it can be and a worker publishes."""
    first = int(manage(settings, "shell", "-v", "0", "-c", HEAD.format(**told)).stdout.split()[-1])
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "work", "--quiet"], cwd=ROOT, env={**os.environ, **settings}
    )
    keys = told["keys"]
    assert isinstance(keys, list)
    try:
        with serving("uvicorn", "config.gate:application", settings) as ports:
            load.run(ports, keys, connections=16, count=CHECKS, seed=5)
            threading.Event().wait(CHECKPOINT_SECONDS + 1)  # the last entries' checkpoint
    finally:
        worker.terminate()
        worker.wait(timeout=30)
    waits = manage(settings, "shell", "-v", "0", "-c", WAITS.format(first=first, **told))
    found: dict[str, float] = json.loads(waits.stdout.splitlines()[-1])
    return found


def run(settings: dict[str, str], *arguments: str) -> None:
    """Run Python in a process of its own."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **settings}, check=True)
