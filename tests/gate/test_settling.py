"""What outcomes make of what was held, seen at the gate: charges, accounts and entries agree after each."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import Entry
from billing import limits, repricing, soundness, spending
from billing.models import Account, Budget, Hold
from billing.price_table import set_price
from governance import checks, reports
from governance.models import Decision
from governance.requests import Caller, CheckRequest, OutcomeReport
from tests.cast import ACTOR, TOOLS, Cast
from tests.gate.conftest import Bot
from workspaces import catalog
from workspaces.identifiers import key_digest

pytestmark = pytest.mark.django_db(transaction=True)

CENT = 10**7  # nano-dollars
NUMBERS = itertools.count()
MILLION = {"input_tokens": 10**6}


@pytest.fixture
def sound(cast: Cast) -> Iterator[None]:
    """Whatever the test does, accounts, charges and log agree afterwards."""
    yield
    found = soundness.examine(cast.acme)
    assert found.sound, found.findings


@pytest.fixture
def day(cast: Cast, sound: None) -> Budget:
    """A dollar a day for the reporter."""
    return limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=100 * CENT, actor=ACTOR
    ).row


def trust(cast: Cast) -> None:
    """What is reported of reading files counts."""
    declaration = next(tool for tool in TOOLS if tool.name == "files.read")
    catalog.set_tool(cast.acme, declaration=replace(declaration, trust_reports=True), actor=ACTOR)


def another() -> dict[str, Any]:
    """Arguments that no call had before, which is no loop then."""
    return {"path": f"/srv/reports/{next(NUMBERS)}.csv"}


def read(bot: Bot, cents: int = 10, **more: Any) -> str:
    """The decision of an allowed call that holds so many cents."""
    answer = bot.check("files.read", another(), estimated_cost_usd=f"0.{cents:02}", **more)
    assert answer["decision"] == "allow", answer
    return str(answer["id"])


def standing(budget: Budget) -> tuple[int, int, int]:
    """What the budget's one account holds, has spent, and is over, in cents."""
    row = Account.objects.get(budget=budget)
    return row.held // CENT, row.spent // CENT, row.overage // CENT


def told(cast: Cast) -> dict[str, Any]:
    """The data of the log's last entry."""
    body = Entry.objects.filter(log_id=cast.acme.log_id).order_by("-index").values_list("body", flat=True)[0]
    data: dict[str, Any] = json.loads(bytes(body))["data"]
    return data


def test_a_report_raises_a_charge_and_lowers_it_only_where_it_is_trusted(
    reporter: Bot, cast: Cast, day: Budget
) -> None:
    reporter.report(read(reporter), status="succeeded", cost_usd="0.02")
    assert standing(day) == (0, 10, 0)
    reporter.report(read(reporter), status="succeeded", cost_usd="0.30")
    assert standing(day) == (0, 40, 0)
    trust(cast)
    reporter.report(read(reporter), status="succeeded", cost_usd="0.02")
    assert standing(day) == (0, 42, 0)
    assert told(cast)["charged"] == 2 * CENT
    assert told(cast)["basis"] == "reported"


def test_only_a_trusted_tool_says_that_a_call_never_began(reporter: Bot, cast: Cast, day: Budget) -> None:
    reporter.report(read(reporter), status="skipped")
    assert standing(day) == (0, 10, 0)
    trust(cast)
    released = read(reporter)
    reporter.report(released, status="skipped")
    assert standing(day) == (0, 10, 0)
    assert Hold.objects.get(decision=released).state == "released"


def test_what_a_call_that_runs_has_cost_already_is_held(reporter: Bot, cast: Cast, day: Budget) -> None:
    decision = read(reporter)
    reporter.report(decision, status="running", cost_usd="0.60")
    reporter.report(decision, status="running", cost_usd="0.60")
    assert standing(day) == (60, 0, 0)
    assert reporter.check("files.read", another(), estimated_cost_usd="0.50")["code"] == "budget_busy"
    reporter.report(decision, status="running", cost_usd="0.05")
    assert standing(day) == (60, 0, 0)
    reporter.report(decision, status="succeeded")
    assert standing(day) == (0, 60, 0)


