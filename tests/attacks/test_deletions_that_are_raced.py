"""Erasing and pruning while somebody cancels, places a hold or changes the term, and of what an agent made heavy."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit import log
from audit.kinds import PRUNED
from audit.models import Detail, Entry, Erasure, Owed, Pruning
from audit.publishing import publish
from audit.verification import verify
from governance import erasure, retention
from governance.models import Approval
from tests.approving import ask, requirement
from tests.cast import ACTOR, Cast
from workspaces import holds

pytestmark = pytest.mark.django_db
MEBIBYTE = 2**20


def after_query(part: str, act: Callable[[], object]) -> Any:
    """While this is entered, ``act`` happens once, right after a query with this text."""
    left = [act]

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if part in sql and left:
            left.pop()()
        return found

    return connection.execute_wrapper(watch)


def heavy(cast: Cast, count: int) -> int:
    """So many entries with a Detail of a mebibyte and more each, as an agent may write; the index of the first."""
    with log.write(cast.acme.log_id) as entries:
        first = entries.head().size
        for number in range(count):
            entries.append(
                "governance.detail.read",
                actor=ACTOR,
                data={"number": number},
                detail={"note": "x" * MEBIBYTE},
            )
    return first


def confirmed(cast: Cast, first: int, last: int) -> Erasure:
    row = erasure.start(cast.acme, first=first, last=last, basis="Art. 17", reason="They asked.", actor=ACTOR)
    erasure.run(row)
    erasure.confirm(row, actor=ACTOR)
    return row


def stated(cast: Cast, type: str) -> int:
    return Entry.objects.filter(log_id=cast.acme.log_id, type=type).count()


def test_a_hold_that_is_placed_meanwhile_keeps_the_approvals(cast: Cast) -> None:
    approval = ask(cast.support_bot, [requirement(cast.rita)])
    long_ago = timezone.now() - timedelta(days=900)
    Approval.objects.filter(pk=approval.pk).update(status="expired", settled_at=long_ago)

    def place() -> None:
        holds.place(cast.acme, reason="Litigation.", person=cast.rita)

    with after_query('"governance_approval"."settled_at" <', place):
        retention.prune(cast.acme, timezone.now())
    assert holds.standing(cast.acme.log_id).exists()
    assert Approval.objects.filter(pk=approval.pk).exists()


def test_an_erasure_that_is_cancelled_meanwhile_keeps_the_mails(
    cast: Cast, settings: Any, tmp_path: Path
) -> None:
    settings.EMAIL_FILE_PATH = tmp_path
    approval = ask(cast.support_bot, [requirement(cast.rita)])
    (tmp_path / "1.log").write_text(f"X-Countersign-Approval: {approval.public_id}\n")
    row = confirmed(cast, approval.entry_index, approval.entry_index)
    with after_query('"audit_entry"."body"', lambda: erasure.cancel(row, actor=ACTOR)):
        assert not erasure.step(row)
    row.refresh_from_db()
    assert (row.status, row.erased) == ("cancelled", 0)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_mails_of_a_worker_that_died_go_a_little_later(cast: Cast, settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_FILE_PATH = tmp_path
    approval = ask(cast.support_bot, [requirement(cast.rita)])
    erasure.run(confirmed(cast, approval.entry_index, approval.entry_index))
    (tmp_path / "1.log").write_text(f"X-Countersign-Approval: {approval.public_id}\n")
    left = Owed.objects.get(kind=erasure.MAILS)
    assert left.due > timezone.now()
    assert erasure.shred_mails(left.payload) == "1 mails"
    assert not list(tmp_path.iterdir())


def test_heavy_details_are_erased_a_few_at_a_time(cast: Cast) -> None:
    """The gate waits for the log's head as long as one batch takes."""
    first = heavy(cast, 9)
    row = confirmed(cast, first, first + 8)
    erasure.run(row)
    row.refresh_from_db()
    assert (row.status, row.erased, stated(cast, "governance.data.erased")) == ("done", 9, 3)


def test_heavy_details_are_pruned_a_few_at_a_time(cast: Cast) -> None:
    first = heavy(cast, 20)
    now = timezone.now() + timedelta(days=900)
    while retention.prune(cast.acme, now):
        pass
    parts = list(Pruning.objects.order_by("entry_index").values_list("details_start", "details_end"))
    assert [begin for begin, _ in parts] == [0, *(end for _, end in parts)][:-1]
    heavy_ones = [set(range(first, first + 20)) & set(range(*each)) for each in parts]
    assert [len(each) for each in heavy_ones if each] == [7, 7, 6]
    assert not Detail.objects.filter(log_id=cast.acme.log_id, index__range=(first, first + 19)).exists()
    assert verify(cast.acme.log).intact


def test_a_longer_term_takes_nothing_back_and_states_nothing(cast: Cast) -> None:
    heavy(cast, 1)
    publish(cast.acme.log)
    now = timezone.now() + timedelta(days=190)
    cast.acme.retention_days = 183
    assert retention.prune(cast.acme, now)
    cast.acme.retention_days = 400
    for days in (2, 4):
        assert retention.prune(cast.acme, now + timedelta(days=days)) == 0
    assert stated(cast, PRUNED) == 1
    assert verify(cast.acme.log).intact
