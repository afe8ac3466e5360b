"""How proposals end: the one writer of a proposal's status, and what an accepted one does.

Called under the log's head and the process lock. What was agreed to may no longer be possible when the last answer
comes; then the proposal ends as cancelled, its outcome says why, and nothing else was changed.
"""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError

from audit import log, owed
from audit.details import read_detail
from governance import deciders, onboarding, policies, second_person
from governance.models import Proposal
from governance.policies import NotADraft, PolicyRefused
from workspaces import access, allowances, catalog
from workspaces.allowances import Need
from workspaces.changes import Guarded, OtherWorkspace
from workspaces.declarations import DeclarationError, parse_declaration
from workspaces.models import Agent, Resource, Standing, Tool, User
from workspaces.patterns import PatternError
from workspaces.people import actor_of

Kind, Status = Proposal.Kind, Proposal.Status
MAIL = "governance.proposal.mail"
RULES = "governance.proposal.rules"
LONGEST_OUTCOME = 500


class NotPending(Exception):
    """The proposal is settled already, or its time is over."""

    code, status = "proposal_settled", 409


class NoLongerPossible(Exception):
    """The workspace changed since this was proposed; the message says how."""


# What the functions that enact raise where the workspace is another one by now.
OVERTAKEN = (NoLongerPossible, NotADraft, PolicyRefused, Guarded, OtherWorkspace, DeclarationError, PatternError,
             ValidationError)  # fmt: skip


def settle(proposal: Proposal, status: Proposal.Status, *, actor: str, outcome: str = "") -> None:
    """End a pending proposal, record how, and owe whoever proposed it a mail. ``outcome`` is for people and kept out
    of the entry's body. Raises NotPending when it has ended already."""
    with log.write(proposal.workspace.log_id) as entries:
        pending = Proposal.objects.filter(pk=proposal.pk, status=Status.PENDING)
        outcome = outcome[:LONGEST_OUTCOME]
        if not pending.update(status=status, settled_at=entries.now, outcome=outcome):
            raise NotPending("This request is settled already. Nothing was changed.")
        proposal.status, proposal.settled_at, proposal.outcome = status, entries.now, outcome
        entries.append(
            "governance.proposal.settled",
            actor=actor,
            agent=agent_of(proposal),
            tool=proposal.content.get("tool", ""),
            outcome=status.value,
            data={
                "proposal": proposal.public_id,
                "kind": proposal.kind,
                "proposed_by": proposed_by(proposal),
                "approved_by": [person.public_id for person in deciders.approvers(proposal)],
            },
            detail={"outcome": outcome} if outcome else None,
            log_id=proposal.workspace.log_id,
        )
        if proposal.proposed_by is not None and actor != actor_of(proposal.proposed_by):
            told = {"proposal": proposal.public_id, "person": proposal.proposed_by.public_id}
            owed.owe(MAIL, [told], due=entries.now)


def proposed_by(proposal: Proposal) -> str:
    """Public id of the person, or of the agent, who proposed it."""
    if proposal.proposed_by is not None:
        return proposal.proposed_by.public_id
    return agent_of(proposal)


def agent_of(proposal: Proposal) -> str:
    """Public id of the agent that it is about; empty where it is about none, or none yet."""
    return proposal.agent.public_id if proposal.agent is not None else ""


def enact(proposal: Proposal) -> None:
    """Do what was agreed to, in the name of who agreed last, and settle the proposal."""
    person = deciders.approvers(proposal)[-1]
    try:
        with log.write(proposal.workspace.log_id):
            outcome = DEEDS[Kind(proposal.kind)](proposal, person)
    except OVERTAKEN as overtaken:
        settle(
            proposal, Status.CANCELLED, actor="system", outcome=f"It could not be done: {sentence(overtaken)}"
        )
    else:
        settle(proposal, Status.APPROVED, actor=actor_of(person), outcome=outcome)


def sentence(error: Exception) -> str:
    """What an error says, as one text."""
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def publish(proposal: Proposal, person: User) -> str:
    """Put the version in force; ``proposals.decide`` has had its rules reviewed in this write."""
    version = proposal.version
    assert version is not None
    with log.write(proposal.workspace.log_id) as entries:
        policies.put_in_force(entries, version, actor=actor_of(person), note="")
    return f"Version {version.number} is in force."


