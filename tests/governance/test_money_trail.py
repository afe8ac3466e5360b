"""What the log says about money, where it is looked for: on the page of spending, and on a budget's own."""

from django.urls import reverse

from audit import log
from billing import limits
from billing.models import Budget
from governance.raises import RAISED
from tests import approving
from tests.cast import Cast
from tests.portal import enter, page

DOLLAR = 10**9


def a_budget(cast: Cast, dollars: int = 1) -> Budget:
    budget = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=dollars * DOLLAR, when_short="ask",
        actor=f"person:{cast.olga.public_id}",
    ).row  # fmt: skip
    assert isinstance(budget, Budget)
    return budget


def note(cast: Cast, kind: str, outcome: str = "", **data: object) -> int:
    """An entry about a call of report-bot, as checks write them; its index."""
    with log.write(cast.acme.log_id) as entries:
        return entries.append(
            kind,
            actor="system",
            agent=cast.report_bot.public_id,
            tool="web.fetch",
            outcome=outcome,
            data=data,
        ).index


def test_calls_that_were_refused_for_money_are_listed_with_their_decision(cast: Cast) -> None:
    address = reverse("spend", args=["acme"])
    assert "No call was refused for money" in enter(cast.otto).get(address).content.decode()
    note(cast, "governance.check.denied", "no_permission")
    assert "No call was refused for money" in enter(cast.otto).get(address).content.decode()
    for outcome in ("budget_exhausted", "budget_busy", "unknown_price"):
        note(cast, "governance.check.denied", outcome)
    shown = enter(cast.rita).get(address).content.decode()
    for words in (
        "the budget is spent",
        "the budget is held by calls in flight",
        "nobody knows what it costs",
    ):
        assert words in shown
    assert "outcome=budget_exhausted&amp;outcome=budget_busy&amp;outcome=unknown_price" in shown
    assert "outcome=budget_exhausted" not in enter(cast.otto).get(address).content.decode()


def test_a_budget_tells_who_set_raised_and_reset_it(cast: Cast) -> None:
    budget = a_budget(cast)
    a_budget(cast, 2000)
    other = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="week", limit_amount=1, actor="system"
    ).row
    asked = approving.ask(cast.report_bot, [approving.requirement(cast.rita)], tool="web.fetch")
    approving.decide(asked, cast.rita)
    note(cast, RAISED, budget=budget.public_id, amount=200_000_000, approval=asked.public_id)
    note(cast, RAISED, budget=other.public_id, amount=700_000_000, approval=asked.public_id)
    limits.reset(budget, actor=f"person:{cast.otto.public_id}", reason="A wrong price.")
    shown = page(enter(cast.rita), "billing_budget_change", budget.pk).partition('id="history-title"')[2]
    for words in (
        "Reset: it began anew", "Otto Oncall", "Raised by $0.20 for one call of report-bot", "Rita Review",
        "Changed: limit $1.00 → $2,000.00", "Olga Owner", "Set to $1.00",
        reverse("admin:governance_approval_change", args=[asked.pk]),
    ):  # fmt: skip
        assert words in shown
    assert "$0.70" not in shown
    assert "history-title" not in page(enter(cast.otto), "billing_budget_change", budget.pk)
