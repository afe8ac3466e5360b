"""Prices, charges priced anew and bills, by the API."""

import pytest

from tests.api.caller import Caller
from tests.billing.charges import charge
from tests.cast import Cast

pytestmark = pytest.mark.django_db
ACME = "workspaces/acme"


def test_a_price_is_set_listed_and_quoted(cast: Cast) -> None:
    owner, reader = Caller(cast.olga), Caller(cast.otto)
    quoted = reader.get(f"{ACME}/prices/quote", model="gpt-4o", day="2026-11-23")
    assert (quoted["price"]["source"], quoted["price"]["input_usd"]) == ("openai:gpt-4o", "2.50")
    assert quoted["ceiling"] is None
    given = {"model": "gpt-4o", "starts": "2026-11-01", "input_usd": "1.5", "output_usd": "0"}
    made = owner.post(f"{ACME}/prices", given)
    assert (made["input_usd"], made["output_usd"], made["cache_read_usd"]) == ("1.50", "0.00", None)
    assert owner.post(f"{ACME}/prices", given, 200)["id"] == made["id"]
    assert [row["id"] for row in reader.get(f"{ACME}/prices", model="gpt-4o")["results"]] == [made["id"]]
    quoted = reader.get(f"{ACME}/prices/quote", model="gpt-4o", day="2026-11-23")
    assert quoted["price"]["version"] == made["id"]
    assert reader.get(f"{ACME}/prices/quote", model="nobody-knows")["price"] is None
    reader.post(f"{ACME}/prices", given, 403)


def test_charges_are_priced_anew_after_a_look(cast: Cast) -> None:
    owner = Caller(cast.olga)
    owner.post(f"{ACME}/prices", {"model": "ours", "starts": "2026-11-01", "input_usd": "0.10"})
    charge(cast.support_bot, 5, model="ours", basis="priced", usage={"input_tokens": 10**6}, price="x")
    days = {"first_day": "2026-11-23", "last_day": "2026-11-23"}
    seen = owner.get(f"{ACME}/repricings/preview", **days)
    assert (seen["charges"], seen["before_usd"], seen["after_usd"]) == (1, "0.05", "0.10")
    assert seen["models"][0]["model"] == "ours"
    assert owner.post(f"{ACME}/repricings", days)["status"] == "running"
    assert owner.post(f"{ACME}/repricings", days, 409)["code"] == "repricing_refused"
    assert len(owner.get(f"{ACME}/repricings")["results"]) == 1


def test_a_bill_is_compared(cast: Cast) -> None:
    owner, reader = Caller(cast.olga), Caller(cast.otto)
    charge(cast.support_bot, 30, model="gpt-4o")
    made = owner.post(f"{ACME}/bills", {"csv": "date,model,cost\n2026-11-23,gpt-4o,0.50\n"})
    assert (made["billed_usd"], made["charged_usd"]) == ("0.50", "0.30")
    assert reader.get(f"{ACME}/bills/{made['id']}")["lines"] == made["lines"]
    assert [row["id"] for row in reader.get(f"{ACME}/bills")["results"]] == [made["id"]]
    assert owner.post(f"{ACME}/bills", {"csv": "a,b\n1,2\n"}, 400)["code"] == "bill_column_missing"
    Caller(cast.gina).get(f"{ACME}/bills/{made['id']}", 404)
