"""The pages of budgets."""

from typing import Any

from django.utils import timezone

from billing import limits
from billing.budgets import window_start
from billing.models import Account, Budget
from tests.cast import Cast
from tests.portal import enter, latest, page, press, queries


def test_a_budget_is_set_in_dollars_and_changed(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "scope": "agent", "agent": "report-bot", "window": "day"}
    press(client, "billing_budget_add", **fields, limit_usd="5.000000001", warnings="80, 50")
    budget = Budget.objects.get()
    assert (budget.limit_amount, budget.warn_at) == (5_000_000_001, [50, 80])
    press(client, "billing_budget_change", budget.pk, limit_usd="1", warnings="")
    budget.refresh_from_db()
    assert (budget.limit_amount, budget.warn_at) == (10**9, [])
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("billing.budget.changed", f"person:{cast.olga.public_id}")
    press(client, "billing_budget_delete", budget.pk, post="yes")
    assert latest(cast.acme).type == "billing.budget.removed"


def test_a_budget_that_makes_no_sense_is_told_why(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "window": "day", "limit_usd": "5", "warnings": ""}
    assert "Name the agent" in press(client, "billing_budget_add", **fields, scope="agent")
    next_door = press(client, "billing_budget_add", **fields, scope="agent", agent=cast.globex_bot.name)
    assert "There is no agent of this name" in next_door
    assert "names no agent" in press(
        client, "billing_budget_add", **fields, scope="workspace", agent="report-bot"
    )
    short = fields | {"scope": "workspace", "when_short": "downgrade"}
    assert "Name the cheaper model" in press(client, "billing_budget_add", **short)
    assert "Give the limit" in press(
        client, "billing_budget_add", **fields | {"unit": "tokens"}, scope="workspace"
    )
    assert "no tool no.such" in press(
        client, "billing_budget_add", **fields, scope="workspace", tool="no.such"
    )
    assert "whole percents" in press(
        client, "billing_budget_add", **fields | {"warnings": "much"}, scope="workspace"
    )
    press(client, "billing_budget_add", **fields, scope="workspace")
    assert "There is such a budget already" in press(
        client, "billing_budget_add", **fields, scope="workspace"
    )
    assert Budget.objects.count() == 1


def test_the_running_window_shows_what_is_held_and_spent(cast: Cast) -> None:
    budget = limits.set_budget(cast.acme, window="day", limit_amount=10 * 10**9, actor="system").row
    today = window_start("day", timezone.now(), cast.acme.timezone)
    shares = {"budget": budget, "limit_amount": budget.limit_amount}
    Account.objects.create(key=today, spent=3_250_000_000, held=1_500_000_000, **shares)
    Account.objects.create(key="2001-01-01", spent=7_770_000_000, **shares)
    shown = page(enter(cast.otto), "billing_budget_changelist")
    assert all(amount in shown for amount in ("3.25", "1.50", "5.25"))
    assert "7.77" not in shown


def test_the_list_costs_the_same_whatever_there_is(cast: Cast) -> None:
    client = enter(cast.olga)
    limits.set_budget(cast.acme, window="day", limit_amount=1, actor="system")
    listed = queries(client, "billing_budget_changelist")
    for agent in (cast.report_bot, cast.support_bot):
        for window in Budget.Window.values:
            limits.set_budget(cast.acme, agent=agent, window=window, limit_amount=1, actor="system")
    assert queries(client, "billing_budget_changelist") == listed


def test_a_budget_in_tokens_that_only_warns_is_set_and_told(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {
        "workspace": cast.acme.pk,
        "scope": "session",
        "agent": "report-bot",
        "window": "ever",
        "model": "big",
    }
    edge = {"hard": "no", "when_short": "ask", "warnings": "80", "limit_usd": ""}
    press(client, "billing_budget_add", **fields, **edge, unit="tokens", limit_tokens="70000")
    budget = Budget.objects.get()
    assert (budget.unit, budget.limit_amount, budget.hard, budget.when_short) == (
        "tokens",
        70_000,
        False,
        "wait",
    )
    told = page(client, "billing_budget_change", budget.pk)
    assert (
        "Each session of report-bot may use 70,000 tokens in all on the model big; above that nothing" in told
    )
    assert "Warnings are sent at 80 %." in told
    assert "No session used anything" in told
    key = f"ever|{cast.report_bot.pk}|run-1"
    Account.objects.create(budget=budget, key=key, limit_amount=70_000, spent=60_000, held=5_000)
    told = page(client, "billing_budget_change", budget.pk)
    assert all(
        each in told for each in ("run-1", "60,000 tokens spent, 5,000 tokens held", "5,000 tokens left")
    )


def test_who_may_only_look_reads_words_and_no_empty_fields(cast: Cast) -> None:
    terms: dict[str, Any] = {
        "window": "ever",
        "limit_amount": 1500 * 10**9,
        "when_short": "ask",
        "actor": "system",
    }
    budget = limits.set_budget(cast.acme, per_session=True, **terms).row
    told = page(enter(cast.otto), "billing_budget_change", budget.pk)
    for words in ("$1,500.00", "every agent", "every tool", "every model", "Each session for ever", "Ask"):
        assert words in told
    assert "Downgrade to" not in told
    assert "What was spent on this" in told
    assert "Downgrade: a call" in page(enter(cast.olga), "billing_budget_change", budget.pk)


def test_a_budget_is_reset_with_a_reason_that_is_meant(cast: Cast) -> None:
    client = enter(cast.olga)
    budget = limits.set_budget(cast.acme, window="day", limit_amount=10, actor="system").row
    assert "Tick that you mean it" in press(
        client, "billing_budget_reset", budget.pk, reason="A wrong price."
    )
    assert "begins anew" in press(
        client, "billing_budget_reset", budget.pk, reason="A wrong price.", confirmed="on"
    )
    budget.refresh_from_db()
    assert (budget.generation, latest(cast.acme).type) == (1, "billing.budget.reset")
    assert enter(cast.otto).post(f"/admin/billing/budget/{budget.pk}/reset/").status_code == 403


def test_the_list_begins_with_what_is_used_most(cast: Cast) -> None:
    client = enter(cast.olga)
    assert "nothing stops a bill" in page(client, "billing_budget_changelist")
    today = window_start("day", timezone.now(), cast.acme.timezone)
    for agent, spent in ((cast.report_bot, 2), (cast.support_bot, 9)):
        budget = limits.set_budget(cast.acme, agent=agent, window="day", limit_amount=10, actor="system").row
        Account.objects.create(budget=budget, key=today, limit_amount=10, spent=spent)
    listed = page(client, "billing_budget_changelist")
    assert listed.index("support-bot") < listed.index("report-bot")
    assert "90 %" in listed
