"""Grants to agents and roles, and permissions of people: the only code that writes guardian's rows.

guardian stores a grant and its end, and does not judge them; ``decide`` does, against the transaction's time.
Its rows are written without its own functions: those ask four questions a row, and its bulk ones skip what is
already there without saying so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from audit import log
from workspaces.changes import Applied, Change, OtherWorkspace
from workspaces.declarations import Action
from workspaces.models import (
    Agent,
    AgentRole,
    Resource,
    ResourceGrant,
    Role,
    Tool,
    ToolGrant,
    User,
    Workspace,
    WorkspacePermission,
)

Holder: TypeAlias = Agent | Role
Target: TypeAlias = Tool | Resource
GrantRow: TypeAlias = ToolGrant | ResourceGrant
Wanted: TypeAlias = Mapping[tuple[str, Target], datetime | None]

USE = "use"
ACTIONS = frozenset(action.value for action in Action)
NEVER = datetime.max.replace(tzinfo=UTC)


class NoSuchPermission(ValueError):
    """A tool can be used; a resource can be read, written, deleted, executed, sent to or spent on."""

    code, status = "no_such_permission", 400


@dataclass(slots=True)
class Difference:
    """Rows that were saved, and rows that are to be deleted once their entry is written."""

    saved: list[Any] = field(default_factory=list)
    removed: list[Any] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.saved or self.removed)

    def finish(self) -> None:
        """Delete what was to go. Call it after ``record``: a deleted row has no key."""
        for row in self.removed:
            row.delete()


@dataclass(frozen=True, slots=True)
class GrantLine:
    """One grant that an agent has: directly, or through a role, and until when."""

    permission: str
    target: Target
    through: Role | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Behind:
    """The rows that let an agent use a tool, and those that let it act on resources, with action and pattern.

    A row is a pair: the grant's key, and that of the role through which it is the agent's, or None."""

    tool: list[list[int | None]]
    resources: list[tuple[list[int | None], str, str]]


@dataclass(frozen=True, slots=True)
class AgentGrants:
    """All that an agent was given, its roles merged in: ends by tool id, and by (resource id, action).

    None is for ever; what is absent was never given. Ends in the past are still here.
    """

    tools: dict[int, datetime | None]
    resources: dict[tuple[int, str], datetime | None]


def grant(
    holder: Holder, *, permission: str, obj: Target, expires_at: datetime | None = None, actor: str
) -> Applied[GrantRow]:
    """Give an agent or a role one permission on a tool or a resource; again renews it with the new end.

    Raises NoSuchPermission and OtherWorkspace."""
    with log.write(holder.workspace.log_id) as entries:
        applied = put(holder, permission, obj, expires_at, find(holder, permission, obj), actor=actor)
        if not applied.unchanged:
            entries.record("workspaces.grant.added", actor=actor, saved=[applied.row], **naming(holder, obj))
    return applied


def revoke(holder: Holder, *, permission: str, obj: Target, actor: str) -> bool:
    """Take a permission back; False when there was none."""
    with log.write(holder.workspace.log_id) as entries:
        row = find(holder, permission, obj)
        if row is None:
            return False
        entries.record("workspaces.grant.revoked", actor=actor, removed=[row], **naming(holder, obj))
        row.delete()
    return True


def set_grants(holder: Holder, wanted: Wanted, *, actor: str) -> bool:
    """Make these the holder's own grants, and no others; False when they were already."""
    with log.write(holder.workspace.log_id) as entries:
        difference = replace(holder, wanted, actor=actor)
        if difference.saved:
            entries.record("workspaces.grant.added", actor=actor, saved=difference.saved, **naming(holder))
        if difference.removed:
            entries.record(
                "workspaces.grant.revoked", actor=actor, removed=difference.removed, **naming(holder)
            )
        difference.finish()
    return bool(difference)


def replace(holder: Holder, wanted: Wanted, *, actor: str) -> Difference:
    """Save what is wanted and list what is not, inside the caller's write and for the caller's entry."""
    difference = Difference()
    held = {(row.permission.codename, row.content_object): row for row in own_grants(holder)}
    for (permission, obj), expires_at in wanted.items():
        applied = put(holder, permission, obj, expires_at, held.pop((permission, obj), None), actor=actor)
        if not applied.unchanged:
            difference.saved.append(applied.row)
    difference.removed += held.values()
    return difference


