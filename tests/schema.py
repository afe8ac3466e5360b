"""A SQLite file with every table and no row, made once: each database of the tests begins as a copy of it.

It is made by the migrations, and kept in the folder for temporary files until one of them changes. What follows
migrations (permissions, the installation) is not in it: whoever copies it migrates as ever, with nothing to apply.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[1]
MADE_BY = ["requirements/dev.txt", "config/settings.py", "tests/schema.py", "*/migrations/*.py"]
MAKE = """
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
executor.migrate(executor.loader.graph.leaf_nodes())
connection.close()
"""


def migrated() -> Path:
    """The file, made by the first process that asks."""
    digest = hashlib.sha256()
    for pattern in MADE_BY:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    folder = Path(tempfile.gettempdir()) / f"countersign-schema-{os.getuid()}-{digest.hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "schema.sqlite3"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            make(folder, file)
    return file


def make(folder: Path, file: Path) -> None:
    """Migrate a new file beside, and give it its name when all is in it."""
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        made = Path(beside) / "schema.sqlite3"
        own = {"COUNTERSIGN_DATA_DIR": beside, "COUNTERSIGN_SQLITE": str(made)}
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        environment |= {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT), **own}
        subprocess.run([sys.executable, "-c", MAKE], cwd=ROOT, env=environment, check=True)
        made.rename(file)


def begin(path: Path | None = None) -> None:
    """Let a SQLite database that is not there yet begin with all tables; the one of the settings by default. Nothing
    happens on PostgreSQL."""
    database = settings.DATABASES["default"]
    if "sqlite" in database["ENGINE"] and not (target := path or Path(database["NAME"])).exists():
        shutil.copyfile(migrated(), target)
