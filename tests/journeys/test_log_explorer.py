"""The log in Chromium: search it, open an entry, verify it; an answer that was tampered with is refused."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from audit import publishing
from audit.models import Checkpoint, Entry
from tests.audit.publishers import verifier
from tests.cast import Cast, assemble
from tests.governance.test_decision_admin import decide
from tests.journeys.browser import CONTRAST, DESK, PHONE, PICTURES, WIDE, dark, flaws
from tests.journeys.installation import ROOT
from tests.portal import enter

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
VERIFIED = "Verified: the entry is in the log that was signed."
REFUSED = "Not verified: what the server says does not hold."
SHOWN = {
    "log": "log",
    "entry": "entry-verified",
    "timeline": "timeline",
}  # page → its picture in the documentation
Answer = dict[str, Any]


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
def acme(transactional_db: None) -> Cast:
    """The cast, with decisions of which the first few were signed some time ago."""
    cast = assemble()
    decide(cast.support_bot, kind="allowed", tool="mail.send")
    publishing.publish(cast.acme.log)
    for number in range(6):
        decide(cast.report_bot, tool=f"files.read{number}")
    publishing.publish(cast.acme.log)
    return cast


@pytest.fixture
def window(acme: Cast, live_server: Any, browser: Browser) -> Iterator[Page]:
    """The log's page, as the compliance officer sees it; nothing may have been complained about at the end."""
    context = browser.new_context(viewport=DESK)
    session = enter(acme.rita).cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(live_server.url + reverse("admin:audit_entry_changelist"))
    yield page
    assert complaints == []


def open_entry(window: Page, live_server: Any, index: int = 0) -> None:
    """The page of an entry of acme's log."""
    window.goto(live_server.url + reverse("log_entry", args=["acme", index]))


def tampered(window: Page, change: Callable[[Answer], None]) -> None:
    """Let the proofs that the server answers be changed on their way."""

    def answer(route: Route) -> None:
        found = json.loads(route.fetch().body())
        change(found)
        route.fulfill(json=found)

    window.route("**/proof/*", answer)
    window.route("**/proof/", answer)


def verdict(window: Page) -> list[str]:
    """Press the button; what each step says."""
    window.locator("#verify-button").click()
    expect(window.locator("#verify-button")).to_be_enabled()
    expect(window.locator("#verify-told")).not_to_have_text("Checking…")
    return window.locator("#verify-steps li").all_inner_texts()


def test_search_by_keyboard_open_an_entry_and_verify_it(acme: Cast, window: Page, live_server: Any) -> None:
    window.keyboard.press("/")
    window.keyboard.type("report-bot denied")
    window.keyboard.press("Enter")
    results = window.locator("[data-result]")
    expect(results).to_have_count(6)
    window.keyboard.press("j")
    window.keyboard.press("j")
    expect(results.nth(1)).to_be_focused()
    window.keyboard.press("k")
    expect(results.nth(0)).to_be_focused()
    window.keyboard.press("Enter")
    expect(window.get_by_role("heading", name="report-bot was denied files.read5.")).to_be_visible()
    steps = verdict(window)
    expect(window.locator("#verify-told")).to_have_text(VERIFIED)
    assert len(steps) == 3
    assert all(step.startswith("passed") for step in steps)


def test_what_the_reader_holds_is_compared(acme: Cast, window: Page, live_server: Any) -> None:
    kept = Checkpoint.objects.filter(log=acme.acme.log).order_by("size").first()
    assert kept
    open_entry(window, live_server)
    window.locator("#verify summary").click()
    window.get_by_label("Public key of the log").fill(str(verifier(acme.acme.log.origin)))
    window.get_by_label("Checkpoint that you kept").fill(kept.note)
    steps = verdict(window)
    expect(window.locator("#verify-told")).to_have_text(VERIFIED)
    assert "by the key that you pasted" in steps[2]
    assert "only added" in steps[3]
    other = str(verifier(acme.acme.log.origin + "/1"))
    window.get_by_label("Public key of the log").fill(other)
    assert any("FAILED" in step and "the key is one of" in step for step in verdict(window))