def put(
    holder: Holder,
    permission: str,
    obj: Target,
    expires_at: datetime | None,
    row: GrantRow | None,
    *,
    actor: str,
) -> Applied[GrantRow]:
    """The holder's row for this permission (None: a new one) with this end, and who gave it."""
    if permission not in ({USE} if isinstance(obj, Tool) else ACTIONS):
        raise NoSuchPermission(f"{permission!r} cannot be granted on the {type(obj).__name__.lower()} {obj}.")
    if obj.workspace_id != holder.workspace_id:
        raise OtherWorkspace(f"{obj} and {holder} are not in the same workspace.")
    if row is None:
        model: type[Any] = ToolGrant if isinstance(obj, Tool) else ResourceGrant
        declared = permissions_on(type(obj))[permission]
        row = model(
            group=holder.group,
            permission=declared,
            content_object=obj,
            expires_at=expires_at,
            granted_by=actor,
        )
        row.save()
        return Applied(row, Change.CREATED)
    if row.expires_at == expires_at:
        return Applied(row, Change.UNCHANGED)
    row.expires_at, row.granted_by = expires_at, actor
    row.save(update_fields=["expires_at", "granted_by"])
    return Applied(row, Change.CHANGED)


def permissions_on(model: type[Model]) -> dict[str, Permission]:
    """What can be permitted on rows of a model, by codename, in one query."""
    declared = Permission.objects.filter(content_type=ContentType.objects.get_for_model(model))
    return {permission.codename: permission for permission in declared.select_related("content_type")}


def find(holder: Holder, permission: str, obj: Target) -> GrantRow | None:
    """The holder's own row for this permission."""
    rows = obj.grants.filter(group_id=holder.group_id, permission__codename=permission)
    return rows.first()


def own_grants(holder: Holder) -> list[GrantRow]:
    """The rows on the holder's own group, tools first."""
    return grants_on([holder.group_id])


def grants_on(groups: Iterable[int]) -> list[GrantRow]:
    """The rows on these groups, tools first, in two queries."""
    here, related = {"group_id__in": list(groups)}, ("permission", "content_object")
    return [
        *ToolGrant.objects.filter(**here).select_related(*related).order_by("pk"),
        *ResourceGrant.objects.filter(**here).select_related(*related).order_by("pk"),
    ]


def naming(holder: Holder, obj: Target | None = None) -> dict[str, Any]:
    """Whom and what a grant's entry is about, for its columns."""
    names: dict[str, Any] = (
        {"agent": holder.public_id} if isinstance(holder, Agent) else {"data": {"role": holder.name}}
    )
    if isinstance(obj, Tool):
        names["tool"] = obj.name
    elif isinstance(obj, Resource):
        names["resource"] = obj.public_id
    return names


def grants_of(agent: Agent) -> list[GrantLine]:
    """Every grant of an agent, for people to read: its own first, then each role's with the earlier end."""
    given = {
        row.role.group_id: row for row in agent.agent_roles.select_related("role").order_by("role__name")
    }
    order = {group: place for place, group in enumerate([agent.group_id, *given])}
    rows = sorted(grants_on(order), key=lambda row: order[row.group_id])
    ends = {group: (held.role, held.expires_at) for group, held in given.items()}
    return [line(row, *ends.get(row.group_id, (None, None))) for row in rows]


def line(row: GrantRow, through: Role | None, role_ends: datetime | None) -> GrantLine:
    """A row as a line, ending when the role or the grant does."""
    return GrantLine(row.permission.codename, row.content_object, through, earlier(row.expires_at, role_ends))


