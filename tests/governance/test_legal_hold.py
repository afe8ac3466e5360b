"""A legal hold: nothing is pruned, erasures wait, and both are entries."""

import pytest
from django.core.exceptions import ValidationError

from audit.models import Erasure, Owed
from governance import erasure
from tests.cast import Cast
from tests.details import opened
from tests.governance.test_verify_log import caller, check, findings, fresh_process
from tests.portal import body_of, latest
from workspaces import holds
from workspaces.changes import Change
from workspaces.models import LegalHold
from workspaces.people import actor_of

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db
ANN = "ann@customers.test"


def confirmed(cast: Cast) -> Erasure:
    """An erasure of what was sent about Ann, found and confirmed."""
    check(
        caller(cast.support_bot, cast.support_bot_key), "mail.send", {"to": ANN, "subject": "x", "body": "y"}
    )
    row = erasure.start(cast.acme, text=ANN, basis="Art. 17", reason="She asked.", actor=actor_of(cast.rita))
    erasure.run(row)
    erasure.confirm(row, actor=actor_of(cast.rita))
    return row


def kept(cast: Cast) -> bool:
    return any(ANN.encode() in content for content in opened(cast.acme.log_id))


def test_erasures_wait_until_the_last_hold_is_released(cast: Cast) -> None:
    one = holds.place(cast.acme, reason="Litigation.", person=cast.rita)
    other = holds.place(cast.acme, reason="An audit.", person=cast.rita)
    row = confirmed(cast)
    erasure.run(row)
    row.refresh_from_db()
    assert (row.status, kept(cast)) == ("held", True)
    holds.release(one, person=cast.rita)
    assert erasure.resume_held() == 0
    holds.release(other, person=cast.rita)
    Owed.objects.filter(kind=erasure.SLICE).delete()
    assert erasure.resume_held() == 1
    erasure.go_on(Owed.objects.get(kind=erasure.SLICE).payload)
    row.refresh_from_db()
    assert (row.status, kept(cast)) == ("done", False)
    assert findings() == []


def test_a_hold_that_comes_in_between_stops_what_is_left(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "BATCH", 1)
    confirmed(cast)
    row = confirmed(cast)
    erasure.step(row)
    holds.place(cast.acme, reason="Litigation.", person=cast.rita)
    erasure.run(row)
    row.refresh_from_db()
    assert (row.status, row.erased, row.found) == ("held", 1, 2)


def test_a_waiting_erasure_can_be_cancelled(cast: Cast) -> None:
    hold = holds.place(cast.acme, reason="Litigation.", person=cast.rita)
    row = confirmed(cast)
    erasure.run(row)
    erasure.cancel(row, actor=actor_of(cast.rita))
    holds.release(hold, person=cast.rita)
    assert erasure.resume_held() == 0
    assert kept(cast)


def test_both_are_entries_without_the_reason(cast: Cast) -> None:
    hold = holds.place(cast.acme, reason="Miller against Acme.", person=cast.rita)
    placed = body_of(latest(cast.acme))
    assert holds.release(hold, person=cast.rita) is Change.CHANGED
    released = body_of(latest(cast.acme))
    assert [each["type"] for each in (placed, released)] == [
        "workspaces.hold.placed",
        "workspaces.hold.released",
    ]
    assert "Miller" not in str(placed)
    assert holds.release(hold, person=cast.rita) is Change.UNCHANGED
    assert findings() == []
    LegalHold.objects.filter(pk=hold.pk).update(released=None, released_by=None)
    assert any("released is None" in finding for finding in findings())


def test_a_hold_needs_a_reason(cast: Cast) -> None:
    with pytest.raises(ValidationError):
        holds.place(cast.acme, reason="  ", person=cast.rita)
