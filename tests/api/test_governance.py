"""Approvals, decisions, policies, budgets, the catalog and logs through the API."""

import json
from typing import Any

import pytest

from billing.models import Budget
from governance.models import Vote
from tests import approving
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast
from tests.portal import latest
from workspaces import catalog, people, tenancy

pytestmark = pytest.mark.django_db

RULE = {"name": "No refunds", "tools": ["billing.refund"], "effect": "deny"}


def test_an_approval_is_found_read_and_decided(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    rita = Caller(cast.rita)
    (waiting,) = rita.get("inbox")["results"]
    assert (waiting["id"], waiting["status"], "arguments" in waiting) == (
        approval.public_id,
        "waiting",
        False,
    )
    address = f"workspaces/acme/approvals/{approval.public_id}"
    seen = rita.get(address)
    assert (seen["may_decide"], seen["requirements"][0]["missing"]) == (True, ["Rita Review"])
    assert rita.get(f"{address}/content")["arguments"] == approving.ARGUMENTS
    assert latest(cast.acme).type == "governance.detail.read"
    decided = rita.post(f"{address}/decide", {"approve": True, "comment": "It is owed."}, 200)
    assert (decided["status"], decided["votes"][0]["comment"]) == ("approved", "It is owed.")
    assert Vote.objects.get().known_by == Vote.KnownBy.TOKEN
    assert rita.post(f"{address}/decide", {"approve": False}, 409)["code"] == "approval_settled"
    assert rita.get("workspaces/acme/approvals", status="waiting")["results"] == []
    assert len(rita.get("workspaces/acme/approvals", status="approved")["results"]) == 1


def test_who_does_not_decide_sees_no_content_and_no_vote_of_theirs_counts(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    address = f"workspaces/acme/approvals/{approval.public_id}"
    approving.decide(approval, cast.rita, comment="canary4711")
    otto, gina = Caller(cast.otto), Caller(cast.gina)
    assert "canary4711" not in json.dumps(otto.get(address))
    otto.get(f"{address}/content", 403)
    assert otto.post(f"{address}/decide", {"approve": True}, 409)["code"] == "approval_settled"
    gina.get(address, 404)
    gina.post(f"{address}/decide", {"approve": True}, 404)
    assert gina.get("workspaces/globex/approvals")["results"] == []


def test_decisions_are_listed_and_their_content_is_for_who_may_see_it(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    otto, olga = Caller(cast.otto), Caller(cast.olga)
    (row,) = otto.get("workspaces/acme/decisions", verdict="waits")["results"]
    assert (row["decision"], row["index"]) == (approval.decision, approval.entry_index)
    address = f"workspaces/acme/decisions/{row['index']}"
    assert otto.get(address)["data"]["approval"] == approval.public_id
    assert otto.get(f"{address}/content", 403)["code"] == "permission_denied"
    assert olga.get(f"{address}/content")["reason"] == "the customer asked"
    assert otto.get("workspaces/acme/decisions", tool="none") == {"results": [], "next": None}
    otto.get("workspaces/acme/decisions/0", 404)


def test_a_policy_is_drafted_published_and_gone_back_to(cast: Cast) -> None:
    olga = Caller(cast.olga)
    policies = "workspaces/acme/policies"
    first = olga.post(policies, {"rules": [RULE], "note": "Stop"})
    assert (first["number"], first["status"]) == (1, "draft")
    assert olga.post(f"{policies}/1/publish", {}, 200)["status"] == "in_force"
    olga.post(policies, {"rules": []})
    olga.post(f"{policies}/2/publish", {"note": "Go on"}, 200)
    assert olga.post(f"{policies}/1/publish", {}, 409)["code"] == "not_a_draft"
    again = olga.post(f"{policies}/1/redraft", {})
    assert (again["number"], again["rules"]) == (3, first["rules"])
    assert [row["number"] for row in olga.get(policies)["results"]] == [3, 2, 1]
    assert [row["number"] for row in olga.get(policies, after=2)["results"]] == [1]
    refused = olga.post(policies, {"rules": [RULE | {"tools": ["none"]}]}, 400)
    assert (refused["code"], refused["errors"][0]["path"][:2]) == ("policy_refused", [0, "tools"])


def test_two_people_are_asked_for_through_the_api_too(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    olga = Caller(cast.olga)
    olga.post("workspaces/acme/policies", {"rules": [RULE]})
    assert olga.post("workspaces/acme/policies/1/publish", {}, 409)["code"] == "needs_second_person"
    tool = cast.tools["billing.refund"]
    address = f"workspaces/acme/tools/{tool.public_id}"
    declared = {name: value for name, value in olga.get(address).items() if name != "id"}
    assert olga.put(address, declared | {"risk": "low"}, 409)["code"] == "needs_second_person"


def test_budgets_are_set_changed_and_removed(cast: Cast) -> None:
    olga, rita = Caller(cast.olga), Caller(cast.rita)
    body = {"scope": "agent", "agent": cast.report_bot.public_id, "window": "day", "limit_usd": "5.00"}
    made = olga.post("workspaces/acme/budgets", body)
    assert (made["spent_usd"], made["limit_usd"], made["warn_at"]) == ("0.00", "5.00", [])
    assert olga.post("workspaces/acme/budgets", body, 400)["errors"][0]["path"] == ["window"]
    assert olga.post("workspaces/acme/budgets", body | {"scope": "workspace"}, 400)["errors"][0]["path"] == [
        "agent"
    ]
    address = f"workspaces/acme/budgets/{made['id']}"
    assert olga.put(address, {"limit_usd": "0.000000001"})["limit_usd"] == "0.000000001"
    assert olga.put(address, {"limit_usd": "1e3"}, 400)["errors"][0]["path"] == ["limit_usd"]
    rita.delete(address, 403)
    olga.delete(address)
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "path", "code"),
    [
        ({}, "window", "required"),
        ({"window": "hour"}, "window", "invalid_choice"),
        ({"window": "day", "limit_usd": None}, "limit_usd", "one_limit"),
        ({"window": "day", "limit_usd": 5}, "limit_usd", "amount"),
        ({"window": "day", "soft": True}, "soft", "unknown_field"),
        ({"window": "day", "scope": "agent"}, "agent", "agent_missing"),
        ({"window": "day", "agent": "agt_x"}, "agent", "agent_unused"),
        ({"window": "day", "scope": "agent", "agent": "agt_x"}, "agent", "unknown_agent"),
        ({"window": "day", "tool": "no.such"}, "tool", "unknown_tool"),
        ({"window": "day", "downgrade_to": "small"}, "downgrade_to", "downgrade_unused"),
        ({"window": "day", "hard": False, "when_short": "ask"}, "when_short", "never_short"),
        ({"window": "month"}, "window", "budget_exists"),
    ],
)
def test_what_cannot_be_a_budget_is_refused_by_name(
    cast: Cast, wrong: dict[str, object], path: str, code: str
) -> None:
    olga, where = Caller(cast.olga), "workspaces/acme/budgets"
    made = olga.post(where, {"window": "month", "limit_usd": "1.00"})
    refused = olga.post(where, {"limit_usd": "5.00"} | wrong, 400)
    (error,) = refused["errors"]
    assert (refused["code"], error["path"], error["code"]) == ("invalid_request", [path], code)
    assert (made["id"] in error["message"]) == (code == "budget_exists"), "It leads to the one that is there."


def test_budgets_have_a_unit_a_tool_and_an_edge(cast: Cast) -> None:
    olga, rita = Caller(cast.olga), Caller(cast.rita)
    where = "workspaces/acme/budgets"
    body: dict[str, Any] = {
        "scope": "session",
        "agent": cast.report_bot.public_id,
        "window": "ever",
        "model": "big",
    }
    made = olga.post(where, body | {"limit_tokens": 70_000, "hard": False})
    assert (made["unit"], made["limit_tokens"], made["limit_usd"], made["hard"]) == (
        "tokens",
        70_000,
        None,
        False,
    )
    assert (made["spent_tokens"], made["scope"], made["model"]) == (None, "session", "big")
    edge = {"window": "day", "tool": "billing.refund", "when_short": "downgrade", "downgrade_to": "small"}
    priced = olga.post(where, edge | {"limit_usd": "2.00"})
    assert (priced["left_usd"], priced["left_tokens"], priced["when_short"]) == ("2.00", None, "downgrade")
    assert [row["id"] for row in olga.get(f"{where}?tool=billing.refund")["results"]] == [priced["id"]]
    for wrong, path in (
        ({}, "limit_usd"),
        ({"limit_usd": "1", "limit_tokens": 1}, "limit_usd"),
        ({"limit_usd": "1", "tool": "no.such"}, "tool"),
        ({"limit_tokens": 10**15 + 1}, "limit_tokens"),
        ({"limit_usd": "1", "when_short": "downgrade"}, "downgrade_to"),
    ):
        refused = olga.post(where, {"window": "week"} | wrong, 400)
        assert [error["path"] for error in refused["errors"]] == [[path]]
    assert olga.put(f"{where}/{priced['id']}", {"limit_tokens": 5}, 400)["errors"][0]["path"] == [
        "limit_tokens"
    ]
    assert olga.put(f"{where}/{priced['id']}", {"limit_usd": "3"})["when_short"] == "wait"

    assert olga.post(f"{where}/{priced['id']}/reset", {"reason": " "}, 400)["errors"][0]["path"] == ["reason"]
    rita.post(f"{where}/{priced['id']}/reset", {"reason": "mine"}, 403)
    assert olga.post(f"{where}/{priced['id']}/reset", {"reason": "A wrong price."}, 200)["resets"] == 1
    assert latest(cast.acme).type == "billing.budget.reset"


def test_the_catalog_is_kept(cast: Cast) -> None:
    olga = Caller(cast.olga)
    tool = olga.post(
        "workspaces/acme/tools", {"name": "db.query", "action": "read", "resource": "db://{table}"}
    )
    assert tool["resource"] == [{"template": "db://{table}", "action": "read"}]
    refused = olga.post("workspaces/acme/tools", {"name": "x", "action": "read", "resource": "{"}, 400)
    assert (refused["code"], refused["errors"][0]["path"]) == ("bad_declaration", ["resource"])
    resource = olga.post("workspaces/acme/resources", {"name": "tables", "pattern": "db://*"})
    assert (
        olga.post("workspaces/acme/resources", {"name": "bad", "pattern": "//"}, 400)["code"] == "bad_pattern"
    )
    grants = [{"permission": "use", "target": tool["id"]}, {"permission": "read", "target": resource["id"]}]
    role = olga.post("workspaces/acme/roles", {"name": "team/db", "grants": grants})
    assert olga.get("workspaces/acme/roles/team/db") == role == {"name": "team/db", "grants": grants}
    assert olga.put("workspaces/acme/lists/partners", {"name": "partners", "members": []})["members"] == []
    assert (
        olga.put("workspaces/acme/lists/partners", {"name": "x", "members": []}, 400)["code"]
        == "invalid_request"
    )
    for address in ("roles/team/db", f"tools/{tool['id']}", f"resources/{resource['id']}", "lists/partners"):
        olga.delete(f"workspaces/acme/{address}")
        olga.get(f"workspaces/acme/{address}", 404)


def test_people_get_roles_and_leave(cast: Cast) -> None:
    olga = Caller(cast.olga)
    made = olga.post("workspaces/acme/members", {"email": "New@acme.test", "roles": ["auditor"]})
    assert (made["email"], made["roles"]) == ("new@acme.test", ["auditor"])
    address = f"workspaces/acme/members/{made['id']}"
    assert olga.put(address, {"roles": ["developer", "approver"]})["roles"] == ["approver", "developer"]
    olga.post(f"{address}/leave", {"reason": "Moved on."}, 204)
    olga.get(address, 404)
    own = f"workspaces/acme/members/{cast.olga.public_id}"
    assert "ask another owner" in olga.put(own, {"roles": ["auditor"]}, 400)["detail"]
    olga.get(f"workspaces/acme/members/{cast.gina.public_id}", 404)
    assert [row["email"] for row in olga.get("workspaces/acme/members")["results"]] == sorted(
        ["olga@acme.test", "rita@acme.test", "otto@acme.test"]
    )
    group = olga.put(
        "workspaces/acme/reviewer-groups/finance", {"name": "finance", "people": [cast.otto.public_id]}
    )
    assert group["people"] == [cast.otto.public_id]


def test_a_log_is_read_by_who_may_read_it_whole(cast: Cast) -> None:
    olga, rita, otto = Caller(cast.olga), Caller(cast.rita), Caller(cast.otto)
    address = f"logs/{cast.acme.log.uuid}/entries"
    (row,) = rita.get("logs")["results"]
    assert (row["uuid"], row["size"]) == (str(cast.acme.log.uuid), latest(cast.acme).index + 1)
    first = olga.get(address, limit=3)
    catalog.set_list(cast.acme, name="more", members=[], actor=ACTOR)
    rest = olga.get(address, limit=200, after=first["next"])
    indexes = [entry["index"] for entry in first["results"] + rest["results"]]
    assert indexes == list(range(indexes[0], -1, -1))
    assert rest["next"] is None
    entry = olga.get(f"{address}/0")
    assert json.loads(entry["body"])["type"] == entry["type"] == "workspaces.workspace.created"
    otto.get(address, 404)
    assert otto.get("logs")["results"] == []
    people.set_roles(cast.acme, cast.otto, roles=["auditor"], actor=ACTOR)
    assert otto.get(address, type="workspaces.list.changed")["results"]
