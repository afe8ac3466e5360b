"""A process that saw a log longer, or another, writes nothing to it any more."""

import pytest
from django.db import transaction
from django.urls import reverse

from audit import heads, log, merkle, watermarks
from audit.models import Entry, Head, Log
from audit.publishing import publish
from audit.watermarks import Halted, RolledBack
from tests.audit.publishers import append
from tests.cast import Cast
from tests.portal import enter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    watermarks.marks.clear()


@pytest.fixture
def row(db: None) -> Log:
    return log.create_log(Log.Kind.WORKSPACE)


def go_back(row: Log, size: int, *, forged: bool = False) -> None:
    """The database of an earlier moment; with ``forged``, one in which something else had happened."""
    Entry.objects.filter(log=row, index__gte=size).delete()
    leaves = [
        bytes(leaf) for leaf in Entry.objects.filter(log=row).order_by("index").values_list("leaf", flat=True)
    ]
    if forged:
        leaves[-1] = merkle.leaf_hash(b"forged")
    frontier = merkle.Frontier()
    frontier.extend(leaves)
    Head.objects.filter(log_id=row.pk).update(size=size, frontier=frontier.encode())


def test_a_shorter_log_is_refused_at_once(row: Log) -> None:
    append(row, 10)
    go_back(row, 9)
    with pytest.raises(RolledBack, match="has 9 entries, and had 10"):
        append(row, 1)
    assert log.newest(row.pk) == 9


def test_another_log_of_the_same_size_is_refused(row: Log) -> None:
    append(row, 10)
    go_back(row, 10, forged=True)
    with pytest.raises(RolledBack, match="10 entries, and had 10 others"):
        append(row, 1)


def test_a_longer_log_with_another_past_is_refused(row: Log) -> None:
    append(row, 8)
    go_back(row, 8, forged=True)
    mark = watermarks.marks.pop(str(row.uuid))
    append(row, 3)  # by another process
    watermarks.marks[str(row.uuid)] = mark
    with pytest.raises(RolledBack):
        append(row, 1)


def test_growing_past_the_old_size_does_not_help(row: Log) -> None:
    append(row, 10)
    mark = watermarks.marks[str(row.uuid)]
    go_back(row, 9)
    with pytest.raises(RolledBack):
        append(row, 1)
    refused = watermarks.marks.pop(str(row.uuid))
    append(row, 5)
    watermarks.marks[str(row.uuid)] = refused
    with pytest.raises(RolledBack):
        append(row, 1)
    assert mark.size == refused.size == 10


def test_what_other_processes_wrote_is_no_rollback(row: Log) -> None:
    for _ in range(20):
        append(row, 1)
        mark = watermarks.marks.pop(str(row.uuid))
        append(row, 3)
        watermarks.marks[str(row.uuid)] = mark
    assert log.newest(row.pk) == 80


def test_what_was_rolled_back_was_never_seen(row: Log) -> None:
    append(row, 2)
    with transaction.atomic():
        append(row, 5)
        transaction.set_rollback(True)
    append(row, 1)
    assert watermarks.marks[str(row.uuid)].size == 3


def test_a_process_that_has_just_started_believes_the_publisher(row: Log) -> None:
    append(row, 10)
    publish(row)
    watermarks.marks.clear()  # as in another process
    go_back(row, 9)
    with pytest.raises(RolledBack, match="has 9 entries, and had 10"):
        append(row, 1)


def test_a_process_that_has_just_started_knows_the_root_that_was_signed(row: Log) -> None:
    append(row, 10)
    publish(row)
    watermarks.marks.clear()
    go_back(row, 10, forged=True)
    with pytest.raises(RolledBack, match="10 others"):
        append(row, 1)


def test_a_file_that_cannot_be_read_stops_nobody(row: Log) -> None:
    append(row, 1)
    watermarks.marks.clear()
    heads.path().write_text("{")
    append(row, 1)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, row: Log) -> None:
    monkeypatch.setattr(watermarks, "MOST", 3)
    rows = [log.create_log(Log.Kind.WORKSPACE) for _ in range(5)]
    for each in rows:
        append(each, 1)
    assert list(watermarks.marks) == [str(each.uuid) for each in rows[2:]]


def test_nothing_is_written_to_a_halted_log(row: Log) -> None:
    append(row, 1)
    Head.objects.filter(log_id=row.pk).update(halted="It lost its end.")
    with pytest.raises(Halted, match=r"until its operators looked\. It lost its end\."):
        append(row, 1)


@pytest.fixture
def halted(cast: Cast) -> Cast:
    Head.objects.filter(log_id=cast.acme.log_id).update(halted="It lost its end.")
    return cast


def test_people_are_told_why_a_page_does_nothing(halted: Cast) -> None:
    asked = {"reason": "Odd", "what": f"agent:{halted.report_bot.public_id}"}
    answer = enter(halted.otto).post(reverse("stop"), asked)
    assert answer.status_code == 503
    assert "It lost its end." in answer.content.decode()


def test_programs_are_told_by_a_stable_code(halted: Cast) -> None:
    answer = enter(halted.otto).post(
        "/api/v1/workspaces/acme/containment",
        {"standing": "suspended", "reason": "Odd"},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "log_halted")
    assert "It lost its end." in answer.json()["detail"]
