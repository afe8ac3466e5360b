"""Money at the gate: what a check holds, what it is told, and what it can do where a budget is short."""

import json
from dataclasses import replace
from typing import Any

import pytest

from audit.models import Entry
from billing import limits
from billing.models import Account, Budget, Hold
from governance import containment
from tests.cast import ACTOR, Cast
from tests.gate.conftest import Bot
from workspaces import catalog

pytestmark = pytest.mark.django_db(transaction=True)
CENT = 10**7
READ = "files.read"
FILE = {"path": "/srv/reports/q3.csv"}
USAGE = {"input_tokens": 1000, "output_tokens": 100}


def budget(cast: Cast, amount: int, **more: Any) -> Budget:
    whose = {"agent": cast.report_bot, "window": "ever"}
    return limits.set_budget(cast.acme, **{**whose, "limit_amount": amount, **more}, actor=ACTOR).row


def declare(cast: Cast, **more: Any) -> None:
    catalog.set_tool(cast.acme, declaration=replace(cast.tools[READ].declaration(), **more), actor=ACTOR)


def latest(cast: Cast) -> dict[str, Any]:
    """The data of the newest entry of a check."""
    rows = Entry.objects.filter(log_id=cast.acme.log_id, type__startswith="governance.check.")
    data: dict[str, Any] = json.loads(bytes(rows.order_by("-index")[0].body))["data"]
    return data


