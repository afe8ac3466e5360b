"""What of this app is configuration, and the entries that its changes write."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
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
    "workspaces.person.refused": "Somebody gave a wrong password.",
    "workspaces.person.not_let_in": "Somebody came from the sign-in provider and was not let in.",
    "workspaces.person.locked_out": "Somebody gave too many wrong passwords and is locked out for an hour.",
    "workspaces.factor.enrolled": "{actor} gave a person a second factor.",
    "workspaces.factor.removed": "{actor} took a second factor from a person.",
    "workspaces.factor.used": "{actor} confirmed who they are by a second factor.",
    "workspaces.factor.refused": "Somebody gave a wrong code for a person's second factor.",
    "workspaces.glass.broken": "{actor} gave an operator of the installation an hour to look into the workspace.",
    "workspaces.hold.placed": "{actor} put the workspace on legal hold.",
    "workspaces.hold.released": "{actor} released a legal hold.",
    "workspaces.link.created": "{actor} made a one-time sign-in link for a person.",
    "workspaces.token.created": "{actor} created a token for the API.",
    "workspaces.token.revoked": "{actor} revoked a token for the API.",
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


INSIDE = "workspace__log_id"
# Why somebody stands as they do is a person's free text, and stays out of the bodies.
REASON = ("standing_reason",)


def register() -> None:
    """Register this app's entry types and configuration tables."""
    register_types(SENTENCES)
    register_places_and_people()
    register_catalog()
    register_agents()


def rows(model: type[Model], path: str) -> Callable[[int], QuerySet[Any]]:
    """Which rows of a model a log accounts for: those whose path leads to it."""
    return lambda log_id: model._default_manager.filter(**{path: log_id})


def people_of(log_id: int) -> QuerySet[Any]:
    """Everybody, for the installation's log; nobody for any other."""
    here = Log.objects.filter(pk=log_id, kind=Log.Kind.INSTALLATION).exists()
    return models.User.objects.all() if here else models.User.objects.none()


def tokens_of(log_id: int) -> QuerySet[Any]:
    """Every token of the API, for the installation's log; none for any other."""
    return models.ApiToken.objects.filter(user__in=people_of(log_id))


def factors_of(log_id: int) -> QuerySet[Any]:
    """Every second factor, for the installation's log; none for any other."""
    rows: QuerySet[Any] = Authenticator.objects.filter(user__in=people_of(log_id))
    return rows


def register_places_and_people() -> None:
    """The installation, workspaces, and who is what in them."""
    register_kind(models.Installation, rows_of=rows(models.Installation, "log_id"), private=REASON)
    register_kind(models.User, rows_of=people_of, private=("email", "name", "password"), omit=("last_login",))
    register_kind(models.ApiToken, rows_of=tokens_of, private=("name",))
    register_kind(Authenticator, rows_of=factors_of, private=("data",), omit=("last_used_at",))
    register_kind(
        models.Workspace,
        rows_of=rows(models.Workspace, "log_id"),
        private=REASON,
        touches=lambda row: ("workspace", row.pk),
    )
    register_kind(models.LegalHold, rows_of=rows(models.LegalHold, INSIDE), private=("reason",))
    register_kind(models.BrokenGlass, rows_of=rows(models.BrokenGlass, INSIDE), private=("reason",))
    model: type[Model]
    for model, path in (
        (models.Membership, INSIDE),
        (models.WorkspacePermission, "content_object__log_id"),
        (models.ReviewerGroup, INSIDE),
        (models.ReviewerGroupMember, f"reviewer_group__{INSIDE}"),
    ):
        register_kind(model, rows_of=rows(model, path))


def register_catalog() -> None:
    """What agents can be given. Patterns and lists may hold people's addresses."""
    model: type[Model]
    for model, name, private in (
        (models.Tool, "tool", ()),
        (models.Resource, "resource", ("pattern",)),
        (models.NamedList, "list", ("members",)),
    ):
        register_kind(
            model,
            rows_of=rows(model, INSIDE),
            private=private,
            touches=lambda row, name=name: (name, row.pk),  # type: ignore[misc]
        )
    for model in (models.Role, models.RemovedTool):
        register_kind(model, rows_of=rows(model, INSIDE))


def register_agents() -> None:
    """Agents, their keys, and what they were given."""
    register_kind(
        models.Agent,
        rows_of=rows(models.Agent, INSIDE),
        private=("purpose", "callback_url", "callback_secret", *REASON),  # an address may hold a token
        touches=lambda row: ("agent", row.pk),
    )
    model: type[Model]
    for model in (models.ActsFor, models.AgentRole, models.AgentKey):
        register_kind(
            model, rows_of=rows(model, f"agent__{INSIDE}"), touches=lambda row: ("agent", row.agent_id)
        )
    for model in (models.ToolGrant, models.ResourceGrant):
        register_kind(
            model,
            rows_of=rows(model, f"content_object__{INSIDE}"),
            touches=lambda row: ("group", row.group_id),
        )