def load_agent(agent_id: int) -> AgentGrants:
    """What an agent may do, in three queries. On one path (role, grant) the earlier end counts, over several
    paths the latest. An unknown agent has nothing."""
    paths = Agent.objects.filter(pk=agent_id).values_list(
        "workspace_id", "group_id", "agent_roles__role__group_id", "agent_roles__expires_at"
    )
    ends: dict[int, datetime | None] = {}
    workspace_id = None
    for workspace_id, own, role, expires_at in paths:  # noqa: B007
        ends[own] = None
        if role is not None:
            ends[role] = expires_at
    grants = AgentGrants({}, {})
    if workspace_id is None:
        return grants
    here = {"group__in": ends, "content_object__workspace": workspace_id}
    columns = ("group_id", "content_object_id", "permission__codename", "expires_at")
    for group, tool, _, expires_at in ToolGrant.objects.filter(**here).values_list(*columns):
        keep_latest(grants.tools, tool, earlier(ends[group], expires_at))
    for group, resource, action, expires_at in ResourceGrant.objects.filter(**here).values_list(*columns):
        keep_latest(grants.resources, (resource, action), earlier(ends[group], expires_at))
    return grants


def keep_latest(ends: dict[Any, datetime | None], key: Any, end: datetime | None) -> None:
    """Remember the later of two ends."""
    if key not in ends or (ends[key] or NEVER) < (end or NEVER):
        ends[key] = end


def earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two ends; None is for ever."""
    end = min(one or NEVER, other or NEVER)
    return None if end == NEVER else end


def rows_behind(agent_id: int, tool_id: int, *, actions: Iterable[str], now: datetime) -> Behind:
    """What lets an agent use a tool, and act on resources in these ways, at this time: three queries."""
    paths: dict[int, list[int | None]] = {}
    columns = ("group_id", "agent_roles", "agent_roles__role__group_id", "agent_roles__expires_at")
    for own, held, role, ends in Agent.objects.filter(pk=agent_id).values_list(*columns):
        paths[own] = [None]
        if held is not None and (ends is None or ends > now):
            paths.setdefault(role, []).append(held)
    here = {"group_id__in": list(paths)}
    tools = ToolGrant.objects.filter(content_object_id=tool_id, **here).exclude(expires_at__lte=now)
    resources = ResourceGrant.objects.filter(permission__codename__in=list(actions), **here)
    found = resources.exclude(expires_at__lte=now).select_related("content_object", "permission")
    return Behind(
        tool=[[row.pk, path] for row in tools.order_by("pk") for path in paths[row.group_id]],
        resources=[
            ([row.pk, path], row.permission.codename, row.content_object.pattern)
            for row in found.order_by("pk")
            for path in paths[row.group_id]
        ],
    )


def grants_in_force(
    tools: Iterable[tuple[int, int | None]], resources: Iterable[tuple[int, int | None]], *, now: datetime
) -> tuple[set[tuple[int, int | None]], set[tuple[int, int | None]]]:
    """Which of these rows of grants, as ``rows_behind`` names them, are in force still: three queries."""
    named = [set(tools), set(resources)]
    roles = {held for paths in named for _, held in paths if held is not None}
    kept = set(
        AgentRole.objects.filter(pk__in=roles).exclude(expires_at__lte=now).values_list("pk", flat=True)
    )
    found = []
    for model, paths in zip((ToolGrant, ResourceGrant), named, strict=True):
        rows = model._default_manager.filter(pk__in={row for row, _ in paths}).exclude(expires_at__lte=now)
        there = set(rows.values_list("pk", flat=True))
        found.append({path for path in paths if path[0] in there and (path[1] is None or path[1] in kept)})
    return found[0], found[1]


def set_permissions(workspace: Workspace, person: User, wanted: Iterable[str]) -> Difference:
    """Give a person exactly these permissions in a workspace, inside the caller's write and for its entry."""
    difference = Difference()
    held = {row.permission.codename: row for row in permission_rows(workspace, person)}
    if missing := sorted(set(wanted) - held.keys()):
        declared = permissions_on(Workspace)
        difference.saved += WorkspacePermission.objects.bulk_create(
            WorkspacePermission(user=person, permission=declared[codename], content_object=workspace)
            for codename in missing
        )
    difference.removed = [row for codename, row in sorted(held.items()) if codename not in set(wanted)]
    return difference


def permission_rows(workspace: Workspace, person: User) -> Iterable[WorkspacePermission]:
    """The rows that let a person into a workspace."""
    rows = WorkspacePermission.objects.filter(content_object=workspace, user=person)
    return rows.select_related("permission")
