"""New agents: registered with answers about their risk, approved by somebody else, then given a first key."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Owed
from governance import enactments, onboarding, policies, proposals, registrations, risk_answers
from governance.models import Proposal
from governance.onboarding import Plan
from governance.proposals import NotADecider, NotReady
from governance.risk_answers import QUESTIONS, TIERS
from tests.cast import Cast, employ
from tests.portal import body_of, enter
from workspaces import access, agents, catalog, people, tenancy
from workspaces.allowances import Need
from workspaces.changes import Guarded
from workspaces.models import Agent, AgentKey, User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
Status = Proposal.Status
MILD = {question.key: question.answers[0][0] for question in QUESTIONS}
RULE = {"name": "Mail is asked about", "agents": ["mail-bot"], "tools": ["mail.send"], "effect": "deny"}
ANSWERS = st.fixed_dictionaries(
    {question.key: st.sampled_from([key for key, *_ in question.answers]) for question in QUESTIONS}
)


@pytest.fixture
def dora(cast: Cast) -> User:
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    return employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")


def registered(cast: Cast, person: User, answers: Mapping[str, str] = MILD, **plan: Any) -> Proposal:
    wanted = {"name": "mail-bot", "owner": person, "needs": (Need("use", "files.read"),), "rules": (RULE,)}
    return registrations.register(
        Plan(workspace=cast.acme, **{**wanted, **plan}), answers=answers, person=person
    )


def test_somebody_else_approves_and_the_registrant_makes_the_key(cast: Cast, dora: User) -> None:
    proposal = registered(cast, dora, given=(("read", cast.resources["reports"]),))
    assert not Agent.objects.filter(name="mail-bot").exists()
    for person in (dora, cast.otto, cast.sam):
        with pytest.raises(NotADecider):
            proposals.decide(proposal, person=person, approve=True)
    settled = proposals.decide(proposal, person=cast.rita, approve=True)
    assert settled.status == Status.APPROVED
    agent = settled.agent
    assert agent is not None
    assert {(line.permission, str(line.target)) for line in access.grants_of(agent)} == {
        ("use", "files.read"), ("read", "reports"),
    }  # fmt: skip
    assert not AgentKey.objects.filter(agent=agent).exists()
    (owed,) = Owed.objects.filter(kind=enactments.RULES)
    assert "in force" in enactments.add_rules(owed.payload)
    version = policies.in_force(cast.acme)
    assert version is not None
    assert [rule["name"] for rule in version.content] == [RULE["name"]]
    assert (version.drafted_by, version.published_by) == (actor_of(dora), actor_of(cast.rita))
    assert enactments.add_rules(owed.payload) == "Its rules are in force."
    for person in (cast.rita, cast.olga):
        with pytest.raises(NotADecider):
            registrations.make_key(settled, person=person)
    key, text = registrations.make_key(settled, person=dora)
    assert key.created_by == dora
    assert text not in str(Proposal.objects.values().get(pk=settled.pk))
    with pytest.raises(NotReady):
        registrations.make_key(settled, person=dora)
    assert AgentKey.objects.filter(agent=agent).count() == 1


def test_the_agents_owner_does_not_approve_it(cast: Cast, dora: User) -> None:
    proposal = registered(cast, dora, owner=cast.olga)
    with pytest.raises(NotADecider, match="will own"):
        proposals.decide(proposal, person=cast.olga, approve=True)
    assert proposals.decide(proposal, person=cast.rita, approve=False).status == Status.REJECTED
    assert not Agent.objects.filter(name="mail-bot").exists()
    with pytest.raises(NotADecider):
        registrations.make_key(proposal, person=cast.olga)


def test_where_one_person_is_alone_they_approve_and_the_log_says_so(cast: Cast) -> None:
    plan = Plan(workspace=cast.globex, name="lone-bot", owner=cast.gina)
    proposal = registrations.register(plan, answers=MILD, person=cast.gina)
    opened = cast.globex.log.entries.get(type="governance.proposal.opened")
    assert body_of(opened)["data"]["alone"] is True
    second = employ(cast.globex, "gil@globex.test", "Gil", "auditor")
    with pytest.raises(NotADecider):
        proposals.decide(proposal, person=cast.gina, approve=True)
    people.set_roles(cast.globex, second, roles=[], actor="system")
    assert proposals.decide(proposal, person=cast.gina, approve=True).status == Status.APPROVED


def test_where_two_people_guard_nobody_makes_an_agent_alone(cast: Cast, dora: User) -> None:
    with pytest.raises(Guarded, match="Propose mail-bot"):
        agents.create_agent(cast.acme, "mail-bot", owner=dora, actor=actor_of(dora))
    with pytest.raises(Guarded):
        onboarding.found(Plan(workspace=cast.acme, name="mail-bot", owner=dora), person=cast.olga)
    agents.create_agent(cast.acme, "mail-bot", owner=dora, actor="cli:root@host")  # a workspace file


def test_what_is_gone_meanwhile_ends_it_with_the_reason(cast: Cast, dora: User) -> None:
    proposal = registered(cast, dora, given=(("read", cast.resources["reports"]),))
    catalog.remove_resource(cast.resources["reports"], actor="system")
    settled = proposals.decide(proposal, person=cast.rita, approve=True)
    assert settled.status == Status.CANCELLED
    assert "reports, which it was to be granted, was removed since" in settled.outcome
    assert not Agent.objects.filter(name="mail-bot").exists()


def test_the_assistant_proposes_where_two_people_guard(cast: Cast, dora: User) -> None:
    client = enter(dora)
    address = f"{reverse('admin:workspaces_agent_setup')}?workspace=acme&starter=analyst"
    form = client.get(address).context["form"]
    fields = {name: form[name].value() for name in form.fields}
    fields |= {"name": "new-analyst", "owner": dora.pk, "reviewers": "group:finance"}
    posted = {name: value for name, value in fields.items() if value not in (None, "", [])}
    missing = client.post(address, posted)
    assert "This field is required" in missing.content.decode()
    assert not Proposal.objects.exists()
    answers = {f"risk-{key}": answer for key, answer in (MILD | {"data": "special"}).items()}
    page = client.post(address, posted | answers, follow=True).content.decode()
    assert "New agent new-analyst" in page
    assert "Health, credentials, payment" in page
    proposal = Proposal.objects.get()
    assert proposal.content["plan"]["risk_tier"] == "high"
    assert proposals.decide(proposal, person=cast.olga, approve=True).status == Status.APPROVED
    shown = client.post(reverse("proposal_key", args=["acme", proposal.public_id]))
    assert "shown this once" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]


@given(ANSWERS, st.lists(st.sampled_from(TIERS)))
def test_the_tier_is_no_lower_than_any_answer_or_tool(answers: dict[str, str], tools: list[str]) -> None:
    found = TIERS.index(risk_answers.tier(answers, tools))
    assert all(found >= TIERS.index(risk_answers.tier_of(question, answers)) for question in QUESTIONS)
    assert all(found >= TIERS.index(tool) for tool in tools)


def test_who_reads_outsiders_and_is_watched_by_nobody_is_riskier() -> None:
    answers = MILD | {"outside": "yes", "autonomy": "none"}
    assert risk_answers.tier(answers) == "medium"
    assert risk_answers.tier(answers | {"reach": "known"}) == "high"
    assert risk_answers.tier(MILD | {"reach": "known"}) == "medium"
    with pytest.raises(risk_answers.UnknownAnswer):
        risk_answers.tier({})
