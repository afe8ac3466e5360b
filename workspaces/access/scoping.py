"""What a person may see and do. Whatever shows rows to a person asks here and nowhere else.

guardian's own checks are not used: they let a superuser through, and its list functions overlook that a
person is no longer active.
"""

from collections.abc import Iterable
from typing import TypeAlias

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404

from workspaces.access import glass
from workspaces.access.roles import VIEW
from workspaces.models import Agent, User, Workspace, WorkspacePermission

Visitor: TypeAlias = User | AnonymousUser

OWN_AGENTS = "_own_agents"
CACHE = "_permissions_by_workspace"
CONFINED = "_confined_to"


class NotVisible(Http404):
    """The person may not know whether the thing exists."""


class Forbidden(PermissionDenied):
    """The person sees the thing, but may not do this to it."""


def may(user: Visitor, permission: str, target: Workspace | Agent) -> bool:
    """Whether a person may do this in a workspace, or to an agent of it.

    On an agent, its owner has ``view_content`` and ``tighten`` through ``…_own_agents`` too, and nobody has
    ``loosen`` on an agent of their own. Permissions are read once per user object, that is, once a request.
    """
    if isinstance(target, Workspace):
        return permission in permissions_in(user, target.pk)
    held = permissions_in(user, target.workspace_id)
    owns = target.owner_id == user.pk
    if permission == "loosen" and owns:
        return False
    return permission in held or (owns and permission + OWN_AGENTS in held)


def permissions_in(user: Visitor, workspace_id: int) -> frozenset[str]:
    """Codenames that the person holds in one workspace: none for a stranger or an inactive person."""
    return permissions_everywhere(user).get(workspace_id, frozenset())


def may_somewhere(user: Visitor, permission: str) -> bool:
    """Whether there is a workspace in which a person may do this."""
    return any(permission in held for held in permissions_everywhere(user).values())


def permissions_everywhere(user: Visitor) -> dict[int, frozenset[str]]:
    """Codenames by workspace, read once per user object."""
    if not isinstance(user, User) or not user.is_active or user.pk is None:
        return {}
    held: dict[int, frozenset[str]] | None = user.__dict__.get(CACHE)
    if held is None:
        gathered: dict[int, set[str]] = {}
        rows = WorkspacePermission.objects.filter(user=user, **confinement(user, "content_object"))
        for workspace, codename in rows.values_list("content_object_id", "permission__codename"):
            gathered.setdefault(workspace, set()).add(codename)
        for row in glass.broken_by(user, **confinement(user, "workspace")):
            gathered.setdefault(row.workspace_id, set()).update(glass.SHOWN)
        held = user.__dict__[CACHE] = {workspace: frozenset(names) for workspace, names in gathered.items()}
    return held


def forget(user: Visitor) -> None:
    """Read the person's permissions again at the next question; for those that live longer than a request."""
    user.__dict__.pop(CACHE, None)


def confine(user: User, workspace_id: int) -> None:
    """Leave this user object one workspace and no other: it came with a token for that one alone."""
    user.__dict__[CONFINED] = workspace_id
    forget(user)


def confinement(user: User, column: str) -> dict[str, int]:
    """What a query of workspaces adds for somebody who is confined to one."""
    return {column: user.__dict__[CONFINED]} if CONFINED in user.__dict__ else {}


def workspaces_for(user: Visitor, permission: str = VIEW) -> QuerySet[Workspace]:
    """The workspaces in which a person has a permission."""
    if not isinstance(user, User) or not user.is_active:
        return Workspace.objects.none()
    held = Workspace.objects.filter(
        workspacepermission__user=user,
        workspacepermission__permission__codename=permission,
        **confinement(user, "pk"),
    )
    broken = glass.broken_by(user, **confinement(user, "workspace")) if permission in glass.SHOWN else ()
    if not broken:
        return held
    seen = Q(pk__in=[row.workspace_id for row in broken])
    return Workspace.objects.filter(Q(pk__in=held.values("pk")) | seen)


def holders(workspace: Workspace, permission: str) -> QuerySet[User]:
    """Active people whose roles in a workspace include a permission; broken glass is no role."""
    return User.objects.filter(
        is_active=True,
        workspacepermission__content_object=workspace,
        workspacepermission__permission__codename=permission,
    )


def holders_by_workspace(workspaces: Iterable[int], permission: str) -> dict[int, frozenset[int]]:
    """Keys of those whom ``holders`` finds, by key of the workspace: one query for many workspaces."""
    rows = WorkspacePermission.objects.filter(
        content_object__in=list(workspaces), user__is_active=True, permission__codename=permission
    )
    found: dict[int, set[int]] = {}
    for workspace, person in rows.values_list("content_object_id", "user_id"):
        found.setdefault(workspace, set()).add(person)
    return {workspace: frozenset(people) for workspace, people in found.items()}


def operates(user: Visitor) -> bool:
    """Whether a person operates the installation, which no token for one workspace alone does."""
    return isinstance(user, User) and user.is_active and user.is_superuser and CONFINED not in user.__dict__


def get_workspace(user: Visitor, slug: str, permission: str = VIEW) -> Workspace:
    """The workspace of this slug. Raises NotVisible to strangers, Forbidden to who sees it but may not."""
    workspace = workspaces_for(user).filter(slug=slug).first()
    if workspace is None:
        raise NotVisible("There is no such workspace.")
    if not may(user, permission, workspace):
        raise Forbidden(f"You may see {workspace.slug}, but your roles there do not include {permission!r}.")
    return workspace


def get_agent(user: Visitor, public_id: str, permission: str = VIEW) -> Agent:
    """The agent of this public id. Raises NotVisible and Forbidden, as ``get_workspace`` does."""
    agents = Agent.objects.select_related("workspace")
    agent = agents.filter(workspace__in=workspaces_for(user), public_id=public_id).first()
    if agent is None:
        raise NotVisible("There is no such agent.")
    if not may(user, permission, agent):
        raise Forbidden(f"You may see {agent.name}, but your roles do not include {permission!r} on it.")
    return agent


def readable(user: Visitor) -> dict[int, set[str] | None]:
    """Log ids that a person may read, each with the public ids of the agents whose entries they see there.

    None stands for every entry (``view_log``); who only views the workspace sees what its agents did, and not
    who was given which role. Always read from the database, activity included: sockets ask again as they run.
    """
    if not isinstance(user, User):
        return {}
    rows = WorkspacePermission.objects.filter(
        user=user,
        user__is_active=True,
        permission__codename__in=[VIEW, "view_log"],
        **confinement(user, "content_object"),
    )
    logs: dict[int, set[str] | None] = {}
    for log_id, codename in rows.values_list("content_object__log_id", "permission__codename"):
        logs[log_id] = None if codename == "view_log" else logs.get(log_id, set())
    logs |= {row.workspace.log_id: None for row in glass.broken_by(user, **confinement(user, "workspace"))}
    partly = [log_id for log_id, agents in logs.items() if agents is not None]
    names = Agent.objects.filter(workspace__log_id__in=partly) if partly else Agent.objects.none()
    for log_id, public_id in names.values_list("workspace__log_id", "public_id"):
        agents = logs[log_id]
        assert agents is not None
        agents.add(public_id)
    return logs
