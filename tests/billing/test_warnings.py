"""A budget gives warning once of each share: with the charge that reaches it, or the refusal that is the first."""

from datetime import datetime
from typing import Any

import pytest

from audit import log
from audit.models import Entry, Owed
from billing import limits, warnings
from billing.budgets import NANOS, Call, Cost, Ledger, load_budgets
from billing.models import Account, Budget
from billing.warnings import WARNED
from tests.cast import ACTOR, Cast
from tests.portal import body_of
from workspaces.models import Agent, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def daily(cast: Cast) -> Budget:
    """Ten dollars a day for report-bot."""
    return limit(cast.acme, cast.report_bot)


def limit(workspace: Workspace, agent: Agent | None, dollars: int = 10, **terms: Any) -> Budget:
    terms = {"window": "day", "warn_at": [50, 80], **terms}
    return limits.set_budget(workspace, agent=agent, limit_amount=dollars * NANOS, actor=ACTOR, **terms).row


def ledger(workspace: Workspace, now: datetime) -> Ledger:
    return Ledger(workspace.pk, now, workspace.timezone, load_budgets(workspace.pk))


def spend(agent: Agent, dollars: str, *, session: str = "run-1") -> None:
    """Charge an agent's call."""
    with log.write(agent.workspace.log_id) as entries:
        book = ledger(agent.workspace, entries.now)
        call = Call(agent.pk, session)
        book.load([call])
        for account in book.of(call):
            account.move(spent=round(float(dollars) * NANOS))
        warnings.note(book.of(call), entries)
        book.store()


def refuse(agent: Agent) -> None:
    with log.write(agent.workspace.log_id) as entries:
        book = ledger(agent.workspace, entries.now)
        call = Call(agent.pk)
        book.load([call])
        for account in book.of(call):
            warnings.refused(account, entries)
        book.store()


def told(workspace: Workspace) -> list[tuple[str, str, str]]:
    """Agent, session and outcome of each warning."""
    rows = Entry.objects.filter(log_id=workspace.log_id, type=WARNED).order_by("index")
    return list(rows.values_list("agent", "session", "outcome"))


def test_each_share_is_told_once_as_it_is_reached(daily: Budget, report_bot: Agent) -> None:
    for amount in ("4.99", "0.01", "0.50", "3", "1", "5"):
        spend(report_bot, amount)
    assert [outcome for *_, outcome in told(report_bot.workspace)] == ["50% spent", "80% spent"]
    assert Account.objects.get(budget=daily).warned == 80
    assert Owed.objects.filter(kind=WARNED).count() == 2


def test_what_passes_several_shares_at_once_is_one_warning(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "9")
    assert told(report_bot.workspace) == [(report_bot.public_id, "", "80% spent")]


def test_a_warning_says_how_much_of_what(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "5.25")
    data = body_of(Entry.objects.get(type=WARNED))["data"]
    assert data | {"window": ""} == {
        "budget": daily.public_id, "share": 50, "unit": "usd", "spent": "5.25", "limit": "10.00", "window": "",
    }  # fmt: skip
    assert Account.objects.get(budget=daily).key == data["window"]


def test_tokens_are_told_as_whole_numbers(cast: Cast) -> None:
    limits.set_budget(
        cast.acme, agent=None, window="ever", unit="tokens", limit_amount=1000, warn_at=[50], actor=ACTOR
    )
    spend(cast.report_bot, "0.0000006")
    data = body_of(Entry.objects.get(type=WARNED))["data"]
    assert (data["spent"], data["limit"], data["window"]) == (600, 1000, "ever")


def test_a_refusal_is_told_the_first_time(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "6")
    refuse(report_bot)
    refuse(report_bot)
    spend(report_bot, "3")
    assert [outcome for *_, outcome in told(report_bot.workspace)] == ["50% spent", "exhausted"]


def test_a_budget_that_only_warns_says_when_it_is_spent(cast: Cast) -> None:
    limit(cast.acme, None, hard=False, warn_at=[])
    spend(cast.support_bot, "9.99")
    assert told(cast.acme) == []
    spend(cast.report_bot, "0.01")
    assert told(cast.acme) == [("", "", "100% spent")]


def test_each_session_has_warnings_of_its_own(cast: Cast) -> None:
    limit(cast.acme, None, per_session=True, window="ever")
    spend(cast.report_bot, "5", session="a|b")
    spend(cast.report_bot, "5", session="c")
    spend(cast.support_bot, "1", session="c")
    bot = cast.report_bot.public_id
    assert told(cast.acme) == [(bot, "a|b", "50% spent"), (bot, "c", "50% spent")]


def test_nothing_spent_is_no_share_of_nothing(cast: Cast) -> None:
    limit(cast.acme, None, dollars=0)
    spend(cast.report_bot, "0")
    assert told(cast.acme) == []
    spend(cast.report_bot, "0.01")
    assert told(cast.acme) == [("", "", "80% spent")]


def test_a_raised_limit_warns_again_of_what_it_fell_below(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "8")
    refuse(report_bot)
    limit(report_bot.workspace, report_bot, 20)  # two fifths are spent
    spend(report_bot, "1")
    spend(report_bot, "1")
    refuse(report_bot)
    outcomes = [outcome for *_, outcome in told(report_bot.workspace)]
    assert outcomes == ["80% spent", "exhausted", "50% spent", "exhausted"]


def test_a_raise_for_one_call_does_the_same(report_bot: Agent) -> None:
    daily = limit(report_bot.workspace, report_bot, when_short="ask")
    spend(report_bot, "9")
    refuse(report_bot)
    with log.write(report_bot.workspace.log_id) as entries:
        book = ledger(report_bot.workspace, entries.now)
        call, cost = Call(report_bot.pk, "run-1"), Cost(nanos=7 * NANOS)
        book.load([call])
        book.hold(call, cost, "dec_1", lifted=frozenset({f"budget:{daily.public_id}"}))
        book.store()
    account = Account.objects.get(budget=daily)
    assert (account.limit_amount, account.warned) == (16 * NANOS, 56)


def test_a_lowered_limit_is_told_with_the_next_charge(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "4")
    limit(report_bot.workspace, report_bot, 5)
    assert told(report_bot.workspace) == []
    spend(report_bot, "0.01")
    assert [outcome for *_, outcome in told(report_bot.workspace)] == ["80% spent"]


def test_a_reset_begins_anew_and_old_charges_say_nothing(daily: Budget, report_bot: Agent) -> None:
    spend(report_bot, "5")
    old = Account.objects.get(budget=daily)
    limits.reset(daily, actor=ACTOR, reason="The window was a mistake.")
    with log.write(report_bot.workspace.log_id) as entries:
        book = ledger(report_bot.workspace, entries.now)
        book.fetch([old.pk])
        (account,) = book.known([old.pk])
        account.move(spent=5 * NANOS)
        warnings.note([account], entries)
        book.store()
    spend(report_bot, "5")
    assert [outcome for *_, outcome in told(report_bot.workspace)] == ["50% spent", "50% spent"]
