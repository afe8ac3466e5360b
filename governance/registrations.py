"""New agents that somebody else approves: registered with answers about their risk, and given a first key."""

from collections.abc import Mapping
from dataclasses import replace

from django.core.exceptions import ValidationError

from audit import log
from governance import deciders, onboarding, proposals, risk_answers
from governance.models import Proposal
from governance.onboarding import Plan
from governance.proposals import NotADecider, NotReady
from workspaces import agents
from workspaces.access import may
from workspaces.models import Agent, AgentKey, Tool, User
from workspaces.people import actor_of, check_members

MANAGE = "manage_agents"
APPROVES = "an owner or a compliance officer who neither registers nor owns it"


def register(plan: Plan, *, answers: Mapping[str, str], person: User, starter: str = "") -> Proposal:
    """Propose an agent; its risk tier becomes what the answers come to. Where the workspace has one person alone, they
    approve it themselves. Raises ValidationError, UnknownAnswer, OtherWorkspace and NobodyElse."""
    workspace = plan.workspace
    if Agent.objects.filter(workspace=workspace, name=plan.name).exists():
        raise ValidationError({"name": f"There is an agent called {plan.name} here already."})
    check_members(workspace, [plan.owner])
    plan = replace(plan, risk_tier=risk_answers.tier(answers, risks(plan)))
    alone = deciders.only_person(workspace) == person.pk
    wanted = (
        deciders.requirement(
            "the only person of the workspace", people=[person], permission=deciders.PUBLISH, alone=True
        )
        if alone
        else deciders.requirement(APPROVES, permission=deciders.PUBLISH)
    )
    proposal = Proposal(
        workspace=workspace,
        kind=Proposal.Kind.ONBOARDING,
        title=f"New agent {plan.name}",
        content={
            "plan": onboarding.written(plan),
            "answers": dict(answers),
            "starter": starter,
            "rests_on": onboarding.rests_on(plan),
        },
        requirements=[wanted],
        proposed_by=person,
    )
    proposals.check_decidable(proposal)
    with log.write(workspace.log_id):
        same = Proposal.objects.filter(workspace=workspace, kind=proposal.kind, status=proposal.status)
        if same.filter(content__plan__name=plan.name).exists():
            raise ValidationError({"name": f"An agent called {plan.name} is proposed already."})
        proposals.open(proposal, actor=actor_of(person))
        return proposals.start(proposal)


def risks(plan: Plan) -> list[str]:
    """The risks of the tools that a plan gives: of those that are there, and of those it declares."""
    named = {need.of for need in plan.needs if need.is_tool}
    there = dict(Tool.objects.filter(workspace=plan.workspace, name__in=named).values_list("name", "risk"))
    declared = {tool.name: tool.risk.value for tool in plan.declare}
    given = [target.risk for _, target in plan.given if isinstance(target, Tool)]
    return [*{**declared, **there}.values(), *given]


def may_make_key(person: User, proposal: Proposal) -> bool:
    """Whether the person makes the agent's first key now: who registered it, once it is approved."""
    return (
        proposal.status == Proposal.Status.APPROVED
        and proposal.agent is not None
        and proposal.proposed_by_id == person.pk
        and may(person, MANAGE, proposal.workspace)
        and proposals.open_task(proposal, proposals.FIRST_KEY) is not None
    )


def make_key(proposal: Proposal, *, person: User) -> tuple[AgentKey, str]:
    """The agent's first key and its text, shown this once. Raises NotADecider, NotReady, TooManyKeys and
    AgentRevoked."""
    with log.write(proposal.workspace.log_id):
        row = proposals.read(proposal)
        if row.proposed_by_id != person.pk or not may(person, MANAGE, row.workspace):
            raise NotADecider(
                "Whoever registered the agent makes its first key, while they may manage agents."
            )
        if not may_make_key(person, row) or not proposals.pass_by(row, proposals.FIRST_KEY):
            raise NotReady(
                "The first key was made already, or the agent is not approved; make keys on its page."
            )
        assert row.agent is not None
        plan = onboarding.read(row.workspace, row.content["plan"])
        return agents.create_key(
            row.agent, actor=actor_of(person), created_by=person, expires_at=plan.key_until
        )
