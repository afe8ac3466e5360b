"""The pages about prices: the table, charges priced anew, and bills."""

from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from billing.models import BillCheck, Price, Repricing
from billing.price_table import set_price
from billing.repricing import carry_on
from tests.billing.charges import charge
from tests.cast import ACTOR, Cast
from tests.portal import enter

DAY = date(2026, 11, 23)
BILL = b"date,model,cost\n2026-11-23,gpt-4o,0.30\n2026-11-23,<script>,1\n"


def at(client: Client, name: str, *args: str, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def upload(client: Client, content: bytes = BILL, **fields: str) -> str:
    file = SimpleUploadedFile("bill.csv", content)
    answer = client.post(
        reverse("bill_upload", args=["acme"]), {"file": file, "zone": "UTC", **fields}, follow=True
    )
    return answer.content.decode()


def test_a_price_is_set_in_dollars_and_told_with_its_source(cast: Cast) -> None:
    client = enter(cast.olga)
    assert "None: models cost what the public list says" in at(client, "prices", "acme")
    before = at(client, "prices", "acme", q="openai:gpt-4o")
    assert "public list’s <code>openai:gpt-4o</code>" in before
    fields = {"model": "openai:gpt-4o", "starts": "2026-01-01", "input": "1.000000001", "output": "0"}
    client.post(reverse("price_set", args=["acme"]), fields)
    price = Price.objects.get()
    assert (price.input_nanos, price.output_nanos, price.call_nanos) == (1_000_000_001, 0, None)
    assert "own price" in at(client, "prices", "acme", q="openai:gpt-4o")
    answer = client.post(reverse("price_set", args=["acme"]), fields | {"model": " "})
    assert "This field is required" in answer.content.decode()


def test_what_an_unknown_model_comes_to_is_told(cast: Cast) -> None:
    client = enter(cast.olga)
    assert "unknown_price" in at(client, "prices", "acme", q="no-such-model")
    set_price(cast.acme, model="*", starts=date(2026, 1, 1), call_nanos=1, actor=ACTOR)
    assert "costs the ceiling price" in at(client, "prices", "acme", q="no-such-model")


def test_charges_are_priced_anew_after_a_look(cast: Cast) -> None:
    set_price(cast.acme, model="ours", starts=DAY, input_nanos=10**8, actor=ACTOR)
    hold = charge(cast.support_bot, 5, model="ours", basis="priced", usage={"input_tokens": 10**6}, price="x")
    client, days = enter(cast.olga), {"first_day": "2026-11-23", "last_day": "2026-11-23"}
    assert "Price 1 charges anew" in at(client, "reprice", "acme", **days)
    assert enter(cast.otto).post(reverse("reprice_start", args=["acme"]), days).status_code == 403
    client.post(reverse("reprice_start", args=["acme"]), days)
    carry_on({"repricing": Repricing.objects.get().pk})
    hold.refresh_from_db()
    assert hold.charged_nanos == 10**8
    assert "all of them on the prices that hold" in at(client, "reprice", "acme", **days)
    assert "92 days" in at(client, "reprice", "acme", first_day="2026-01-01", last_day="2026-11-01")


def test_a_bill_is_uploaded_shown_and_taken_along(cast: Cast) -> None:
    charge(cast.support_bot, 30, model="gpt-4o")
    client = enter(cast.olga)
    assert "None yet" in at(client, "bills", "acme")
    shown = upload(client)
    assert "agrees" in shown
    assert "&lt;script&gt;" in shown
    check = BillCheck.objects.get()
    taken = enter(cast.otto).post(reverse("bill_csv", args=["acme", check.public_id]))
    assert b"unknown here" in taken.content
    assert enter(cast.gina).get(reverse("bill", args=["acme", check.public_id])).status_code == 404
    refused = enter(cast.otto).post(reverse("bill_upload", args=["acme"]), {"zone": "UTC"})
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("content", "fields", "told"),
    [
        (b"\xff\xfe\xff", {}, "bill_encoding"),
        (b"a,b\n1,2\n", {}, "bill_column_missing"),
        (BILL, {"zone": "Nowhere"}, "no such time zone"),
        (BILL, {"column_cost": "model"}, "bill_amount"),
    ],
)
def test_what_cannot_be_compared_is_told(
    cast: Cast, content: bytes, fields: dict[str, str], told: str
) -> None:
    assert told in upload(enter(cast.olga), content, **fields)
    assert not BillCheck.objects.exists()
