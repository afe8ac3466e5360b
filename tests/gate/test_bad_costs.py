"""Costs and usages that make no sense, and outcomes at odd times: each has its documented answer, and accounts, charges
and log agree afterwards."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.core.management import call_command

from billing import limits
from billing.models import Account, Budget, Hold
from billing.price_table import set_price
from governance.models import Decision
from tests.cast import ACTOR, Cast
from tests.gate.conftest import Bot
from tests.gate.test_settling import CENT, another, expire, read, standing

pytestmark = pytest.mark.django_db(transaction=True)

COSTS: dict[str, tuple[str, str]] = {
    "negative": ('"-1"', "invalid_field"),
    "negative zero": ('"-0"', "invalid_field"),
    "NaN": ('"NaN"', "invalid_field"),
    "a bare NaN": ("NaN", "number_out_of_range"),
    "infinite": ('"Infinity"', "invalid_field"),
    "a bare infinite": ("1e999", "number_out_of_range"),
    "a million": ('"1000000"', "invalid_field"),
    "forty digits": (f'"{"9" * 40}"', "invalid_field"),
    "ten decimals": ('"0.0000000001"', "invalid_field"),
    "an exponent": ('"1e3"', "invalid_field"),
    "a number": ("0.02", "invalid_field"),
    "a whole number": ("5", "invalid_field"),
    "a boolean": ("true", "invalid_field"),
    "empty": ('""', "invalid_field"),
    "blank": ('" 5"', "invalid_field"),
    "another currency behind": ('"5 EUR"', "invalid_field"),
    "another currency before": ('"€5"', "invalid_field"),
    "dollars": ('"$5"', "invalid_field"),
    "a comma": ('"1,50"', "invalid_field"),
    "thousands": ('"1,000.00"', "invalid_field"),
    "other digits": ('"٥"', "invalid_field"),
    "a line break behind": ('"5\\n"', "invalid_field"),
    "an amount with a currency": ('{"amount":"5","currency":"EUR"}', "invalid_field"),
    "a list": ('["5"]', "invalid_field"),
}
USAGES: dict[str, tuple[str, str]] = {
    "negative": ('{"input_tokens":-1}', "invalid_field"),
    "a fraction": ('{"input_tokens":1.5}', "invalid_field"),
    "a whole float": ('{"input_tokens":1.0}', "invalid_field"),
    "text": ('{"input_tokens":"7"}', "invalid_field"),
    "a boolean": ('{"input_tokens":true}', "invalid_field"),
    "nothing": ('{"input_tokens":null}', "invalid_field"),
    "over a trillion": ('{"input_tokens":1000000000001}', "invalid_field"),
    "over 2^53": ('{"input_tokens":9007199254740993}', "number_out_of_range"),
    "NaN": ('{"input_tokens":NaN}', "number_out_of_range"),
    "another member": ('{"prompt_tokens":7}', "unknown_field"),
    "twice the same": ('{"input_tokens":1,"input_tokens":2}', "duplicate_key"),
    "a list": ("[7]", "invalid_field"),
    "a number": ("7", "invalid_field"),
}


@pytest.fixture
def day(cast: Cast) -> Iterator[Budget]:
    """A dollar a day for the reporter; whatever the test does, the books agree afterwards."""
    applied = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=100 * CENT, actor=ACTOR
    )
    yield applied.row
    call_command("budgets", check="acme")


def post(bot: Bot, path: str, body: str) -> tuple[int, str]:
    """Status and code of the problem that such a body gets."""
    return bot.problem("POST", path, content=body.encode())


def test_costs_that_make_no_sense_are_refused_and_change_nothing(reporter: Bot, day: Budget) -> None:
    decision = read(reporter)
    for name, (cost, code) in COSTS.items():
        outcome = f'{{"status":"succeeded","cost_usd":{cost}}}'
        assert post(reporter, f"/v1/decisions/{decision}/outcome", outcome) == (400, code), name
        check = f'{{"tool":"files.read","arguments":{json.dumps(another())},"estimated_cost_usd":{cost}}}'
        assert post(reporter, "/v1/check", check) == (400, code), name
    assert standing(day) == (10, 0, 0)
    assert Decision.objects.get().outcome == "open"


def test_usages_that_make_no_sense_are_refused_and_change_nothing(reporter: Bot, day: Budget) -> None:
    decision = read(reporter)
    for name, (usage, code) in USAGES.items():
        outcome = f'{{"status":"succeeded","model":"gpt-4o","usage":{usage}}}'
        assert post(reporter, f"/v1/decisions/{decision}/outcome", outcome) == (400, code), name
        check = f'{{"tool":"files.read","model":"gpt-4o","estimated_usage":{usage}}}'
        assert post(reporter, "/v1/check", check) == (400, code), name
    assert standing(day) == (10, 0, 0)


def test_a_model_that_looks_like_a_secret_is_refused(reporter: Bot, day: Budget) -> None:
    path = f"/v1/decisions/{read(reporter)}/outcome"
    body = json.dumps({"status": "succeeded", "model": "sk-ant-api03-" + "aB3" * 30 + "-AAAA"})
    assert post(reporter, path, body) == (400, "invalid_field")


def test_the_least_and_the_most_are_exact(reporter: Bot, day: Budget) -> None:
    reporter.report(read(reporter, 0), status="succeeded", cost_usd="0.000000001")
    reporter.report(read(reporter, 1), status="succeeded", cost_usd="999999.999999999")
    assert Account.objects.get(budget=day).spent == 10**15
    assert reporter.check("files.read", another(), estimated_cost_usd="0.01")["code"] == "budget_exhausted"


def test_tokens_that_would_cost_more_than_any_call_are_not_recorded(
    reporter: Bot, cast: Cast, day: Budget
) -> None:
    decision = read(reporter)
    body = json.dumps({"status": "succeeded", "model": "gpt-4o", "usage": {"output_tokens": 10**12}})
    path = f"/v1/decisions/{decision}/outcome"
    assert post(reporter, path, body) == (400, "number_out_of_range")
    assert standing(day) == (10, 0, 0)
    expire(decision)
    call_command("work", once=True, quiet=True)
    assert standing(day) == (0, 10, 0)


def test_an_estimate_beyond_all_measure_is_refused(reporter: Bot, cast: Cast, day: Budget) -> None:
    set_price(cast.acme, model="gold", starts=date(2020, 1, 1), input_nanos=10**15, actor=ACTOR)
    limits.set_budget(cast.acme, window="month", limit_amount=1, hard=False, actor=ACTOR)
    tokens = {"input_tokens": 10**12, "cache_read_tokens": 10**12}
    for bot_budget in (True, False):
        answer = reporter.check("files.read", another(), model="gold", estimated_usage=tokens)
        assert answer["decision"] == "deny", answer
        if bot_budget:
            limits.remove_budget(Budget.objects.get(window="day"), actor=ACTOR)


def test_an_account_never_counts_more_than_its_column_does(reporter: Bot, cast: Cast, day: Budget) -> None:
    decision = read(reporter)
    Account.objects.update(spent=2**62, overage=2**62 + 10 * CENT - 100 * CENT)
    Hold.objects.create(
        workspace=day.workspace, agent=cast.report_bot, decision="dec_full", held_nanos=0, charged_nanos=2**62,
        accounts=[Account.objects.get().pk], state="settled", created=day.workspace.created,
    )  # fmt: skip
    path = f"/v1/decisions/{decision}/outcome"
    assert post(reporter, path, '{"status":"succeeded","cost_usd":"1"}') == (400, "number_out_of_range")
    expire(decision)
    call_command("work", once=True, quiet=True)
    assert Account.objects.get().spent == 2**62 + 10 * CENT
    Hold.objects.filter(decision="dec_full").delete()
    Account.objects.update(spent=10 * CENT, overage=0)


def test_the_same_outcome_again_is_no_change_and_another_one_is_a_conflict(
    reporter: Bot, day: Budget
) -> None:
    decision = read(reporter)
    path = f"/v1/decisions/{decision}/outcome"
    said: dict[str, Any] = {"status": "succeeded", "cost_usd": "0.30", "summary": "Read."}
    answers = [reporter.report(decision, **said) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    for other in (
        {"status": "failed"},
        {"cost_usd": "0.31"},
        {"usage": {"input_tokens": 1}},
        {"model": "gpt-4o"},
    ):
        conflict = reporter.problem("POST", path, json=said | other)
        assert conflict == (409, "outcome_already_reported"), other
    conflict = reporter.problem("POST", path, json={"status": "running"})
    assert conflict == (409, "outcome_already_reported")
    assert standing(day) == (0, 30, 0)


def test_another_agents_call_is_charged_by_nobody_else(reporter: Bot, support: Bot, day: Budget) -> None:
    path = f"/v1/decisions/{read(reporter)}/outcome"
    body = {"status": "succeeded", "cost_usd": "900"}
    assert support.problem("POST", path, json=body) == (404, "not_found")
    assert support.problem("POST", "/v1/decisions/dec_none/outcome", json=body) == (404, "not_found")
    assert standing(day) == (10, 0, 0)


def test_a_denied_call_cannot_be_charged(reporter: Bot, day: Budget) -> None:
    denied = reporter.check("files.read", another(), estimated_cost_usd="3")
    assert denied["decision"] == "deny"
    path = f"/v1/decisions/{denied['id']}/outcome"
    assert reporter.problem("POST", path, json={"status": "succeeded"}) == (404, "not_found")


def test_a_rehearsed_call_holds_nothing_and_cannot_be_charged(reporter: Bot, day: Budget) -> None:
    rehearsed = reporter.check("files.read", another(), estimated_cost_usd="0.10", dry_run=True)
    path = f"/v1/decisions/{rehearsed['id']}/outcome"
    assert reporter.problem("POST", path, json={"status": "succeeded"}) == (404, "not_found")
    assert not Account.objects.filter(held__gt=0).exists()


def test_a_lost_answer_is_found_again_and_holds_nothing_twice(reporter: Bot, day: Budget) -> None:
    arguments = another()
    asked = {"estimated_cost_usd": "0.10", "call_id": "c1", "headers": {"idempotency-key": "k1"}}
    ids = {reporter.check("files.read", arguments, **asked)["id"] for _ in range(3)}
    asked.pop("headers")
    ids.add(reporter.check("files.read", arguments, **asked)["id"])
    assert len(ids) == 1
    assert standing(day) == (10, 0, 0)


def test_the_price_of_the_day_on_which_it_was_allowed_counts(reporter: Bot, cast: Cast, day: Budget) -> None:
    decision = str(reporter.check("files.read", another())["id"])
    allowed = Decision.objects.get(public_id=decision).created.date()
    for year, cents in ((2020, 10), (2099, 90)):
        first = allowed.replace(year=year)
        set_price(cast.acme, model="ours", starts=first, input_nanos=cents * CENT, actor=ACTOR)
    reporter.report(decision, status="succeeded", model="ours", usage={"input_tokens": 10**6})
    assert Hold.objects.get().basis == "priced"
    assert standing(day) == (0, 10, 0)
