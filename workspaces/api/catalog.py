"""What agents of a workspace can be given: tools, resources, roles that bundle grants, and named lists."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.api.problems import Exact
from workspaces import catalog
from workspaces.access.grants import ACTIONS, USE, own_grants
from workspaces.api.fields import Labels, MemberField, named_targets
from workspaces.api.views import VIEW, NamedListing, OneNamed
from workspaces.declarations import Risk, ToolDeclaration, parse_declaration
from workspaces.models import ACTIONS as ACTION_CHOICES
from workspaces.models import RISKS, NamedList, Resource, Role, Tool

MANAGE = "manage_tools"
AGENTS = "manage_agents"
PUBLISH = "publish_policy"  # conditions read lists: who changes one changes what the policy in force does
EVERYTHING = {"GET": VIEW, "PUT": MANAGE, "DELETE": MANAGE}
READING_AND_ADDING = {"GET": VIEW, "POST": MANAGE}


@extend_schema_field({"type": ["object", "boolean", "null"]})
class SchemaField(serializers.JSONField):
    """A JSON Schema, or none."""


@extend_schema_field({"type": ["string", "array", "null"], "items": {"type": ["string", "object"]}})
class TemplatesField(serializers.JSONField):
    """Resource templates as a workspace file has them."""


class ToolDocument(Exact):
    """What a tool declares of itself, in the words of a workspace file."""

    id = serializers.CharField(read_only=True)
    name = serializers.CharField(max_length=128)
    action = serializers.ChoiceField(ACTION_CHOICES)
    risk = serializers.ChoiceField(RISKS, default=Risk.LOW.value)
    reversible = serializers.BooleanField(default=True)
    labels = Labels(required=False)
    schema = SchemaField(
        required=False, allow_null=True, help_text="JSON Schema 2020-12 of the arguments; null: any."
    )
    resource = TemplatesField(
        required=False,
        allow_null=True,
        help_text="Templates, each as text or as {template, action}: file://{path}.",
    )
    default_scheme = serializers.CharField(max_length=20, required=False, allow_null=True)
    sensitive = serializers.ListField(
        child=serializers.CharField(max_length=500), required=False, help_text="JSON pointers: never stored."
    )
    cost_usd = serializers.CharField(
        max_length=30, required=False, allow_null=True, help_text="Of a call; null: not known."
    )
    metered = serializers.BooleanField(
        default=False,
        help_text="A call costs money; unless the cost is declared, nobody knows before how much.",
    )
    trust_reports = serializers.BooleanField(default=False)

    def to_representation(self, instance: Tool) -> dict[str, Any]:
        return {"id": instance.public_id, **instance.declaration().as_dict()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read as a workspace file is. Raises DeclarationError."""
        return {"name": attrs["name"], "declaration": parse_declaration(attrs)}


class ToolFilter(django_filters.FilterSet):
    """Tools by what they do."""

    action = django_filters.ChoiceFilter(choices=ACTION_CHOICES)
    risk = django_filters.ChoiceFilter(choices=RISKS)

    class Meta:
        model = Tool
        fields: list[str] = []


class ToolRows:
    """How tools are changed."""

    model, what, lookup = Tool, "tool", "public_id"
    serializer_class: Any = ToolDocument
    workspace: Any
    actor: str

    def apply(self, name: str, values: dict[str, Any]) -> Tool:
        """Raises DeclarationError, ValidationError and Guarded."""
        declaration: ToolDeclaration = values["declaration"]
        return catalog.set_tool(self.workspace, declaration=declaration, actor=self.actor).row

    def remove(self, row: Tool) -> None:
        """With every grant on it."""
        catalog.remove_tool(row, actor=self.actor)


class Tools(ToolRows, NamedListing):
    """The workspace's tools by name."""

    permission = READING_AND_ADDING
    filterset_class = ToolFilter


class OneTool(ToolRows, OneNamed):
    """One tool."""

    permission = EVERYTHING


