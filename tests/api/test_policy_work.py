"""Policy versions compared, gone back to, tried on one call and replayed over recorded ones, through the API."""

import pytest

from audit.log import newest
from audit.models import Owed
from governance import replays
from governance.models import PolicyVersion
from tests.api.caller import Caller
from tests.api.gate import ask, fresh_process
from tests.cast import ACTOR, Cast
from workspaces import people, tenancy

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db

POLICIES = "workspaces/acme/policies"
RULE = {"name": "No refunds", "tools": ["billing.refund"], "effect": "deny"}
SECRET = {
    "name": "Nothing secret",
    "tools": ["files.read"],
    "effect": "deny",
    "when": "args.path.contains('q3')",
}


def two_versions(olga: Caller) -> None:
    """Version 1 forbids refunds; version 2, in force, forbids some and says why."""
    olga.post(POLICIES, {"rules": [RULE]})
    olga.post(f"{POLICIES}/1/publish", {}, 200)
    olga.post(POLICIES, {"rules": [RULE | {"when": "args.amount > 5", "message": "Too much."}]})
    olga.post(f"{POLICIES}/2/publish", {}, 200)


def test_versions_are_compared_rule_by_rule(cast: Cast) -> None:
    olga, otto = Caller(cast.olga), Caller(cast.otto)
    two_versions(olga)
    found = otto.get(f"{POLICIES}/2/differences")
    (change,) = found["changes"]
    assert (found["against"], change["kind"], change["name"]) == (1, "changed", "No refunds")
    assert {(each["name"], each["before"], each["after"]) for each in change["fields"]} == {
        ("When", "always", "args.amount > 5"),
        ("Agents are told", "nothing", "Too much."),
    }
    assert otto.get(f"{POLICIES}/1/differences") == {"against": None, "changes": []}
    assert otto.get(f"{POLICIES}/1/differences", against=2)["changes"][0]["fields"][0]["after"] == "always"
    assert otto.get(f"{POLICIES}/1/differences", 400, against=9)["errors"][0]["path"] == ["against"]
    assert otto.get(f"{POLICIES}/1/differences", 400, other=2)["errors"][0]["path"] == ["other"]


def test_rules_are_gone_back_to_at_once_where_one_person_may(cast: Cast) -> None:
    olga = Caller(cast.olga)
    two_versions(olga)
    again = olga.post(f"{POLICIES}/1/roll-back")
    assert (again["number"], again["status"], again["note"]) == (3, "in_force", "Back to version 1.")
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    assert olga.post(f"{POLICIES}/2/roll-back", {"note": "Oh"})["status"] == "draft"
    assert PolicyVersion.objects.get(status="in_force").number == 3


def test_a_call_is_tried_and_leaves_nothing_behind(cast: Cast) -> None:
    olga = Caller(cast.olga)
    two_versions(olga)
    size = newest(cast.acme.log_id)
    call = {
        "agent": cast.support_bot.public_id,
        "tool": "billing.refund",
        "arguments": {"invoice": "inv_7", "amount": 7},
    }
    tried = olga.post("workspaces/acme/trial", call, 200)
    assert (tried["decision"], tried["code"], tried["version"]) == ("deny", "rule", 2)
    assert [(each["name"], each["result"]) for each in tried["rules"]] == [("No refunds", "matched")]
    assert tried["resources"] == ["invoice://inv_7"]
    few = call | {"arguments": {"invoice": "inv_7", "amount": 1}}
    assert olga.post("workspaces/acme/trial", few, 200)["decision"] == "allow"
    assert olga.post("workspaces/acme/trial", few | {"version": 1}, 200)["decision"] == "deny"
    assert newest(cast.acme.log_id) == size
    for wrong in ({"agent": cast.globex_bot.public_id}, {"version": 9}, {"arguments": {"x": "y" * 70_000}}):
        refused = olga.post("workspaces/acme/trial", call | wrong, 400)
        assert refused["errors"][0]["path"] == list(wrong)
    Caller(cast.otto).post("workspaces/acme/trial", call, 403)
    Caller(cast.gina).post("workspaces/acme/trial", call, 404)


def test_a_version_is_replayed_watched_and_read_call_by_call(cast: Cast) -> None:
    olga = Caller(cast.olga)
    for path in ("/srv/reports/q3.csv", "/srv/reports/q4.csv", "/srv/reports/q3.txt"):
        assert ask(cast.report_bot, cast.report_bot_key, "files.read", {"path": path})["decision"] == "allow"
    number = olga.post(POLICIES, {"rules": [SECRET]})["number"]
    started = olga.post(f"{POLICIES}/{number}/replay", {"most": 10})
    assert (started["status"], started["version"], started["percent"]) == ("waiting", number, 0)
    assert olga.post(f"{POLICIES}/{number}/replay", {}, 409)["code"] == "replay_refused"
    replays.go_on(Owed.objects.get(kind=replays.SLICE).payload)
    address = f"workspaces/acme/replays/{started['id']}"
    done = olga.get(address)
    assert (done["status"], done["percent"]) == ("done", 100)
    assert (done["counts"]["calls"], done["counts"]["block"], done["counts"]["same"]) == (3, 2, 1)
    first = olga.get(f"{address}/differences", limit=1)
    rest = olga.get(f"{address}/differences", after=first["next"], kind="block")
    rows = first["results"] + rest["results"]
    assert [(row["before"], row["after"], row["rules_after"]) for row in rows] == [
        ("allow", "deny", ["Nothing secret"])
    ] * 2
    assert olga.get(f"{address}/differences", kind="allow")["results"] == []
    assert [row["id"] for row in olga.get("workspaces/acme/replays")["results"]] == [started["id"]]


def test_a_replay_is_cancelled_by_who_started_it_and_hidden_from_who_may_not_read_what_was_sent(
    cast: Cast,
) -> None:
    people.set_roles(cast.acme, cast.otto, roles=["developer"], actor=ACTOR)
    olga, otto = Caller(cast.olga), Caller(cast.otto)
    olga.post(POLICIES, {"rules": [RULE]})
    address = f"workspaces/acme/replays/{olga.post(f'{POLICIES}/1/replay')['id']}"
    assert otto.get("workspaces/acme/replays")["results"] == []
    otto.get(address, 404)
    otto.post(f"{address}/cancel", {}, 404)
    assert otto.post(f"{POLICIES}/1/replay", {}, 409)["code"] == "replay_refused"
    assert olga.post(f"{address}/cancel", {}, 200)["status"] == "cancelled"
    assert olga.post(f"{address}/cancel", {}, 200)["status"] == "cancelled"
