"""An agent, a reviewer and the owner next door at the money of a workspace: what they would break, and what holds."""

import json
from datetime import date
from typing import Any

import pytest

from audit import owed
from audit.models import Entry, Owed
from billing import bills, counting, limits, repricing, soundness, warnings
from billing.bill_files import BillRefused
from billing.models import BillCheck, Budget, Repricing
from governance import callbacks, optimizing, warning_mail
from tests.billing.charges import charge
from tests.cast import ACTOR, Cast
from tests.gate.conftest import Bot
from tests.portal import enter
from workspaces import agents
from workspaces import callbacks as addresses

pytestmark = pytest.mark.django_db(transaction=True)

DOLLAR = 10**9
MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}
EVIL = "<script>alert(1)</script>"


def send(bot: Bot, body: object, **more: Any) -> dict[str, Any]:
    return bot.check("mail.send", MAIL | {"body": str(body)}, **more)


def limit(cast: Cast, dollars: int = 10, **terms: Any) -> Budget:
    known: dict[str, Any] = {"window": "ever", **terms}
    return limits.set_budget(cast.acme, limit_amount=dollars * DOLLAR, actor=ACTOR, **known).row


def test_who_reports_far_too_much_is_refused_and_breaks_nothing(
    cast: Cast, support: Bot, reporter: Bot
) -> None:
    """What a budget is short of then is more than a number in the log can be."""
    budget = limit(cast, when_short="ask")
    for number in range(12):
        support.report(send(support, number)["id"], status="succeeded", cost_usd="999999.99")
    for bot in (support, reporter):
        call = {"path": "/srv/reports/q3.csv"} if bot is reporter else MAIL
        tool = "files.read" if bot is reporter else "mail.send"
        answer = bot.check(tool, call, estimated_cost_usd="0.01")
        assert (answer["decision"], answer["code"]) == ("deny", "budget_exhausted")
        assert answer["reasons"][0]["budget"] == budget.public_id
    assert soundness.examine(cast.acme).sound


def test_nobody_sets_a_limit_that_the_log_cannot_say(cast: Cast) -> None:
    form = {"workspace": cast.acme.pk, "scope": "workspace", "window": "day", "unit": "usd", "hard": "yes"}
    browser = enter(cast.olga)
    assert browser.post("/admin/billing/budget/add/", form | {"limit_usd": "9000001"}).status_code == 200
    assert not Budget.objects.exists()
    limit(cast, 9_000_000)
    answer = browser.post(
        "/api/v1/workspaces/acme/budgets",
        json.dumps({"window": "week", "limit_usd": "999999999"}),
        content_type="application/json",
    )
    assert answer.status_code == 400


def test_ever_new_sessions_keep_the_worker_from_nobody_else(cast: Cast, support: Bot) -> None:
    addresses.set_callback(cast.support_bot, url="https://agents.acme.test/told", actor=ACTOR)
    limit(cast, 1, per_session=True)
    for number in range(60):
        assert send(support, number, session=f"run-{number}", estimated_cost_usd="2")["decision"] == "deny"
    assert Entry.objects.filter(type=warnings.WARNED).count() == 60
    performed = 0
    while rows := owed.claim(1, aside=False):
        assert owed.perform(rows[0]).done
        performed += 1
    assert performed == 1
    (mail,) = Owed.objects.filter(kind=warning_mail.MAIL)
    assert len(mail.payload["entries"]) == 60
    assert Owed.objects.filter(kind=callbacks.WARNING).count() == warning_mail.MOST_SENT


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_bill_beyond_all_money_is_refused(cast: Cast, sign: str) -> None:
    lines = "".join(f"2026-11-01,m{number},{sign}999999999\n" for number in range(20))
    with pytest.raises(BillRefused) as refused:
        bills.check_bill(cast.acme, f"date,model,cost\n{lines}".encode(), actor=ACTOR)
    assert refused.value.code == "bill_amount"
    assert not BillCheck.objects.exists()


