"""A new agent with everything that it needs to make its first call: tools, grants, budget, key and rules.

All but the rules is one write, so that a mistake leaves nothing behind. Rules are drafted and published after it:
they are checked against the workspace as it then is, which may take longer than a log's head should be locked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from audit import log
from billing import limits
from billing.budgets import dollars
from governance import policies
from governance.models import PolicyVersion
from governance.policies import PolicyRefused, WorkspaceChanging
from workspaces import agents, allowances, catalog
from workspaces.access import grants, may
from workspaces.allowances import Need
from workspaces.declarations import ToolDeclaration, parse_declaration
from workspaces.models import Agent, AgentKey, Resource, Tool, User, Workspace
from workspaces.people import actor_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted. ``declare`` are tools that are added unless one of their name is there; ``needs`` patterns
    and tools by name, ``given`` what the workspace has already; rules are of the workspace file's form."""

    workspace: Workspace
    name: str
    owner: User
    purpose: str = ""
    risk_tier: str = "low"
    declare: tuple[ToolDeclaration, ...] = ()
    needs: tuple[Need, ...] = ()
    given: tuple[tuple[str, grants.Target], ...] = ()
    grants_until: datetime | None = None
    key_until: datetime | None = None
    daily_nanos: int | None = None
    rules: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class Founded:
    """What came of a plan: the agent, its key and the key's text, and what somebody still has to do."""

    agent: Agent
    key: AgentKey
    text: str
    remaining: list[str]
    version: PolicyVersion | None = None


def found(plan: Plan, *, person: User) -> Founded:
    """Make the agent of a plan. The caller has asked whether the person may manage agents and tools; budgets and
    rules are made as far as the person may, and ``remaining`` says what is left.

    Raises ValidationError, OtherWorkspace, DeclarationError and PatternError, and Guarded where two people guard the
    workspace; then nothing was changed."""
    with log.write(plan.workspace.log_id):
        agent, remaining = register(plan, person=person)
        key, text = agents.create_key(
            agent, actor=actor_of(person), created_by=person, expires_at=plan.key_until
        )
    founded = Founded(agent, key, text, remaining)
    if plan.rules:
        guard(plan, founded, person=person)
    return founded


def register(plan: Plan, *, person: User) -> tuple[Agent, list[str]]:
    """Make the agent with tools, grants and budget, without key and rules; and what somebody still has to do. Raises
    what ``found`` does."""
    actor = actor_of(person)
    remaining: list[str] = []
    with log.write(plan.workspace.log_id):
        known = set(Tool.objects.filter(workspace=plan.workspace).values_list("name", flat=True))
        for declaration in plan.declare:
            if declaration.name not in known:
                catalog.set_tool(plan.workspace, declaration=declaration, actor=actor)
        agent = agents.create_agent(
            plan.workspace,
            plan.name,
            owner=plan.owner,
            purpose=plan.purpose,
            risk_tier=plan.risk_tier,
            actor=actor,
        )
        allowances.allow(agent, plan.needs, expires_at=plan.grants_until, actor=actor)
        for permission, target in plan.given:
            grants.grant(agent, permission=permission, obj=target, expires_at=plan.grants_until, actor=actor)
        if plan.daily_nanos is not None:
            remaining += budget(plan, agent, person=person)
    return agent, remaining


def budget(plan: Plan, agent: Agent, *, person: User) -> list[str]:
    """Set the daily limit, or say who can."""
    assert plan.daily_nanos is not None
    if not may(person, "manage_budgets", plan.workspace):
        return [
            f"No budget was set: ask an owner of the workspace to limit {agent.name} to "
            f"${dollars(plan.daily_nanos)} a day."
        ]
    limits.set_budget(
        plan.workspace, agent=agent, window="day", limit_amount=plan.daily_nanos, actor=actor_of(person)
    )
    return []


def guard(plan: Plan, founded: Founded, *, person: User) -> None:
    """Add the rules to the policy in force: drafted and published as far as the person may."""
    workspace, actor = plan.workspace, actor_of(person)
    without = f"Until then {plan.name} acts without these rules."
    if not may(person, "draft_policy", workspace):
        founded.remaining.append(
            f"The rules were not drafted: ask somebody who may draft policies. {without}"
        )
        return
    base = policies.in_force(workspace)
    note = f"Rules for the new agent {plan.name}"
    try:
        version = policies.draft(
            workspace, [*(base.content if base else ()), *plan.rules], actor=actor, note=note
        )
        founded.version = version
        if not may(person, "publish_policy", workspace):
            founded.remaining.append(
                f"Version {version.number} of the policy waits as a draft: ask a compliance officer or an owner to "
                f"publish it. {without}"
            )
        elif workspace.two_people:
            founded.remaining.append(
                f"Version {version.number} of the policy waits as a draft: two people guard this workspace, so "
                f"somebody else publishes it. {without}"
            )
        elif not publish(version, base, actor=actor):
            founded.remaining.append(
                f"The policy was changed meanwhile: draft the rules of version {version.number} again and publish "
                f"them. {without}"
            )
    except (PolicyRefused, WorkspaceChanging) as refused:
        founded.remaining.append(
            f"The rules were not published: {refused} Correct them under Policies. {without}"
        )


