"""Who can do what: the matrix of grants as a page and as CSV."""

import csv
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from governance import matrix, policies
from governance.models import GrantUse
from tests.cast import Cast
from tests.portal import enter, latest
from workspaces import access, agents, people
from workspaces.access.matrix import Asked
from workspaces.models import Agent

pytestmark = pytest.mark.django_db


def show(client: Client, slug: str = "acme", **query: Any) -> str:
    answer = client.get(reverse("access", args=[slug]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def export(client: Client) -> list[list[str]]:
    answer = client.post(reverse("access_csv", args=["acme"]))
    assert answer.status_code == 200
    return list(csv.reader(StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[attr-defined]


def use(agent: Agent, tool: str, resource: str = "", *, days_ago: int) -> None:
    """What the worker notes of an allowed call."""
    at = timezone.now() - timedelta(days=days_ago)
    GrantUse.objects.create(agent=agent, tool=tool, resource=resource, at=at)


def test_every_way_in_which_an_agent_may_do_something_is_a_line(cast: Cast) -> None:
    rows = export(enter(cast.otto))
    assert rows[0] == matrix.COLUMNS
    reporter = [row for row in rows if row[0] == "report-bot"]
    assert [(row[2], row[3] or row[4], row[6]) for row in reporter] == [
        ("use", "files.read", ""),
        ("use", "files.read", "analyst"),
        ("use", "web.fetch", "analyst"),
        ("read", "reports", "analyst"),
        ("read", "web", "analyst"),
    ]
    assert reporter[3][5] == "file:///srv/reports/*"
    assert {row[8] for row in reporter} == {"system"}


def test_a_resources_line_names_the_tools_that_lead_there(cast: Cast) -> None:
    by_name = {(row[0], row[4], row[2]): row[11] for row in export(enter(cast.otto)) if row[4]}
    assert by_name["report-bot", "reports", "read"] == "files.read; web.fetch"
    assert by_name["support-bot", "invoices", "spend"] == "billing.refund"
    access.grant(cast.report_bot, permission="delete", obj=cast.resources["reports"], actor="system")
    assert "by no tool that it may use" in show(enter(cast.otto), agent="report-bot")


def test_filters_leave_what_fits(cast: Cast) -> None:
    client, bot = enter(cast.otto), cast.report_bot
    shown = show(client, resource="invoices")
    assert "support-bot" in shown
    assert "report-bot" not in shown
    assert "report-bot" in show(client, tool=cast.tools["web.fetch"].public_id)
    assert "support-bot" in show(client, role="support", agent="support")
    assert "No grant here fits" in show(client, role="support", agent="report")
    end = timezone.now() + timedelta(days=3)
    access.grant(bot, permission="use", obj=cast.tools["mail.send"], expires_at=end, actor="system")
    shown = show(client, expiring=5)
    assert "mail.send" in shown
    assert "files.read" not in shown
    assert "No grant here fits" in show(client, expiring=1)


def test_what_is_long_unused_is_found_and_what_is_new_had_no_time(cast: Cast) -> None:
    client, now = enter(cast.otto), timezone.now() + timedelta(days=60)
    use(cast.report_bot, "files.read", cast.resources["reports"].public_id, days_ago=1)
    assert "No grant here fits" in show(client, unused=30)
    found = matrix.part(cast.acme, Asked(agent="report-bot"), unused=62, after="", now=now)
    assert found.rows == []
    later = matrix.part(cast.acme, Asked(agent="report-bot"), unused=50, after="", now=now)
    used = {row.line.target.name for row in later.rows if row.last_used}
    assert {row.line.target.name for row in later.rows} == {"files.read", "web.fetch", "reports", "web"}
    assert used == {"files.read", "reports"}
    recent = matrix.part(cast.acme, Asked(), unused=50, after="", now=timezone.now() + timedelta(days=52))
    assert "web.fetch" in {row.line.target.name for row in recent.rows}


def test_taking_it_along_is_an_entry_and_a_post(cast: Cast) -> None:
    client = enter(cast.otto)
    assert client.get(reverse("access_csv", args=["acme"])).status_code == 405
    export(client)
    assert latest(cast.acme).type == "governance.access.exported"
    assert latest(cast.acme).actor == people.actor_of(cast.otto)


def test_a_strangers_matrix_is_not_there(cast: Cast) -> None:
    for name, arguments in (("access", ["acme"]), ("access_person", ["acme", cast.olga.public_id])):
        assert enter(cast.gina).get(reverse(name, args=arguments)).status_code == 404
    assert enter(cast.gina).post(reverse("access_csv", args=["acme"])).status_code == 404
    assert enter(cast.sam).get(reverse("access_overview")).status_code == 404
    answer = enter(cast.gina).get(reverse("access", args=["globex"]), {"tool": "files.read"})
    assert answer.status_code == 400
    assert "There is no tool" in answer.content.decode()


def test_a_person_of_the_workspace_owns_and_decides(cast: Cast) -> None:
    rules = [{"name": "Money", "effect": "require_approval", "actions": ["spend"],
              "approval": {"reviewers": ["group:finance", "rita@acme.test"]}}]  # fmt: skip
    policies.publish(policies.draft(cast.acme, rules, actor="system"), actor="system")
    client = enter(cast.otto)
    shown = client.get(reverse("access_person", args=["acme", cast.rita.public_id])).content.decode()
    assert "group finance, by address" in shown
    shown = client.get(reverse("access_person", args=["acme", cast.olga.public_id])).content.decode()
    assert "support-bot" in shown
    assert "a vote of theirs does not count" in shown
    address = reverse("access_person", args=["acme", cast.gina.public_id])
    assert client.get(address).status_code == 404


def test_a_page_costs_the_same_with_more_agents_and_ends(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    client = enter(cast.otto)

    def cost() -> int:
        show(client)
        with CaptureQueriesContext(connection) as captured:
            show(client)
        return len(captured)

    before = cost()
    for number in range(12):
        bot = agents.create_agent(cast.acme, f"bot-{number:02}", owner=cast.olga, actor="system")
        agents.set_agent_roles(bot, {cast.roles["analyst"]: None}, actor="system")
    assert cost() == before
    monkeypatch.setattr(matrix, "PAGE", 5)
    monkeypatch.setattr(matrix, "CHUNK", 3)
    seen, after = [], ""
    while True:
        found = matrix.part(cast.acme, Asked(), unused=0, after=after, now=timezone.now())
        seen += [row.line.agent.name for row in found.rows]
        if found.rest is None:
            break
        after = found.rest
    assert len(seen) == 12 * 4 + 5 + 9
    assert seen == sorted(seen)
