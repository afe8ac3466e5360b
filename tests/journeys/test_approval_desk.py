"""The approvals desk in a browser: the inbox by keyboard and live, a risky call with a second factor, an edited call,
and that every field that an approval is bound to can be seen."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests import factors
from tests.journeys.approval_seeding import PASSWORD
from tests.journeys.browser import CONTRAST, DESK, PATIENCE, PHONE, WIDE, Windows, dark, flaws
from tests.journeys.installation import Portal
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.browser
INBOX = "/admin/governance/approval/"
MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "Dear Ann,\n\nit is on its way."}
# What is wrong with how each bound element stands on the page: not there, without a size, outside, or covered.
UNSEEN = """() => [...document.querySelectorAll("[data-bound]")].flatMap((each) => {
    const shown = each.querySelector("pre") || each;
    shown.scrollIntoView({ block: "center" });
    const box = shown.getBoundingClientRect(), style = getComputedStyle(shown), what = each.dataset.bound;
    if (!shown.textContent.trim()) return [what + " is empty"];
    if (box.width < 4 || box.height < 8) return [what + " has no size"];
    if (box.left < 0 || box.right > innerWidth + 1) return [what + " stands outside"];
    if (style.visibility !== "visible" || Number(style.opacity) < 1) return [what + " is not visible"];
    const places = [[box.left + 2, box.top + box.height / 2], [box.left + Math.min(20, box.width / 2), box.top + 4]];
    const tops = places.map(([x, y]) => document.elementFromPoint(x, y));
    return tops.every((top) => top && (shown.contains(top) || top.contains(shown))) ? [] : [what + " is covered"];
})"""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An installation in which calls wait for people."""
    portal = Portal(tmp_path_factory.mktemp("portal"), free_port())
    portal.seed("tests.journeys.approval_seeding")
    portal.start()
    portal.work()
    try:
        yield portal
    finally:
        portal.end()


def ask(portal: Portal, tool: str, arguments: dict[str, Any], **more: Any) -> str:
    """Have support-bot ask for a call that waits; the approval's id."""
    body = {"tool": tool, "arguments": arguments, **more}
    header = {"Authorization": f"Bearer {portal.known['keys']['support-bot']}"}
    answer = httpx.post(f"{portal.url}/v1/check", json=body, headers=header, timeout=30).json()
    assert answer["decision"] == "pending", answer
    approval: str = answer["approval"]["id"]
    return approval


def enter(windows: Windows, person: str, **options: Any) -> Page:
    """A window in which this person is signed in."""
    page = windows.open(**options)
    session = windows.portal.known["sessions"][person]
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": windows.portal.url}])
    return page


def status_of(portal: Portal, approval: str) -> str:
    """How the agent is told that its call stands."""
    header = {"Authorization": f"Bearer {portal.known['keys']['support-bot']}"}
    answer = httpx.get(f"{portal.url}/v1/approvals/{approval}", headers=header, timeout=30)
    status: str = answer.json()["status"]
    return status


def open_call(page: Page, windows: Windows, tool: str) -> None:
    """Open the first call of this tool that waits, from the inbox."""
    windows.go(page, INBOX)
    page.get_by_role("link", name=f"support-bot: {tool}").first.click()
    expect(page.get_by_role("heading", name="wants to use")).to_be_visible()


def look(page: Page) -> None:
    """Nothing is wrong with the page: in light, in dark, and on a phone."""
    assert flaws(page) == []
    with dark(page):
        assert flaws(page, CONTRAST) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate(WIDE) == []
    page.set_viewport_size(DESK)


def test_the_inbox_is_worked_by_keyboard_and_fills_and_empties_by_itself(windows: Windows) -> None:
    portal, page = windows.portal, enter(windows, "rita")
    windows.go(page, INBOX)
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    mail = ask(portal, "mail.send", MAIL, session="one")
    rows = page.locator("a[data-row]")
    expect(rows).to_have_count(1, timeout=PATIENCE)
    expect(page.get_by_role("status").filter(has_text="1 new")).to_be_visible()
    other = ask(portal, "mail.send", MAIL | {"to": "bob@customers.test"}, session="two")
    expect(rows).to_have_count(2, timeout=PATIENCE)
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    windows.picture(page, "inbox")
    look(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("approves after one more look")
    assert flaws(page) == []
    page.keyboard.press("Escape")
    expect(rows.nth(0)).to_be_focused()

    page.keyboard.press("a")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="Argument to")).to_have_text("ann@customers.test")
    expect(dialog.get_by_label("Comment")).to_be_focused()
    assert flaws(page) == []
    page.keyboard.press("Escape")
    assert status_of(portal, mail) == "pending"
    page.keyboard.press("a")
    expect(dialog.get_by_label("Comment")).to_be_focused()
    page.keyboard.type("Fine.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You approved. Nothing else is needed")).to_be_visible()
    assert status_of(portal, mail) == "approved"

    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(dialog.get_by_label("Why not?")).to_be_focused()
    page.keyboard.type("Bob is no customer.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You rejected.")).to_be_visible()
    assert status_of(portal, other) == "rejected"
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()


