"""A reviewer opens the mail's link in a real browser, types the code and decides."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from playwright.sync_api import sync_playwright

from governance.models import Approval, Vote
from tests.approving import ask, requirement
from tests.cast import Cast
from tests.servers import SmtpSink

pytestmark = pytest.mark.django_db(transaction=True)


def press(chromium: str, address: str, code: str) -> tuple[str, str]:
    """Open the address without JavaScript, type the code, press Approve; the page's text before and after."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_context(java_script_enabled=False).new_page()
            page.goto(address)
            before = page.inner_text("main")
            page.fill("#code", code)
            page.click("button.approve")
            return before, page.inner_text("main")
        finally:
            browser.close()


def test_from_the_mail_to_the_answer(
    cast: Cast, smtp_sink: SmtpSink, settings, live_server, chromium: str
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = smtp_sink.host, smtp_sink.port
    ask(cast.report_bot, [requirement(cast.rita)])
    call_command("work", "--once", "--quiet")
    (message,) = smtp_sink.sent_to(cast.rita.email)
    body = message.get_body(("plain",))
    assert body is not None
    address = re.search(r"^http\S+/a/\w+/", body.get_content(), re.M)
    code = re.search(r"^Code: (\w+)", body.get_content(), re.M)
    assert address is not None
    assert code is not None
    # Playwright's loop must not run in the thread that asks the database.
    with ThreadPoolExecutor(1) as elsewhere:
        path = urlsplit(address[0]).path
        before, after = elsewhere.submit(press, chromium, live_server.url + path, code[1]).result()
    assert "report-bot asks to use mail.send" in before
    assert "You approved mail.send" in after
    assert Approval.objects.get().status == "approved"
    assert Vote.objects.get().known_by == "link"