def test_a_large_bill_is_told_in_the_log(cast: Cast) -> None:
    bills.check_bill(cast.acme, b"date,model,cost\n2026-11-01,m,20000000\n", actor=ACTOR)
    body = bytes(Entry.objects.get(type="billing.bill.checked").body)
    assert json.loads(body)["data"]["billed"] == "20000000.00"


@pytest.mark.parametrize("day", [date.min, date.max])
def test_days_at_the_end_of_time_are_not_priced_anew_for_ever(cast: Cast, day: date) -> None:
    with pytest.raises(repricing.RepricingRefused):
        repricing.start(cast.acme, day, day, actor=ACTOR)
    for address in ("/admin/prices/acme/reprice/", "/api/v1/workspaces/acme/repricings/preview"):
        answer = enter(cast.olga).get(address, {"first_day": day.isoformat(), "last_day": day.isoformat()})
        assert answer.status_code in (200, 400)
    assert not Repricing.objects.exists()


def test_an_agents_name_stays_one_in_the_address_of_a_form(cast: Cast) -> None:
    bot = agents.create_agent(cast.acme, "a+b", owner=cast.olga, actor=ACTOR)
    spent = charge(bot, 5)
    counting.count_new()
    (found,) = optimizing.unbound(cast.acme, spent.created.date())
    assert "agent=a%2Bb&" in found.address


def test_the_owner_next_door_reaches_no_budget_and_no_charge_of_ours(cast: Cast) -> None:
    budget, spent = limit(cast), charge(cast.support_bot, 5)
    browser, ours = enter(cast.gina), "/api/v1/workspaces/globex/budgets"
    before = Entry.objects.filter(log_id=cast.acme.log_id).count()

    def call(method: str, address: str, **body: Any) -> int:
        answer = getattr(browser, method)(address, json.dumps(body), content_type="application/json")
        return int(answer.status_code)

    assert call("put", f"{ours}/{budget.public_id}", limit_usd="500") == 404
    assert call("delete", f"{ours}/{budget.public_id}") == 404
    assert call("post", f"{ours}/{budget.public_id}/reset", reason="x") == 404
    foreign = cast.support_bot.public_id
    assert call("post", ours, window="day", limit_usd="5", scope="agent", agent=foreign) == 400
    assert call("post", ours, window="day", limit_usd="5", spent_usd="0", generation=7) == 400
    assert browser.get(f"/api/v1/workspaces/globex/charges?after={spent.decision}").status_code == 400
    assert browser.get(f"/admin/billing/hold/{spent.pk}/change/").status_code == 404
    assert browser.get(f"/admin/optimize/globex/unused/{foreign}/").status_code == 404
    assert Entry.objects.filter(log_id=cast.acme.log_id).count() == before


def test_what_agents_name_is_text_on_every_page_about_money(cast: Cast) -> None:
    agents.change_agent(cast.support_bot, cost_center=EVIL, actor=ACTOR)
    cast.support_bot.refresh_from_db()
    spent = charge(cast.support_bot, 5, session=EVIL, model=EVIL, usage={"input_tokens": 5})
    limit(cast, model=EVIL)
    browser = enter(cast.olga)
    spend = [f"/admin/spend/acme/{part}?by={by}" for part in ("", "figures/") for by in ("session", "model")]
    for address in (
        *spend,
        "/admin/spend/acme/?by=cost_center",
        f"/admin/spend/acme/?by=model&of={EVIL}",
        "/admin/billing/hold/",
        f"/admin/billing/hold/?model={EVIL}",
        f"/admin/billing/hold/{spent.pk}/change/",
        "/admin/billing/budget/",
        f"/admin/prices/acme/?q={EVIL}",
        "/admin/optimize/acme/",
    ):
        answer = browser.get(address)
        assert answer.status_code == 200, address
        assert EVIL not in answer.content.decode(), address
