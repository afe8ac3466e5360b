"""Agents and their keys. How an agent stands is containment's, not changed here."""

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Q

from audit import log
from workspaces import guards, identifiers
from workspaces.access import may
from workspaces.access.grants import Difference
from workspaces.changes import Applied, Change, OtherWorkspace, assign, check_name
from workspaces.loop_limits import LoopLimitsError, parse_loop_limits
from workspaces.models import ActsFor, Agent, AgentKey, AgentRole, Role, Standing, User, Workspace
from workspaces.people import PERSON, check_members, person_behind
from workspaces.schemas import Problem

LIVE_KEYS = 2
MOST_WAITING = 1000
LOOSE = (Standing.ACTIVE, Standing.OBSERVE)


class TooManyKeys(Exception):
    """An agent has two live keys at most: the one in use, and the one that takes its place."""

    code, status = "too_many_keys", 409


class AgentRevoked(Exception):
    """A revoked agent is so for good; it gets no key again."""

    code, status = "agent_revoked", 409


class NotYoursToGive(Exception):
    """Who owns an agent reads what it sends: only its owner and who manages members hand it over."""

    code, status = "not_allowed", 403

    def __init__(self) -> None:
        message = (
            "Only the present owner hands an agent over, or an owner of the workspace: who owns an agent reads "
            "what it sends. Ask one of them."
        )
        super().__init__(message)
        self.problems = [Problem(("owner",), message)]


class ContainedAgent(Exception):
    """Who owns a contained agent does not hand it over: they could loosen it then, though it is their own."""

    code, status = "not_allowed", 403

    def __init__(self, name: str) -> None:
        message = f"{name} is contained, so that its owner does not hand it over; ask another owner of the workspace."
        super().__init__(message)
        self.problems = [Problem(("owner",), message)]


class KeyOver(Exception):
    """A key that was revoked or has ended is not rotated; a new one takes its place at once."""

    code, status = "key_over", 409


class AgentSettings(TypedDict, total=False):
    """What may be said of an agent when it is created, and changed later."""

    purpose: str
    labels: Iterable[str]
    risk_tier: str
    isolated_runs: bool
    acts_for: Iterable[User]
    sessions_per_hour: int | None
    most_waiting: int | None
    cost_center: str
    loop_limits: dict[str, Any]


class AgentChanges(AgentSettings, total=False):
    """What may be changed of an agent."""

    name: str
    owner: User


def create_agent(
    workspace: Workspace, name: str, *, owner: User, actor: str, **settings: Unpack[AgentSettings]
) -> Agent:
    """A new agent that may do nothing yet, with its private group. Raises ValidationError (also for a taken
    name), Guarded, and OtherWorkspace for an owner or a person acted for who has no role in the workspace."""
    with log.write(workspace.log_id) as entries:
        agent = Agent(workspace=workspace, name=name, owner=owner)
        guards.ask(None, agent, actor=actor)
        agent.group = Group.objects.create(name=f"agent:{agent.public_id}")
        check_members(workspace, [owner])
        difference = write_settings(agent, settings)
        entries.record("workspaces.agent.created", actor=actor, saved=difference.saved, agent=agent.public_id)
    return agent


def change_agent(agent: Agent, *, actor: str, **settings: Unpack[AgentChanges]) -> Applied[Agent]:
    """Change what is given, ``acts_for`` as a whole. Raises ValidationError and OtherWorkspace, and NotYoursToGive and
    ContainedAgent for a person who may not change the owner."""
    with log.write(agent.workspace.log_id) as entries:
        agent.refresh_from_db()
        before = copy(agent)
        if "owner" in settings:
            check_members(agent.workspace, [settings["owner"]])
            if settings["owner"].pk != agent.owner_id:
                check_handover(agent, actor=actor)
        difference = write_settings(agent, settings)
        if not difference:
            return Applied(agent, Change.UNCHANGED)
        guards.ask(before, agent, actor=actor)
        entries.record(
            "workspaces.agent.changed",
            actor=actor,
            saved=difference.saved,
            removed=difference.removed,
            agent=agent.public_id,
        )
        difference.finish()
    return Applied(agent, Change.CHANGED)


def check_handover(agent: Agent, *, actor: str) -> None:
    """Raise NotYoursToGive or ContainedAgent where this actor may not give the agent another owner now."""
    if not may_hand_over(agent, actor=actor):
        raise NotYoursToGive
    if actor == f"{PERSON}{agent.owner.public_id}" and agent.standing not in LOOSE:
        raise ContainedAgent(agent.name)


def may_hand_over(agent: Agent, *, actor: str) -> bool:
    """Whether an actor may give the agent another owner; permissions are read anew. The command line may."""
    if not actor.startswith(PERSON):
        return True
    person = person_behind(actor)
    if person is None:
        return False
    return person.pk == agent.owner_id or may(person, "manage_members", agent.workspace)


def check_loop_limits(written: dict[str, Any]) -> None:
    """Raise ValidationError for what cannot be read."""
    try:
        parse_loop_limits(written)
    except LoopLimitsError as error:
        told = [ValidationError(problem.message, code=error.code) for problem in error.problems]
        raise ValidationError({"loop_limits": told}) from None


