"""What of this app is configuration, and the entries that its changes write."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet

from audit.models import Log
from audit.registry import register_kind, register_types
from workspaces import models

SENTENCES = {
    "workspaces.installation.created": "The installation was set up.",
    "workspaces.workspace.created": "{actor} created the workspace.",
    "workspaces.workspace.changed": "{actor} changed the workspace's settings.",
    "workspaces.person.created": "{actor} created a person.",
    "workspaces.person.changed": "{actor} changed a person.",
    "workspaces.person.signed_in": "{actor} signed in.",
    "workspaces.link.created": "{actor} made a one-time sign-in link for a person.",
    "workspaces.member.changed": "{actor} changed what a person may do here.",
    "workspaces.reviewers.changed": "{actor} changed a reviewer group.",
    "workspaces.list.changed": "{actor} changed a named list.",
    "workspaces.tool.changed": "{actor} changed the tool {tool}.",
    "workspaces.tool.removed": "{actor} removed the tool {tool}.",
    "workspaces.resource.changed": "{actor} changed the resource {resource}.",
    "workspaces.resource.removed": "{actor} removed the resource {resource}.",
    "workspaces.role.changed": "{actor} changed a role.",
    "workspaces.role.removed": "{actor} removed a role.",
    "workspaces.agent.created": "{actor} created the agent {agent}.",
    "workspaces.agent.changed": "{actor} changed the agent {agent}.",
    "workspaces.key.created": "{actor} created a key for {agent}.",
    "workspaces.key.revoked": "{actor} revoked a key of {agent}.",
    "workspaces.grant.added": "{actor} granted {agent} something.",
    "workspaces.grant.revoked": "{actor} took a grant from {agent}.",
    "workspaces.configuration.applied": "{actor} applied a workspace file.",
}


def register() -> None:
    """Register this app's entry types and configuration tables."""
    register_types(SENTENCES)
    inside = "workspace__log_id"

    def rows(model: type[Model], path: str) -> Callable[[int], QuerySet[Any]]:
        return lambda log_id: model._default_manager.filter(**{path: log_id})

    # Why somebody stands as they do is a person's free text, and stays out of the bodies.
    reason = ("standing_reason",)
    register_kind(models.Installation, rows_of=rows(models.Installation, "log_id"), private=reason)
    register_kind(
        models.User,
        rows_of=lambda log_id: models.User.objects.filter(
            pk__gt=0 if Log.objects.filter(pk=log_id, kind=Log.Kind.INSTALLATION).exists() else 2**62
        ),
        private=("email", "name", "password"),
        omit=("last_login",),
    )
    register_kind(
        models.Workspace,
        rows_of=rows(models.Workspace, "log_id"),
        private=reason,
        touches=lambda row: ("workspace", row.pk),
    )
    model: type[Model]
    for model in (models.Membership, models.ReviewerGroup, models.Role):
        register_kind(model, rows_of=rows(model, inside))
    register_kind(
        models.ReviewerGroupMember, rows_of=rows(models.ReviewerGroupMember, f"reviewer_group__{inside}")
    )
    register_kind(
        models.WorkspacePermission, rows_of=rows(models.WorkspacePermission, "content_object__log_id")
    )
    register_kind(
        models.Agent,
        rows_of=rows(models.Agent, inside),
        private=("purpose", *reason),
        touches=lambda row: ("agent", row.pk),
    )
    # Patterns and lists may hold people's addresses.
    for model, name, private in (
        (models.Tool, "tool", ()),
        (models.Resource, "resource", ("pattern",)),
        (models.NamedList, "list", ("members",)),
    ):
        register_kind(
            model,
            rows_of=rows(model, inside),
            private=private,
            touches=lambda row, name=name: (name, row.pk),  # type: ignore[misc]
        )
    for model in (models.ActsFor, models.AgentRole, models.AgentKey):
        register_kind(
            model, rows_of=rows(model, f"agent__{inside}"), touches=lambda row: ("agent", row.agent_id)
        )
    for model in (models.ToolGrant, models.ResourceGrant):
        register_kind(
            model,
            rows_of=rows(model, f"content_object__{inside}"),
            touches=lambda row: ("group", row.group_id),
        )
