"""A policy in a browser: typed with a mistake that shows at its line, put right, replayed, published, tried."""

import json

from playwright.sync_api import expect, sync_playwright

from tests.journeys.test_agent_assistant import DESK, PHONE, WIDE, flaws
from tests.journeys.test_live_feed import Portal
from tests.journeys.test_live_feed import portal as portal

PATIENCE = 20_000  # milliseconds until the worker should have judged, and the page shows it by itself
WRONG = """\
- name: No refund above 40
  tools: [billing.refund]
  when: args.amuont > 40
  effect: deny
"""
CALLS = """
from governance import checks
from governance.requests import Caller
from gate import bodies
from workspaces.identifiers import key_digest
from workspaces.models import Agent
from workspaces import agents
bot = Agent.objects.select_related("workspace").get(name="support-bot")
agents.revoke_key(bot.keys.filter(revoked_at=None).first(), actor="system")
_, key = agents.create_key(bot, actor="system")
caller = Caller(bot.workspace.log_id, bot.pk, key[4:12], key_digest(key))
for amount in (30, 50, 70):
    raw = b'{"tool": "billing.refund", "arguments": {"invoice": "1", "amount": %d}}' % amount
    checks.admit(bot.workspace.log_id, [bodies.parse_check(raw, caller, "")])
"""


def test_a_draft_is_put_right_replayed_and_published(portal: Portal, chromium: str) -> None:
    assert portal.script(CALLS).wait(timeout=60) == 0
    session = portal.sign_in("olga").cookies["sessionid"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport=DESK)
        context.add_cookies([{"name": "sessionid", "value": session, "url": portal.url}])
        page = context.new_page()
        page.goto(f"{portal.url}/admin/governance/policyversion/add/")
        page.get_by_label("Rules").fill(WRONG)
        place = page.get_by_role("button", name="Line 3, column 14:")
        expect(place).to_be_visible(timeout=PATIENCE)
        assert flaws(page) == []
        place.press("Enter")
        expect(page.get_by_label("Rules")).to_be_focused()
        page.get_by_label("Rules").fill(WRONG.replace("amuont", "amount"))
        expect(page.get_by_text("Nothing is wrong with these 1 rules.")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_text("1 tool: billing.refund")).to_be_visible()
        page.get_by_label("Note").fill("Large refunds go elsewhere")
        page.get_by_role("button", name="Save", exact=True).click()
        page.goto(f"{portal.url}/admin/governance/policyversion/")
        page.get_by_role("link", name="Version 1").click()
        page.get_by_role("button", name="Replay").click()
        expect(page.get_by_text("Waiting for the worker")).to_be_visible()
        assert flaws(page) == []
        portal.manage("work", "--once", "--quiet")
        expect(page.get_by_text("denied by No refund above 40").first).to_be_visible(timeout=PATIENCE)
        told = " ".join(page.locator(".policy-sentence").inner_text().split())
        assert told == "Of 3 calls it would newly block 2, newly ask 0, newly allow 0."
        assert flaws(page) == []
        page.set_viewport_size(PHONE)
        assert page.evaluate(WIDE) == []
        page.get_by_role("link", name="Version 1").click()
        assert page.evaluate(WIDE) == []
        page.get_by_role("button", name="Put version 1 in force").click()
        expect(page.get_by_text("is in force, from the next decision on")).to_be_visible()
        page.get_by_role("link", name="Test a call against this version").click()
        page.get_by_label("Agent", exact=True).fill("support-bot")
        page.get_by_label("Arguments").fill(json.dumps({"invoice": "1", "amount": 50}))
        page.get_by_role("button", name="Test this call").click()
        expect(page.get_by_text("denied", exact=True)).to_be_visible()
        assert flaws(page) == []
        assert page.evaluate(WIDE) == []
        browser.close()