def change_tool(proposal: Proposal, person: User) -> str:
    """Declare the tool as proposed, provided that it is what it was then."""
    before, after = proposal.content["before"], parse_declaration(proposal.content["after"])
    tool = Tool.objects.filter(workspace=proposal.workspace, name=after.name).first()
    if (tool.declaration().as_dict() if tool else None) != before:
        raise NoLongerPossible(f"{after.name} was changed since; propose it anew.")
    with second_person.agreed(proposal.workspace, after):
        catalog.set_tool(proposal.workspace, declaration=after, actor=actor_of(person))
    return f"{after.name} is what was proposed, from the next call on."


def give_access(proposal: Proposal, person: User) -> str:
    """Grant what was asked for to the agent alone, until the hours are over."""
    agent = proposal.agent
    assert agent is not None
    if agent.standing == Standing.REVOKED:
        raise NoLongerPossible(f"{agent.name} is revoked for good.")
    with log.write(proposal.workspace.log_id) as entries:
        until = entries.now + timedelta(hours=proposal.content["hours"])
        for target, permission in targets(proposal, actor_of(person)):
            held = access.grants.find(agent, permission, target)
            if held is None or not allowances.lasts(held.expires_at, until):
                access.grant(
                    agent, permission=permission, obj=target, expires_at=until, actor=actor_of(person)
                )
    Proposal.objects.filter(pk=proposal.pk).update(content=proposal.content | {"until": log.stamp(until)})
    return f"{agent.name} has it until {until:%Y-%m-%d %H:%M} UTC."


def targets(proposal: Proposal, actor: str) -> list[tuple[Tool | Resource, str]]:
    """What is granted: (tool or resource, permission). A resource that nothing named yet is made here. Raises
    NoLongerPossible."""
    asked = read_detail(proposal.workspace.log_id, proposal.content["entry"]).get("needs")
    found: list[tuple[Tool | Resource, str]] = []
    for number, need in enumerate(proposal.content["needs"]):
        row: Tool | Resource | None
        if need["on"] == "tool":
            row = Tool.objects.filter(workspace=proposal.workspace, public_id=need["target"]).first()
        elif need["on"] == "resource":
            row = Resource.objects.filter(workspace=proposal.workspace, public_id=need["target"]).first()
            if row is not None and row.pattern != need["pattern"]:
                raise NoLongerPossible(f"The resource {row.name} means something else by now.")
        elif asked is None:
            raise NoLongerPossible("What was asked for is erased.")
        else:
            wanted = Need(need["permission"], asked[number]["of"])
            row = allowances.resource_of(proposal.workspace, wanted, actor)
        if row is None:
            raise NoLongerPossible("What was asked for was removed since.")
        found.append((row, need["permission"]))
    return found


def create_agent(proposal: Proposal, person: User) -> str:
    """Make the agent with its tools, grants and budget; rules follow in a write of their own, and then its key."""
    plan = onboarding.read(proposal.workspace, proposal.content["plan"])
    if onboarding.rests_on(plan) != proposal.content.get("rests_on"):
        raise NoLongerPossible("A tool or resource that it names is another one by now; register it anew.")
    with second_person.agreed(proposal.workspace, plan.name):
        agent, remaining = onboarding.register(plan, person=person)
    Proposal.objects.filter(pk=proposal.pk).update(agent=agent)
    proposal.agent = agent
    if plan.rules:
        with log.write(proposal.workspace.log_id) as entries:
            owed.owe(RULES, [{"proposal": proposal.public_id, "person": person.public_id}], due=entries.now)
    return " ".join([f"{agent.name} is registered; whoever registered it makes its first key.", *remaining])


def add_rules(payload: dict[str, Any]) -> str:
    """Put the rules of a new agent in force: drafted by who registered it, published by who approved."""
    proposal = Proposal.objects.select_related("workspace", "proposed_by").get(public_id=payload["proposal"])
    person = User.objects.get(public_id=payload["person"])
    plan = onboarding.read(proposal.workspace, proposal.content["plan"])
    assert proposal.proposed_by is not None
    told = onboarding.add_rules(plan, drafter=proposal.proposed_by, publisher=person)
    if told not in proposal.outcome:
        Proposal.objects.filter(pk=proposal.pk).update(outcome=f"{proposal.outcome} {told}"[:LONGEST_OUTCOME])
    return told


DEEDS = {
    Kind.POLICY: publish,
    Kind.TOOL: change_tool,
    Kind.ACCESS: give_access,
    Kind.ONBOARDING: create_agent,
}


def owner_now(agent: Agent) -> User | None:
    """The agent's owner, where they are still in the workspace."""
    here = User.objects.filter(pk=agent.owner_id, is_active=True, memberships__workspace=agent.workspace_id)
    return here.first()
