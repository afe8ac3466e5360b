"""What is owed is done: once if all goes well, again if it did not, and by one worker at a time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from audit import owed
from audit.models import Owed
from tests.servers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def performed() -> Iterator[list[dict[str, Any]]]:
    """Register the kind test.kind; what was performed is in the list. A payload with "fail" fails."""
    seen: list[dict[str, Any]] = []

    def perform(payload: dict[str, Any]) -> str:
        if payload.get("fail"):
            raise ConnectionRefusedError("nobody listens there")
        seen.append(payload)
        return "as told"

    owed.performer("test.kind")(perform)
    yield seen
    del owed.performers["test.kind"]


def owe(**payload: Any) -> Owed:
    (row,) = owed.owe("test.kind", [payload], due=timezone.now())
    return row


def test_what_is_owed_exists_only_with_the_change_that_owes_it() -> None:
    with transaction.atomic():
        owe()
        transaction.set_rollback(True)
    assert not Owed.objects.exists()


def test_a_due_row_is_performed_once(performed: list[dict[str, Any]]) -> None:
    owe(number=1)
    (row,) = owed.claim(10)
    assert owed.claim(10) == []
    result = owed.perform(row)
    assert (result.done, result.told) == (True, "as told")
    assert performed == [{"number": 1}]
    row.refresh_from_db()
    assert row.done_at is not None
    assert owed.claim(10, at=timezone.now() + timedelta(days=1)) == []


def test_nothing_is_claimed_before_it_is_due(performed: list[dict[str, Any]]) -> None:
    owed.owe("test.kind", [{}], due=timezone.now() + timedelta(hours=1))
    assert owed.claim(10) == []
    assert len(owed.claim(10, at=timezone.now() + timedelta(hours=2))) == 1


def test_a_failure_is_kept_and_tried_again_later_and_later(performed: list[dict[str, Any]]) -> None:
    row = owe(fail=True)
    waits = []
    at = timezone.now()
    for attempt in range(1, 4):
        (claimed,) = owed.claim(1, at=at)
        result = owed.perform(claimed)
        assert not result.done
        row.refresh_from_db()
        assert row.attempts == attempt
        assert row.error == "ConnectionRefusedError: nobody listens there"
        assert owed.claim(1) == []
        at = row.due
        waits.append(owed.retry_after(attempt))
    assert waits == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert owed.retry_after(500) == timedelta(hours=1)
    Owed.objects.update(payload={})
    assert owed.perform(owed.claim(1, at=row.due)[0]).done
    row.refresh_from_db()
    assert (row.error, row.done_at is not None) == ("", True)


def test_a_kind_that_nobody_performs_says_so_in_its_row() -> None:
    owed.owe("test.unknown", [{}], due=timezone.now())
    result = owed.perform(owed.claim(1)[0])
    assert not result.done
    assert Owed.objects.get().error == "NoPerformer: No app registered a performer for 'test.unknown'."


def test_a_dead_workers_row_is_free_when_its_lease_runs_out(performed: list[dict[str, Any]]) -> None:
    owe()
    (dead,) = owed.claim(1)
    assert owed.claim(1, at=timezone.now() + owed.LEASE / 2) == []
    (taken,) = owed.claim(1, at=timezone.now() + owed.LEASE * 2)
    assert (taken.pk, taken.attempts) == (dead.pk, 2)


def test_a_worker_that_overran_its_lease_does_not_write_over_the_next_ones_result(
    performed: list[dict[str, Any]],
) -> None:
    owe(fail=True)
    (slow,) = owed.claim(1)
    (next_one,) = owed.claim(1, at=timezone.now() + owed.LEASE * 2)
    Owed.objects.update(payload={})
    next_one.payload = {}
    assert owed.perform(next_one).done
    assert not owed.perform(slow).done
    row = Owed.objects.get()
    assert (row.error, row.done_at) == ("", next_one.done_at)


def test_new_rows_go_before_those_that_failed(performed: list[dict[str, Any]]) -> None:
    failed = owe(fail=True)
    owed.perform(owed.claim(1)[0])
    failed.refresh_from_db()
    new = owe(number=2)
    Owed.objects.filter(pk=new.pk).update(due=failed.due)
    assert [row.pk for row in owed.claim(2, at=failed.due)] == [new.pk, failed.pk]


def test_nothing_is_performed_inside_a_transaction(performed: list[dict[str, Any]]) -> None:
    owe()
    (row,) = owed.claim(1)
    with pytest.raises(owed.InTransaction), transaction.atomic():
        owed.perform(row)
    assert performed == []


def test_of_many_workers_one_gets_each_row(performed: list[dict[str, Any]]) -> None:
    rows = {owe(number=number).pk for number in range(40)}
    barrier = threading.Barrier(8)
    claimed: list[int] = []

    def work() -> None:
        barrier.wait()
        try:
            while batch := owed.claim(3):
                claimed.extend(row.pk for row in batch)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(rows)


def test_the_worker_does_everything_due_and_tells_it(performed: list[dict[str, Any]]) -> None:
    swept = []

    def sweep() -> int:
        swept.append(1)
        return 3

    def broken() -> int:
        raise ValueError("out of order")

    name = f"{__name__}.test_the_worker_does_everything_due_and_tells_it.<locals>"
    owed.periodic(broken)
    owed.periodic(sweep)
    try:
        owe(number=1)
        owe(fail=True)
        out, errors = StringIO(), StringIO()
        call_command("work", "--once", stdout=out, stderr=errors)
    finally:
        del owed.periodics[f"{name}.broken"], owed.periodics[f"{name}.sweep"]
    assert performed == [{"number": 1}]
    assert swept == [1]
    assert "done: as told" in out.getvalue()
    assert f"{name}.sweep: 3" in out.getvalue()
    assert "ConnectionRefusedError: nobody listens there" in errors.getvalue()
    assert f"{name}.broken failed: ValueError: out of order" in errors.getvalue()


def test_a_quiet_worker_prints_failures_only(performed: list[dict[str, Any]]) -> None:
    owe(number=1)
    out = StringIO()
    call_command("work", "--once", "--quiet", stdout=out)
    assert out.getvalue() == ""
    assert performed == [{"number": 1}]


WORKER = """
import sys, time
from audit import owed
def slow(payload):
    print("begun", flush=True)
    time.sleep(payload["seconds"])
    return "slowly"
