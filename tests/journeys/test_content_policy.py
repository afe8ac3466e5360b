"""Every page of the portal works under its Content-Security-Policy: Chromium reports no violation and no error."""

from contextlib import suppress
from typing import Any

import pytest
from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from playwright.sync_api import Page, sync_playwright

from tests import approving
from tests.cast import Cast, assemble
from tests.portal import enter
from workspaces import people
from workspaces.models import User

REPORT = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`violation: ${event.violatedDirective} ${event.blockedURI} in ${event.sourceFile}`));"""


def addresses(person: User, cast: Cast) -> list[str]:
    """Every list and form of the admin, the page of one row of each kind, and the pages that are no model's."""
    found = [reverse(f"admin:{name}") for name in ("index", "password_change")]
    found += [reverse("stop"), reverse("live", args=["acme"])]
    client = enter(person)
    for model in admin.site._registry:
        prefix = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        candidates = [reverse(f"{prefix}_changelist")]
        with suppress(NoReverseMatch):
            candidates.append(reverse(f"{prefix}_add"))
        row = model._default_manager.order_by("pk").first()
        if row is not None:
            candidates.append(reverse(f"{prefix}_change", args=[row.pk]))
        found += [each for each in candidates if client.get(each, follow=True).status_code == 200]
    return found


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_no_page_violates_the_policy(live_server: Any, chromium: str) -> None:
    cast = assemble()
    approving.ask(cast.report_bot, [approving.requirement(cast.olga, owner=True)])
    people.set_operator(cast.olga, True, actor="system")
    olga = User.objects.get(pk=cast.olga.pk)
    people.set_roles(cast.acme, olga, roles=["owner", "approver"], actor="system")
    cookie = enter(olga).cookies["sessionid"].value
    visited = addresses(olga, cast)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        context.add_init_script(REPORT)
        page = context.new_page()
        listen(page, complaints)
        for address in visited:
            page.goto(live_server.url + address)
        page.goto(live_server.url + visited[0])
        page.keyboard.press("Control+k")
        page.keyboard.type("report")
        page.get_by_text("report-bot").first.wait_for()
        page.keyboard.press("Escape")
        page.goto(live_server.url + visited[0])
        page.locator("a[data-stop]").click()
        page.get_by_role("dialog").get_by_text("What is to stop?").wait_for()
        browser.close()
    assert not complaints
    assert len(visited) > 30


def listen(page: Page, complaints: list[str]) -> None:
    """Collect what the browser complains of; that the test's server has no websockets is none of it."""

    def note(text: str) -> None:
        if "WebSocket" not in text:
            complaints.append(f"{page.url}: {text}")

    page.on("console", lambda message: note(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: note(str(error)))
