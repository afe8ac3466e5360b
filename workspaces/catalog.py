"""What a workspace's agents can be given: tools, resources, roles that bundle grants, and named lists."""

from collections.abc import Iterable
from copy import copy
from typing import Any

from django.contrib.auth.models import Group

from audit import log
from workspaces import guards
from workspaces.access import grants
from workspaces.changes import Applied, Change, assign, check_identifier, check_name
from workspaces.declarations import ToolDeclaration, parse_declaration
from workspaces.models import NamedList, RemovedTool, Resource, Role, Tool, User, Workspace
from workspaces.people import check_members
from workspaces.resources import Pattern


def set_tool(workspace: Workspace, *, declaration: ToolDeclaration, actor: str) -> Applied[Tool]:
    """Make the tool of this name what it declares. Raises DeclarationError, ValidationError and Guarded."""
    declaration = parse_declaration(declaration.as_dict())
    with log.write(workspace.log_id) as entries:
        found = Tool.objects.filter(workspace=workspace, name=declaration.name).first()
        before = copy(found)
        tool = found or Tool(workspace=workspace, name=declaration.name)
        if not assign(tool, columns(declaration)) and found:
            return Applied(tool, Change.UNCHANGED)
        tool.full_clean()
        guards.ask(before, tool, actor=actor)
        tool.save()
        entries.record("workspaces.tool.changed", actor=actor, saved=[tool], tool=tool.name)
    return Applied(tool, Change.CHANGED if found else Change.CREATED)


def columns(declaration: ToolDeclaration) -> dict[str, Any]:
    """A declaration as the columns of its row, in one form whatever the order it was written in."""
    return {
        "action": declaration.action.value,
        "risk": declaration.risk.value,
        "reversible": declaration.reversible,
        "labels": sorted(declaration.labels),
        "schema": declaration.schema,
        "templates": [
            {"template": resource.template, "action": resource.action.value}
            for resource in declaration.templates
        ],
        "default_scheme": declaration.default_scheme or "",
        "sensitive": list(declaration.sensitive),
        "cost_nanos": declaration.cost_nanos,
        "metered": declaration.metered,
        "trust_reports": declaration.trust_reports,
    }


def remove_tool(tool: Tool, *, actor: str) -> None:
    """Remove a tool and every grant on it. What it declared is kept, to compare a later tool of its name with."""
    with log.write(tool.workspace.log_id) as entries:
        kept, _ = RemovedTool.objects.update_or_create(
            workspace=tool.workspace,
            name=tool.name,
            defaults={"declaration": tool.declaration().as_dict()},
        )
        entries.record(
            "workspaces.tool.removed",
            actor=actor,
            saved=[kept],
            removed=[*tool.grants.all(), tool],
            tool=tool.name,
        )
        tool.delete()


def set_resource(
    workspace: Workspace,
    *,
    name: str,
    pattern: str,
    labels: Iterable[str] = (),
    steward: User | None = None,
    actor: str,
) -> Applied[Resource]:
    """Make the resource of this name mean this pattern; its ``steward`` decides about requests for access to it. Raises
    ValidationError, Guarded, OtherWorkspace for a steward who has no role here, and what ``Pattern.parse`` raises."""
    Pattern.parse(pattern)
    with log.write(workspace.log_id) as entries:
        if steward is not None:
            check_members(workspace, [steward])
        found = Resource.objects.filter(workspace=workspace, name=name).first()
        before = copy(found)
        resource = found or Resource(workspace=workspace, name=check_name(name, what="A resource"))
        wanted = {"pattern": pattern, "labels": sorted(set(labels)), "steward": steward}
        if not assign(resource, wanted) and found:
            return Applied(resource, Change.UNCHANGED)
        resource.full_clean()
        guards.ask(before, resource, actor=actor)
        resource.save()
        entries.record(
            "workspaces.resource.changed", actor=actor, saved=[resource], resource=resource.public_id
        )
    return Applied(resource, Change.CHANGED if found else Change.CREATED)


def remove_resource(resource: Resource, *, actor: str) -> None:
    """Remove a resource and every grant on it. Raises Guarded."""
    with log.write(resource.workspace.log_id) as entries:
        guards.ask(resource, None, actor=actor)
        removed = [*resource.grants.all(), resource]
        entries.record(
            "workspaces.resource.removed", actor=actor, removed=removed, resource=resource.public_id
        )
        resource.delete()


def set_role(
    workspace: Workspace, *, name: str, bundle: Iterable[tuple[str, grants.Target]], actor: str
) -> Applied[Role]:
    """Make a role for agents bundle these permissions, ``("use", tool)`` or ``("read", resource)``, and no
    others. Raises ValidationError, NoSuchPermission and OtherWorkspace."""
    with log.write(workspace.log_id) as entries:
        found = Role.objects.filter(workspace=workspace, name=name).select_related("group").first()
        role = found or new_role(workspace, name)
        difference = grants.replace(role, dict.fromkeys(bundle), actor=actor)
        if found and not difference:
            return Applied(role, Change.UNCHANGED)
        entries.record(
            "workspaces.role.changed",
            actor=actor,
            saved=[role, *difference.saved],
            removed=difference.removed,
            data={"role": name},
        )
        difference.finish()
    return Applied(role, Change.CHANGED if found else Change.CREATED)


def new_role(workspace: Workspace, name: str) -> Role:
    """A role without grants, and the group that will carry them."""
    role = Role(workspace=workspace, name=check_name(name, what="A role"))
    role.group = Group.objects.create(name=f"role:{workspace.public_id}:{name}")
    role.full_clean()
    role.save()
    return role


def remove_role(role: Role, *, actor: str) -> None:
    """Remove a role: from every agent that has it, with all that it bundles."""
    with log.write(role.workspace.log_id) as entries:
        group = role.group
        removed = [*grants.own_grants(role), *role.agent_roles.all(), role]
        entries.record("workspaces.role.removed", actor=actor, removed=removed, data={"role": role.name})
        role.delete()
        group.delete()


def set_list(workspace: Workspace, *, name: str, members: Iterable[str], actor: str) -> Applied[NamedList]:
    """Make these the members of the list that conditions read as ``lists.<name>``. Raises ValidationError."""
    with log.write(workspace.log_id) as entries:
        found = NamedList.objects.filter(workspace=workspace, name=name).first()
        named = found or NamedList(workspace=workspace, name=check_identifier(name, what="A list"))
        if not assign(named, {"members": list(dict.fromkeys(members))}) and found:
            return Applied(named, Change.UNCHANGED)
        named.full_clean(exclude=["members"])  # an empty list is a list
        named.save()
        entries.record("workspaces.list.changed", actor=actor, saved=[named], data={"list": name})
    return Applied(named, Change.CHANGED if found else Change.CREATED)


def remove_list(named: NamedList, *, actor: str) -> None:
    """Remove a named list. Conditions that read it must be changed first: they would fail, and so match."""
    with log.write(named.workspace.log_id) as entries:
        entries.record("workspaces.list.changed", actor=actor, removed=[named], data={"list": named.name})
        named.delete()