owed.performer("test.slow")(slow)
from django.core.management import call_command
call_command("work", "--interval", "0.05")
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A worker process on the test's own database, which performs test.slow."""
    script = tmp_path / "worker.py"
    script.write_text(f"import django\ndjango.setup()\n{WORKER}")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(ROOT)}
    if connection.vendor == "sqlite":
        environment["COUNTERSIGN_SQLITE"] = str(connection.settings_dict["NAME"])
    else:
        here = urlsplit(environment["DATABASE_URL"])
        environment["DATABASE_URL"] = here._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_sigterm_lets_the_worker_finish_what_it_began(worker: "subprocess.Popen[str]") -> None:
    (row,) = owed.owe("test.slow", [{"seconds": 1}], due=timezone.now())
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("begun"):
            break
    worker.send_signal(signal.SIGTERM)
    rest, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, rest
    assert "done: slowly" in rest
    assert rest.endswith("Stopped.\n")
    row.refresh_from_db()
    assert row.done_at is not None


def test_a_killed_worker_leaves_a_lease_and_no_result(worker: "subprocess.Popen[str]") -> None:
    (row,) = owed.owe("test.slow", [{"seconds": 60}], due=timezone.now())
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("begun"):
            break
    worker.kill()
    worker.wait()
    row.refresh_from_db()
    assert (row.done_at, row.attempts) == (None, 1)
    (again,) = owed.claim(1, at=timezone.now() + owed.LEASE * 2)
    assert again.pk == row.pk


def test_a_worker_survives_a_database_that_fails(worker: "subprocess.Popen[str]") -> None:
    (row,) = owed.owe("test.slow", [{"seconds": 0}], due=timezone.now() + timedelta(hours=1))
    lines: list[str] = []
    assert worker.stdout is not None
    reader = threading.Thread(target=lines.extend, args=[worker.stdout])
    reader.start()
    wait_until(lambda: "Working; stop with SIGTERM.\n" in lines, what="The worker")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_owed RENAME TO audit_owed_away")
        wait_until(lambda: any("The database failed" in line for line in lines), what="The complaint")
        cursor.execute("ALTER TABLE audit_owed_away RENAME TO audit_owed")
    Owed.objects.filter(pk=row.pk).update(due=timezone.now())
    wait_until(lambda: Owed.objects.filter(pk=row.pk, done_at__isnull=False).exists(), what="The row")
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    reader.join()
    assert worker.returncode == 0
