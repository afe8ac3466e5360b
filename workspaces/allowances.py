"""Giving an agent exactly what its calls lacked: tools by name, resources by a pattern that means just them.

A resource that no row names yet gets one, called so that its name can never be read as a pattern.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError

from audit import log
from workspaces import catalog
from workspaces.access import grants
from workspaces.changes import Change
from workspaces.models import Agent, Resource, Tool, Workspace
from workspaces.resources import Pattern, PatternError

LONGEST_PATTERN = 1000
LONGEST_NAME = 120
UNFIT = re.compile(r"[^A-Za-z0-9_.@+/-]+")


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One permission that a call needs: ``use`` of the tool of this name, or an action on what a pattern covers."""

    permission: str
    of: str

    @property
    def is_tool(self) -> bool:
        return self.permission == grants.USE


def exactly(resource: str) -> str | None:
    """The pattern that covers this normalized resource and nothing else; None where none can be written."""
    try:
        pattern = Pattern.parse(resource)
    except PatternError:
        return None
    exact = "*" not in pattern.canonical and len(pattern.canonical) <= LONGEST_PATTERN
    return pattern.canonical if exact and pattern.matches(resource) else None


def allow(agent: Agent, needs: Iterable[Need], *, expires_at: datetime | None, actor: str) -> list[Need]:
    """Grant each need to the agent itself, until a time (None: for ever), in one write; what was granted.

    A grant that holds as long or longer stays as it is. Raises ValidationError for a tool that is not there,
    NoSuchPermission and PatternError.
    """
    wanted = dict.fromkeys(needs)
    with log.write(agent.workspace.log_id):
        given = []
        for need in wanted:
            target = (
                tool_of(agent.workspace, need) if need.is_tool else resource_of(agent.workspace, need, actor)
            )
            held = grants.find(agent, need.permission, target)
            if held is not None and lasts(held.expires_at, expires_at):
                continue
            grants.grant(agent, permission=need.permission, obj=target, expires_at=expires_at, actor=actor)
            given.append(need)
    return given


def lasts(held: datetime | None, wanted: datetime | None) -> bool:
    """Whether a grant that ends at ``held`` lasts as long as one that ends at ``wanted``."""
    return held is None or (wanted is not None and held >= wanted)


def tool_of(workspace: Workspace, need: Need) -> Tool:
    """The tool that a need names. Raises ValidationError."""
    tool = Tool.objects.filter(workspace=workspace, name=need.of).first()
    if tool is None:
        raise ValidationError(f"The workspace has no tool {need.of}; declare it first.")
    return tool


def resource_of(workspace: Workspace, need: Need, actor: str) -> Resource:
    """The workspace's resource of exactly this pattern, made where there is none. Raises PatternError."""
    canonical = Pattern.parse(need.of).canonical
    known = (
        Resource.objects.filter(workspace=workspace, pattern__in={need.of, canonical}).order_by("pk").first()
    )
    if known is not None:
        return known
    name = free_name(workspace, canonical)
    applied = catalog.set_resource(workspace, name=name, pattern=canonical, actor=actor)
    assert applied.change is Change.CREATED
    return applied.row


def free_name(workspace: Workspace, pattern: str) -> str:
    """A name for a pattern that nothing has yet. It holds no colon, so that no rule can take it for a pattern."""
    words = UNFIT.sub("-", pattern.replace("://", "/").replace(":", "/").replace("*", "all")).strip("-./+@")
    name = re.sub("/{2,}", "/", words)[:LONGEST_NAME].rstrip("-./+@")
    if not Resource.objects.filter(workspace=workspace, name=name).exists():
        return name
    return f"{name} {hashlib.sha256(pattern.encode()).hexdigest()[:8]}"
