"""The pages of access reviews."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance import campaigns
from governance.models import AccessReview
from tests.cast import ACTOR, Cast
from tests.portal import enter
from workspaces import access, agents

pytestmark = pytest.mark.django_db
DAY = (timezone.now() + timedelta(days=20)).date().isoformat()
FIELDS = {"title": "Autumn", "due": DAY, "undecided": "keep", "agents": ""}


def get(client: Client, name: str, *arguments: str, **query: Any) -> str:
    answer = client.get(reverse(name, args=["acme", *arguments]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def start(cast: Cast, **fields: str) -> AccessReview:
    answer = enter(cast.rita).post(reverse("access_reviews", args=["acme"]), {**FIELDS, **fields})
    assert answer.status_code == 302
    return AccessReview.objects.latest("pk")


def test_an_officer_starts_a_review_and_the_owner_answers_it(cast: Cast) -> None:
    review = start(cast, agents="report-bot")
    assert review.items.count() == 3
    client = enter(cast.olga)
    shown = get(client, "access_review", review.public_id)
    assert shown.count('value="revoke"') == 3
    assert "Answered 0 of 3" in shown
    keep, revoke = review.items.get(name="analyst"), review.items.get(name="files.read")
    fields = {f"item-{keep.pk}": "keep", f"item-{revoke.pk}": "revoke", "item-x": "keep", "item-0": "burn"}
    answer = client.post(
        reverse("access_review_answer", args=["acme", review.public_id]), fields, follow=True
    )
    assert "2 answers taken" in answer.content.decode()
    assert access.own_grants(cast.report_bot) == []
    assert "not answered" in get(enter(cast.otto), "access_review", review.public_id)


def test_who_does_not_own_the_agents_is_offered_no_answer_and_refused_one(cast: Cast) -> None:
    review = start(cast)
    item = review.items.get(name="files.read")
    client, address = enter(cast.otto), reverse("access_review_answer", args=["acme", review.public_id])
    assert 'value="revoke"' not in get(client, "access_review", review.public_id)
    told = client.post(address, {f"item-{item.pk}": "revoke"}, follow=True).content.decode()
    assert "0 answers taken" in told
    assert len(access.own_grants(cast.report_bot)) == 1


def test_what_is_wrong_with_a_review_is_said_at_its_field(cast: Cast) -> None:
    client, address = enter(cast.rita), reverse("access_reviews", args=["acme"])
    for wrong, sentence in (
        ({"agents": "globex-bot"}, "There is no agent globex-bot here."),
        ({"due": "2020-01-01"}, "within the next year"),
    ):
        answer = client.post(address, {**FIELDS, **wrong})
        assert answer.status_code == 400
        assert sentence in answer.content.decode()
    assert enter(cast.otto).post(address, FIELDS).status_code == 400
    assert "Start one" not in get(enter(cast.otto), "access_reviews")
    assert not AccessReview.objects.exists()


def test_it_is_signed_and_printed(cast: Cast) -> None:
    review = start(cast, agents="report-bot")
    for item in review.items.all():
        campaigns.answer(item, keep=item.name != "files.read", person=cast.olga)
    client = enter(cast.rita)
    assert "Sign off" in get(client, "access_review", review.public_id)
    sign = reverse("access_review_sign", args=["acme", review.public_id])
    assert "Signed off." in client.post(sign, follow=True).content.decode()
    assert "signed already" in client.post(sign, follow=True).content.decode()
    paper = get(client, "access_review_summary", review.public_id)
    assert "use files.read" in paper
    assert "Rita Review" in paper
    assert "Everything was answered." in paper


def test_a_review_is_not_there_for_strangers_nor_in_another_workspace(cast: Cast) -> None:
    review = start(cast)
    for name in ("access_review", "access_review_summary"):
        assert enter(cast.gina).get(reverse(name, args=["acme", review.public_id])).status_code == 404
        assert enter(cast.gina).get(reverse(name, args=["globex", review.public_id])).status_code == 404
    for name in ("access_review_sign", "access_review_answer"):
        assert enter(cast.gina).post(reverse(name, args=["globex", review.public_id])).status_code == 404
        assert enter(cast.olga).get(reverse(name, args=["acme", review.public_id])).status_code == 405


def test_a_review_costs_the_same_with_more_agents(cast: Cast) -> None:
    def cost(review: AccessReview) -> int:
        client = enter(cast.olga)
        get(client, "access_review", review.public_id)
        with CaptureQueriesContext(connection) as captured:
            get(client, "access_review", review.public_id)
        return len(captured)

    access.grant(cast.report_bot, permission="read", obj=cast.resources["web"], actor=ACTOR)
    before = cost(start(cast))
    for number in range(8):
        bot = agents.create_agent(cast.acme, f"bot-{number}", owner=cast.olga, actor=ACTOR)
        access.grant(bot, permission="read", obj=cast.resources["reports"], actor=ACTOR)
    assert cost(start(cast)) == before