def test_what_somebody_else_answers_leaves_the_list_by_itself(windows: Windows) -> None:
    portal, page = windows.portal, enter(windows, "rita")
    for name in ("carl", "dora"):
        ask(portal, "mail.send", MAIL | {"to": f"{name}@customers.test"})
    windows.go(page, INBOX)
    rows = page.locator("a[data-row]")
    expect(rows).to_have_count(2, timeout=PATIENCE)
    rows.nth(1).focus()
    ada = enter(windows, "ada")
    open_call(ada, windows, "mail.send")
    ada.get_by_role("button", name="Reject").click()
    expect(ada.get_by_text("You rejected.")).to_be_visible()
    expect(rows).to_have_count(1, timeout=PATIENCE)
    expect(rows.nth(0)).to_be_focused()
    open_call(ada, windows, "mail.send")
    ada.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible(timeout=PATIENCE)


def test_a_risky_call_is_approved_with_a_reason_and_a_second_factor(windows: Windows) -> None:
    portal, page = windows.portal, enter(windows, "rita")
    refund = ask(
        portal,
        "billing.refund",
        {"invoice": "INV-1002", "amount": 250},
        session="run-42",
        reason="The parcel came back; order 4711 is to be refunded.",
    )
    wait_until(lambda: "billing.refund" in inbox_of(page, windows), what="The refund in the inbox")
    page.locator("a[data-row]").first.focus()
    page.keyboard.press("a")
    approve = page.get_by_role("button", name="Approve this call once")
    expect(approve).to_be_disabled()
    expect(approve).to_be_in_viewport()
    expect(page.get_by_role("button", name="Reject")).to_be_in_viewport()
    look(page)
    page.get_by_role("link", name="confirm who you are").click()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_label("Code of your").fill(factors.code(portal.known["secret"]))
    page.keyboard.press("Enter")
    expect(approve).to_be_enabled()
    page.get_by_label("Why?").fill("Owed: I saw the invoice.")
    windows.picture(page, "approval")
    approve.click()
    expect(page.get_by_text("You approved.")).to_be_visible()
    expect(page.get_by_text("confirmed by totp")).to_be_visible()
    assert status_of(portal, refund) == "approved"


def inbox_of(page: Page, windows: Windows) -> str:
    """What the inbox says now."""
    windows.go(page, INBOX)
    return page.locator("#inbox-rows").inner_text()


def test_a_call_is_edited_and_the_edited_one_approved(windows: Windows) -> None:
    portal, page = windows.portal, enter(windows, "rita")
    mail = ask(portal, "mail.send", MAIL | {"to": "eric@customers.test"}, session="five")
    wait_until(lambda: "mail.send" in inbox_of(page, windows), what="The mail in the inbox")
    open_call(page, windows, "mail.send")
    page.get_by_text("Neither yes nor no").click()
    look(page)
    page.get_by_role("link", name="Edit the call").click()
    arguments = page.get_by_label("Arguments, as JSON")
    arguments.fill(arguments.input_value().replace("it is on its way", "it was sent today"))
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    expect(page.get_by_role("cell", name="it was sent today")).to_be_visible()
    look(page)
    windows.picture(page, "approval-edit")
    page.get_by_role("button", name="Approve the edited call once").click()
    expect(page.get_by_text("You edited the call and approved that.")).to_be_visible()
    expect(page.get_by_role("heading", name="What a reviewer changed")).to_be_visible()
    look(page)
    assert status_of(portal, mail) == "approved"


FLOOD = {
    "to": ["ann@customers.test", "bob@customers.test"],
    "cc": "eve@customers.test",
    "subject": "A" * 3_000,
    "body": "ok" + "\n" * 2_000 + "</pre></div><style>*{display:none}</style>" + "Z\u0300\u0301\u0302" * 200,
}
ISSUE = """
import sys
from django.utils import timezone
from governance import links
from governance.models import ApprovalLink
link = ApprovalLink.objects.get(approval__public_id=sys.argv[1], person__email="rita@acme.test")
print(links.issue(link, now=timezone.now()).token)"""


def test_everything_that_an_approval_is_bound_to_can_be_seen(windows: Windows) -> None:
    portal, page = windows.portal, enter(windows, "rita")
    flood = ask(portal, "mail.send", FLOOD, session="flood", reason="Approved by Rita.\n" * 100)
    wait_until(lambda: "mail.send" in inbox_of(page, windows), what="The mail in the inbox")
    open_call(page, windows, "mail.send")
    wanted = ["workspace", "agent", "tool", "action", *["resource"] * 3]
    token = portal.script(ISSUE, flood).communicate()[0].split()[-1]
    mail = windows.open()
    windows.go(mail, f"/a/{token}/")
    names = page.locator("[data-bound=argument]").evaluate_all("all => all.map((each) => each.dataset.name)")
    assert names == ["cc", "to", "body", "subject"]  # who gets it stands above what fills the window
    for button in ("Approve", "Reject"):
        expect(mail.get_by_role("button", name=button)).to_be_in_viewport()
    for shown, arguments in ((page, ["argument"] * 4), (mail, ["arguments"])):
        bound = shown.locator("[data-bound]").evaluate_all("all => all.map((each) => each.dataset.bound)")
        assert bound == wanted + arguments
        for size in (DESK, PHONE):
            shown.set_viewport_size(size)
            assert shown.evaluate(UNSEEN) == [], (shown.url, size)
            assert shown.evaluate(WIDE) == []
            shown.screenshot(path=windows.folder / f"{arguments[0]}-{size['width']}.png")
        shown.set_viewport_size(DESK)
    page.get_by_role("button", name="Reject").scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Approve this call once")).to_be_in_viewport()
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("You rejected.")).to_be_visible()
