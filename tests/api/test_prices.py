"""Prices, charges priced anew and bills, by the API."""

import pytest

from billing.bill_files import LARGEST
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


@pytest.mark.parametrize(
    ("days", "code"),
    [
        ({"first_day": "2026-11-24", "last_day": "2026-11-23"}, "days_reversed"),
        ({"first_day": "2026-08-01", "last_day": "2026-11-23"}, "too_many_days"),
        ({"first_day": "9999-12-31", "last_day": "9999-12-31"}, "day_out_of_range"),
        ({"first_day": "0001-01-01", "last_day": "0001-01-01"}, "day_out_of_range"),
    ],
)
def test_days_that_are_none_are_refused_by_name(cast: Cast, days: dict[str, str], code: str) -> None:
    owner = Caller(cast.olga)
    for refused in (
        owner.get(f"{ACME}/repricings/preview", 400, **days),
        owner.post(f"{ACME}/repricings", days, 400),
    ):
        (error,) = refused["errors"]
        assert (refused["code"], error["path"], error["code"]) == ("invalid_request", ["last_day"], code)


def test_one_day_is_previewed_where_only_the_last_is_named(cast: Cast) -> None:
    charge(cast.support_bot, 5, model="ours", basis="priced", usage={"input_tokens": 10**6}, price="x")
    assert Caller(cast.otto).get(f"{ACME}/repricings/preview", last_day="2026-11-23")["looked_at"] == 1
    assert Caller(cast.otto).get(f"{ACME}/repricings/preview", last_day="2026-11-22")["looked_at"] == 0


@pytest.mark.parametrize(
    ("wrong", "path", "code"),
    [
        ({}, "model", "amount_missing"),
        ({"input_usd": "1", "starts": "1999-01-01"}, "starts", "day_out_of_range"),
        ({"input_usd": "1", "model": "a\nb"}, "model", "bad_name"),
        ({"cache_read_usd": "99999999"}, "cache_read_usd", "price_out_of_range"),
        ({"input_usd": 1.5}, "input_usd", "amount"),
        ({"input_usd": 2}, "input_usd", "amount"),
    ],
)
def test_what_cannot_be_a_price_is_refused_by_name(
    cast: Cast, wrong: dict[str, object], path: str, code: str
) -> None:
    body = {"model": "ours", "starts": "2026-11-01"} | wrong
    (error,) = Caller(cast.olga).post(f"{ACME}/prices", body, 400)["errors"]
    assert (error["path"], error["code"]) == ([path], code)


def test_the_largest_bill_is_taken_however_it_is_escaped_and_a_larger_one_refused_as_such(cast: Cast) -> None:
    """5 MB of CSV are more as JSON, and more than other bodies may have."""
    owner, line = Caller(cast.olga), '2026-11-23,"gpt-4o",0.50,'
    text = "date,model,cost,note\n" + (line + "ä" * 40 + "\n") * (LARGEST // 110)
    assert 4 * 2**20 < len(text.encode()) < LARGEST
    assert owner.post(f"{ACME}/bills", {"csv": text})["billed_usd"].endswith(".00")
    assert owner.post(f"{ACME}/bills", {"csv": "x" * (LARGEST + 1)}, 400)["code"] == "bill_too_large"
    assert owner.post(f"{ACME}/bills", {"csv": "x" * 4 * LARGEST}, 413)["code"] == "body_too_large"
    assert owner.post(f"{ACME}/prices", {"note": "x" * 4 * 2**20}, 413)["code"] == "body_too_large"