def reason(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["reasons"][0]
    return found


def test_an_allowed_call_holds_its_tokens_at_the_models_price(reporter: Bot, cast: Cast) -> None:
    budget(cast, 10 * CENT)
    budget(cast, 5000, unit="tokens")
    answer = reporter.check(READ, FILE, model="gpt-4o", estimated_usage=USAGE, session="run-1")
    hold = Hold.objects.get()
    assert hold.held_nanos > 0
    assert (hold.decision, hold.tool, hold.session, hold.model, hold.owner_id) == (
        answer["id"], READ, "run-1", "gpt-4o", cast.report_bot.owner_id,
    )  # fmt: skip
    assert (hold.held_tokens, hold.basis, hold.usage) == (1100, "priced", USAGE)
    assert (answer["budget"]["held_tokens"], answer["budget"]["remaining_tokens"]) == (1100, 3900)
    data = latest(cast)
    assert (data["held"], data["tokens"], data["model"]) == (hold.held_nanos, 1100, "gpt-4o")
    assert (data["price"], data["basis"]) == (hold.price, "priced")


def test_a_call_that_costs_nothing_says_nothing_of_money(reporter: Bot, cast: Cast) -> None:
    assert reporter.check(READ, FILE)["budget"] is None
    assert not {"held", "tokens", "model", "price", "basis"} & latest(cast).keys()
    assert not Hold.objects.exists()


def test_an_unknown_price_is_refused_under_a_hard_budget_alone(reporter: Bot, cast: Cast) -> None:
    declare(cast, metered=True)
    assert reporter.check(READ, FILE)["decision"] == "allow"
    row = budget(cast, CENT)
    answer = reporter.check(READ, FILE, estimated_cost_usd="0.000001")
    assert (answer["decision"], answer["code"]) == ("deny", "unknown_price")
    assert (reason(answer)["budget"], "ceiling price" in reason(answer)["message"]) == (row.public_id, True)
    assert latest(cast)["short"] == "unknown_price"
    budget(cast, CENT, hard=False)
    assert reporter.check(READ, FILE)["decision"] == "allow"


def test_an_agent_learns_when_to_ask_again(reporter: Bot, cast: Cast) -> None:
    budget(cast, 10 * CENT, window="day")
    assert reporter.check(READ, FILE, estimated_cost_usd="0.06")["decision"] == "allow"
    busy = reporter.check(READ, FILE, estimated_cost_usd="0.05")
    assert (busy["code"], busy["retry_after"]) == ("budget_busy", 1)
    gone = reporter.check(READ, FILE, estimated_cost_usd="0.11")
    assert gone["code"] == "budget_exhausted"
    assert 0 < gone["retry_after"] <= 25 * 3600
    budget(cast, 10 * CENT, window="day", when_short="deny")
    denied = reporter.check(READ, FILE, estimated_cost_usd="0.05")
    assert denied["code"] == "budget_exhausted"
    assert "retry_after" not in denied


def test_a_cheaper_model_is_offered_where_it_fits(reporter: Bot, cast: Cast) -> None:
    budget(cast, CENT // 10, when_short="downgrade", downgrade_to="gpt-4o-mini")
    answer = reporter.check(READ, FILE, model="gpt-4o", estimated_usage=USAGE)
    assert (answer["decision"], answer["code"]) == ("deny", "budget_exhausted")
    assert answer["downgrade"]["model"] == "gpt-4o-mini"
    assert reason(answer)["downgrade"] == answer["downgrade"]
    cheaper = reporter.check(READ, FILE, model="gpt-4o-mini", estimated_usage=USAGE)
    assert cheaper["decision"] == "allow"
    assert cheaper["budget"]["held_usd"] == answer["downgrade"]["held_usd"]
    many = {"input_tokens": 10**9}
    assert "downgrade" not in reporter.check(READ, FILE, model="gpt-4o", estimated_usage=many)
    assert "downgrade" not in reporter.check(READ, FILE, estimated_cost_usd="1")


def test_a_cheaper_model_has_its_own_budgets_too(reporter: Bot, cast: Cast) -> None:
    budget(cast, CENT // 10, when_short="downgrade", downgrade_to="gpt-4o-mini")
    budget(cast, 1, model="gpt-4o-mini")
    answer = reporter.check(READ, FILE, model="gpt-4o", estimated_usage=USAGE)
    assert answer["code"] == "budget_exhausted"
    assert "downgrade" not in answer


def test_the_first_refusal_of_an_exhausted_budget_is_told_once(reporter: Bot, cast: Cast) -> None:
    row = budget(cast, CENT)
    warned = Entry.objects.filter(type="billing.budget.warned")
    reporter.check(READ, FILE, estimated_cost_usd="0.02", dry_run=True)
    assert not warned.exists()
    for _ in range(2):
        assert reporter.check(READ, FILE, estimated_cost_usd="0.02")["code"] == "budget_exhausted"
    assert json.loads(bytes(warned.get().body))["data"]["budget"] == row.public_id
    assert Account.objects.get().warned == 100


def test_each_session_is_short_alone(reporter: Bot, cast: Cast) -> None:
    budget(cast, CENT, agent=None, per_session=True)
    paid = {"estimated_cost_usd": "0.01"}
    assert [reporter.check(READ, FILE, session=name, **paid)["code"] for name in "aba"] == [
        "granted", "granted", "budget_busy",
    ]  # fmt: skip


def test_budgets_bind_who_is_only_observed(reporter: Bot, cast: Cast) -> None:
    containment.set_standing(
        cast.report_bot, "observe", reason="new here", actor="cli:test@here", person=None
    )
    budget(cast, CENT, when_short="deny")
    answer = reporter.check(
        "mail.send", {"to": "x@y.test", "subject": "", "body": ""}, estimated_cost_usd="1"
    )
    assert (answer["decision"], answer["code"], answer["would"]) == ("deny", "budget_exhausted", "deny")


def test_a_dry_run_holds_nothing_and_tells_what_is_short(reporter: Bot, cast: Cast) -> None:
    budget(cast, CENT, when_short="downgrade", downgrade_to="gpt-4o-mini")
    fits = reporter.check(READ, FILE, estimated_cost_usd="0.01", dry_run=True)
    assert fits["decision"] == "allow"
    short = reporter.check(READ, FILE, estimated_cost_usd="0.02", dry_run=True)
    assert (short["decision"], short["code"]) == ("deny", "budget_exhausted")
    assert not Hold.objects.exists()
    assert not Account.objects.exclude(held=0, spent=0, warned=0).exists()


def test_an_agent_sees_its_budgets_in_their_units(reporter: Bot, cast: Cast) -> None:
    budget(cast, 10 * CENT, tool=READ)
    budget(cast, 5000, unit="tokens", model="gpt-4o", hard=False)
    reporter.check(READ, FILE, model="gpt-4o", estimated_usage=USAGE, estimated_cost_usd="0.04")
    dollars, tokens = reporter.client.get("/v1/me", headers=reporter.headers).json()["budgets"]
    assert (dollars["unit"], dollars["tool"], dollars["hard"], dollars["when_short"]) == (
        "usd", READ, True, "wait",
    )  # fmt: skip
    assert (dollars["limit_usd"], dollars["held_usd"], dollars["remaining_usd"]) == ("0.10", "0.04", "0.06")
    assert (tokens["unit"], tokens["model"], tokens["hard"]) == ("tokens", "gpt-4o", False)
    assert (tokens["held_tokens"], tokens["remaining_tokens"]) == (1100, 3900)
    assert "held_usd" not in tokens


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"estimated_usage": {"input_tokens": -1}}, "invalid_field"),
        ({"estimated_usage": {"input_tokens": 1.5}}, "invalid_field"),
        ({"estimated_usage": {"input_tokens": True}}, "invalid_field"),
        ({"estimated_usage": {"input_tokens": 10**12 + 1}}, "invalid_field"),
        ({"estimated_usage": {"tokens": 1}}, "unknown_field"),
        ({"estimated_usage": [1]}, "invalid_field"),
        ({"model": "x" * 201}, "invalid_field"),
        ({"model": "a\nb"}, "invalid_field"),
        ({"model": 4}, "invalid_field"),
        ({"retry_count": -1}, "invalid_field"),
        ({"retry_count": "1"}, "invalid_field"),
        ({"estimated_cost_usd": "1e3"}, "invalid_field"),
        ({"estimated_cost_usd": "-1"}, "invalid_field"),
        ({"estimated_cost_usd": "NaN"}, "invalid_field"),
        ({"estimated_cost_usd": "0.0000000001"}, "invalid_field"),
        ({"estimated_cost_usd": "1 EUR"}, "invalid_field"),
        ({"estimated_cost_usd": 1}, "invalid_field"),
    ],
)
def test_what_is_no_amount_is_refused(reporter: Bot, said: dict[str, Any], code: str) -> None:
    body = {"tool": READ, "arguments": FILE, **said}
    assert reporter.problem("POST", "/v1/check", json=body) == (400, code)


def test_a_retry_count_that_makes_no_sense_counts_as_none(reporter: Bot) -> None:
    for number, said in enumerate(("-1", "many", "9" * 40, "")):
        file = {"path": f"/srv/reports/{number}.csv"}
        answer = reporter.check(READ, file, headers={"x-stainless-retry-count": said})
        assert answer["decision"] == "allow", said


def test_another_limit_counts_from_the_next_call_on(reporter: Bot, cast: Cast) -> None:
    budget(cast, CENT)
    paid = {"estimated_cost_usd": "0.01"}
    assert reporter.check(READ, FILE, **paid)["decision"] == "allow"
    assert reporter.check(READ, FILE, **paid)["code"] == "budget_busy"
    budget(cast, 2 * CENT)
    assert reporter.check(READ, FILE, **paid)["decision"] == "allow"
    limits.remove_budget(budget(cast, 0), actor=ACTOR)
    assert reporter.check(READ, {"path": "/srv/reports/q4.csv"}, **paid)["budget"] is None
