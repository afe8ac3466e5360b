"""What people come to the portal for, from beginning to end, in a browser: a request that waits for an officer, a new
agent, a new policy, a review of who may do what, and all that matters by keyboard alone."""

import json
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browser import DESK, PATIENCE, PHONE, SEEN, WIDE, Windows, flaws
from tests.journeys.installation import ROOT, Portal

pytestmark = pytest.mark.browser
MOST_TABS = 90  # from the top of a page to anything on it
WRONG = """
- name: No refund above 40
  agents: [support-bot]
  tools: [billing.refund]
  when: args.amuont > 40
  effect: deny
"""


@pytest.fixture(scope="module", autouse=True)
def worker(portal: Portal) -> None:
    """Somebody does what is owed: mails, and replays."""
    portal.work()


def ask(portal: Portal, agent: str, amount: int, **more: Any) -> dict[str, Any]:
    """The gate's answer to an agent that wants to refund so much, or does what ``more`` says instead."""
    body = {"tool": "billing.refund", "arguments": {"invoice": "INV-1002", "amount": amount}, **more}
    header = {"Authorization": f"Bearer {portal.known['keys'][agent]}"}
    answer: dict[str, Any] = httpx.post(f"{portal.url}/v1/check", json=body, headers=header).json()
    return answer


def paste(lines: str, key: str, folder: Path, python: bool = False) -> str:
    """What a terminal says to pasted lines where an agent lives: with its key, and nothing else of ours."""
    environment = {
        "COUNTERSIGN_KEY": key,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "clients" / "python"),
    }
    command = [sys.executable if python else "bash", "-c", lines]
    done = subprocess.run(
        command, env=environment, cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_an_officer_sees_a_request_arrive_approves_it_and_stops_the_agent(windows: Windows) -> None:
    portal = windows.portal
    page = windows.open()
    windows.go(page, f"/signin/{portal.known['links']['rita'].pop()}/")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation").get_by_role("link", name="acme").click()
    expect(page.locator("#live-state")).to_have_text("Live", timeout=PATIENCE)
    ask(portal, "refund-bot", 20)
    ask(portal, "refund-bot", 0, tool="files.read", arguments={"path": "/etc/passwd"})
    waiting = ask(portal, "refund-bot", 250, reason="The parcel came back; order 4711 is to be refunded.")
    newest = page.locator("#live-rows tr", has_text="pending").first
    expect(newest).to_contain_text("refund-bot", timeout=PATIENCE)
    assert flaws(page) == []
    windows.picture(page, "live")

    newest.get_by_role("link", name="pending").click()
    page.get_by_role("link", name="Waiting").click()
    expect(page.get_by_text("Is this refund owed, and is the amount on the invoice?")).to_be_visible()
    page.get_by_label("Comment").fill("Owed: I saw the invoice.")
    page.get_by_role("button", name="Approve this call once").click()
    expect(page.get_by_text("“Owed: I saw the invoice.”")).to_be_visible()
    approval = waiting["approval"]["id"]
    assert ask(portal, "refund-bot", 250, approval=approval)["decision"] == "allow"

    page.get_by_role("link", name="Stop an agent or more").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("The agent refund-bot")).to_be_checked()
    dialog.get_by_label("Why?").fill("It refunds orders that were never paid")
    windows.picture(page, "stop")
    dialog.get_by_role("button", name="Stop now").click()
    said = dialog.get_by_role("status")
    expect(said).to_contain_text("refund-bot is stopped")
    expect(said).to_contain_text(re.compile(r"Requested\s*\d{4}-\S+ [\d:.]+\s*Confirmed\s*\d{4}-\S+ [\d:.]+"))
    refused = ask(portal, "refund-bot", 20)
    assert (refused["decision"], refused["code"]) == ("deny", "contained")


def test_an_agent_is_set_up_and_its_first_call_turns_the_light_green(
    windows: Windows, tmp_path: Path
) -> None:
    page = windows.open("olga", viewport=PHONE)
    windows.go(page, "/admin/workspaces/agent/")
    page.get_by_role("link", name="Set up an agent").click()
    assert flaws(page) == []
    page.get_by_role("link", name="Customer support").click()
    page.set_viewport_size(DESK)
    windows.picture(page, "assistant")
    page.set_viewport_size(PHONE)
    page.go_back()
    page.get_by_role("link", name="Read-only analyst").click()
    page.get_by_label("Name (required)").fill("first-bot")
    assert flaws(page) == []
    page.get_by_role("button", name="Set it up").click()
    waiting = page.get_by_role("heading", name="Waiting for its first call")
    expect(waiting).to_be_visible()
    assert flaws(page) == []
    key = page.locator("#key-text").inner_text()
    answer = json.loads(paste(page.locator("#lines-curl").inner_text(), key, tmp_path))
    assert answer["decision"] == "allow"
    expect(page.get_by_role("heading", name="is connected")).to_be_visible(timeout=PATIENCE)
    assert page.locator("#key-text").inner_text() == key, "The page was not loaded anew."
    page.get_by_text("Python: the client", exact=True).click()
    said = paste(page.locator("#lines-client").inner_text(), key, tmp_path, python=True)
    assert said == "what the tool does with ['file:///srv/reports/example']\n"
    page.get_by_role("link", name="← ").click()
    expect(page.get_by_text("was allowed to use files.read.").first).to_be_visible()
    assert flaws(page) == []
    assert page.evaluate(WIDE) == []


