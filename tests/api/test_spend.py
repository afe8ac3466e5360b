"""What was spent, and charges, by the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.counting import count_new
from tests.api.caller import Caller
from tests.billing.charges import charge, held
from tests.cast import Cast

pytestmark = pytest.mark.django_db
SPEND, CHARGES = "workspaces/acme/spend", "workspaces/acme/charges"


def test_what_was_spent_by_day_and_by_agent(cast: Cast) -> None:
    now = timezone.now()
    charge(cast.report_bot, 250, at=now, charged_tokens=7)
    charge(cast.report_bot, 100, at=now - timedelta(days=31))
    count_new()
    charge(cast.support_bot, None, at=now)
    held(cast.support_bot, 40)
    found = Caller(cast.otto).get(SPEND)
    assert found["total"] == {"charged_usd": "2.50", "tokens": 7, "calls": 2, "unpriced_calls": 1}
    assert (found["held_usd"], found["held_calls"], found["partial"]) == ("0.40", 1, False)
    assert [day["charged_usd"] for day in found["days"]] == ["2.50"]
    assert [each["name"] for each in found["groups"]] == ["report-bot", "support-bot"]
    assert found["groups"][:1] == [
        {
            "id": cast.report_bot.public_id,
            "name": "report-bot",
            "charged_usd_before": "1.00",
            "charged_usd": "2.50",
            "tokens": 7,
            "calls": 1,
            "unpriced_calls": 0,
        }
    ]


def test_by_session_over_the_days_asked_for(cast: Cast) -> None:
    charge(cast.report_bot, 250, session="run-1")
    found = Caller(cast.otto).get(SPEND, by="session", first_day="2026-11-23", last_day="2026-11-23")
    assert [(each["id"], each["name"]) for each in found["groups"]] == [
        (f"{cast.report_bot.public_id}|run-1", "run-1")
    ]
    assert Caller(cast.otto).get(SPEND, first_day="2026-11-24", last_day="2026-11-30")["total"]["calls"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"by": "nonsense"},
        {"first_day": "yesterday"},
        {"first_day": "2026-11-24", "last_day": "2026-11-23"},
        {"first_day": "2020-01-01", "last_day": "2026-11-23"},
        {"last_day": "0001-01-01"},
        {"last_day": "9999-12-31", "first_day": "2026-01-01"},
        {"limit": "1000"},
        {"until": "2026-11-23"},
    ],
)
def test_days_and_dimensions_that_there_are_not_are_refused(cast: Cast, query: dict[str, str]) -> None:
    Caller(cast.otto).get(SPEND, 400, **query)


def test_charges_newest_first_a_page_at_a_time(cast: Cast) -> None:
    """Also those that were allowed at once."""
    now = timezone.now()
    rows = [charge(cast.report_bot, number, at=now - timedelta(hours=number // 3)) for number in range(7)]
    caller, found = Caller(cast.otto), []
    after: dict[str, str] = {}
    for _ in range(4):
        page = caller.get(CHARGES, limit="2", **after)
        found += [each["decision"] for each in page["results"]]
        after = {"after": page["next"]}
    assert page["next"] is None
    assert found == [
        row.decision for row in sorted(rows, key=lambda row: (row.created, row.pk), reverse=True)
    ]
    caller.get(CHARGES, 400, after="dec_nobody")


def test_a_charge_says_what_it_rests_on(cast: Cast) -> None:
    row = charge(
        cast.report_bot,
        250,
        basis="priced",
        price="prc_1",
        model="large",
        usage={"input_tokens": 5},
        cost_center="it",
    )
    charge(cast.support_bot, 9)
    in_flight = held(cast.support_bot, 40)
    caller = Caller(cast.otto)
    (found,) = caller.get(CHARGES, agent=cast.report_bot.public_id)["results"]
    assert found["decision"] == row.decision
    assert (found["basis"], found["price"], found["usage"]) == ("priced", "prc_1", {"input_tokens": 5})
    assert (found["charged_usd"], found["owner"], found["cost_center"]) == ("2.50", cast.olga.public_id, "it")
    (found,) = caller.get(CHARGES, state="held")["results"]
    assert (found["decision"], found["held_usd"], found["charged_usd"]) == (in_flight.decision, "0.40", None)
    assert caller.get(CHARGES, until="2020-01-01T00:00:00Z")["results"] == []


def test_strangers_find_neither(cast: Cast) -> None:
    for path in (SPEND, CHARGES):
        Caller(cast.gina).get(path, 404)
