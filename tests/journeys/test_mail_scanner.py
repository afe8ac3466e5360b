"""A mail scanner opens a reviewer's link in a real browser and does there what a machine can: nothing is decided."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, sync_playwright

from audit.models import Entry
from governance import mail
from governance.models import Approval, ApprovalLink, Vote
from tests.approving import ask, requirement
from tests.cast import Cast, employ
from tests.journeys.browser import PHONE, WIDE, dark, flaws
from tests.portal import enter
from tests.servers import SmtpSink
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)

Result = TypeVar("Result")

# Every form as it is served: with each of its buttons, and without any; with and without what a browser checks first.
FORMS = """() => [...document.forms].flatMap((form, at) =>
    [...form.querySelectorAll("button, input[type=submit]"), null].map((each, button) => [at, each ? button : -1]))"""
SUBMIT = """([at, button]) => {
    const form = document.forms[at];
    form.noValidate = true;
    const buttons = [...form.querySelectorAll("button, input[type=submit]")];
    button < 0 ? HTMLFormElement.prototype.submit.call(form) : form.requestSubmit(buttons[button]);
}"""
FETCHES = """async () => {
    const links = [location.href, ...[...document.links].map((each) => each.href)]
        .filter((each) => new URL(each).origin === location.origin);
    for (const each of links) {
        for (const method of ["HEAD", "GET", "OPTIONS", "POST", "PUT", "DELETE"]) {
            await fetch(each, {method, credentials: "include"}).catch(() => null);
        }
        const hint = document.createElement("link");
        hint.rel = "prefetch"; hint.href = each; document.head.append(hint);
    }
}"""


@dataclass
class Scene:
    """A call that waits for rita, and her mail's link on the server that is up."""

    address: str
    code: str
    approval: Approval
    post: SmtpSink
    server: str
    chromium: str

    def browse(
        self, journey: Callable[[BrowserContext], Result], session: str = "", **options: Any
    ) -> Result:
        """Go on a journey in a fresh window, in which a session's owner is signed in. Playwright's loop must not run
        in the thread that asks the database."""

        def run() -> Result:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=self.chromium, args=["--no-sandbox"])
                try:
                    return journey(browser.new_context(**options))
                finally:
                    browser.close()

        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(run).result()

    def answers(self, person: User | None = None, code: str = "") -> tuple[int, str]:
        """Open the link, and answer if there is a form: the status of the last page, and its text."""
        client, path = enter(person) if person else Client(), urlsplit(self.address).path
        page = client.get(path)
        if shown := re.search(r'name="shown" value="([^"]+)"', page.content.decode()):
            page = client.post(path, {"decision": "approve", "code": code, "shown": shown[1]})
        return page.status_code, page.content.decode()

    def link(self, message: int = -1) -> tuple[str, str]:
        """Address and code of a mail; the newest by default."""
        body = self.post.messages[message].get_body(("plain",))
        assert body is not None
        text = body.get_content()
        address = re.search(r"^http\S+/a/\w+/", text, re.M)
        code = re.search(r"^Code: (\w+)", text, re.M)
        assert address is not None
        return self.server + urlsplit(address[0]).path, code[1] if code else ""


@pytest.fixture
def scene(
    cast: Cast, smtp_sink: SmtpSink, settings: Any, live_server: Any, chromium: str
) -> Callable[..., Scene]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = smtp_sink.host, smtp_sink.port

    def build(**options: Any) -> Scene:
        approval = ask(cast.report_bot, [requirement(cast.rita)], **options)
        call_command("work", "--once", "--quiet")
        built = Scene("", "", approval, smtp_sink, live_server.url, chromium)
        built.address, built.code = built.link()
        return built

    return build


def refusals() -> list[str]:
    rows = Entry.objects.filter(type="governance.approval.link_refused").order_by("index")
    return list(rows.values_list("outcome", flat=True))


