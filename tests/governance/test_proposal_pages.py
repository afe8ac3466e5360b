"""The pages of requests: what each kind shows to whom, and what can be pressed there."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Owed
from governance import access_requests, policies, policy_changes, proposals, registrations
from governance.models import Proposal
from governance.onboarding import Plan
from tests.cast import ACTOR, Cast, employ
from tests.governance.test_proposals_access import Newcomer, asked
from tests.governance.test_proposals_onboarding import MILD
from tests.portal import enter, press
from workspaces import catalog, tenancy
from workspaces.models import User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db(transaction=True)
RULES = [{"name": "No refunds", "effect": "deny", "tools": ["billing.refund"], "message": "Ask a person."}]


@pytest.fixture
def dora(cast: Cast) -> User:
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    return employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")


def shown(client: Client, proposal: Proposal, status: int = 200) -> str:
    answer = client.get(reverse("proposal", args=[proposal.workspace.slug, proposal.public_id]))
    assert answer.status_code == status
    return answer.content.decode()


def pressed(client: Client, name: str, proposal: Proposal, **fields: str) -> str:
    answer = client.post(reverse(name, args=["acme", proposal.public_id]), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_looser_tool_is_proposed_from_its_form_and_approved(cast: Cast, dora: User) -> None:
    client, tool = enter(dora), cast.tools["billing.refund"]
    fields = {
        "workspace": cast.acme.pk,
        "name": tool.name,
        "action": "spend",
        "risk": "low",
        "labels": "",
        "resource": "invoice://{invoice}",
        "sensitive": "/card_number",
        "schema": json.dumps(tool.schema),
    }
    told = press(client, "workspaces_tool_change", tool.pk, **fields)
    assert 'name="_propose"' in told
    assert not Proposal.objects.exists()
    told = press(client, "workspaces_tool_change", tool.pk, **fields, _propose="1")
    proposal = Proposal.objects.get()
    assert proposal.title in told
    assert "What changes of billing.refund" in told
    assert "<del>&quot;high&quot;</del>" in told
    assert "&#x27;high&#x27;" not in told  # JSON, as people know it from the tool's page
    assert "somebody else answers" in told
    olga = enter(cast.olga)
    assert "Wait for you" in olga.get(reverse("proposals")).content.decode()
    assert '<a href="#answers">Your answer</a>' in shown(olga, proposal)
    assert '<a href="#answers">Your answer</a>' not in shown(client, proposal)
    assert "Wait for you" not in client.get(reverse("proposals")).content.decode()
    assert "Nobody decides what they proposed" in pressed(
        client, "proposal_decide", proposal, decision="approve"
    )
    done = pressed(olga, "proposal_decide", proposal, decision="approve", comment="Looked at")
    assert "is what was proposed" in done
    assert "Looked at" in shown(client, proposal)
    assert "Looked at" not in shown(enter(cast.otto), proposal)


def test_an_access_request_shows_what_was_denied_to_those_who_decide(cast: Cast) -> None:
    bot = Newcomer(cast)
    bot.call("files.read", path="/srv/reports/secret-plans.csv")
    proposal = asked(bot, reason="<b>trust me</b>")
    owner = shown(enter(cast.olga), proposal)
    assert "file:///srv/reports/secret-plans.csv" in owner
    assert "&lt;b&gt;trust me&lt;/b&gt;" in owner
    assert "checked by nobody" in owner
    other = shown(enter(cast.otto), proposal)
    assert "secret-plans" not in other
    assert "trust me" not in other
    assert "file:///srv/reports/*" in other
    for stranger in (cast.sam, cast.gina):
        shown(enter(stranger), proposal, status=404)
        assert proposal.title not in enter(stranger).get(reverse("proposals")).content.decode()
    told = pressed(enter(cast.otto), "proposal_cancel", proposal)
    assert "others reject it" in told
    assert "It is withdrawn" in pressed(enter(cast.olga), "proposal_cancel", proposal, reason="not now")


def test_a_request_that_the_worker_has_not_seen_says_so(cast: Cast) -> None:
    bot = Newcomer(cast)
    bot.call("files.read", path="/srv/reports/a.csv")
    proposal = access_requests.request(bot.agent, tool="files.read")
    assert "looking up what it means" in shown(enter(cast.olga), proposal)
    assert "being looked up" in pressed(enter(cast.olga), "proposal_decide", proposal, decision="approve")


def test_a_policy_shows_what_changes_and_its_problems(cast: Cast, dora: User) -> None:
    policies.publish(policies.draft(cast.acme, [], actor=ACTOR), actor=actor_of(cast.olga))
    version = policies.draft(cast.acme, RULES, actor=actor_of(dora))
    told = press(enter(dora), "governance_policyversion_propose", version.pk, note="refunds went wrong")
    assert "refunds went wrong" in told
    assert "What changes from version 1" in told
    policy_changes.go_on()
    proposal = Proposal.objects.get()
    assert "no agent here whose calls you may read" in shown(enter(cast.rita), proposal)
    catalog.remove_tool(cast.tools["billing.refund"], actor=ACTOR)
    assert "cannot be published as things are" in shown(enter(cast.rita), proposal)


def test_a_new_agent_shows_its_risk_and_its_key_only_to_who_registered_it(cast: Cast, dora: User) -> None:
    plan = Plan(workspace=cast.acme, name="mail-bot", owner=cast.olga, daily_nanos=5 * 10**9)
    proposal = registrations.register(plan, answers=MILD, person=dora)
    told = shown(enter(cast.rita), proposal)
    assert "What data does it see?" in told
    assert "$5.00 a day" in told
    proposals.decide(proposal, person=cast.rita, approve=True)
    assert "Make its first key" in shown(enter(dora), proposal)
    assert "Make its first key" not in shown(enter(cast.rita), proposal)
    assert "shown this once" in pressed(enter(dora), "proposal_key", proposal)
    assert "was made already" in pressed(enter(dora), "proposal_key", proposal)
    assert Owed.objects.filter(kind=proposals.START).exists()
