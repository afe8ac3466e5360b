"""The set-up assistant in a browser: from a kind of agent to its first call, which the page shows by itself."""

import subprocess
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.journeys.test_live_feed import ROOT, Portal
from tests.journeys.test_live_feed import portal as portal

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}
PATIENCE = 20_000  # milliseconds until the light should have turned
# Of the theme's frame, which other tests look at.
FRAME = {"landmark-one-main", "region", "landmark-unique"}

# What stands out of the window to the right.
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll(".portal *")].filter((each) => each.getBoundingClientRect().right > innerWidth)
    .map((each) => each.outerHTML.slice(0, 200))"""


def flaws(page: Page) -> list[str]:
    """What axe finds on the page, beside the frame's."""
    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["id"] not in FRAME]


def run(portal: Portal, lines: str, key: str, folder: Path) -> str:
    """Run pasted Python where an agent would live: with the client, its key, and nothing else of ours."""
    (folder / "agent.py").write_text(lines)
    environment = {"COUNTERSIGN_KEY": key, "PYTHONPATH": str(ROOT / "clients" / "python")}
    command = [sys.executable, str(folder / "agent.py")]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_an_agent_is_set_up_and_its_first_call_turns_the_light_green(
    portal: Portal, chromium: str, tmp_path: Path
) -> None:
    session = portal.sign_in("olga").cookies["sessionid"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport=PHONE)
        context.add_cookies([{"name": "sessionid", "value": session, "url": portal.url}])
        page = context.new_page()
        page.goto(f"{portal.url}/admin/workspaces/agent/")
        page.get_by_role("link", name="Set up an agent").click()
        assert flaws(page) == []
        page.get_by_role("link", name="Read-only analyst").click()
        page.get_by_label("Name (required)").fill("first-bot")
        assert flaws(page) == []
        page.get_by_role("button", name="Set it up").click()
        expect(page.get_by_role("heading", name="Waiting for its first call")).to_be_visible()
        assert flaws(page) == []
        key = page.locator("#key-text").inner_text()
        page.get_by_text("Python: the client", exact=True).click()
        said = run(portal, page.locator("#lines-client").inner_text(), key, tmp_path)
        assert said == "what the tool does with ['file:///srv/reports/example']\n"
        expect(page.get_by_role("heading", name="is connected")).to_be_visible(timeout=PATIENCE)
        assert page.locator("#key-text").inner_text() == key, "The page was not loaded anew."
        page.get_by_role("link", name="← ").click()
        expect(page.get_by_text("was allowed to use files.read.")).to_be_visible()
        assert flaws(page) == []
        assert page.evaluate(WIDE) == []
        page.set_viewport_size(DESK)
        assert page.evaluate(WIDE) == []
        browser.close()
