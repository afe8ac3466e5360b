"""Requests by the API: proposed, read, answered, withdrawn; and the first key of a new agent."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from governance import policies, registrations
from governance.models import Proposal
from governance.onboarding import Plan
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter
from workspaces import tenancy
from workspaces.identifiers import key_digest
from workspaces.models import AgentKey, User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
ANSWERS = {"data": "personal", "reach": "known", "money": "none", "reversal": "always", "autonomy": "each",
           "outside": "no", "scale": "one"}  # fmt: skip


@pytest.fixture
def dora(cast: Cast) -> User:
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    return employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")


def test_a_looser_tool_is_proposed_and_decided(cast: Cast, dora: User) -> None:
    script, olga = Caller(dora), Caller(cast.olga)
    address = f"workspaces/acme/tools/{cast.tools['billing.refund'].public_id}"
    declared = {name: value for name, value in script.get(address).items() if name != "id"}
    made = script.post(f"{address}/propose", declared | {"risk": "low"})
    assert (made["kind"], made["status"], made["may_decide"]) == ("tool", "pending", False)
    assert (made["change"]["before"]["risk"], made["change"]["after"]["risk"]) == ("high", "low")
    assert [cast.olga.public_id in each["people"] for each in made["missing"]] == [True]
    here = f"workspaces/acme/proposals/{made['id']}"
    refused = script.post(f"{here}/decide", {"approve": True}, 403)
    assert refused["code"] == "not_a_decider"
    assert olga.get(here)["may_decide"] is True
    settled = olga.post(f"{here}/decide", {"approve": True, "comment": "Looked at."}, 200)
    assert settled["status"] == "approved"
    assert [(each["person"], each["comment"]) for each in settled["answers"]] == [
        (cast.olga.public_id, "Looked at.")
    ]
    assert script.get(address)["risk"] == "low"
    assert olga.post(f"{here}/decide", {"approve": True}, 409)["code"] == "proposal_settled"
    assert [row["id"] for row in olga.get("workspaces/acme/proposals", kind="tool")["results"]] == [
        made["id"]
    ]
    assert Caller(cast.otto).get(here)["answers"][0]["comment"] == ""
    Caller(cast.gina).get(here, 404)


def test_a_policy_is_proposed_and_withdrawn(cast: Cast, dora: User) -> None:
    policies.draft(cast.acme, [], actor=actor_of(dora))
    script = Caller(dora)
    made = script.post("workspaces/acme/policies/1/propose", {"note": "nothing is needed"})
    assert (made["kind"], made["version"], made["note"]) == ("policy", 1, "nothing is needed")
    assert script.post("workspaces/acme/policies/1/propose", {})["id"] == made["id"]
    here = f"workspaces/acme/proposals/{made['id']}"
    assert Caller(cast.rita).post(f"{here}/decide", {"approve": True}, 409)["code"] == "proposal_not_ready"
    assert Caller(cast.rita).post(f"{here}/cancel", {}, 403)["code"] == "not_a_decider"
    assert script.post(f"{here}/cancel", {"reason": "too early"}, 200)["outcome"] == "too early"


def test_an_agent_is_registered_approved_and_gets_its_key(cast: Cast, dora: User) -> None:
    script = Caller(dora)
    body = {"name": "mail-bot", "purpose": "Answers", "answers": ANSWERS,
            "needs": [{"permission": "use", "of": "files.read"}]}  # fmt: skip
    assert script.post("workspaces/acme/setup", {"name": "mail-bot"}, 409)["code"] == "needs_second_person"
    assert script.post("workspaces/acme/registrations", body | {"answers": {}}, 400)["code"]
    made = script.post("workspaces/acme/registrations", body)
    assert made["change"]["plan"]["risk_tier"] == "medium"
    here = f"workspaces/acme/proposals/{made['id']}"
    assert script.post(f"{here}/key", None, 409)["code"] == "proposal_not_ready"
    approved = Caller(cast.rita).post(f"{here}/decide", {"approve": True}, 200)
    assert approved["agent"]
    Caller(cast.olga).post(f"{here}/key", None, 403)
    key = script.post(f"{here}/key")
    assert AgentKey.objects.get(public_id=key["id"]).digest == key_digest(key["text"])
    assert script.post(f"{here}/key", None, 409)["code"] == "proposal_not_ready"


def test_lists_cost_the_same_whatever_their_length(cast: Cast, dora: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            script.get("workspaces/acme/proposals")
            client.get(reverse("proposals"))
        return len(captured)

    script, client = Caller(dora), enter(User.objects.get(pk=cast.rita.pk))
    registrations.register(Plan(workspace=cast.acme, name="bot-0", owner=dora), answers=ANSWERS, person=dora)
    cost()
    before = cost()
    for number in range(1, 5):
        plan = Plan(workspace=cast.acme, name=f"bot-{number}", owner=dora)
        registrations.register(plan, answers=ANSWERS, person=dora)
    assert Proposal.objects.count() == 5
    assert cost() == before
