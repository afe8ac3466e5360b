"""Prices as configuration: set from a day on, never changed, corrected by another of the same day."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from audit.models import Entry
from billing.models import Price
from billing.price_table import in_force, set_price
from billing.prices import load_prices
from governance.snapshot import Snapshot
from tests.cast import ACTOR
from workspaces.changes import Change
from workspaces.models import Workspace

DAY = date(2026, 11, 1)


def put(workspace: Workspace, starts: date = DAY, model: str = "gpt-4o", **amounts: Any) -> Price:
    return set_price(workspace, model=model, starts=starts, actor=ACTOR, **amounts).row


def version(workspace: Workspace, on: date) -> str:
    price = load_prices(workspace.pk).of("gpt-4o", on)
    assert price is not None
    return price.version


def test_setting_a_price_is_an_entry_and_the_same_again_is_none(acme: Workspace) -> None:
    created = set_price(acme, model="gpt-4o", starts=DAY, input_nanos=5, note="Our contract", actor=ACTOR)
    entry = Entry.objects.filter(log_id=acme.log_id).latest("index")
    assert created.change is Change.CREATED
    assert entry.type == "billing.price.changed"
    assert b"Our contract" not in bytes(entry.body)
    again = set_price(acme, model="gpt-4o", starts=DAY, input_nanos=5, actor=ACTOR)
    assert again.unchanged
    assert Entry.objects.filter(log_id=acme.log_id).latest("index") == entry


def test_a_correction_leaves_the_row_that_charges_rest_on(acme: Workspace) -> None:
    first = put(acme, input_nanos=5)
    second = put(acme, input_nanos=6)
    first.refresh_from_db()
    assert (first.input_nanos, second.input_nanos) == (5, 6)
    assert version(acme, DAY) == second.public_id


def test_a_later_day_takes_over_when_it_comes(acme: Workspace) -> None:
    first, later = put(acme, input_nanos=5), put(acme, DAY + timedelta(days=9), input_nanos=7)
    assert version(acme, DAY + timedelta(days=8)) == first.public_id
    assert version(acme, DAY + timedelta(days=9)) == later.public_id
    assert [row.pk for row in in_force(acme, DAY + timedelta(days=8))] == [first.pk]


def test_without_an_amount_the_public_list_counts_again(acme: Workspace) -> None:
    put(acme, input_nanos=5)
    put(acme, DAY + timedelta(days=1))
    assert version(acme, DAY + timedelta(days=1)).startswith("genai-prices ")
    assert not in_force(acme, DAY + timedelta(days=1))
    with pytest.raises(ValidationError, match="no price of this model"):
        put(acme, model="gpt-5")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": ""}, "Name the model"),
        ({"model": "a\nb"}, "Name the model"),
        ({"model": " a"}, "Name the model"),
        ({"model": "x" * 201}, "Name the model"),
        ({"starts": date(1999, 1, 1)}, "Choose a day"),
        ({"input_nanos": -1}, "0 to 1,000,000"),
        ({"input_nanos": 10**15 + 1}, "0 to 1,000,000"),
    ],
)
def test_what_cannot_be_a_price_is_told(acme: Workspace, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        put(acme, **{"input_nanos": 5} | given)
    assert not Price.objects.exists()


def test_a_snapshot_takes_a_price_on_at_once(acme: Workspace) -> None:
    snapshot = Snapshot(acme.log_id)
    assert snapshot.prices.ceiling(DAY) is None
    put(acme, model="*", call_nanos=3)
    snapshot.refresh()
    ceiling = snapshot.prices.ceiling(DAY)
    assert ceiling is not None
    assert ceiling.call == 3
