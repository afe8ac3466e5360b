"""Every page of the portal in a browser, as somebody sees it who may see everything: in light and dark, on a desk and
on a phone. The pages are those that the URL configuration names, so that a new one is walked too."""

import re
from collections import defaultdict

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browser import CONTRAST, DESK, PATIENCE, PHONE, SEEN, WIDE, Windows, dark, flaws

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
MOST_TABS = 90
FEWEST = 60  # pages; fewer would mean that the walk lost its way


def readable(windows: Windows) -> list[str]:
    """The paths of the portal that answer with a whole page."""
    client = windows.portal.sign_in("everyone")
    answers = {path: client.get(path, follow_redirects=True) for path in windows.portal.known["pages"]}
    assert [path for path, answer in answers.items() if answer.status_code >= 500] == []
    return list(
        {
            answer.url.path: path
            for path, answer in answers.items()
            if answer.status_code == 200 and re.search(r"<html\b", answer.text[:5000])
        }
    )


def look(page: Page, *, but: str = "") -> dict[str, list[str]]:
    """What is wrong with the page that is open: in light, in dark, and on a phone. What is the same on every page need
    not be looked at on each: ``but`` names it."""
    found = {"light": flaws(page, but=but)}
    with dark(page):
        found["dark"] = flaws(page, CONTRAST, but=but)
    page.set_viewport_size(PHONE)
    found["wide"] = page.evaluate(WIDE)
    page.set_viewport_size(DESK)
    return found


def test_every_page_can_be_read_by_everybody(windows: Windows) -> None:
    page = windows.open("everyone")
    wrong: dict[str, list[str]] = defaultdict(list)
    paths = readable(windows)
    for number, path in enumerate(paths):
        windows.go(page, path)
        for kind, problems in look(page, but="#nav-sidebar" if number else "").items():
            wrong[f"{kind}: {problems}"] += [path] if problems else []
    assert {what: where for what, where in wrong.items() if where} == {}
    assert len(paths) >= FEWEST


def test_who_is_not_signed_in_gets_pages_of_the_same_kind(windows: Windows) -> None:
    page = windows.open()
    for path in ["/admin/login/", *windows.portal.known["open"]]:
        windows.go(page, path)
        assert {kind: problems for kind, problems in look(page).items() if problems} == {}, path


def test_a_page_that_is_not_there_says_so(windows: Windows) -> None:
    page = windows.open("everyone")
    page.goto(windows.portal.url + "/admin/nothing/here/")
    assert {kind: problems for kind, problems in look(page).items() if problems} == {}
    page.get_by_role("link", name="Go to your desk").click()
    expect(page.get_by_role("heading", name="Waiting for you")).to_be_visible()
    (complaint,) = windows.complaints
    assert complaint.endswith("the server responded with a status of 404 (Not Found)")
    windows.complaints.clear()


def test_on_a_phone_and_in_the_dark(windows: Windows) -> None:
    page = windows.open("everyone", viewport=PHONE, color_scheme="dark")
    windows.go(page, "/admin/")
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    windows.picture(page, "desk-phone-dark")
    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("link", name="Approvals")).to_be_visible()
    assert flaws(page) == []


def test_a_keyboard_reaches_the_menus_and_sees_where_it_is(windows: Windows) -> None:
    page = windows.open("everyone")
    windows.go(page, "/admin/workspaces/agent/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main-content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Set up an agent")).to_be_focused()
    menu = page.get_by_role("button", name="All corner")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible(timeout=PATIENCE)
    assert flaws(page) == []
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    assert flaws(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("corner-al")
    expect(page.locator("#command-results").get_by_text("corner-alpha").first).to_be_visible(timeout=PATIENCE)
    assert flaws(page) == []
    unseen = []
    windows.go(page, "/admin/workspaces/agent/")
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # the end of the page
        unseen += [each for each in [page.evaluate(SEEN)] if each]
    assert unseen == []
