"""The database engine `audit.sqlite`: every write passes the turnstile, and what is committed stays."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError, connections, transaction

from audit.sqlite import mounts
from audit.sqlite.base import durability_problems, is_write
from audit.sqlite.mounts import network_file_system

PATIENCE = 60.0

# A process that writes through Django: argv is the database, then the work.
WRITER = """
import os, sys, time
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "audit.sqlite", "NAME": sys.argv[1]}}, USE_TZ=True)
from django.db import connection, transaction

def increment():
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT v FROM t WHERE id = 1")
        value = cursor.fetchone()[0]
        cursor.execute("UPDATE t SET v = %s WHERE id = 1", [value + 1])

if sys.argv[2] == "increment":
    for _ in range(40):
        increment()
elif sys.argv[2] == "hog":
    print("started", flush=True)
    while True:
        increment()
elif sys.argv[2] == "hold":
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE t SET v = -1")
        print("inside", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def configure(tmp_path: Path, django_db_blocker):
    """Make a database of its own under the alias "side"; each thread has its own connection to it."""

    def configure(name: str = "", **options):
        side = {"ENGINE": "audit.sqlite", "NAME": name or str(tmp_path / "side.sqlite3"), "OPTIONS": options}
        connections.settings["side"] = connections.configure_settings({"default": {}, "side": side})["side"]
        return connections["side"]

    with django_db_blocker.unblock():
        yield configure
        if "side" in connections.settings:
            connections["side"].close()
            del connections["side"]
            del connections.settings["side"]


@pytest.fixture
def side(configure):
    side = configure()
    with side.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer UNIQUE)")
        cursor.execute("INSERT INTO t VALUES (1, 0)")
    return side


def run(side: Any, sql: str) -> Any:
    with side.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def in_thread(function) -> threading.Thread:
    """Run a function in a thread, whose connection is closed at its end."""

    def target() -> None:
        try:
            function()
        finally:
            connections["side"].close()

    thread = threading.Thread(target=target)
    thread.start()
    return thread


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.001)


def start(side, work: str) -> Any:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(side.settings_dict["NAME"]), work],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def write_from_outside(side) -> None:
    """Write at once with a connection that knows no turnstile; fails if SQLite's lock is taken."""
    outside = sqlite3.connect(side.settings_dict["NAME"], timeout=0)
    outside.execute("INSERT INTO t (v) VALUES (1000)")
    outside.rollback()
    outside.close()


def test_a_transaction_has_the_turn_from_begin_to_commit(side) -> None:
    with transaction.atomic("side"):
        assert side.turn.held
        with transaction.atomic("side"):
            run(side, "UPDATE t SET v = 1")
        assert side.turn.held
    assert side.turn is None
    assert run(side, "SELECT v FROM t") == [(1,)]


def test_a_transaction_is_immediate(side) -> None:
    with transaction.atomic("side"), pytest.raises(sqlite3.OperationalError, match="locked"):
        write_from_outside(side)


def test_rolling_back_gives_the_turn_back(side) -> None:
    with transaction.atomic("side"):
        run(side, "UPDATE t SET v = 1")
        transaction.set_rollback(True, "side")
    assert side.turn is None
    assert run(side, "SELECT v FROM t") == [(0,)]


def test_rolling_back_to_a_savepoint_does_not(side) -> None:
    with transaction.atomic("side"):
        with pytest.raises(IntegrityError), transaction.atomic("side"):
            run(side, "INSERT INTO t VALUES (1, 5)")
        assert side.turn.held


def test_closing_gives_the_turn_back(side) -> None:
    with transaction.atomic("side"):
        run(side, "UPDATE t SET v = 1")
        side.close()
        assert side.turn is None
    assert run(side, "SELECT v FROM t") == [(0,)]


