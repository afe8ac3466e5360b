"""The Spend page, its moving part, its file, and the list of charges."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import gauges, limits
from billing.budgets import window_end, window_start
from billing.counting import count_new
from billing.models import Account, Budget, Hold
from billing.outlooks import outlooks
from tests.billing.charges import CENTS, charge, held
from tests.cast import Cast
from tests.portal import enter, latest, page

pytestmark = pytest.mark.django_db


def spend(client: Client, **query: Any) -> str:
    answer = client.get(reverse("spend", args=["acme"]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def spent(cast: Cast, cents: int, **columns: Any) -> Hold:
    return charge(cast.report_bot, cents, at=timezone.now(), **columns)


def a_budget(cast: Cast, **more: Any) -> Budget:
    values: dict[str, Any] = {"window": "day", "limit_amount": 100 * CENTS, "actor": "system"} | more
    budget = limits.set_budget(cast.acme, **values).row
    assert isinstance(budget, Budget)
    return budget


def account(budget: Budget, **cents: int) -> Account:
    start = window_start(budget.window, timezone.now(), "Europe/Berlin")
    amounts = {name: amount * CENTS for name, amount in cents.items()}
    return Account.objects.create(budget=budget, key=start, limit_amount=budget.limit_amount, **amounts)


def test_an_empty_page_says_what_to_do(cast: Cast) -> None:
    text = spend(enter(cast.olga))
    assert "Nothing was spent yet" in text
    assert reverse("admin:billing_budget_add") in text
    assert reverse("admin:billing_budget_add") not in spend(enter(cast.otto))


def test_what_says_that_nothing_was_spent_goes_with_the_first_charge(cast: Cast) -> None:
    browser, address = enter(cast.otto), reverse("spend_part", args=["acme"])
    assert "Nothing was spent yet" in browser.get(address).content.decode()
    held(cast.report_bot, 1)
    assert '<div id="spend-empty"></div>' in browser.get(address).content.decode()


def test_what_is_not_listed_stands_below_its_own_unit(cast: Cast) -> None:
    for number in range(21):
        spent(cast, 1, tool=f"tool-{number:02}", charged_tokens=1000)
    browser = enter(cast.otto)
    assert 'data-label="Spent:">$0.01</td>' in spend(browser, by="tool").partition("<tfoot>")[2]
    others = spend(browser, by="tool", unit="tokens").partition("<tfoot>")[2]
    assert 'data-label="Tokens:">1,000</td>' in others
    assert 'data-label="Spent:"' not in others


def test_figures_and_who_spent_them(cast: Cast) -> None:
    spent(cast, 250, tool="mail.send")
    charge(cast.report_bot, 100, at=timezone.now() - timedelta(days=1))
    held(cast.support_bot, 40)
    text = spend(enter(cast.otto))
    for told in ("$2.50", "$1.00 all of yesterday", "$3.50", "$0.40", "by 1 call in flight", "report-bot"):
        assert told in text
    assert "mail.send" in spend(enter(cast.otto), by="tool")


def test_one_value_alone_and_nonsense_in_the_address(cast: Cast) -> None:
    spent(cast, 250)
    charge(cast.support_bot, 100, at=timezone.now())
    browser = enter(cast.otto)
    alone = spend(browser, by="agent", of=cast.support_bot.public_id)
    assert "$1.00" in alone
    assert "$2.50" not in alone
    assert "$3.50" in spend(browser, by="nonsense", period="1; --", unit="\0", of="agt_\0")
    assert "globex-bot" not in spend(browser, by="agent", of=cast.globex_bot.public_id)


def test_a_price_that_is_not_known_is_told(cast: Cast) -> None:
    charge(cast.report_bot, None, at=timezone.now(), model="mystery")
    text = spend(enter(cast.otto), by="model", unit="calls")
    assert "1 call</a> of the last 30 days has" in " ".join(text.split())
    assert f"{reverse('admin:billing_hold_changelist')}?workspace=acme&amp;state=unpriced" in text
    assert "1 unknown" in text


def test_budgets_stand_with_what_is_held_spent_and_over(cast: Cast) -> None:
    spent(cast, 1)
    whole = a_budget(cast)
    account(whole, spent=110, held=15, overage=25)
    own = a_budget(cast, agent=cast.report_bot)
    account(own, spent=20, held=30)
    a_budget(cast, agent=cast.support_bot, window="month", unit="tokens", limit_amount=5000)
    a_budget(cast, per_session=True, window="ever")
    text = " ".join(spend(enter(cast.olga)).split())
    assert "$1.10 spent and $0.15 held of $1.00, $0.25 over it" in text
    assert "$0.20 spent and $0.30 held of $1.00" in text
    assert "0 tokens spent and 0 tokens held of 5,000 tokens" in text
    assert "$1.00 for each session" in text
    assert text.index("The whole workspace") < text.index("50 %")


def test_a_budget_tells_what_its_window_will_have_cost(cast: Cast) -> None:
    for ago in range(1, 11):
        charge(cast.report_bot, 100 + ago, at=timezone.now() - timedelta(days=ago), charged_tokens=10)
    count_new()
    week = a_budget(cast, agent=cast.report_bot, window="week", limit_amount=50 * CENTS)
    ever = a_budget(cast, window="ever")
    both = a_budget(cast, agent=cast.report_bot, window="week", tool="files.read")
    now = timezone.now()
    shown = gauges.gauges(
        cast.acme, Budget.objects.filter(pk__in=[week.pk, ever.pk, both.pk]).order_by("pk"), now
    )
    told = outlooks(cast.acme, shown, now)
    assert [each.forecast is None for each in told] == [False, True, True]
    assert told[0].forecast is not None
    assert told[0].forecast.days == 10
    left = window_end("week", now, "Europe/Berlin") - now  # type: ignore[operator]
    assert told[0].exceeds == (left / timedelta(days=1) * 105.5 > 50)
    assert "expected by its end" in spend(enter(cast.otto))


def test_after_a_reset_a_budget_begins_anew(cast: Cast) -> None:
    budget = a_budget(cast)
    old = account(budget, spent=90)
    Account.objects.create(budget=budget, key=f"{old.key}|r1", limit_amount=100 * CENTS, spent=7 * CENTS)
    budget.generation = 1
    gauge = gauges.gauge(budget, list(budget.accounts.all()), timezone.now(), "Europe/Berlin")
    assert gauge.spent == 7 * CENTS


def test_the_moving_part_answers_only_when_the_log_grew(cast: Cast) -> None:
    browser, address = enter(cast.otto), reverse("spend_part", args=["acme"])
    first = browser.get(address)
    assert first.status_code == 200
    seen = latest(cast.acme).index + 1
    assert browser.get(address, {"seen": seen}).status_code == 204
    assert browser.get(address, {"seen": seen - 1}).status_code == 200


def test_the_file_is_exact_and_no_formula_and_an_entry(cast: Cast) -> None:
    spent(cast, 1, tool="=SUM(A1)", charged_nanos=1_000_000_001, charged_tokens=12)
    count_new()
    spent(cast, 3, tool="b")
    browser, address = enter(cast.otto), reverse("spend_csv", args=["acme"])
    assert browser.get(address).status_code == 405
    answer = browser.post(f"{address}?by=tool")
    assert answer["Content-Disposition"] == 'attachment; filename="spend-acme-tool.csv"'
    head, first, second = csv.reader(StringIO(answer.content.decode()))
    assert first[head.index("what")] == "'=SUM(A1)"
    assert (first[head.index("charged_usd")], first[head.index("tokens")]) == ("1.000000001", "12")
    assert (second[head.index("what")], second[head.index("charged_usd")]) == ("b", "0.03")
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("billing.spend.exported", f"person:{cast.otto.public_id}")


def test_a_stranger_finds_no_page(cast: Cast) -> None:
    row = spent(cast, 1)
    browser = enter(cast.gina)
    for name in ("spend", "spend_part"):
        assert browser.get(reverse(name, args=["acme"])).status_code == 404
    assert browser.post(reverse("spend_csv", args=["acme"])).status_code == 404
    assert row.decision not in page(browser, "billing_hold_changelist")
    assert browser.get(reverse("admin:billing_hold_change", args=[row.pk])).status_code == 404


def test_charges_are_listed_filtered_and_found_by_their_decision(cast: Cast) -> None:
    first = spent(
        cast, 250, tool="mail.send", model="large", basis="priced", price="list:2026-11", charged_tokens=1234
    )
    second = held(cast.support_bot, 40, tool="web.fetch")
    third = charge(cast.support_bot, None, tool="odd")
    browser = enter(cast.otto)

    def listed(**query: Any) -> set[str]:
        text = page(browser, "billing_hold_changelist", **query)
        return {row.decision for row in (first, second, third) if row.decision in text}

    text = page(browser, "billing_hold_changelist")
    for told in ("$2.50", "1,234", "in flight", "not known", "priced", "list:2026-11"):
        assert told in text
    assert listed() == {first.decision, second.decision, third.decision}
    assert listed(tool="mail.send") == {first.decision}
    assert listed(state="held") == {second.decision}
    assert listed(state="unpriced") == {third.decision}
    assert listed(agent=cast.report_bot.public_id) == {first.decision}
    assert listed(owner=cast.olga.public_id, model="large") == {first.decision}
    assert listed(session=f"{cast.support_bot.public_id}|") == {second.decision, third.decision}
    assert listed(q=second.decision) == {second.decision}
    charged = page(browser, "billing_hold_change", first.pk)
    for told in ("list:2026-11", "$2.50 charged", "tokens at the model’s price", first.decision):
        assert told in charged


def test_a_charge_names_its_budgets_and_leads_into_the_log(cast: Cast) -> None:
    mine = account(a_budget(cast, agent=cast.report_bot, tool="files.read"))
    row = spent(cast, 1, accounts=[mine.pk])
    charged = page(enter(cast.rita), "billing_hold_change", row.pk)
    assert "report-bot, files.read" in charged
    assert reverse("admin:billing_budget_change", args=[mine.budget_id]) in charged
    assert f"call={row.decision}" in charged
    assert f"call={row.decision}" not in page(enter(cast.otto), "billing_hold_change", row.pk)


def test_nobody_changes_a_charge(cast: Cast) -> None:
    row, browser = spent(cast, 1), enter(cast.olga)
    for name in ("delete",):
        assert (
            browser.post(reverse(f"admin:billing_hold_{name}", args=[row.pk]), {"post": "yes"}).status_code
            == 403
        )
    browser.post(reverse("admin:billing_hold_change", args=[row.pk]), {"charged_nanos": "0"})
    row.refresh_from_db()
    assert row.charged_nanos == CENTS
