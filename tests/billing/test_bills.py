"""Charges beside a provider's bill."""

from datetime import timedelta

import pytest

from billing.bill_files import BillRefused
from billing.bills import as_csv, check_bill, meaning
from billing.models import BillCheck
from tests.billing.charges import NOON, charge
from tests.cast import ACTOR, Cast
from tests.portal import body_of, latest
from workspaces.models import Agent, Workspace

BILL = b"""date,model,input_tokens,output_tokens,cost_usd
2026-11-23,gpt-4o-2024-08-06,10,5,0.30
2026-11-23,=cmd|calc,0,0,0.01
2026-11-24,gpt-4o,1,1,0.02
"""


def check(workspace: Workspace, content: bytes = BILL, zone: str = "UTC") -> BillCheck:
    return check_bill(workspace, content, zone=zone, actor=ACTOR)


def test_each_day_and_model_is_compared(acme: Workspace, support_bot: Agent, cast: Cast) -> None:
    charge(support_bot, 20, model="gpt-4o", charged_tokens=9)
    charge(support_bot, 10, model="openai:gpt-4o", charged_tokens=6)
    charge(support_bot, 7, model="ours")
    charge(support_bot, None, model="strange")
    charge(support_bot, 99)
    charge(cast.globex_bot, 50, model="gpt-4o")
    kept = check(acme)
    told = {(line["day"][-2:], line["model"] or line["charged_as"]): line for line in kept.lines}
    same = told["23", "gpt-4o-2024-08-06"]
    assert same["charged_as"] == "gpt-4o, openai:gpt-4o"
    assert (same["billed"], same["charged"], same["billed_tokens"]) == (3 * 10**8, 3 * 10**8, 15)
    assert {name: meaning(line) for (_, name), line in told.items()} == {
        "gpt-4o-2024-08-06": "agrees",
        "=cmd|calc": "unknown here",
        "gpt-4o": "not charged that day",
        "ours": "not on the bill",
        "strange": "not on the bill",
    }
    assert (kept.billed_nanos, kept.charged_nanos) == (330_000_000, 370_000_000)
    assert body_of(latest(acme))["data"]["bill"] == kept.public_id


def test_days_are_those_of_the_bill(acme: Workspace, support_bot: Agent) -> None:
    charge(support_bot, 30, model="gpt-4o", at=NOON + timedelta(hours=11, minutes=30))
    assert [line["charged"] for line in check(acme).lines if line["model"][:3] == "gpt"] == [3 * 10**8, 0]
    berlin = check(acme, zone="Europe/Berlin")
    assert [line["charged"] for line in berlin.lines if line["model"][:3] == "gpt"] == [0, 3 * 10**8]


def test_no_spreadsheet_calculates_what_stands_in_the_result(acme: Workspace) -> None:
    assert '"\'=cmd|calc"' in as_csv(check(acme))


def test_a_bill_of_too_many_days_is_refused_and_leaves_nothing(acme: Workspace) -> None:
    with pytest.raises(BillRefused, match="92 days"):
        check(acme, b"date,model,cost\n2026-01-01,m,1\n2026-11-01,m,1\n")
    assert not BillCheck.objects.exists()