def test_a_commit_that_fails_gives_the_turn_back(side) -> None:
    run(side, "CREATE TABLE child (t integer REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(IntegrityError), transaction.atomic("side"):
        run(side, "INSERT INTO child VALUES (99)")
    assert side.turn is None
    assert run(side, "SELECT * FROM child") == []


def test_a_begin_that_fails_gives_the_turn_back(configure) -> None:
    side = configure(timeout=0.05)
    run(side, "CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    outside = sqlite3.connect(side.settings_dict["NAME"], isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"), transaction.atomic("side"):
        pass
    assert side.turn is None
    outside.close()


def test_a_transaction_without_atomic_has_the_turn_too(side) -> None:
    side.set_autocommit(False)
    assert run(side, "SELECT v FROM t") == [(0,)]
    assert not side.turn
    run(side, "UPDATE t SET v = 1")
    assert side.turn.held
    side.commit()
    assert side.turn is None
    side.set_autocommit(True)


def test_a_lone_write_waits_for_its_turn_and_reading_does_not(side) -> None:
    errors, written = [], []

    def write() -> None:
        other: Any = connections["side"]
        if run(other, "SELECT v FROM t") != [(0,)]:
            errors.append("reading saw something else")
        run(other, "INSERT INTO t (v) VALUES (2)")
        written.append(other.turn)

    with transaction.atomic("side"):
        run(side, "UPDATE t SET v = 1")
        thread = in_thread(write)
        until(lambda: side.turnstile.waiting == 1)
        assert written == []
    thread.join(PATIENCE)
    assert (errors, written) == ([], [None])
    assert run(side, "SELECT v FROM t ORDER BY id") == [(1,), (2,)]


def test_a_lone_write_that_fails_gives_the_turn_back(side) -> None:
    with pytest.raises(IntegrityError):
        run(side, "INSERT INTO t VALUES (1, 5)")
    assert side.turn is None


def test_executemany_and_scripts_give_the_turn_back(side) -> None:
    with side.cursor() as cursor:
        cursor.executemany("INSERT INTO t (v) VALUES (%s)", [(number,) for number in range(5, 8)])
        assert side.turn is None
        cursor.executescript("DELETE FROM t WHERE v = 5; DELETE FROM t WHERE v = 6")
    assert side.turn is None
    assert run(side, "SELECT v FROM t ORDER BY v") == [(0,), (7,)]


def test_rows_that_a_lone_write_returns_do_not_keep_the_lock(side) -> None:
    insert = "INSERT INTO t (v) VALUES (5), (6), (7), (8) RETURNING v"
    with side.cursor() as cursor:
        cursor.execute(insert)
        assert side.turn is None
        write_from_outside(side)
        assert cursor.fetchone() == (5,)
        assert cursor.fetchmany(2) == [(6,), (7,)]
        assert list(cursor) == [(8,)]
        assert cursor.fetchone() is None
        cursor.execute("SELECT v FROM t WHERE id = 1")
        assert cursor.fetchall() == [(0,)]


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO t VALUES (1)",
        "  update t set v = 1",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (1)",
        "CREATE TABLE x (y)",
        "/* why */ INSERT INTO t VALUES (1)",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "BEGIN",
        "SAVEPOINT s",
        "VACUUM",
        "PRAGMA user_version = 3",
        "PRAGMA optimize",
    ],
)
def test_what_is_a_write(query: str) -> None:
    assert is_write(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "\n select 1",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "PRAGMA user_version",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA data_version",
        "COMMIT",
        "ROLLBACK",
    ],
)
def test_what_is_not(query: str) -> None:
    assert not is_write(query)


def test_after_sqlite_rolled_back_by_itself_nothing_more_is_written(side) -> None:
    with transaction.atomic("side"):
        run(side, "INSERT INTO t (v) VALUES (5)")
        with pytest.raises(IntegrityError):
            run(side, "INSERT OR ROLLBACK INTO t VALUES (1, 6)")
        with pytest.raises(OperationalError, match="rolled this transaction back"):
            run(side, "INSERT INTO t (v) VALUES (7)")
    assert side.turn is None
    assert run(side, "SELECT v FROM t") == [(0,)]


def test_who_waits_longer_than_the_timeout_is_told_so(configure) -> None:
    side, told = configure(timeout=0.05), []
    run(side, "CREATE TABLE t (v)")

    def write() -> None:
        with pytest.raises(OperationalError) as caught:
            run(connections["side"], "INSERT INTO t VALUES (1)")
        told.append(str(caught.value))

    with transaction.atomic("side"):
        in_thread(write).join(PATIENCE)
    assert "did not come within 0.05 s" in told[0]


def test_a_second_connection_of_one_thread_fails_at_once(side) -> None:
    other = side.copy()
    with transaction.atomic("side"), pytest.raises(OperationalError, match="another connection"):
        run(other, "INSERT INTO t (v) VALUES (5)")
    run(other, "INSERT INTO t (v) VALUES (6)")
    other.close()
    assert run(side, "SELECT v FROM t ORDER BY v") == [(0,), (6,)]