def write_settings(agent: Agent, settings: AgentSettings) -> Difference:
    """Save the agent and the people it acts for as far as they differ."""
    difference = Difference()
    values: dict[str, object] = {name: value for name, value in settings.items() if name != "acts_for"}
    if not 1 <= (settings.get("most_waiting") or 1) <= MOST_WAITING:
        raise ValidationError({"most_waiting": f"Between 1 and {MOST_WAITING:,} calls may wait for people."})
    if "loop_limits" in settings:
        check_loop_limits(settings["loop_limits"])
    if "labels" in settings:
        values["labels"] = sorted(set(settings["labels"]))
    if assign(agent, values) or agent.pk is None:
        check_name(agent.name, what="An agent")
        agent.full_clean()
        agent.save()
        difference.saved.append(agent)
    if "acts_for" in settings:
        wanted = check_members(agent.workspace, settings["acts_for"])
        held = {row.person: row for row in agent.principals.select_related("person")}
        new = sorted(wanted - held.keys(), key=lambda person: person.pk)
        difference.saved += [ActsFor.objects.create(agent=agent, person=person) for person in new]
        difference.removed += [row for person, row in held.items() if person not in wanted]
    return difference


def set_agent_roles(agent: Agent, roles: Mapping[Role, datetime | None], *, actor: str) -> Change:
    """Make these the agent's roles, each until its time (None: for ever). Raises OtherWorkspace."""
    for role in roles:
        if role.workspace_id != agent.workspace_id:
            raise OtherWorkspace(f"The role {role.name} is not in the workspace of {agent.name}.")
    with log.write(agent.workspace.log_id) as entries:
        difference = Difference()
        held = {row.role: row for row in agent.agent_roles.select_related("role")}
        for role, expires_at in roles.items():
            row = held.get(role) or AgentRole(agent=agent, role=role)
            if assign(row, {"expires_at": expires_at}) or row.pk is None:
                row.granted_by = actor
                row.save()
                difference.saved.append(row)
        difference.removed = [row for role, row in held.items() if role not in roles]
        if not difference:
            return Change.UNCHANGED
        entries.record(
            "workspaces.agent.changed",
            actor=actor,
            saved=difference.saved,
            removed=difference.removed,
            agent=agent.public_id,
            data={"roles": sorted(role.name for role in roles)},
        )
        difference.finish()
    return Change.CHANGED


def create_key(
    agent: Agent, *, actor: str, created_by: User | None = None, expires_at: datetime | None = None
) -> tuple[AgentKey, str]:
    """A new key and its text, which is shown this once. Raises TooManyKeys and AgentRevoked."""
    with log.write(agent.workspace.log_id) as entries:
        key, text = new_key(agent, created_by=created_by, expires_at=expires_at, now=entries.now)
        entries.record("workspaces.key.created", actor=actor, saved=[key], agent=agent.public_id)
    return key, text


def rotate_key(
    key: AgentKey,
    *,
    old_until: datetime,
    actor: str,
    created_by: User | None = None,
    expires_at: datetime | None = None,
) -> tuple[AgentKey, str]:
    """A key that takes another's place, and its text: the old one ends at ``old_until``, or earlier if it was to.

    Raises TooManyKeys, AgentRevoked, and KeyOver for one that is over already."""
    agent = key.agent
    with log.write(agent.workspace.log_id) as entries:
        key.refresh_from_db()
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= entries.now):
            raise KeyOver(f"The key {key} is over already; create a new one instead.")
        following, text = new_key(agent, created_by=created_by, expires_at=expires_at, now=entries.now)
        key.expires_at = min(key.expires_at or old_until, max(old_until, entries.now))
        key.save(update_fields=["expires_at"])
        entries.record(
            "workspaces.key.created",
            actor=actor,
            saved=[following, key],
            agent=agent.public_id,
            data={"replaces": key.public_id},
        )
    return following, text


def new_key(
    agent: Agent, *, created_by: User | None, expires_at: datetime | None, now: datetime
) -> tuple[AgentKey, str]:
    """The row of a new key and its text, inside the caller's write and for its entry."""
    agent.refresh_from_db(fields=["standing"])
    if agent.standing == Standing.REVOKED:
        raise AgentRevoked(f"{agent.name} is revoked for good; create a new agent instead.")
    if live_keys(agent, now=now) >= LIVE_KEYS:
        raise TooManyKeys(
            f"{agent.name} has {LIVE_KEYS} live keys already; revoke the one that is not used any more."
        )
    text, prefix = identifiers.new_key()
    key = AgentKey.objects.create(
        agent=agent,
        prefix=prefix,
        digest=identifiers.key_digest(text),
        created_by=created_by,
        expires_at=expires_at,
    )
    return key, text


def live_keys(agent: Agent, *, now: datetime) -> int:
    """How many keys of the agent are neither revoked nor expired."""
    return agent.keys.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None).count()


def revoke_key(key: AgentKey, *, actor: str) -> Change:
    """End a key now; calls under it are refused from the next one on."""
    with log.write(key.agent.workspace.log_id) as entries:
        key.refresh_from_db()
        if key.revoked_at is not None:
            return Change.UNCHANGED
        key.revoked_at = entries.now
        key.save()
        entries.record("workspaces.key.revoked", actor=actor, saved=[key], agent=key.agent.public_id)
    return Change.CHANGED