def scan(context: BrowserContext, address: str) -> int:
    """Whatever a machine can do with a link that it found in a mail; how many forms were submitted."""
    page = context.new_page()
    page.goto(address, wait_until="networkidle")
    context.request.head(address)
    page.evaluate(FETCHES)
    page.wait_for_load_state("networkidle")
    links = page.evaluate("() => [...document.links].map((each) => each.href)")
    for link in links:
        if link.startswith(address[: address.index("/a/")]):
            page.goto(link, wait_until="networkidle")
    page.goto(address, wait_until="networkidle")
    forms = page.evaluate(FORMS)
    for form in forms:
        for fill in ("", "on"):
            page.goto(address, wait_until="networkidle")
            press(page, form, fill)
    return len(forms)


def press(page: Page, form: list[int], fill: str) -> None:
    """Submit a form as it is served, or with some word in all its fields."""
    for field in page.query_selector_all("input:not([type=hidden]), textarea"):
        field.fill(fill)
    with page.expect_navigation():
        page.evaluate(SUBMIT, form)


@pytest.mark.parametrize("risk", ["medium", "high"])
def test_a_scanner_decides_nothing(scene: Callable[..., Scene], risk: str) -> None:
    play = scene(risk=risk)
    forms = play.browse(lambda context: scan(context, play.address), bypass_csp=True)
    assert forms == (3 if risk == "medium" else 0)  # approve, reject, and no button at all
    assert Approval.objects.get().status == "pending"
    assert not Vote.objects.exists()
    link = ApprovalLink.objects.get()
    assert (link.attempts, link.used_at, link.opened_at) == (0, None, None)
    assert refusals() == []
    if risk == "medium":
        status, text = play.answers(code=play.code)
        assert (status, "You approved" in text) == (200, True)
        assert Vote.objects.get().opened_at is not None


def test_a_forwarded_link_helps_nobody_else(scene: Callable[..., Scene], cast: Cast) -> None:
    play = scene()
    ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
    for _ in range(2):
        status, text = play.answers(ann, play.code)
        assert status == 403
        assert "signed in as somebody whom this mail was not for" in text
        assert "mail.send" not in text
    assert refusals() == ["other_person"]
    status, text = play.answers(code="2222" if play.code != "2222" else "3333")
    assert (status, "That is not the code from the mail" in text) == (403, True)
    assert refusals() == ["other_person", "wrong_code"]
    assert not Vote.objects.exists()
    assert play.answers(code=play.code)[0] == 200


def test_an_old_link_says_what_became_of_it(scene: Callable[..., Scene], cast: Cast) -> None:
    play = scene()
    mail.remind_reviewer({"approval": play.approval.public_id, "person": cast.rita.public_id})
    status, text = play.answers(code=play.code)
    assert (status, "A newer mail about this call has taken the place" in text) == (410, True)
    play.address, play.code = play.link()
    assert play.answers(code=play.code)[0] == 200
    for _ in range(2):
        status, text = play.answers(code=play.code)
        assert (status, "You have answered this already" in text) == (410, True)
    assert refusals() == ["replaced", "used"]
    assert Vote.objects.count() == 1


def test_a_late_link_says_that_the_time_is_over(scene: Callable[..., Scene]) -> None:
    play = scene()
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    status, text = play.answers(code=play.code)
    assert (status, "The time to answer is over" in text) == (410, True)
    assert refusals() == ["expired"]
    assert not Vote.objects.exists()


def test_the_page_reads_well_on_a_phone(scene: Callable[..., Scene], cast: Cast, tmp_path: Any) -> None:
    play = scene(
        arguments={"to": "ann@customers.test", "subject": "x" * 300, "body": "Dear Ann, " * 80},
        reason="the customer asked\n" + "https://customers.test/" + "y" * 200,
    )

    def look(context: BrowserContext) -> tuple[list[str], list[str]]:
        page = context.new_page()
        page.goto(play.address)
        found, wide = flaws(page), page.evaluate(WIDE)
        page.screenshot(path=tmp_path / "link.png", full_page=True)
        with dark(page):
            found += flaws(page)
            page.screenshot(path=tmp_path / "link-dark.png", full_page=True)
        page.fill("#code", "2222" if play.code != "2222" else "3333")
        page.click("button.reject")
        return found + flaws(page), wide + page.evaluate(WIDE)

    assert play.browse(look, viewport=PHONE) == ([], [])
    assert (tmp_path / "link.png").stat().st_size > 10_000