def test_a_cost_without_a_hold_is_charged_where_it_would_have_been_held(
    reporter: Bot, cast: Cast, day: Budget
) -> None:
    decision = str(reporter.check("files.read", another(), session="s")["id"])
    assert not Hold.objects.exists()
    reporter.report(decision, status="succeeded", cost_usd="1.50")
    assert standing(day) == (0, 150, 50)
    charge = Hold.objects.get()
    assert (charge.tool, charge.session, charge.owner, charge.basis) == (
        "files.read", "s", cast.olga, "reported",
    )  # fmt: skip
    assert reporter.check("files.read", another(), estimated_cost_usd="0.01")["code"] == "budget_exhausted"


def test_nothing_held_and_nothing_spent_is_no_charge(reporter: Bot, day: Budget) -> None:
    cases: list[dict[str, Any]] = [
        {"cost_usd": "0"},
        {"usage": {"input_tokens": 0}},
        {"model": "gpt-4o"},
        {"usage": {}},
    ]
    for fields in cases:
        decision = str(reporter.check("files.read", another())["id"])
        reporter.report(decision, status="succeeded", **fields)
    assert not Hold.objects.exists()


def test_tokens_are_priced_by_the_model_that_was_used(reporter: Bot, cast: Cast, day: Budget) -> None:
    tokens = limits.set_budget(cast.acme, window="day", unit="tokens", limit_amount=10**7, actor=ACTOR).row
    decision = str(reporter.check("files.read", another())["id"])
    reporter.report(decision, status="succeeded", model="gpt-4o", usage={"input_tokens": 100_000})
    charge = Hold.objects.get()
    assert charge.basis == "priced"
    assert charge.price.startswith("genai-prices")
    assert charge.charged_nanos == 25 * CENT
    assert charge.charged_tokens == 100_000
    assert standing(day) == (0, 25, 0)
    assert Account.objects.get(budget=tokens).spent == 100_000


def test_a_price_that_nobody_knows_is_not_zero(reporter: Bot, cast: Cast, sound: None) -> None:
    decision = str(reporter.check("files.read", another())["id"])
    reporter.report(decision, status="succeeded", model="nobody/knows", usage=MILLION)
    charge = Hold.objects.get()
    assert charge.charged_nanos is None
    assert charge.charged_tokens == 10**6
    assert "charged" not in told(cast)
    assert told(cast)["tokens"] == 10**6


def test_a_budget_of_the_model_that_was_used_counts_it(reporter: Bot, cast: Cast, day: Budget) -> None:
    model = limits.set_budget(
        cast.acme, window="day", model="gpt-4o", limit_amount=100 * CENT, actor=ACTOR
    ).row
    reporter.report(read(reporter), status="succeeded", model="gpt-4o", usage={"input_tokens": 100_000})
    assert standing(day) == (0, 25, 0)
    assert standing(model) == (0, 25, 0)


def test_a_check_sees_what_an_outcome_of_its_batch_freed(reporter: Bot, cast: Cast, day: Budget) -> None:
    trust(cast)
    decision = read(reporter, 90)
    key = cast.report_bot_key
    caller = Caller(cast.acme.log_id, cast.report_bot.pk, key[4:12], key_digest(key))
    ask, ask_again = (
        CheckRequest(caller, "files.read", another(), bytes([number]) * 32, estimated_nanos=90 * CENT)
        for number in range(2)
    )
    end = OutcomeReport(caller, decision, "succeeded", cost_nanos=5 * CENT)
    answers = checks.admit(cast.acme.log_id, [ask, end, ask_again])
    codes = [json.loads(answer)["code"] for answer in (answers[0], answers[2]) if isinstance(answer, bytes)]
    assert codes == ["budget_busy", "granted"]
    assert standing(day) == (90, 5, 0)


