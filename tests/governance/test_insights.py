"""What approvals teach: who waves through, which rule asks for nothing, and how long it takes."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from governance import insights, policies
from governance.models import Approval, Asking, Vote
from tests.approving import ask, requirement
from tests.cast import ACTOR, Cast
from tests.portal import enter
from workspaces.identifiers import public_id
from workspaces.models import User

pytestmark = pytest.mark.django_db
ASKS = {"effect": "require_approval", "approval": {"reviewers": ["rita@acme.test"]}}
Status = Approval.Status


@pytest.fixture
def policy(cast: Cast) -> None:
    rules = [
        {"name": "Mail is looked at", "tools": ["mail.send"], **ASKS},
        {"name": "Refunds are looked at", "tools": ["billing.refund"], **ASKS},
    ]
    policies.replace(cast.acme, rules, actor=ACTOR)


def plant(
    cast: Cast,
    count: int,
    *,
    rule: str = "Mail is looked at",
    status: Approval.Status = Status.APPROVED,
    voter: User | None = None,
    looked: timedelta | None = None,
    took: timedelta = timedelta(minutes=4),
    at: datetime | None = None,
) -> None:
    """A history of so many approvals that ended so, each answered ``took`` after it was asked."""
    created = at or timezone.now() - timedelta(hours=3)
    settled = created + took
    rows = Approval.objects.bulk_create(
        Approval(
            workspace=cast.acme,
            agent=cast.support_bot,
            decision=public_id("dec"),
            tool="mail.send",
            action="send",
            risk="medium",
            binding="",
            lifts=[],
            requirements=[requirement(cast.rita, rule=rule)],
            epoch=0,
            created=created,
            expires_at=created + timedelta(hours=1),
            status=status,
            settled_at=None if status == Status.PENDING else settled,
            entry_index=0,
        )
        for _ in range(count)
    )
    Asking.objects.bulk_create(
        Asking(approval=row, workspace=cast.acme, rule=rule, created=created) for row in rows
    )
    if voter:
        Vote.objects.bulk_create(
            Vote(
                approval=row,
                person=voter,
                seat=voter,
                approve=status == Status.APPROVED,
                known_by=Vote.KnownBy.SESSION,
                entry_index=0,
                opened_at=None if looked is None else settled - looked,
                created=settled,
            )
            for row in rows
        )


def found(cast: Cast, days: int = 30) -> insights.Insights:
    return insights.read(cast.acme, days=days, now=timezone.now())


def test_who_approves_two_hundred_in_a_second_each_is_the_top_row(cast: Cast) -> None:
    plant(cast, 200, voter=cast.rita, looked=timedelta(seconds=1))
    plant(cast, 12, voter=cast.olga, looked=timedelta(minutes=2))
    plant(cast, 3, voter=cast.olga, looked=timedelta(seconds=2))
    first, second = found(cast).reviewers
    assert (first.name, first.votes, first.waved, first.waved_share) == (str(cast.rita), 200, 200, 1.0)
    assert first.is_conspicuous
    assert (second.name, second.votes, second.waved, second.looked) == (str(cast.olga), 15, 3, 120.0)
    assert not second.is_conspicuous


def test_who_never_opened_what_they_approved_waved_it_through_and_who_said_no_did_not(cast: Cast) -> None:
    plant(cast, 6, voter=cast.rita)
    plant(cast, 6, voter=cast.olga, status=Status.REJECTED)
    rita, olga = found(cast).reviewers
    assert (rita.name, rita.waved, rita.looked) == (str(cast.rita), 6, None)
    assert (olga.name, olga.waved) == (str(cast.olga), 0)


@pytest.mark.usefixtures("policy")
def test_a_rule_that_is_always_approved_is_suggested(cast: Cast) -> None:
    plant(cast, 40)
    plant(cast, 9, rule="Refunds are looked at")
    plant(cast, 30, rule="An old rule")
    read = found(cast)
    assert [rule.rule for rule in read.suggestions] == ["Mail is looked at"]
    assert "standing approval" in read.suggestions[0].suggestion
    assert [(rule.rule, rule.asked, rule.in_force) for rule in read.rules] == [
        ("Mail is looked at", 40, True),
        ("An old rule", 30, False),
        ("Refunds are looked at", 9, True),
    ]
    plant(cast, 1, status=Status.REJECTED)
    assert found(cast).suggestions == []


@pytest.mark.usefixtures("policy")
def test_a_rule_whose_asks_run_out_is_suggested_too_and_one_never_reached_is_named(cast: Cast) -> None:
    plant(cast, 20, status=Status.EXPIRED)
    read = found(cast)
    assert "unanswered" in read.suggestions[0].suggestion
    assert read.never == ["Refunds are looked at"]
    assert read.by_status["expired"] == read.asked == 20


def test_times_are_those_of_what_people_decided_in_the_period(cast: Cast) -> None:
    plant(cast, 9, took=timedelta(minutes=1))
    plant(cast, 1, took=timedelta(minutes=30), status=Status.REJECTED)
    plant(cast, 5, took=timedelta(hours=1), status=Status.EXPIRED)
    plant(cast, 50, took=timedelta(hours=9), at=timezone.now() - timedelta(days=20))
    read = found(cast, days=7)
    assert read.times.median == 60
    assert 60 < (read.times.most or 0) < 1800
    assert read.asked == 15
    assert found(cast).asked == 65


def test_more_than_is_looked_through_is_said(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights, "LOOKED_THROUGH", 10)
    plant(cast, 5, at=timezone.now() - timedelta(hours=5))
    plant(cast, 10, at=timezone.now() - timedelta(hours=2))
    read = found(cast)
    assert read.partial
    assert 10 <= read.asked <= 15


def test_what_waits_and_what_it_costs_an_agents_hour(cast: Cast) -> None:
    ask(cast.support_bot, [requirement(cast.rita)])
    read = found(cast)
    assert read.waiting == 1
    assert (read.alone, read.prompts, read.agent_hours) == (0.0, 1.0, 1)


def test_the_page_shows_it_to_those_who_may_read_the_log(cast: Cast) -> None:
    plant(cast, 200, voter=cast.rita, looked=timedelta(seconds=1))
    olga = enter(cast.olga)
    shown = olga.get(reverse("insights", args=["acme"]), {"days": "7"}).content.decode()
    assert "look into this" in shown
    assert "4 min" in shown
    assert olga.get(reverse("insights_overview")).headers["Location"] == reverse("insights", args=["acme"])
    assert enter(cast.otto).get(reverse("insights", args=["acme"])).status_code == 403
    assert enter(cast.gina).get(reverse("insights", args=["acme"])).status_code == 404


def test_an_empty_workspace_says_so(cast: Cast) -> None:
    shown = enter(cast.olga).get(reverse("insights", args=["acme"])).content.decode()
    assert "Nobody answered anything" in shown
    assert "No rule asked anybody" in shown


@pytest.mark.usefixtures("policy")
def test_the_api_says_the_same(cast: Cast) -> None:
    plant(cast, 12, voter=cast.rita, looked=timedelta(seconds=1))
    olga = enter(cast.olga)
    answer = olga.get("/api/v1/workspaces/acme/insights", {"days": 30}).json()
    assert answer["reviewers"][0]["waved"] == 12
    assert answer["rules"][0]["suggestion"]
    assert olga.get("/api/v1/workspaces/acme/insights", {"days": 91}).status_code == 400
