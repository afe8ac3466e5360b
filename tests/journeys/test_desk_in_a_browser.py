"""The desk in Chromium: stop an agent by keyboard on a phone, see the last hour move, read times in one's own zone."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cast import Cast, assemble
from tests.governance.test_desk import decide, fill
from tests.portal import enter
from workspaces.models import Agent

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def beside_playwright(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's loop runs in the test's thread, where Django would refuse to ask the database."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def prepared(transactional_db: None) -> tuple[Cast, str]:
    """The cast with something of everything on the desk, and otto's session."""
    cast = assemble()
    fill(cast)
    return cast, enter(cast.otto).cookies["sessionid"].value


def open_desk(browser: Browser, url: str, session: str, **options: Any) -> Page:
    context = browser.new_context(**options)
    context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
    page = context.new_page()
    page.goto(url + reverse("admin:index"))
    return page


def standing(agent: Agent) -> str:
    return Agent.objects.get(pk=agent.pk).standing


def test_an_agent_is_stopped_by_keyboard_on_a_phone(
    prepared: tuple[Cast, str], live_server: Any, browser: Browser
) -> None:
    cast, session = prepared
    page = open_desk(browser, live_server.url, session, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("a[data-stop]").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name of the agent")).to_be_focused()
    page.keyboard.type("report-bot")
    page.keyboard.press("Tab")
    expect(dialog.get_by_label("Why?")).to_be_focused()
    page.keyboard.type("Odd")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("report-bot is stopped")
    expect(dialog.get_by_role("status")).to_contain_text("Confirmed")
    assert standing(cast.report_bot) == "suspended"
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_without_javascript_the_button_is_a_page(
    prepared: tuple[Cast, str], live_server: Any, browser: Browser
) -> None:
    cast, session = prepared
    page = open_desk(browser, live_server.url, session, java_script_enabled=False)
    page.goto(live_server.url + reverse("admin:workspaces_agent_change", args=[cast.report_bot.pk]))
    page.locator("a[data-stop]").click()
    form = page.locator("[data-stop-form]")
    form.get_by_label("Why?").fill("Odd")
    form.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("report-bot is stopped")
    assert standing(cast.report_bot) == "suspended"


def test_the_last_hour_moves_by_itself_and_times_are_the_readers_own(
    prepared: tuple[Cast, str], live_server: Any, browser: Browser
) -> None:
    cast, session = prepared
    page = open_desk(browser, live_server.url, session, timezone_id="Asia/Tokyo")
    expect(page.locator("#pulse-chart")).to_be_visible()
    expect(page.locator("#pulse-allowed")).to_have_text("0")
    decide(cast.report_bot, "allowed", 3)
    expect(page.locator("#pulse-allowed")).to_have_text("3", timeout=20_000)
    time = page.locator("#desk-unreported ~ table time")
    utc = (time.get_attribute("title") or "").removesuffix(" UTC")
    assert utc != time.inner_text()
    shown = page.evaluate("(text) => new Date(text + 'Z').getHours()", utc.replace(" ", "T"))
    assert int(time.inner_text()[11:13]) == shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_desk_and_in_the_dialog(
    prepared: tuple[Cast, str], live_server: Any, browser: Browser, scheme: str
) -> None:
    _, session = prepared
    page = open_desk(browser, live_server.url, session, color_scheme=scheme)
    wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    for context in ("#content", "[data-stop]", "dialog"):
        if context == "dialog":
            page.locator("a[data-stop]").click()
            page.get_by_role("dialog").wait_for()
        found = Axe().run(page, context=context, options=wanted).response["violations"]
        assert not found, [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