def publish(version: PolicyVersion, base: PolicyVersion | None, *, actor: str) -> bool:
    """Put the version in force in place of the one that it adds to; False where another is in force by now."""
    with policies.reviewed(version.workspace, policies.read(version.content)) as entries:
        if policies.in_force(version.workspace) != base:
            return False
        policies.put_in_force(entries, version, actor=actor, note="")
    return True


def add_rules(plan: Plan, *, drafter: User, publisher: User) -> str:
    """Add a plan's rules to the policy in force, drafted by one and published by another who agreed to them. What
    became of it, as a sentence; done already, it is done no more."""
    base = policies.in_force(plan.workspace)
    content = list(base.content if base else ())
    missing = [rule for rule in plan.rules if rule not in content]
    if not missing:
        return "Its rules are in force."
    note = f"Rules for the new agent {plan.name}"
    try:
        version = policies.draft(plan.workspace, [*content, *missing], actor=actor_of(drafter), note=note)
        if not publish(version, base, actor=actor_of(publisher)):
            return f"Its rules wait as version {version.number}, a draft: the policy was changed meanwhile."
    except (PolicyRefused, WorkspaceChanging, policies.NeedsSecondPerson) as refused:
        return f"Its rules were not published: {refused}"
    return f"Its rules are in force with version {version.number}."


def written(plan: Plan) -> dict[str, Any]:
    """A plan as JSON; ``read`` reads it again."""
    return {
        "name": plan.name,
        "owner": plan.owner.public_id,
        "purpose": plan.purpose,
        "risk_tier": plan.risk_tier,
        "declare": [declaration.as_dict() for declaration in plan.declare],
        "needs": [[need.permission, need.of] for need in plan.needs],
        "given": [
            [permission, type(target).__name__, target.public_id, str(target)]
            for permission, target in plan.given
        ],
        "grants_until": plan.grants_until.isoformat() if plan.grants_until else None,
        "key_until": plan.key_until.isoformat() if plan.key_until else None,
        "daily_nanos": plan.daily_nanos,
        "rules": list(plan.rules),
    }


def rests_on(plan: Plan) -> dict[str, Any]:
    """What a plan's names mean in the workspace now, as JSON: what its tools declare, and the patterns of its
    resources."""
    named = {need.of for need in plan.needs if need.is_tool} | {each.name for each in plan.declare}
    tools = Tool.objects.filter(workspace=plan.workspace, name__in=named)
    given = [target for _, target in plan.given]
    declared = [*tools, *(target for target in given if isinstance(target, Tool))]
    return {
        "tools": {tool.public_id: tool.declaration().as_dict() for tool in declared},
        "patterns": {target.public_id: target.pattern for target in given if isinstance(target, Resource)},
    }


def read(workspace: Workspace, content: dict[str, Any]) -> Plan:
    """A plan from its JSON, with people, tools and resources as they are now. Raises ValidationError for what is
    gone."""
    owner = User.objects.filter(public_id=content["owner"]).first()
    given = []
    for permission, kind, key, name in content["given"]:
        rows: Any = (Tool if kind == "Tool" else Resource)._default_manager
        target = rows.filter(workspace=workspace, public_id=key).first()
        if target is None:
            raise ValidationError(f"{name}, which it was to be granted, was removed since.")
        given.append((permission, target))
    if owner is None:
        raise ValidationError("Who was to own it is gone.")
    ends = {
        name: datetime.fromisoformat(content[name]) if content[name] else None
        for name in ("grants_until", "key_until")
    }
    return Plan(
        workspace=workspace,
        name=content["name"],
        owner=owner,
        purpose=content["purpose"],
        risk_tier=content["risk_tier"],
        declare=tuple(parse_declaration(each) for each in content["declare"]),
        needs=tuple(Need(permission, of) for permission, of in content["needs"]),
        given=tuple(given),
        daily_nanos=content["daily_nanos"],
        rules=tuple(content["rules"]),
        **ends,
    )
