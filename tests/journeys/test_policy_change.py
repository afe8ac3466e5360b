"""A policy changes by two people: one proposes a draft, the worker judges recorded calls by it, another publishes it,
seeing what it changes and what it would have decided otherwise."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.journeys.browser import CONTRAST, DESK, PATIENCE, PHONE, WIDE, Windows, dark, flaws
from tests.journeys.installation import Portal
from tests.servers import free_port

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """An installation of its own, with a worker."""
    portal = Portal(tmp_path_factory.mktemp("policy"), free_port())
    portal.seed("tests.journeys.seeding_policy")
    portal.start()
    portal.work()
    try:
        yield portal
    finally:
        portal.end()


def test_a_second_person_publishes_a_policy_knowing_what_it_changes(windows: Windows) -> None:
    olga = windows.open("olga")
    windows.go(olga, f"/admin/governance/policyversion/{windows.portal.known['version']}/change/")
    expect(olga.get_by_text("somebody else publishes it")).to_be_visible()
    olga.get_by_label("What they should know").fill("Finance asked for it.")
    olga.get_by_role("button", name="Propose version 2").click()
    expect(olga.get_by_role("heading", name="Publish version 2 of the policy").first).to_be_visible()
    expect(olga.get_by_role("button", name="Approve")).to_have_count(0)

    rita = windows.open("rita")
    windows.go(rita, "/admin/requests/")
    expect(rita.get_by_role("heading", name="Wait for you")).to_be_visible()
    assert flaws(rita) == []
    rita.get_by_role("link", name="Publish version 2 of the policy").click()
    approve = rita.get_by_role("button", name="Approve")
    for _ in range(PATIENCE // 500):  # until the worker has judged the recorded calls
        if approve.count():
            break
        rita.wait_for_timeout(500)
        rita.reload()
    counts = rita.locator("table", has_text="Newly blocked").locator("td")
    assert counts.all_inner_texts() == ["2", "3", "0", "10"]
    expect(rita.get_by_text("No refund above 500").first).to_be_visible()
    expect(rita.get_by_role("img", name=re.compile("^Flow chart"))).to_be_visible()
    windows.picture(rita, "policy-change")
    assert flaws(rita) == []
    with dark(rita):
        assert flaws(rita, CONTRAST) == []
        windows.picture(rita, "policy-change-dark")
    rita.set_viewport_size(PHONE)
    windows.picture(rita, "policy-change-phone")
    assert rita.evaluate(WIDE) == []
    rita.set_viewport_size(DESK)

    rita.get_by_label("Comment").fill("Agreed with finance.")
    approve.click()
    expect(rita.get_by_text("Version 2 is in force.").first).to_be_visible()
    windows.go(olga, "/admin/requests/")
    olga.get_by_role("link", name="Publish version 2 of the policy").click()
    expect(olga.get_by_text("Agreed with finance.")).to_be_visible()
    assert flaws(olga) == []