def test_a_draft_is_put_right_replayed_and_published(windows: Windows) -> None:
    for amount in (30, 50, 70):
        assert ask(windows.portal, "support-bot", amount)["decision"] == "allow"
    page = windows.open("olga")
    windows.go(page, "/admin/governance/policyversion/add/")
    rules = page.get_by_label("Rules")
    text = rules.input_value().rstrip() + WRONG
    rules.fill(text)
    line = text[: text.index("amuont")].count("\n") + 1
    place = page.get_by_role("button", name=f"Line {line}, column 14:")
    expect(place).to_be_visible(timeout=PATIENCE)
    assert flaws(page) == []
    windows.picture(page, "policy")
    place.press("Enter")
    expect(rules).to_be_focused()
    rules.fill(text.replace("amuont", "amount"))
    expect(page.get_by_text("Nothing is wrong with these")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Note").fill("Large refunds go elsewhere")
    page.get_by_role("button", name="Save", exact=True).click()
    windows.go(page, "/admin/governance/policyversion/")
    page.get_by_role("link", name=re.compile(r"Version \d")).first.click()
    here = page.url
    page.get_by_label("of agent").fill("support-bot")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("denied by No refund above 40").first).to_be_visible(timeout=PATIENCE)
    told = " ".join(page.locator(".policy-sentence").inner_text().split())
    assert told == "Of 3 calls it would newly block 2, newly ask 0, newly allow 0."
    assert flaws(page) == []
    windows.picture(page, "replay")
    page.set_viewport_size(PHONE)
    assert page.evaluate(WIDE) == []
    page.goto(here)
    assert page.evaluate(WIDE) == []
    page.get_by_role("button", name=re.compile(r"Put version \d in force")).click()
    expect(page.get_by_text("is in force, from the next decision on")).to_be_visible()
    assert ask(windows.portal, "support-bot", 50)["code"] == "rule"
    page.get_by_role("link", name="Test a call against this version").last.click()
    page.get_by_label("Agent", exact=True).fill("support-bot")
    page.get_by_label("Arguments").fill(json.dumps({"invoice": "1", "amount": 50}))
    page.get_by_role("button", name="Test this call").click()
    expect(page.get_by_text("denied", exact=True)).to_be_visible()
    assert flaws(page) == []
    assert page.evaluate(WIDE) == []


def test_access_is_reviewed_kept_revoked_and_signed_off(windows: Windows) -> None:
    portal = windows.portal
    assert ask(portal, "audit-bot", 20)["decision"] == "allow"
    officer, owner = windows.open("rita"), windows.open("olga")
    windows.go(officer, "/admin/access/acme/reviews/")
    officer.get_by_label("Title").fill("Who may still refund?")
    officer.get_by_label("Answers until the end of").fill(str(date.today() + timedelta(days=7)))
    officer.get_by_label("Agents").fill("audit-bot")
    officer.get_by_role("button", name="Ask the owners").click()
    expect(officer.get_by_role("button", name="Sign off")).to_be_disabled()
    assert flaws(officer) == []

    windows.go(owner, "/admin/access/acme/reviews/")
    owner.get_by_role("link", name="Who may still refund?").click()
    owner.get_by_role("group", name=re.compile("key")).get_by_label("keep").check()
    owner.get_by_role("group", name=re.compile("role support")).get_by_label("revoke").check()
    assert flaws(owner) == []
    windows.picture(owner, "review")
    owner.get_by_role("button", name="Save the answers").click()
    expect(owner.get_by_text("2 answers taken.")).to_be_visible()
    refused = ask(portal, "audit-bot", 20)
    assert (refused["decision"], refused["code"]) == ("deny", "no_permission")

    officer.reload()
    officer.get_by_role("button", name="Sign off").click()
    expect(officer.get_by_text("Signed off.")).to_be_visible()
    officer.get_by_role("link", name="Summary to print").click()
    expect(officer.get_by_role("heading", name="Revoked")).to_be_visible()
    assert flaws(officer) == []


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until this has the focus; what has it meanwhile must be seen."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN) == ""
        if wanted.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{wanted} cannot be reached by Tab.")


def test_a_call_is_decided_and_an_agent_stopped_by_keyboard_alone(windows: Windows) -> None:
    portal = windows.portal
    waiting = ask(portal, "night-bot", 300)
    page = windows.open("rita")
    windows.go(page, "/admin/")
    windows.picture(page, "desk")
    tab_to(page, page.get_by_role("link", name="Skip to the page"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("row", name=re.compile("night-bot")).get_by_role("link").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="night-bot wants to use billing.refund")).to_be_visible()
    tab_to(page, page.get_by_label("Comment"))
    page.keyboard.type("Not owed.")
    tab_to(page, page.get_by_role("button", name="Reject"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("“Not owed.”")).to_be_visible()
    answer = ask(portal, "night-bot", 300, approval=waiting["approval"]["id"])
    assert answer["code"] == "approval_rejected"

    tab_to(page, page.get_by_role("link", name="Stop an agent or more"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Why?")).to_be_focused()
    page.keyboard.type("It asks for what is not owed")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("night-bot is stopped")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert ask(portal, "night-bot", 20)["code"] == "contained"
