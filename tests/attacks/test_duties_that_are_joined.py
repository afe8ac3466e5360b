"""Where two people should agree, one who may do both steps tries to be the two."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance import campaigns, containment
from governance.models import AccessReview, ReviewItem
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter, press
from workspaces import agents, people, tenancy
from workspaces.models import Standing, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def oscar(cast: Cast) -> User:
    """A second owner of acme."""
    return employ(cast.acme, "oscar@acme.test", "Oscar", "owner")


def begin(cast: Cast, person: User, **settings: Any) -> AccessReview:
    due = timezone.now() + timedelta(days=14)
    return campaigns.start(cast.acme, person=person, title="Autumn", due=due, undecided="keep", **settings)


def test_an_agent_is_not_given_away_to_be_loosened(cast: Cast, oscar: User) -> None:
    bot, olga = cast.report_bot, Caller(cast.olga)
    address = f"workspaces/acme/agents/{bot.public_id}"
    Caller(cast.otto).post(f"{address}/containment", {"standing": "suspended", "reason": "Odd"}, 200)
    refused = olga.patch(address, {"owner": cast.otto.public_id}, 403)
    assert (refused["code"], refused["errors"][0]["path"]) == ("not_allowed", ["owner"])
    step = {"standing": "active", "reason": "Mine"}
    assert olga.post(f"{address}/containment", step, 403)["code"] == "not_allowed"
    bot.refresh_from_db()
    assert (bot.owner, bot.standing) == (cast.olga, Standing.SUSPENDED)
    Caller(oscar).patch(address, {"owner": cast.otto.public_id})
    assert olga.post(f"{address}/containment", step, 200)["standing"] == "active"


def test_nor_on_its_page(cast: Cast) -> None:
    bot = cast.report_bot
    containment.set_standing(bot, "supervised", reason="Odd", actor="cli:root@host", person=None)
    form = {"name": bot.name, "owner": cast.otto.pk, "risk_tier": "low", "purpose": "", "labels": "internal"}
    answer = enter(cast.olga).post(f"/admin/workspaces/agent/{bot.pk}/change/", form)
    assert "hand it over" in answer.content.decode()
    bot.refresh_from_db()
    assert bot.owner == cast.olga


def test_who_answered_does_not_sign_after_giving_the_agent_away(cast: Cast) -> None:
    review = begin(cast, cast.olga, chosen=[cast.report_bot])
    for item in review.items.all():
        campaigns.answer(item, keep=True, person=cast.olga)
    agents.change_agent(cast.report_bot, owner=cast.otto, actor=f"person:{cast.olga.public_id}")
    with pytest.raises(campaigns.NotYours):
        campaigns.sign(review, person=cast.olga)
    assert campaigns.sign(review, person=cast.rita).signed_by == cast.rita


def test_the_agents_of_who_left_the_workspace_are_answered_for(cast: Cast) -> None:
    """Not only of who left the installation: otherwise what they hold is kept because nobody may say no."""
    dev = employ(cast.acme, "dev@acme.test", "Dev", "developer")
    agents.change_agent(cast.report_bot, owner=dev, actor=ACTOR)
    people.set_roles(cast.globex, dev, roles=["developer"], actor=ACTOR)
    people.set_roles(cast.acme, dev, roles=[], actor=ACTOR)
    review = begin(cast, cast.rita, chosen=[cast.report_bot])
    key = review.items.get(kind=ReviewItem.Kind.KEY)
    for person in (dev, cast.otto):
        with pytest.raises(campaigns.NotYours):
            campaigns.answer(key, keep=False, person=person)
    shown = enter(cast.rita).get(f"/admin/access/acme/reviews/{review.public_id}/").content.decode()
    assert f'name="item-{key.pk}"' in shown
    campaigns.answer(key, keep=False, person=cast.rita)
    key.refresh_from_db()
    assert key.outcome == ReviewItem.Outcome.REVOKED


def test_nobody_switches_the_second_person_off_alone(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    olga = Caller(cast.olga)
    refused = olga.patch("workspaces/acme", {"two_people": False}, 409)
    assert refused["code"] == "needs_second_person"
    assert "manage.py apply" in refused["detail"]
    text = press(
        enter(cast.olga),
        "workspaces_workspace_change",
        cast.acme.pk,
        name="Acme",
        timezone="UTC",
        retention_days="400",
    )
    assert "Nobody switches the second person off alone" in text
    cast.acme.refresh_from_db()
    assert cast.acme.two_people
    tenancy.change_workspace(cast.acme, two_people=False, actor="cli:root@host")
    assert not cast.acme.two_people
