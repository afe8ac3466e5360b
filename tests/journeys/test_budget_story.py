"""The bill that cannot come: an owner sets a budget, sees it fill, and raises it once for a call that waits."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browser import CONTRAST, DESK, PATIENCE, PHONE, WIDE, Windows, dark, flaws
from tests.journeys.installation import Portal
from tests.servers import free_port

pytestmark = pytest.mark.browser
INBOX = "/admin/governance/approval/"
EDITOR = "/admin/billing/budget/add/"
SPEND = "/admin/spend/acme/"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An installation in which calls cost money."""
    portal = Portal(tmp_path_factory.mktemp("portal"), free_port())
    portal.seed("tests.journeys.budget_seeding")
    portal.start()
    portal.work()
    try:
        yield portal
    finally:
        portal.end()


def check(portal: Portal, topic: str, **more: Any) -> dict[str, Any]:
    """What support-bot is answered when it wants to look something up."""
    body = {"tool": "web.research", "arguments": {"topic": topic}, "session": "run-42", **more}
    response = httpx.post(f"{portal.url}/v1/check", json=body, headers=key_of(portal), timeout=30)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def report(portal: Portal, decision: str) -> None:
    """That the call succeeded."""
    address = f"{portal.url}/v1/decisions/{decision}/outcome"
    body = {"status": "succeeded"}
    assert httpx.post(address, json=body, headers=key_of(portal), timeout=30).status_code == 200


def key_of(portal: Portal) -> dict[str, str]:
    return {"Authorization": f"Bearer {portal.known['keys']['support-bot']}"}


def look(page: Page) -> None:
    """Nothing is wrong with the page: in light, in dark, and on a phone."""
    assert flaws(page) == []
    with dark(page):
        assert flaws(page, CONTRAST) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate(WIDE) == []
    page.set_viewport_size(DESK)


def test_a_budget_is_set_fills_and_is_raised_once(windows: Windows) -> None:
    portal, page = windows.portal, windows.open("olga")
    set_a_budget(windows, page)
    call = watch_it_fill(windows, page)
    assert (call["decision"], call["code"]) == ("pending", "budget_exhausted"), call
    raise_it(windows, page)
    approval = call["approval"]["id"]
    told = httpx.get(f"{portal.url}/v1/approvals/{approval}", headers=key_of(portal), timeout=30).json()
    assert told["status"] == "approved"

    windows.go(page, SPEND)
    bar = page.locator(".spend-gauge").filter(has_text="support-bot")
    answer = check(portal, "third", approval=approval)
    assert (answer["decision"], answer["budget"]["remaining_usd"]) == ("allow", "0.00")
    expect(bar).to_contain_text("$0.40 held, of $1.20, raised by $0.20", timeout=PATIENCE)
    report(portal, answer["id"])
    expect(bar).to_contain_text("$1.20 spent", timeout=PATIENCE)
    look(page)
    windows.picture(page, "budget-raised")
    bar.get_by_role("link", name="support-bot").click()
    history = page.get_by_role("region", name="Who changed and raised it")
    expect(history.get_by_role("row", name="Raised by $0.20 for one call")).to_contain_text("Olga Owner")
    look(page)
    again = check(portal, "fourth", approval=approval)
    assert again["code"] in ("approval_mismatch", "approval_used")
    portal.manage("verify_log")


def set_a_budget(windows: Windows, page: Page) -> None:
    """Of one dollar a month for support-bot, which asks."""
    windows.go(page, EDITOR)
    page.get_by_role("combobox", name="Workspace").select_option(label="Acme Support")
    page.get_by_role("radio", name="One agent:").check()
    page.get_by_role("textbox", name="Agent").fill("support-bot")
    page.get_by_role("combobox", name="Window").select_option("month")
    page.get_by_label("Limit in US dollars").fill("1.00")
    page.get_by_role("radio", name="Ask: whoever").check()
    page.get_by_label("Warn at").fill("50, 80")
    look(page)
    windows.picture(page, "budget-editor")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()


def watch_it_fill(windows: Windows, page: Page) -> dict[str, Any]:
    """Two calls fill it while the owner looks on; the answer to the third, which does not fit."""
    portal = windows.portal
    windows.go(page, SPEND)
    bar = page.locator(".spend-gauge").filter(has_text="support-bot")
    expect(bar).to_contain_text("$0.00 spent, $0.00 held, of $1.00")
    empty = page.get_by_role("heading", name="Nothing was spent yet")
    expect(empty).to_be_visible()
    first = check(portal, "first")
    expect(bar).to_contain_text("$0.40 held", timeout=PATIENCE)
    expect(empty).to_have_count(0)
    report(portal, first["id"])
    expect(bar).to_contain_text("$0.40 spent, $0.00 held", timeout=PATIENCE)
    second = check(portal, "second")
    expect(bar).to_contain_text("$0.40 spent, $0.40 held, of $1.00. $0.20 left.", timeout=PATIENCE)
    look(page)
    windows.picture(page, "budget-live")
    report(portal, second["id"])
    return check(portal, "third")


def raise_it(windows: Windows, page: Page) -> None:
    """The owner finds the call in the inbox, sees what it would raise, and agrees. Who decides calls is not asked."""
    rita = windows.open("rita")
    windows.go(rita, INBOX)
    expect(rita.get_by_text("Nothing waits for you.")).to_be_visible()
    windows.go(page, INBOX)
    row = page.locator("a[data-row]")
    expect(row).to_have_count(1, timeout=PATIENCE)
    row.click()
    panel = page.get_by_role("region", name="What it would raise")
    for words in ("This call needs", "$0.40", "Spent", "$0.80", "$0.20 as things are now, at most $0.40"):
        expect(panel).to_contain_text(words)
    look(page)
    panel.scroll_into_view_if_needed()
    windows.picture(page, "budget-approval")
    page.get_by_role("button", name="Approve this call once").click()
    expect(page.get_by_text("You approved.")).to_be_visible()
