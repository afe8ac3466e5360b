"""The live feed as people use it: a real server and session, a websocket, writers in other processes."""

import json
import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.journeys.installation import PATIENCE, Portal

WRITE = """
import sys
from audit import log
from workspaces.models import Workspace
log_id = Workspace.objects.get(slug="acme").log_id
for number in range(int(sys.argv[1])):
    with log.write(log_id) as entries:
        entries.append("governance.check.allowed", actor="agent:x", agent="agt_x", tool=f"tool-{number}")
"""
DISMISS = """
import time
from workspaces import people
from workspaces.models import User, Workspace
dana = User.objects.get(name="Dana Dismissed")
people.set_roles(Workspace.objects.get(slug="acme"), dana, roles=[], actor="system")
print(time.time())
"""


def hear(socket: ClientConnection) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(socket.recv(timeout=PATIENCE))["entries"]
    return entries


def hear_out(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """Everything until the connection ends, and the code with which the server closed it, if it did."""
    entries = []
    while True:
        try:
            entries += hear(socket)
        except ConnectionClosed as end:
            return entries, end.rcvd.code if end.rcvd else None


@pytest.mark.thorough
def test_a_killed_server_loses_nothing_and_repeats_nothing(portal: Portal) -> None:
    browser = portal.sign_in("olga")
    heard: list[int] = []
    writer = portal.script(WRITE, "600")
    with portal.listen(browser, after=-1) as socket:
        while len(heard) < 200:
            heard += [entry["index"] for entry in hear(socket)]
        portal.kill()
        heard += [entry["index"] for entry in hear_out(socket)[0]]
    portal.start()
    with portal.listen(browser, after=heard[-1]) as socket:
        while True:
            message = json.loads(socket.recv(timeout=PATIENCE))
            heard += [entry["index"] for entry in message["entries"]]
            if writer.poll() is not None and message["size"] == len(heard):
                break
            socket.send(json.dumps({"seen": heard[-1]}))
    assert writer.returncode == 0
    assert heard == list(range(len(heard)))
    assert len(heard) > 600


def test_a_stranger_is_refused_and_so_is_another_origin(portal: Portal) -> None:
    with portal.listen(portal.sign_in("sam"), after=-1) as socket:
        assert hear_out(socket) == ([], 4404)
    with portal.listen(portal.sign_in("olga"), origin="http://evil.test", after=-1) as socket:
        assert hear_out(socket) == ([], 4403)


def test_who_is_dismissed_is_cut_off(portal: Portal) -> None:
    with portal.listen(portal.sign_in("dana"), after=-1) as socket:
        hear(socket)
        dismissal = portal.script(DISMISS)
        _, code = hear_out(socket)
        closed = time.time()
        said, _ = dismissal.communicate()
    print(f"closed {closed - float(said):.2f} s after the membership ended")
    assert code == 4404


def test_the_command_line_is_heard_in_the_portal(portal: Portal) -> None:
    with portal.listen(portal.sign_in("otto")) as socket:
        assert hear(socket) == []
        portal.manage(
            "contain",
            "--workspace",
            "acme",
            "--agent",
            "report-bot",
            "suspended",
            "--reason",
            "It went wild.",
        )
        entries = hear(socket)
    (entry,) = entries
    assert (entry["type"], entry["agent"], entry["outcome"]) == (
        "governance.containment.changed",
        portal.known["agent"],
        "suspended",
    )
    assert entry["sentence"].endswith(f"changed the standing of {portal.known['agent']} to suspended.")
    assert "wild" not in json.dumps(entry)


def test_one_origin_serves_agents_people_and_sockets(portal: Portal) -> None:
    with httpx.Client(base_url=portal.url) as anybody:
        assert anybody.get("/healthz").status_code == 200
        refusal = anybody.post("/v1/check", json={"tool": "files.read"})
        assert (refusal.status_code, refusal.headers["content-type"]) == (401, "application/problem+json")
        assert anybody.get("/").headers["location"] == "/admin/"
        assert anybody.get("/admin/live/acme/").headers["location"].startswith("/admin/login/")
        assert anybody.get("/static/audit/live.js").status_code == 200


def test_the_live_page_is_for_those_who_see_the_workspace(portal: Portal) -> None:
    page = portal.sign_in("otto").get("/admin/live/acme/")
    assert page.status_code == 200
    assert 'data-workspace="acme"' in page.text
    assert "report-bot" in page.text
    assert portal.sign_in("sam").get("/admin/live/acme/").status_code == 404


def test_the_page_shows_what_happens_and_comes_back_by_itself(portal: Portal, chromium: str) -> None:
    session = portal.sign_in("olga").cookies["sessionid"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 390, "height": 800})
        context.add_cookies([{"name": "sessionid", "value": session, "url": portal.url}])
        page = context.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(f"{portal.url}/admin/live/acme/")
        state, rows = page.locator("#live-state"), page.locator("#live-rows tr")
        expect(state).to_have_text("Live", timeout=PATIENCE * 1000)

        portal.script(WRITE, "3").wait()
        expect(rows.first).to_contain_text("tool-2", timeout=PATIENCE * 1000)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

        page.keyboard.press("Space")
        portal.script(WRITE, "5").wait()
        expect(page.locator("#live-held")).to_contain_text("5 new entries", timeout=PATIENCE * 1000)
        expect(rows.first).to_contain_text("tool-2")
        page.keyboard.press("Space")
        expect(rows.first).to_contain_text("tool-4")

        page.select_option("#live-agent", label="report-bot")
        expect(page.locator("#live-rows tr:visible").first).to_contain_text("report-bot")
        expect(rows.first).to_be_hidden()
        page.select_option("#live-agent", label="All")

        portal.kill()
        expect(state).to_contain_text("trying again")
        portal.script(WRITE, "7").wait()
        portal.start()
        expect(rows.first).to_contain_text("tool-6", timeout=PATIENCE * 1000)
        indexes = [int(index) for index in rows.evaluate_all("rows => rows.map(row => row.dataset.index)")]
        assert indexes == list(range(indexes[0], indexes[0] - len(indexes), -1))
        assert failures == []
        browser.close()
