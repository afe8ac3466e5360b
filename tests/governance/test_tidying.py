"""Old rows go; what may still be asked for stays."""

from datetime import UTC, datetime, timedelta

import pytest

from governance import tidying
from governance.models import ApprovalLink, Mailing, Session
from tests.approving import ask, requirement
from tests.cast import Cast


def session(cast: Cast, name: str, days: int) -> Session:
    then = datetime.now(UTC) - timedelta(days=days)
    return Session.objects.create(agent=cast.support_bot, name=name, started=then, last_at=then)


@pytest.mark.django_db
def test_only_what_is_old_is_deleted(cast: Cast) -> None:
    session(cast, "old", days=8)
    recent = session(cast, "recent", days=6)
    tidying.rounds["next"] = 0.0
    assert tidying.tidy() == 1
    assert list(Session.objects.all()) == [recent]
    assert tidying.tidy() == 0  # too soon for another round


@pytest.mark.django_db
def test_every_row_is_looked_at_in_the_end(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "CHUNK", 2)
    for number in range(5):
        session(cast, f"recent {number}", days=1)
    session(cast, "old", days=8)
    for _ in range(4):
        tidying.rounds["next"] = 0.0
        tidying.tidy()
    assert not Session.objects.filter(name="old").exists()
    assert Session.objects.count() == 5


@pytest.mark.django_db
def test_mails_that_collected_go_and_those_with_a_link_stay_with_it(cast: Cast) -> None:
    link = ApprovalLink.objects.create(
        approval=ask(cast.support_bot, [requirement(cast.rita)]), person=cast.rita
    )
    then = datetime.now(UTC) - timedelta(days=8)
    for name, about in (("collected", None), ("asked", link)):
        Mailing.objects.create(
            person=cast.rita, agent=cast.support_bot, link=about, message=name, created=then
        )
    tidying.rounds["next"] = 0.0
    tidying.tidy()
    assert [mailing.message for mailing in Mailing.objects.all()] == ["asked"]
