"""Searching a log of a million entries by three facets, on SQLite and PostgreSQL, beside the plain filtered query.

Promised: the 95th percentile of a page of results is at most 200 ms, whichever facets are combined.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.pressure import PromiseBroken
from tests.servers import postgres_cluster

ROOT = Path(__file__).resolve().parents[1]
PROMISED = 200.0  # milliseconds
LINES = {
    "page": "a page of results, three facets",
    "survey": "counts of all facets and bars, of all results",
    "plain": "baseline: the plain filtered query",
}


def on(database: str, **environment: str) -> dict[str, Any]:
    """The figures of one database."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-search-") as folder:
        out = Path(folder) / "figures.json"
        settings = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "COUNTERSIGN_DATA_DIR": folder,
            "COUNTERSIGN_SECRET_KEY": "bench " * 10,
            **environment,
        }
        child = [sys.executable, "-m", "bench.searching", str(out)]
        subprocess.run(child, cwd=ROOT, env={**os.environ, **settings}, check=True)
        told: dict[str, Any] = json.loads(out.read_text())
    index = told["index"]
    print(f"{database}: indexed {index['rate']:,.0f} entries/s into {index['postings']:,} postings")
    for name, line in LINES.items():
        figures = told[name]
        print(f"{line:52}{figures['p50']:>9.1f}{figures['p95']:>9.1f}{figures['most']:>9.1f}", flush=True)
    return told


def measure() -> None:
    """Both databases. Raises PromiseBroken."""
    print(f"{'milliseconds':52}{'p50':>9}{'p95':>9}{'most':>9}")
    found = {"SQLite": on("SQLite")}
    try:
        with postgres_cluster() as cluster:
            found["PostgreSQL"] = on("PostgreSQL", DATABASE_URL=cluster.create_database("bench"))
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")
    slow = [name for name, told in found.items() if told["page"]["p95"] > PROMISED]
    if slow:
        raise PromiseBroken(f"Searching takes over {PROMISED:.0f} ms on {' and '.join(slow)}.")