def test_what_was_assumed_is_corrected_by_a_late_report(reporter: Bot, cast: Cast, day: Budget) -> None:
    trust(cast)
    decision = read(reporter)
    expire(decision)
    assert reports.close_unreported() == 1
    assert standing(day) == (0, 10, 0)
    assert Hold.objects.get().state == "assumed"
    reporter.report(decision, status="succeeded", cost_usd="0.03")
    assert standing(day) == (0, 3, 0)
    assert Hold.objects.get().state == "settled"


def test_a_late_call_that_still_runs_stays_charged(reporter: Bot, cast: Cast, day: Budget) -> None:
    decision = read(reporter)
    for cents in (10, 20):
        expire(decision)
        assert reports.close_unreported() == 1
        assert standing(day) == (0, cents, 0)
        reporter.report(decision, status="running", cost_usd="0.20")
        assert standing(day) == (0, 20, 0)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_late_end_that_says_no_cost_leaves_what_the_call_said_while_it_ran(
    reporter: Bot, cast: Cast, day: Budget, trusted: bool
) -> None:
    if trusted:
        trust(cast)
    decision = read(reporter)
    expire(decision)
    reports.close_unreported()
    reporter.report(decision, status="running", cost_usd="0.60")
    reporter.report(decision, status="failed")
    assert standing(day) == (0, 60, 0)


@pytest.mark.parametrize(
    ("trusted", "said", "cents"),
    [
        (False, {}, 3),
        (False, {"cost_usd": "0.01"}, 3),
        (False, {"cost_usd": "0.05"}, 5),
        (False, {"model": "ours", "usage": MILLION}, 3),
        (True, {}, 3),
        (True, {"cost_usd": "0.01"}, 1),
    ],
)
def test_a_late_report_does_not_undo_that_a_charge_was_priced_anew(
    reporter: Bot, cast: Cast, day: Budget, trusted: bool, said: dict[str, Any], cents: int
) -> None:
    if trusted:
        trust(cast)
    set_price(cast.acme, model="ours", starts=date(2020, 1, 1), input_nanos=10 * CENT, actor=ACTOR)
    decision = str(reporter.check("files.read", another(), model="ours", estimated_usage=MILLION)["id"])
    expire(decision)
    reports.close_unreported()
    assert standing(day) == (0, 10, 0)
    set_price(cast.acme, model="ours", starts=date(2020, 1, 1), input_nanos=3 * CENT, actor=ACTOR)
    allowed = spending.today(cast.acme, Decision.objects.get().created)
    repricing.carry_on({"repricing": repricing.start(cast.acme, allowed, allowed, actor=ACTOR).pk})
    assert standing(day) == (0, 3, 0)
    reporter.report(decision, status="succeeded", **said)
    assert standing(day) == (0, cents, 0)


def test_a_late_report_leaves_the_price_that_an_unknown_charge_got(
    reporter: Bot, cast: Cast, sound: None
) -> None:
    decision = str(reporter.check("files.read", another(), model="ours", estimated_usage=MILLION)["id"])
    expire(decision)
    reports.close_unreported()
    assert Hold.objects.get().charged_nanos is None
    set_price(cast.acme, model="ours", starts=date(2020, 1, 1), input_nanos=3 * CENT, actor=ACTOR)
    allowed = spending.today(cast.acme, Decision.objects.get().created)
    repricing.carry_on({"repricing": repricing.start(cast.acme, allowed, allowed, actor=ACTOR).pk})
    reporter.report(decision, status="succeeded")
    assert Hold.objects.get().charged_nanos == 3 * CENT


def expire(decision: str) -> None:
    """The call's lease is over."""
    row = Decision.objects.get(public_id=decision)
    Decision.objects.filter(pk=row.pk).update(lease_until=row.created - timedelta(minutes=1))