def body(change: Callable[[Answer], None]) -> Callable[[Answer], None]:
    """A change of the entry that a proof carries."""

    def apply(found: Answer) -> None:
        entry = json.loads(base64.b64decode(found["body"]))
        change(entry)
        found["body"] = base64.b64encode(json.dumps(entry).encode()).decode()

    return apply


def bend(found: Answer) -> None:
    found["path"][0] = base64.b64encode(bytes(32)).decode()


def resign(found: Answer) -> None:
    text, _, line = found["checkpoint"].rpartition(" ")
    raw = bytearray(base64.b64decode(line.strip()))
    raw[-1] ^= 1
    found["checkpoint"] = f"{text} {base64.b64encode(bytes(raw)).decode()}\n"


def grow(found: Answer) -> None:
    found["checkpoint"] = found["checkpoint"].replace(f"\n{found['size']}\n", f"\n{found['size'] + 1}\n")
    found["size"] += 1


TAMPERED = {
    "a body": (body(lambda entry: entry.update(outcome="granted")), "hash to"),
    "another entry": (body(lambda entry: entry.update(index=1)), "entry 1, not 0"),
    "a path": (bend, "does not lead"),
    "a signature": (resign, "not one of this key"),
    "a size": (grow, "not one of this key"),
    "a shorter path": (lambda found: found["path"].pop(), "too short"),
    "another log": (lambda found: found.update(checkpoint="x" + found["checkpoint"]), "another log"),
    "nothing": (lambda found: found.clear(), "FAILED"),
}


def test_a_tampered_answer_is_refused(acme: Cast, window: Page, live_server: Any) -> None:
    open_entry(window, live_server)
    for what, (change, reason) in TAMPERED.items():
        tampered(window, change)
        steps = verdict(window)
        window.unroute_all()
        expect(window.locator("#verify-told")).to_have_text(REFUSED)
        assert any("FAILED" in step and reason in f"FAILED {step}" for step in steps), (what, steps)


def test_a_log_that_does_not_continue_what_was_kept_is_refused(
    acme: Cast, window: Page, live_server: Any
) -> None:
    kept = Checkpoint.objects.filter(log=acme.acme.log).order_by("size").first()
    assert kept
    forged = kept.note.replace(
        base64.b64encode(bytes(kept.root)).decode(), base64.b64encode(bytes(32)).decode()
    )
    open_entry(window, live_server)
    window.locator("#verify summary").click()
    window.get_by_label("Checkpoint that you kept").fill(forged)
    assert any("not one of this key" in step for step in verdict(window))
    tampered(window, lambda found: found.update(key=""))
    window.get_by_label("Checkpoint that you kept").fill(forged)
    assert any("does not continue it" in step for step in verdict(window))


def test_the_pages_are_for_everybody(acme: Cast, window: Page, live_server: Any) -> None:
    """As they are after a click, and with everything that they can have; the walk over all pages sees them bare."""
    changed = Entry.objects.filter(log=acme.acme.log, type="workspaces.tool.changed").latest("index")
    denied = Entry.objects.filter(log=acme.acme.log, type="governance.check.denied").latest("index")
    pages = {
        "log": reverse("admin:audit_entry_changelist") + "?q=report-bot",
        "entry": reverse("log_entry", args=["acme", denied.index]),
        "change": reverse("log_entry", args=["acme", changed.index]),
        "timeline": reverse("log_timeline", args=["acme"]) + f"?agent={acme.report_bot.public_id}",
    }
    for name, path in pages.items():
        window.goto(live_server.url + path)
        for button in window.locator("#verify-button").all():
            button.click()
            expect(window.locator("#verify-told")).to_have_text(VERIFIED)
        picture(window, name)
        assert flaws(window) == [], path
        with dark(window):
            assert flaws(window, CONTRAST) == [], path
        window.set_viewport_size(PHONE)
        assert window.evaluate(WIDE) == [], path
        window.set_viewport_size(DESK)


def picture(window: Page, name: str) -> None:
    """A picture of the window, where the environment asks for those of the documentation."""
    if os.environ.get(PICTURES) == "1" and name in SHOWN:
        window.mouse.move(0, 0)
        window.screenshot(path=ROOT / "docs" / "images" / f"{SHOWN[name]}.png", animations="disabled")
