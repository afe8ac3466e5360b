"""Within acme: two developers own one agent each, and neither reads what the other's agent sent, or stops it."""

import pytest

from audit.models import Entry
from governance.models import Approval
from tests.isolation import names
from tests.isolation.routes import django_routes
from tests.isolation.visits import Visitor
from tests.isolation.world import CANARY, Wall, content
from workspaces.models import Agent

pytestmark = pytest.mark.django_db


def turns(wall: Wall) -> list[tuple[Visitor, int]]:
    """Each developer's browser, and the number of the agent that is the other's."""
    dana, dirk = wall.acme.developers
    return [(Visitor(dana), 1), (Visitor(dirk), 0)]


def of_agent(wall: Wall, number: int) -> dict[type, list[str]]:
    """Primary keys and public ids of what one of the agents did, by kind."""
    agent = wall.acme.fleet[number]
    entries = Entry.objects.filter(log_id=wall.acme.workspace.log_id, agent=agent.public_id)
    approvals = Approval.objects.filter(agent=agent)
    return {
        Agent: [str(agent.pk), agent.public_id],
        Approval: [text for row in approvals for text in (str(row.pk), row.public_id)],
        Entry: [text for row in entries for text in (str(row.pk), str(row.index))],
    }


def test_nothing_that_the_others_agent_sent_stands_on_any_page(wall: Wall) -> None:
    """Every page of the workspace, and every page about each call of the other's agent."""
    for visitor, number in turns(wall)[1:]:
        secret, seen = content(CANARY, number), of_agent(wall, number)
        for route in django_routes():
            if "get" not in route.methods or route.expression or names.is_secret(route):
                continue
            filled = names.values(route, wall.acme)
            for kind, keys in seen.items():
                for segment, name in route.parameters:
                    if issubclass(names.SEGMENTS.get(segment, Entry), kind):
                        column = names.COLUMNS.get(name)
                        wanted = keys[1::2] if column in ("public_id", "index") else keys[::2]
                        for key in wanted:
                            answer = visitor.send("get", route.address(filled | {name: key}))
                            assert secret not in answer.text, (visitor.name, str(route), key)
            answer = visitor.send("get", route.address(filled))
            assert secret not in answer.text, (visitor.name, str(route))


def test_the_owner_does_read_it(wall: Wall) -> None:
    """Else the test above would prove nothing."""
    dana, approval = Visitor(wall.acme.developers[0]), wall.acme.rows[Approval]
    page = dana.send("get", f"/admin/governance/approval/{approval.pk}/change/")
    assert content(CANARY, 0) in page.text


def test_nobody_stops_the_others_agent(wall: Wall) -> None:
    for visitor, number in turns(wall):
        other = wall.acme.fleet[number]
        size = wall.acme.size()
        step = {"standing": "suspended", "reason": "not mine"}
        pressed = visitor.send("post", f"/admin/workspaces/agent/{other.pk}/stand/", step)
        address = f"/api/v1/workspaces/{CANARY}/agents/{other.public_id}/containment"
        asked = visitor.send("post", address, step, json=True)
        assert (pressed.status, asked.status) == (302, 403)
        assert wall.acme.size() == size
        own = wall.acme.fleet[1 - number]
        mine = f"/api/v1/workspaces/{CANARY}/agents/{own.public_id}/containment"
        assert visitor.send("post", mine, step, json=True).status == 200