def test_threads_lose_no_update(side) -> None:
    def work() -> None:
        own = connections["side"]
        for _ in range(20):
            with transaction.atomic("side"):
                value = run(own, "SELECT v FROM t WHERE id = 1")[0][0]
                run(own, f"UPDATE t SET v = {value + 1} WHERE id = 1")

    for thread in [in_thread(work) for _ in range(8)]:
        thread.join(PATIENCE)
    assert run(side, "SELECT v FROM t") == [(160,)]


def test_processes_lose_no_update(side) -> None:
    for process in [start(side, "increment") for _ in range(3)]:
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert run(side, "SELECT v FROM t") == [(120,)]


def test_a_busy_committer_in_one_process_does_not_starve_a_writer_in_another(side) -> None:
    hog = start(side, "hog")
    try:
        assert hog.stdout.readline() == "started\n"
        until(lambda: run(side, "SELECT v FROM t WHERE id = 1")[0][0] > 0)
        before = run(side, "SELECT v FROM t WHERE id = 1")[0][0]
        for _ in range(30):
            with transaction.atomic("side"):
                after = run(side, "SELECT v FROM t WHERE id = 1")[0][0]
        assert after - before < 30 * 10
    finally:
        hog.kill()
        hog.communicate()


def test_kill_9_in_a_transaction_lets_the_next_one_write(side) -> None:
    holder = start(side, "hold")
    assert holder.stdout.readline() == "inside\n"
    os.kill(holder.pid, signal.SIGKILL)
    with transaction.atomic("side"):
        assert run(side, "SELECT v FROM t") == [(0,)]
        run(side, "UPDATE t SET v = 3")
    holder.communicate()
    assert run(side, "SELECT v FROM t") == [(3,)]


def test_a_connection_is_durable_as_it_is_made(side) -> None:
    assert durability_problems(side) == []
    asked = (
        "journal_mode",
        "synchronous",
        "foreign_keys",
        "busy_timeout",
        "temp_store",
        "wal_autocheckpoint",
    )
    assert [run(side, f"PRAGMA {name}")[0][0] for name in asked] == ["wal", 2, 1, 20_000, 2, 1000]


def test_a_pragma_that_weakens_it_is_found(side) -> None:
    run(side, "PRAGMA synchronous = NORMAL")
    (problem,) = durability_problems(side)
    assert "synchronous is NORMAL" in problem
    side.close()
    assert durability_problems(side) == []
    run(side, "PRAGMA journal_mode = DELETE")
    (problem,) = durability_problems(side)
    assert "journal mode is DELETE" in problem


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"init_command": "PRAGMA synchronous = OFF"}, "synchronous is OFF"),
        ({"init_command": "PRAGMA synchronous = NORMAL"}, "synchronous is NORMAL"),
        ({"transaction_mode": "DEFERRED"}, "only IMMEDIATE works"),
    ],
)
def test_settings_that_weaken_it_are_refused(configure, options, complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        configure(**options).ensure_connection()


def test_a_database_in_memory_needs_no_files(configure, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:shared?mode=memory&cache=shared"):
        side = configure(name)
        run(side, "CREATE TABLE t (v)")
        with transaction.atomic("side"):
            run(side, "INSERT INTO t VALUES (1)")
        assert run(side, "SELECT v FROM t") == [(1,)]
        assert durability_problems(side) == [
            "The database is in memory; it ends with the process. Name a file."
        ]
        del connections["side"]
    assert list(tmp_path.iterdir()) == []


MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv rw shared:2 - nfs4 server:/export rw,vers=4.2
31 30 254:1 / /srv/local rw - xfs /dev/vdb rw
32 22 0:41 / /home/a\040b rw - fuse.sshfs host: rw
33 22 0:42 / /mnt/c rw - 9p drvfs rw
34 22 0:43 / /over rw - cifs //server/share rw
35 22 254:2 / /over rw - ext4 /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/lib/db.sqlite3", None),
        ("/srv/db.sqlite3", "nfs4"),
        ("/srvother/db.sqlite3", None),
        ("/srv/local/db.sqlite3", None),
        ("/home/a b/db.sqlite3", "fuse.sshfs"),
        ("/mnt/c/db.sqlite3", "9p"),
        ("/over/db.sqlite3", None),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, expected: str | None) -> None:
    assert network_file_system(path, MOUNTS) == expected


def test_a_network_file_system_is_refused(configure, tmp_path: Path, monkeypatch) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"22 1 0:40 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", mountinfo)
    with pytest.raises(ImproperlyConfigured, match="network file system \\(nfs4\\)"):
        configure().ensure_connection()