class ResourceDocument(Exact):
    """A named pattern of resources."""

    id = serializers.CharField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=200)
    pattern = serializers.CharField(max_length=1000)
    labels = Labels(default=list)
    steward = MemberField(
        allow_null=True,
        default=None,
        help_text="Who decides, with an agent's owner, about requests for access; a member.",
    )


class ResourceRows:
    """How resources are changed."""

    model, what, lookup = Resource, "resource", "public_id"
    serializer_class: Any = ResourceDocument
    workspace: Any
    actor: str

    def apply(self, name: str, values: dict[str, Any]) -> Resource:
        """Raises PatternError, ValidationError and Guarded."""
        return catalog.set_resource(self.workspace, name=name, actor=self.actor, **values).row

    def remove(self, row: Resource) -> None:
        """With every grant on it."""
        catalog.remove_resource(row, actor=self.actor)


class Resources(ResourceRows, NamedListing):
    """The workspace's resources by name."""

    permission = READING_AND_ADDING


class OneResource(ResourceRows, OneNamed):
    """One resource."""

    permission = EVERYTHING


class BundledGrant(Exact):
    """A permission on a tool (``use``) or on a resource."""

    permission = serializers.ChoiceField([USE, *sorted(ACTIONS)])
    target = serializers.CharField(max_length=40, help_text="The id of the tool or the resource.")


class Bundle(serializers.ListField):
    """What a role bundles."""

    child = BundledGrant()

    def get_attribute(self, instance: Role) -> Any:
        return [
            {"permission": row.permission.codename, "target": row.content_object.public_id}
            for row in own_grants(instance)
        ]


class RoleDocument(Exact):
    """A role for agents."""

    name = serializers.CharField(max_length=100)


class WholeRoleDocument(RoleDocument):
    """A role for agents with what it bundles."""

    grants = Bundle(max_length=1000)


class RoleRows:
    """How roles are changed."""

    model, what = Role, "role"
    workspace: Any
    actor: str

    def get_queryset(self) -> QuerySet[Role]:
        return Role.objects.filter(workspace=self.workspace).select_related("workspace", "group")

    def apply(self, name: str, values: dict[str, Any]) -> Role:
        """Raises ValidationError and NoSuchPermission."""
        bundle = named_targets(self.workspace, values["grants"])
        return catalog.set_role(self.workspace, name=name, bundle=bundle, actor=self.actor).row

    def remove(self, row: Role) -> None:
        """From every agent that has it."""
        catalog.remove_role(row, actor=self.actor)


class Roles(RoleRows, NamedListing):
    """The workspace's roles for agents by name; each one's address has what it bundles."""

    permission = {"GET": VIEW, "POST": AGENTS}
    serializer_class = RoleDocument

    def get_serializer_class(self) -> Any:
        return WholeRoleDocument if self.request.method == "POST" else RoleDocument


class OneRole(RoleRows, OneNamed):
    """One role for agents."""

    permission = {"GET": VIEW, "PUT": AGENTS, "DELETE": AGENTS}
    serializer_class = WholeRoleDocument


class ListDocument(Exact):
    """A list that conditions read as ``lists.<name>``."""

    name = serializers.CharField(max_length=100)
    members = serializers.ListField(child=serializers.CharField(max_length=500), max_length=10_000)


class ListRows:
    """How named lists are changed."""

    model, what = NamedList, "list"
    serializer_class: Any = ListDocument
    workspace: Any
    actor: str

    def apply(self, name: str, values: dict[str, Any]) -> NamedList:
        """Raises ValidationError."""
        return catalog.set_list(self.workspace, name=name, members=values["members"], actor=self.actor).row

    def remove(self, row: NamedList) -> None:
        """Conditions that read it must be changed first."""
        catalog.remove_list(row, actor=self.actor)


class Lists(ListRows, NamedListing):
    """The workspace's named lists."""

    permission = {"GET": VIEW, "POST": PUBLISH}


class OneList(ListRows, OneNamed):
    """One named list."""

    permission = {"GET": VIEW, "PUT": PUBLISH, "DELETE": PUBLISH}
