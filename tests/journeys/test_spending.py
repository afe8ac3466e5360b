"""Spending in Chromium: bars move when calls are allowed and settled, for everybody to read; and a bill is uploaded."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from billing import limits
from billing.counting import count_new
from tests.billing.charges import charge
from tests.cast import Cast, assemble
from tests.gate.conftest import Bot, gate
from tests.journeys.browser import CONTRAST, DESK, PHONE, WIDE, dark, flaws
from tests.portal import enter

__all__ = ["gate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CENTS = 10**7


@pytest.fixture(autouse=True)
def beside_playwright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's loop runs in the test's thread, where Django would refuse to ask the database."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """The cast with two months of charges, and a budget of a dollar a day."""
    cast = assemble()
    models = ("large", "small", "")
    for ago in range(1, 60):
        for bot, cents in ((cast.report_bot, 3 + ago % 7), (cast.support_bot, 9 - ago % 5)):
            at = timezone.now() - timedelta(days=ago)
            charge(bot, cents, at=at, model=models[ago % 3], session=f"run-{ago % 9}", charged_tokens=900)
    charge(cast.support_bot, None, at=timezone.now(), model="mystery")
    count_new()
    limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=100 * CENTS, actor="system"
    )
    return cast


def open_spend(browser: Browser, url: str, cast: Cast, name: str = "spend") -> Page:
    context = browser.new_context(viewport=DESK)
    session = enter(cast.olga).cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
    page = context.new_page()
    page.goto(url + reverse(name, args=["acme"]))
    return page


def test_bars_move_when_calls_are_allowed_and_settled(
    cast: Cast, gate: Any, live_server: Any, browser: Browser
) -> None:
    bot = Bot(gate, cast.report_bot_key)
    page = open_spend(browser, live_server.url, cast)
    bar = page.get_by_role("img", name="held of $1.00")
    expect(bar).to_have_accessible_name("$0.00 spent and $0.00 held of $1.00")
    answer = bot.check("files.read", {"path": "/srv/reports/a"}, estimated_cost_usd="0.40")
    assert answer["decision"] == "allow", answer
    expect(bar).to_have_accessible_name("$0.00 spent and $0.40 held of $1.00")
    bot.report(answer["id"], status="succeeded", cost_usd="0.55")
    expect(bar).to_have_accessible_name("$0.55 spent and $0.00 held of $1.00")
    expect(page.locator("#spend-tiles")).to_contain_text("$0.55")
    expect(page.locator("#spend-chart")).to_be_visible()


def test_a_bill_is_chosen_and_compared(cast: Cast, live_server: Any, browser: Browser) -> None:
    page = open_spend(browser, live_server.url, cast, "bills")
    bill = {"name": "bill.csv", "mimeType": "text/csv", "buffer": b"date,model,cost\n2026-11-01,large,0.30\n"}
    page.get_by_label("The bill (CSV)").set_input_files(bill)  # type: ignore[arg-type]
    expect(page.get_by_label("Time zone of its days")).to_have_value("UTC")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("The bill is compared with what was charged.")).to_be_visible()
    assert flaws(page) == []


@pytest.mark.parametrize("query", ["", "?by=session&period=7&unit=tokens", "?by=model&of=large"])
def test_everybody_can_read_it(cast: Cast, live_server: Any, browser: Browser, query: str) -> None:
    page = open_spend(browser, live_server.url, cast)
    page.goto(live_server.url + reverse("spend", args=["acme"]) + query)
    page.locator("details summary", has_text="Day by day").click()
    assert flaws(page) == []
    with dark(page):
        assert flaws(page, CONTRAST) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate(WIDE) == []
