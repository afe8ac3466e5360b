"""Every grant of a workspace's agents as lines: who may do what on what, through what, until when, by whom."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from workspaces.access.grants import GrantRow, Target, earlier, grants_on
from workspaces.models import Agent, AgentRole, Resource, ResourceGrant, Role, Tool, ToolGrant, Workspace


@dataclass(frozen=True, slots=True)
class Line:
    """One way in which an agent may do one thing. The end is the earlier one of role and grant; ``granted_by`` is
    an actor ("" for what is older than the note of it), of the role where there is one."""

    agent: Agent
    permission: str
    target: Target
    through: Role | None
    expires_at: datetime | None
    granted_by: str
    granted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines are wanted; what is None or empty asks for nothing. ``ending`` is (after, until)."""

    agent: str = ""
    tool: Tool | None = None
    resource: Resource | None = None
    role: Role | None = None
    ending: tuple[datetime, datetime] | None = None

    def wants(self, line: Line) -> bool:
        """Whether a line of an agent that was found is among them."""
        targets = [target for target in (self.tool, self.resource) if target is not None]
        if targets and line.target not in targets:
            return False
        if self.role is not None and line.through != self.role:
            return False
        if self.ending is None:
            return True
        after, until = self.ending
        return line.expires_at is not None and after < line.expires_at <= until


def agents_asked(workspace: Workspace, asked: Asked) -> QuerySet[Agent]:
    """Agents that can have such lines, by name. What they have is told by ``lines_of``."""
    agents = Agent.objects.filter(workspace=workspace).order_by("name")
    if asked.agent:
        agents = agents.filter(Q(name__icontains=asked.agent) | Q(public_id=asked.agent))
    for target in (asked.tool, asked.resource):
        if target is not None:
            agents = agents.filter(having(target.grants.values("group_id")))
    if asked.role is not None:
        agents = agents.filter(agent_roles__role=asked.role)
    if asked.ending is not None:
        soon = {"expires_at__gt": asked.ending[0], "expires_at__lte": asked.ending[1]}
        tools = ToolGrant.objects.filter(content_object__workspace=workspace, **soon)
        resources = ResourceGrant.objects.filter(content_object__workspace=workspace, **soon)
        roles = AgentRole.objects.filter(agent__workspace=workspace, **soon)
        agents = agents.filter(
            having(tools.values("group_id"))
            | having(resources.values("group_id"))
            | Q(pk__in=roles.values("agent_id"))
        )
    return agents


def having(groups: QuerySet[Any, Any]) -> Q:
    """Agents with one of these groups, their own or a role's."""
    holders = AgentRole.objects.filter(role__group_id__in=groups).values("agent_id")
    return Q(group_id__in=groups) | Q(pk__in=holders)


def lines_of(agents: Sequence[Agent]) -> Iterator[Line]:
    """All lines of these agents, one agent after the other, in three queries."""
    held: defaultdict[int, list[AgentRole]] = defaultdict(list)
    rows = AgentRole.objects.filter(agent__in=agents).select_related("role").order_by("role__name")
    for given in rows:
        held[given.agent_id].append(given)
    groups = {agent.group_id for agent in agents}
    groups |= {given.role.group_id for each in held.values() for given in each}
    grants: defaultdict[int, list[GrantRow]] = defaultdict(list)
    for row in grants_on(groups):
        grants[row.group_id].append(row)
    for agent in agents:
        for row in grants[agent.group_id]:
            target, permission = row.content_object, row.permission.codename
            yield Line(agent, permission, target, None, row.expires_at, row.granted_by, row.created)
        for given in held[agent.pk]:
            for row in grants[given.role.group_id]:
                yield Line(
                    agent,
                    row.permission.codename,
                    row.content_object,
                    given.role,
                    earlier(row.expires_at, given.expires_at),
                    given.granted_by,
                    given.created,
                )
