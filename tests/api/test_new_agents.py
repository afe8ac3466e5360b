"""An agent set up in one call, and denials turned into grants, through the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from governance import containment
from governance.models import PolicyVersion
from tests.api.caller import Caller
from tests.api.gate import ask, fresh_process
from tests.cast import Cast, employ
from tests.portal import latest
from workspaces.models import Agent, Resource

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db

SETUP = "workspaces/acme/setup"
PLAN = {
    "name": "shelf-bot",
    "purpose": "Tidies shelves",
    "tools": [{"name": "shelves.write", "action": "write", "resource": "shelf://{room}/{shelf}"}],
    "needs": [{"permission": "use", "of": "shelves.write"}, {"permission": "write", "of": "shelf://a/*"}],
    "daily_usd": "2.50",
    "rules": [
        {"name": "No top shelf", "tools": ["shelves.write"], "effect": "deny", "when": "args.shelf == '9'"}
    ],
}


def test_an_agent_is_set_up_in_one_call_and_makes_its_first(cast: Cast) -> None:
    olga = Caller(cast.olga)
    reports = cast.resources["reports"].public_id
    made = olga.post(SETUP, PLAN | {"grants": [{"permission": "read", "target": reports}]})
    agent = Agent.objects.get(public_id=made["agent"]["id"])
    assert (agent.name, made["agent"]["owner"], made["remaining"]) == ("shelf-bot", cast.olga.public_id, [])
    assert PolicyVersion.objects.get(status="in_force").number == made["policy"] == 1
    key, shelves = made["key"]["key"], {"a/1": "granted", "a/9": "rule", "b/1": "no_permission"}
    for shelf, code in shelves.items():
        arguments = dict(zip(("room", "shelf"), shelf.split("/"), strict=True))
        assert ask(agent, key, "shelves.write", arguments)["code"] == code
    assert key not in str(olga.get(f"workspaces/acme/agents/{agent.public_id}/keys"))
    grants = olga.get(f"workspaces/acme/agents/{agent.public_id}/grants")["results"]
    assert ("read", reports) in {(grant["permission"], grant["target"]) for grant in grants}


def test_a_developer_is_told_what_others_have_to_do(cast: Cast) -> None:
    dana = Caller(employ(cast.acme, "dana@acme.test", "Dana Developer", "developer"))
    made = dana.post(SETUP, PLAN)
    assert ["No budget was set" in made["remaining"][0], "waits as a draft" in made["remaining"][1]] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"name": "report-bot"}, None),
        ({"key_until": "2020-01-01T00:00:00Z"}, "key_until"),
        ({"grants": [{"permission": "read", "target": "res_none"}]}, "target"),
        ({"owner": "usr_none"}, "owner"),
        ({"daily_usd": "-1"}, "daily_usd"),
        ({"rules": [{"name": "x"}]}, 0),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    cast: Cast, wrong: dict[str, object], path: str | int | None
) -> None:
    size = latest(cast.acme).index
    refused = Caller(cast.olga).post(SETUP, PLAN | wrong, 400)
    assert refused["errors"][0]["path"][:1] == ([] if path is None else [path])
    assert latest(cast.acme).index == size


def test_a_denial_says_what_it_lacked_and_is_granted(cast: Cast) -> None:
    olga, key = Caller(cast.olga), cast.report_bot_key
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    denied = ask(cast.report_bot, key, "files.read", {"path": "/srv/plans/a.csv"})
    index = denied["receipt"]["index"]
    draft = olga.get(f"{address}/denials/{index}")
    need = {"permission": "read", "of": "file:///srv/plans/a.csv"}
    assert [(each["permission"], each["of"], each["calls"]) for each in draft["exact"]] == [
        (*need.values(), 1)
    ]
    assert latest(cast.acme).type == "governance.observation.read"
    end = (timezone.now() + timedelta(days=7)).isoformat()
    given = olga.post(f"{address}/allowances", {"needs": [need], "expires_at": end}, 200)
    assert given == {"given": [need]}
    assert Resource.objects.filter(workspace=cast.acme, pattern=need["of"]).exists()
    assert ask(cast.report_bot, key, "files.read", {"path": "/srv/plans/a.csv"})["decision"] == "allow"
    assert olga.post(f"{address}/allowances", {"needs": [need], "expires_at": end}, 200) == {"given": []}
    olga.get(f"{address}/denials/{latest(cast.acme).index}", 404)
    for wrong in ({"permission": "use", "of": "none"}, {"permission": "read", "of": "//"}):
        olga.post(f"{address}/allowances", {"needs": [wrong], "expires_at": None}, 400)


def test_what_an_observation_let_through_becomes_the_least_grants(cast: Cast) -> None:
    olga = Caller(cast.olga)
    containment.set_standing(
        cast.report_bot, "observe", reason="It runs already.", actor="cli:test@host", person=None,
        until=timezone.now() + timedelta(days=3),
    )  # fmt: skip
    for name in "abc":
        ask(cast.report_bot, cast.report_bot_key, "files.read", {"path": f"/srv/plans/{name}.csv"})
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}/observed"
    draft = olga.get(address)
    assert (len(draft["exact"]), draft["calls"], draft["before"]) == (3, 3, None)
    assert [each["of"] for each in draft["wider"]] == ["file:///srv/plans/*"]
    assert olga.get(address, before=0)["exact"] == []


def test_drafts_of_grants_are_for_who_may_read_what_the_agent_sends(cast: Cast) -> None:
    dana = Caller(employ(cast.acme, "dana@acme.test", "Dana Developer", "developer"))
    address = f"workspaces/acme/agents/{cast.report_bot.public_id}"
    denied = ask(cast.report_bot, cast.report_bot_key, "files.read", {"path": "/srv/plans/a.csv"})
    size = latest(cast.acme).index
    assert "ask its owner" in dana.get(f"{address}/observed", 403)["detail"]
    dana.get(f"{address}/denials/{denied['receipt']['index']}", 403)
    Caller(cast.rita).get(f"{address}/observed", 403)
    Caller(cast.gina).get(f"{address}/observed", 404)
    assert latest(cast.acme).index == size
