"""Access reviews: owners keep or revoke what their agents hold."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.utils import timezone

from audit.models import Owed
from governance import campaigns
from governance.models import AccessReview, ReviewItem
from tests.cast import ACTOR, Cast, employ
from tests.portal import body_of, latest
from tests.workspaces.journal import Journal
from workspaces import access, agents, people
from workspaces.models import User

pytestmark = pytest.mark.django_db
Outcome = ReviewItem.Outcome


def begin(cast: Cast, person: User | None = None, **settings: Any) -> AccessReview:
    due = timezone.now() + timedelta(days=14)
    wanted: dict[str, Any] = {"title": "Autumn", "due": due, "undecided": "revoke", **settings}
    return campaigns.start(cast.acme, person=person or cast.rita, **wanted)


def item(review: AccessReview, name: str, agent: str = "report-bot") -> ReviewItem:
    return review.items.get(agent__name=agent, name=name)


def end(review: AccessReview) -> None:
    """Let the review be due."""
    AccessReview.objects.filter(pk=review.pk).update(due=timezone.now() - timedelta(seconds=1))


def test_a_review_asks_about_everything_that_there_is_at_its_start(cast: Cast) -> None:
    review = begin(cast, chosen=[cast.report_bot])
    assert {(each.kind, each.permission) for each in review.items.all()} == {
        ("tool", "use"),
        ("role", ""),
        ("key", ""),
    }
    access.grant(cast.report_bot, permission="use", obj=cast.tools["mail.send"], actor=ACTOR)
    assert review.items.count() == 3
    started = body_of(latest_of(cast, "governance.review.started"))
    assert started["data"]["items"] == 3
    assert "Autumn" not in str(started)


def latest_of(cast: Cast, kind: str) -> Any:
    return cast.acme.log.entries.filter(type=kind).latest("index")


def test_only_owners_and_compliance_officers_start_one(cast: Cast) -> None:
    for person in (cast.otto, cast.gina):
        with pytest.raises(campaigns.NotYours):
            begin(cast, person)
    with pytest.raises(ValidationError):
        begin(cast, due=timezone.now())
    with pytest.raises(ValidationError):
        begin(cast, chosen=[])
    assert not AccessReview.objects.exists()


def test_owners_are_asked_by_mail_at_the_start_and_before_it_is_due(cast: Cast) -> None:
    review = begin(cast)
    rows = list(Owed.objects.filter(kind=campaigns.MAIL).order_by("due"))
    assert [row.payload["person"] for row in rows] == [cast.olga.public_id] * 2
    assert rows[1].due == review.due - campaigns.REMIND
    assert "mailed" in campaigns.mail_owner(rows[0].payload)
    assert mail.outbox[0].to == ["olga@acme.test"]
    assert f"/admin/access/acme/reviews/{review.public_id}/" in mail.outbox[0].body
    for each in review.items.all():
        campaigns.answer(each, keep=True, person=cast.olga)
    assert "nothing is open" in campaigns.mail_owner(rows[1].payload)
    assert len(mail.outbox) == 1


def test_revoking_takes_it_away_at_once_whatever_it_is(cast: Cast) -> None:
    review, bot = begin(cast), cast.report_bot
    journal = Journal(cast.acme.log_id)
    for name in ("files.read", "analyst", str(bot.keys.get())):
        assert campaigns.answer(item(review, name), keep=False, person=cast.olga).outcome == Outcome.REVOKED
    assert access.grants_of(bot) == []
    assert bot.keys.get().revoked_at is not None
    assert journal.types() == [
        "workspaces.grant.revoked",
        "governance.review.answered",
        "workspaces.agent.changed",
        "governance.review.answered",
        "workspaces.key.revoked",
        "governance.review.answered",
    ]
    with pytest.raises(campaigns.Settled):
        campaigns.answer(item(review, "analyst"), keep=True, person=cast.olga)


def test_what_was_kept_can_still_be_revoked(cast: Cast) -> None:
    review = begin(cast)
    campaigns.answer(item(review, "files.read"), keep=True, person=cast.olga)
    campaigns.answer(item(review, "files.read"), keep=True, person=cast.olga)
    assert latest(cast.acme).outcome == "kept"
    campaigns.answer(item(review, "files.read"), keep=False, person=cast.olga)
    assert item(review, "files.read").outcome == Outcome.REVOKED


def test_only_the_owner_answers_until_the_owner_is_gone(cast: Cast) -> None:
    review = begin(cast)
    with pytest.raises(campaigns.NotYours):
        campaigns.answer(item(review, "files.read"), keep=True, person=cast.rita)
    people.deactivate(cast.olga, actor=ACTOR)
    campaigns.answer(item(review, "files.read"), keep=True, person=cast.rita)
    assert item(review, "files.read").answered_by == cast.rita


def test_a_grant_that_was_taken_and_given_again_is_not_the_one_that_was_asked_about(cast: Cast) -> None:
    review, tool = begin(cast), cast.tools["files.read"]
    access.revoke(cast.report_bot, permission="use", obj=tool, actor=ACTOR)
    access.grant(cast.report_bot, permission="use", obj=tool, actor=ACTOR)
    assert campaigns.answer(item(review, "files.read"), keep=False, person=cast.olga).outcome == Outcome.GONE
    assert len(access.own_grants(cast.report_bot)) == 1


def test_a_renewed_grant_is_still_asked_about(cast: Cast) -> None:
    review, tool = begin(cast), cast.tools["files.read"]
    until = timezone.now() + timedelta(days=9)
    access.grant(cast.report_bot, permission="use", obj=tool, expires_at=until, actor=ACTOR)
    campaigns.answer(item(review, "files.read"), keep=False, person=cast.olga)
    assert access.own_grants(cast.report_bot) == []


@pytest.mark.parametrize(("undecided", "left"), [("revoke", []), ("keep", ["files.read"])])
def test_what_nobody_answered_is_settled_as_the_review_says(
    cast: Cast, undecided: str, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "LAPSE", 2)
    review = begin(cast, chosen=[cast.report_bot], undecided=undecided)
    assert campaigns.lapse_due() == 0
    end(review)
    with pytest.raises(campaigns.Settled):
        campaigns.answer(item(review, "files.read"), keep=True, person=cast.olga)
    assert campaigns.lapse_due() == 3
    assert campaigns.lapse_due() == 0
    assert [row.content_object.name for row in access.own_grants(cast.report_bot)] == left
    assert set(review.items.values_list("answered_by", flat=True)) == {None}
    assert latest_of(cast, "governance.review.answered").actor == "system"


def test_it_is_signed_once_by_who_started_it_when_nothing_is_open(cast: Cast) -> None:
    review = begin(cast, chosen=[cast.report_bot])
    campaigns.answer(item(review, "files.read"), keep=True, person=cast.olga)
    with pytest.raises(campaigns.Settled, match="2 items"):
        campaigns.sign(review, person=cast.rita)
    end(review)
    campaigns.lapse_due()
    for person in (cast.olga, cast.otto):
        with pytest.raises(campaigns.NotYours):
            campaigns.sign(review, person=person)
    campaigns.sign(review, person=cast.rita)
    counts = body_of(latest_of(cast, "governance.review.signed"))["data"]
    assert (counts["kept"], counts["revoked"], counts["gone"], counts["undecided"]) == (1, 2, 0, 2)
    with pytest.raises(campaigns.Settled):
        campaigns.sign(review, person=cast.rita)


def test_who_owns_reviewed_agents_signs_only_when_nobody_else_could(cast: Cast) -> None:
    review = begin(cast, cast.olga)
    assert not campaigns.may_sign(cast.olga, review)
    assert campaigns.may_sign(cast.rita, review)
    people.set_roles(cast.acme, cast.rita, roles=["approver"], actor=ACTOR)
    access.forget(cast.rita)
    assert campaigns.may_sign(cast.olga, review)
    assert not campaigns.may_sign(cast.rita, review)


def test_progress_is_told_by_owner(cast: Cast) -> None:
    otto_bot = agents.create_agent(cast.acme, "otto-bot", owner=cast.otto, actor=ACTOR)
    access.grant(otto_bot, permission="use", obj=cast.tools["mail.send"], actor=ACTOR)
    employ(cast.acme, "ada@acme.test", "Ada", "owner")
    review = begin(cast)
    campaigns.answer(item(review, "mail.send", "otto-bot"), keep=True, person=cast.otto)
    told = {row["owner"]: (row["done"], row["items"]) for row in campaigns.by_owner(review)}
    assert told["Otto Oncall"] == (1, 1)
    assert told["Olga Owner"] == (0, review.items.count() - 1)
