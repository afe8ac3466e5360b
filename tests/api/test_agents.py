"""Agents through the API: made, changed, given keys, roles and grants, and contained."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.api.caller import Caller
from tests.cast import ACTOR, Cast
from tests.portal import latest
from workspaces import agents
from workspaces.models import Agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(cast: Cast) -> Caller:
    return Caller(cast.olga)


def test_an_agent_is_made_and_changed(cast: Cast, olga: Caller) -> None:
    made = olga.post("workspaces/acme/agents", {"name": "new-bot", "labels": ["b", "a"], "purpose": "Tries"})
    assert (made["owner"], made["labels"], made["standing"]) == (cast.olga.public_id, ["a", "b"], "active")
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("workspaces.agent.created", f"person:{cast.olga.public_id}")
    address = f"workspaces/acme/agents/{made['id']}"
    assert olga.patch(address, {"acts_for": [cast.rita.public_id]})["acts_for"] == [cast.rita.public_id]
    assert olga.get(address) == made | {"acts_for": [cast.rita.public_id]}


def test_what_is_wrong_with_an_agent_stands_at_its_field(cast: Cast, olga: Caller) -> None:
    body = {"name": "new-bot", "owner": cast.gina.public_id, "wish": 1}
    refused = olga.post("workspaces/acme/agents", body, 400)
    assert [error["path"] for error in refused["errors"]] == [["owner"]]
    refused = olga.post("workspaces/acme/agents", {"name": "new-bot", "wish": 1}, 400)
    assert [error["path"] for error in refused["errors"]] == [["wish"]]
    refused = olga.post("workspaces/acme/agents", {"name": "report-bot"}, 400)
    assert refused["code"] == "invalid_request"
    assert not Agent.objects.filter(name="new-bot").exists()


def test_keys_are_shown_once_rotated_and_revoked(cast: Cast, olga: Caller) -> None:
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}/keys"
    (old,) = olga.get(address)["results"]
    assert "key" not in old
    new = olga.post(f"{address}/{old['id']}/rotate", {"overlap_minutes": 5})
    assert new["key"].startswith(f"csk_{new['prefix']}")
    assert [key["id"] for key in olga.get(address)["results"]] == [new["id"], old["id"]]
    assert olga.post(address, {}, 409)["code"] == "too_many_keys"
    assert olga.delete(f"{address}/{old['id']}", 200)["revoked_at"]
    assert olga.post(address, {"expires_at": "2020-01-01T00:00:00Z"}, 400)["errors"][0]["path"] == [
        "expires_at"
    ]


def test_roles_and_grants_are_given_and_taken(cast: Cast, olga: Caller) -> None:
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    end = (timezone.now() + timedelta(days=7)).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    wanted = {"roles": [{"role": "support", "expires_at": end}]}
    assert olga.put(f"{address}/roles", wanted) == wanted
    assert olga.put(f"{address}/roles", {"roles": [{"role": "none"}]}, 400)["code"] == "invalid_request"
    grant = f"{address}/grants/read/{cast.resources['web'].public_id}"
    assert olga.put(grant, {"expires_at": end}, 201)["expires_at"] == end
    assert olga.put(grant, {}, 200)["expires_at"] is None
    own = [
        (line["permission"], line["name"])
        for line in olga.get(f"{address}/grants")["results"]
        if not line["through"]
    ]
    assert own == [("use", "files.read"), ("read", "web")]
    olga.delete(grant)
    olga.delete(grant, 404)
    assert olga.put(grant.replace("/read/", "/use/"), {}, 400)["code"] == "no_such_permission"


def test_a_page_of_agents_stays_in_place_while_others_are_made(cast: Cast, olga: Caller) -> None:
    for number in range(5):
        agents.create_agent(cast.acme, f"bot-{number}", owner=cast.olga, actor=ACTOR)
    first = olga.get("workspaces/acme/agents", limit=3)
    agents.create_agent(cast.acme, "a-bot", owner=cast.olga, actor=ACTOR)
    rest = olga.get("workspaces/acme/agents", limit=10, after=first["next"])
    names = [row["name"] for row in first["results"] + rest["results"]]
    assert names == [*(f"bot-{number}" for number in range(5)), "report-bot", "support-bot"]
    assert rest["next"] is None


def test_agents_are_filtered_by_declared_parameters_only(cast: Cast, olga: Caller) -> None:
    found = olga.get("workspaces/acme/agents", name="report-bot")["results"]
    assert [row["name"] for row in found] == ["report-bot"]
    assert olga.get("workspaces/acme/agents", 400, owner__email="x")["code"] == "invalid_request"
    assert olga.get("workspaces/acme/agents", 400, standing="asleep")["code"] == "invalid_request"
    assert olga.get("workspaces/acme/agents", 400, limit=1000)["code"] == "invalid_request"


def test_a_list_costs_the_same_queries_whatever_its_length(cast: Cast, olga: Caller) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            olga.get("workspaces/acme/agents", limit=200)
        return len(captured)

    cost()
    before = cost()
    for number in range(20):
        agents.create_agent(cast.acme, f"bot-{number}", owner=cast.olga, acts_for=[cast.rita], actor=ACTOR)
    assert cost() == before


def test_each_role_may_what_its_row_says(cast: Cast) -> None:
    rita, sam, gina = Caller(cast.rita), Caller(cast.sam), Caller(cast.gina)
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    assert rita.get(address)["name"] == "report-bot"
    assert rita.patch(address, {"purpose": "x"}, 403)["code"] == "permission_denied"
    for stranger in (sam, gina):
        assert stranger.get(address, 404) == stranger.get("workspaces/none/agents/agt_none", 404)
        stranger.patch(address, {"purpose": "x"}, 404)
    assert gina.get(address.replace("acme", "globex"), 404)["code"] == "not_found"


def test_where_an_agent_is_told_is_set_by_who_manages_agents(cast: Cast, olga: Caller) -> None:
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}/callback"
    assert olga.get(address) == {"address": "", "secret": ""}
    set_now = olga.put(address, {"url": "https://hooks.example.com/agents?token=x"})
    assert set_now["address"] == "https://hooks.example.com/agents"
    assert set_now["secret"].startswith("whsec_")
    assert olga.get(address)["secret"] == ""
    assert olga.put(address, {"url": "http://hooks.example.com/"}, 400)["code"] == "destination_refused"
    assert Caller(cast.otto).get(address)["address"] == "https://hooks.example.com/…"
    Caller(cast.otto).put(address, {"url": "https://other.example.com/"}, 403)
    assert olga.delete(address, 200)["address"] == ""


def test_how_many_calls_of_an_agent_wait_is_bounded(cast: Cast, olga: Caller) -> None:
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    assert olga.patch(address, {"most_waiting": 50})["most_waiting"] == 50
    olga.patch(address, {"most_waiting": 5000}, 400)


def test_an_agent_has_a_cost_center_and_limits_of_loops(cast: Cast, olga: Caller) -> None:
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    changed = olga.patch(address, {"cost_center": "Research", "loop_limits": {"repeats": 6}})
    assert (changed["cost_center"], changed["loop_limits"]) == ("Research", {"repeats": 6})
    refused = olga.patch(address, {"loop_limits": {"repeats": 1}}, 400)
    assert [error["path"] for error in refused["errors"]] == [["loop_limits"]]
