"""Charges priced anew after a price was corrected."""

from datetime import date, timedelta
from typing import Any

import pytest

from audit.models import Entry, Owed
from billing import limits
from billing.book import window_start
from billing.models import Account, Hold, Repricing
from billing.price_table import set_price
from billing.repricing import SLICE, TASK, RepricingRefused, carry_on, preview, reprice_slice, start
from tests.billing.charges import NOON, charge
from tests.cast import ACTOR, Cast
from tests.portal import body_of, latest
from workspaces.models import Agent, Workspace

DAY = date(2026, 11, 23)
MILLION = {"input_tokens": 10**6}


def price(workspace: Workspace, cents: int, model: str = "house-model") -> str:
    row = set_price(workspace, model=model, starts=DAY, input_nanos=cents * 10**7, actor=ACTOR).row
    return row.public_id


def priced(agent: Agent, cents: int | None, version: str, **columns: Any) -> Hold:
    values: dict[str, Any] = {"basis": "priced", "model": "house-model", "usage": MILLION, "price": version}
    return charge(agent, cents, **values | columns)


def run(workspace: Workspace) -> Repricing:
    repricing = start(workspace, DAY, DAY, actor=ACTOR)
    carry_on({"repricing": repricing.pk})
    repricing.refresh_from_db()
    return repricing


def test_a_corrected_price_moves_charge_account_and_log(acme: Workspace, support_bot: Agent) -> None:
    budget = limits.set_budget(acme, window="month", limit_amount=10**8, actor=ACTOR).row
    account = Account.objects.create(
        budget=budget,
        key=window_start("month", NOON, acme.timezone),
        limit_amount=10**8,
        spent=5 * 10**7,
    )
    old = price(acme, 5)
    hold = priced(support_bot, 5, old, accounts=[account.pk])
    new = price(acme, 12)
    seen = preview(acme, DAY, DAY)
    assert (seen.charges, seen.before, seen.after) == (1, 5 * 10**7, 12 * 10**7)
    hold.refresh_from_db()
    assert hold.price == old, "looking changes nothing"

    done = run(acme)
    assert (done.status, done.charges, done.after_nanos) == ("done", 1, 12 * 10**7)
    hold.refresh_from_db()
    account.refresh_from_db()
    assert (hold.charged_nanos, hold.price, hold.settled_at) == (12 * 10**7, new, NOON)
    assert (account.spent, account.overage) == (12 * 10**7, 2 * 10**7)
    told = body_of(Entry.objects.filter(log_id=acme.log_id, type="billing.charges.repriced").get())
    assert told["data"]["charges"] == [
        {"decision": hold.decision, "before": 5 * 10**7, "charged": 12 * 10**7, "price": new}
    ]


def test_doing_it_again_changes_nothing(acme: Workspace, support_bot: Agent) -> None:
    old = price(acme, 5)
    priced(support_bot, 5, old)
    price(acme, 3)
    run(acme)
    assert run(acme).charges == 0
    assert latest(acme).type == "billing.repricing.started"


def test_what_was_unknown_gets_its_price_and_what_rests_on_no_tokens_stays(
    acme: Workspace, support_bot: Agent
) -> None:
    unknown = priced(support_bot, None, "", basis="")
    reported = priced(support_bot, 7, "", basis="reported")
    in_flight = priced(support_bot, None, "prc_x", state=Hold.State.HELD, settled_at=None)
    elsewhere = priced(support_bot, 1, "prc_x", model="nobody-knows")
    price(acme, 4)
    assert run(acme).charges == 1
    amounts = [
        Hold.objects.get(pk=each.pk).charged_nanos for each in (unknown, reported, in_flight, elsewhere)
    ]
    assert amounts == [4 * 10**7, 7 * 10**7, None, 10**7]


def test_charges_of_other_days_and_workspaces_stay(acme: Workspace, support_bot: Agent, cast: Cast) -> None:
    price(acme, 5)
    priced(support_bot, 1, "prc_x", at=NOON - timedelta(days=1))
    priced(cast.globex_bot, 1, "prc_x")
    assert preview(acme, DAY, DAY).charges == run(acme).charges == 0


def test_it_goes_on_slice_by_slice_where_it_stood(acme: Workspace, support_bot: Agent) -> None:
    price(acme, 5)
    for _ in range(SLICE + 1):
        priced(support_bot, 1, "prc_x")
    repricing = start(acme, DAY, DAY, actor=ACTOR)
    assert Owed.objects.filter(kind=TASK).count() == 1
    reprice_slice(repricing)
    assert (repricing.status, repricing.charges) == ("running", SLICE)
    with pytest.raises(RepricingRefused, match="already"):
        start(acme, DAY, DAY, actor=ACTOR)
    carry_on({"repricing": repricing.pk})
    repricing.refresh_from_db()
    assert (repricing.status, repricing.charges) == ("done", SLICE + 1)


def test_days_that_are_none_or_too_many_are_refused(acme: Workspace) -> None:
    for last in (DAY - timedelta(days=1), DAY + timedelta(days=92)):
        with pytest.raises(RepricingRefused, match="92 days"):
            preview(acme, DAY, last)
