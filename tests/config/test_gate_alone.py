"""The gate in a process of its own loads nothing that only the portal needs to be served."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORTAL_ONLY = {"autobahn", "channels", "daphne", "twisted"}


def test_the_gate_alone_loads_no_server_of_the_portal(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, config.gate; print(*{name.split('.')[0] for name in sys.modules})",
        ],
        cwd=ROOT,
        env={**environment, "COUNTERSIGN_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(told.stdout.split())
    assert "starlette" in loaded
    assert not loaded & PORTAL_ONLY