def test_a_reset_leaves_what_is_settled_and_moves_what_is_in_flight(
    reporter: Bot, cast: Cast, day: Budget
) -> None:
    trust(cast)
    late, flying, done = read(reporter, 10), read(reporter, 20), read(reporter, 30)
    reporter.report(done, status="succeeded")
    expire(late)
    reports.close_unreported()
    limits.reset(day, actor=ACTOR, reason="Paid by somebody else.")
    rows = {row.key.partition("|")[2]: (row.held // CENT, row.spent // CENT) for row in Account.objects.all()}
    assert rows == {"": (0, 40), "r1": (20, 0)}
    assert reporter.check("files.read", another(), estimated_cost_usd="0.81")["code"] == "budget_busy"
    limits.reset(day, actor=ACTOR, reason="Once more.")
    reporter.report(flying, status="succeeded", cost_usd="0.25")
    reporter.report(late, status="succeeded", cost_usd="0.01")
    rows = {row.key.partition("|")[2]: (row.held // CENT, row.spent // CENT) for row in Account.objects.all()}
    assert rows == {"": (0, 31), "r1": (0, 0), "r2": (0, 25)}


def test_a_session_that_is_named_like_a_reset_of_another_keeps_its_own_account(
    reporter: Bot, cast: Cast, sound: None
) -> None:
    budget = limits.set_budget(
        cast.acme, agent=cast.report_bot, per_session=True, window="day", limit_amount=100 * CENT, actor=ACTOR
    ).row
    names = ["x", "x|r1", "x|r1|r2"]
    decisions = [read(reporter, 10 * place, session=name) for place, name in enumerate(names, 1)]
    for _ in range(2):
        limits.reset(budget, actor=ACTOR, reason="A new start.")
        assert soundness.examine(cast.acme).sound
    for decision in decisions:
        reporter.report(decision, status="succeeded")
    spent = Account.objects.filter(budget=budget, spent__gt=0).values_list("spent", flat=True)
    assert sorted(spent) == [10 * CENT, 20 * CENT, 30 * CENT]


@pytest.mark.parametrize("order", list(itertools.permutations(["raise", "lower", "report"])))
def test_a_budget_lowered_under_what_is_spent_leaves_nothing(
    reporter: Bot, cast: Cast, day: Budget, order: tuple[str, ...]
) -> None:
    decision = read(reporter, 50)
    for step in order:
        if step == "report":
            reporter.report(decision, status="succeeded", cost_usd="0.70")
        else:
            amount = {"raise": 200, "lower": 20}[step] * CENT
            limits.set_budget(
                cast.acme, agent=cast.report_bot, window="day", limit_amount=amount, actor=ACTOR
            )
    lowered = order.index("lower") > order.index("raise")
    assert standing(day) == (0, 70, 50 if lowered else 0)
    refused = reporter.check("files.read", another(), estimated_cost_usd="0.01")["decision"]
    assert refused == ("deny" if lowered else "allow")


def test_a_removed_budget_takes_its_accounts_along(reporter: Bot, cast: Cast, day: Budget) -> None:
    decision = read(reporter)
    limits.remove_budget(day, actor=ACTOR)
    reporter.report(decision, status="succeeded", cost_usd="0.20")
    assert Hold.objects.get().charged_nanos == 20 * CENT


def test_a_reset_asks_as_often_for_many_sessions_as_for_two(reporter: Bot, cast: Cast, sound: None) -> None:
    budget = limits.set_budget(
        cast.acme, agent=cast.report_bot, per_session=True, window="day", limit_amount=100 * CENT, actor=ACTOR
    ).row
    counts = []
    for sessions in (2, 7):
        for number in range(sessions):
            read(reporter, session=f"{sessions}-{number}")
        with CaptureQueriesContext(connection) as asked:
            limits.reset(budget, actor=ACTOR, reason="A new start.")
        counts.append(len(asked))
    assert counts[0] == counts[1]
