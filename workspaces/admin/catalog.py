"""Tools, resources, roles for agents, and named lists."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminTextInputWidget

from audit.admin.pages import display
from workspaces import catalog
from workspaces.access.admin import REFUSALS, ActingForm, ScopedAdmin, WorkspaceFilter
from workspaces.access.grants import Target, own_grants
from workspaces.admin.fields import DocumentField, LabelsField, LinesField
from workspaces.declarations import DeclarationError, ToolDeclaration, parse_declaration
from workspaces.models import NamedList, Resource, Role, Tool, Workspace
from workspaces.patterns import PatternError

RISK_LABELS = {"low": "success", "medium": "info", "high": "warning", "critical": "danger"}
ARROW = "=>"


class NamedForm(ActingForm):
    """The form of a row that is known by its name in its workspace."""

    def place(self, values: dict[str, Any]) -> tuple[Workspace, str]:
        """Workspace and name: as given for a new row, else those it has. Raises ValidationError for a name
        that is taken."""
        row = self.instance
        if row.pk is not None:
            return row.workspace, row.name
        workspace, name = values["workspace"], values["name"].strip()
        if type(row)._default_manager.filter(workspace=workspace, name=name).exists():
            raise ValidationError(
                {"name": f"There is a {row._meta.verbose_name} called {name} here already."}
            )
        return workspace, name


class NamedAdmin(ScopedAdmin):
    """Pages of rows known by their name, which stays as it is."""

    ordering = ["workspace__name", "name"]
    search_fields = ["name"]
    list_select_related = ["workspace"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["workspace", "name"] if obj else []


class ToolForm(NamedForm):
    """A tool's declaration, field by field."""

    labels = LabelsField(
        help_text="Separated by commas: untrusted_output, private_data, external_send, or labels of your own."
    )
    resource = LinesField(
        label="Resource templates",
        help_text="How resources are found in the arguments, one template a line, as invoice://{invoice}. "
        f"Where the action differs from the tool's, add it: file://{{path}} {ARROW} read.",
    )
    sensitive = LinesField(
        label="Sensitive arguments",
        help_text="JSON pointers, one a line, such as /card_number: never stored.",
    )
    cost_usd = forms.CharField(
        label="Cost of a call",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="US dollars, such as 0.02. Empty: not known.",
    )
    schema = DocumentField(
        required=False,
        label="Schema of the arguments",
        help_text="JSON Schema 2020-12. A call whose arguments do not fit is denied.",
    )
    refusals = (*REFUSALS, DeclarationError)

    class Meta:
        model = Tool
        fields = ["workspace", "name", "action", "risk", "reversible", "labels", "default_scheme",
                  "metered", "trust_reports", "schema", "sensitive"]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "cost_usd" in self.fields:
            written = self.instance.declaration().as_dict()
            self.initial["resource"] = resource_lines(self.instance)
            self.initial["cost_usd"] = written["cost_usd"] or ""

    def declared(self, values: dict[str, Any], name: str) -> ToolDeclaration:
        """The declaration that the fields come to. Raises DeclarationError."""
        return parse_declaration(
            {
                "name": name,
                "action": values["action"],
                "risk": values["risk"],
                "reversible": values["reversible"],
                "labels": values["labels"],
                "schema": values["schema"],
                "resource": [template_of(line) for line in values["resource"]],
                "default_scheme": values["default_scheme"] or None,
                "sensitive": values["sensitive"],
                "cost_usd": values["cost_usd"].strip() or None,
                "metered": values["metered"],
                "trust_reports": values["trust_reports"],
            }
        )

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        declaration = self.declared(values, name)
        return catalog.set_tool(workspace, declaration=declaration, actor=self.actor).row


def resource_lines(tool: Tool) -> list[str]:
    """A tool's templates as people edit them."""
    return [
        each["template"] + (f" {ARROW} {each['action']}" if each["action"] != tool.action else "")
        for each in tool.templates
    ]


def template_of(line: str) -> dict[str, str]:
    """A template as written on one line: ``file://{path} => read``."""
    template, _, action = line.partition(ARROW)
    return (
        {"template": template.strip(), "action": action.strip()} if action else {"template": template.strip()}
    )


class GrantedAdmin(NamedAdmin):
    """Pages of what agents are granted, each with the way to those who were."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = list(super().get_fields(request, obj))
        return [*fields, "who_may"] if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "who_may"] if obj else fields

    @display(description="Who may")
    def who_may(self, target: Target) -> str:
        address = reverse("access", args=[target.workspace.slug])
        query = urlencode({str(target._meta.model_name): target.public_id})
        return format_html('<a href="{}?{}">Agents that have a grant on it</a>', address, query)


class ToolPages(GrantedAdmin):
    """What a tool declares; governance registers these pages, and adds what its rules make of a tool."""

    form = ToolForm
    add_permission = change_permission = delete_permission = "manage_tools"
    list_display = ["name", "workspace", "action", "shown_risk", "reversible", "labels_shown"]
    fields = ["workspace", "name", "action", "risk", "reversible", "labels", "resource", "default_scheme",
              "schema", "sensitive", "cost_usd", "metered", "trust_reports"]  # fmt: skip

    @display(description="Risk", ordering="risk", label=RISK_LABELS)
    def shown_risk(self, tool: Tool) -> str:
        return tool.risk

    @display(description="Labels", label=True)
    def labels_shown(self, tool: Tool) -> list[str]:
        return list(tool.labels)

    @display(description="Resource templates")
    def resource(self, tool: Tool) -> str:
        return "\n".join(resource_lines(tool)) or "none: its resource is tool:" + tool.name

    @display(description="Cost of a call")
    def cost_usd(self, tool: Tool) -> str:
        return tool.declaration().as_dict()["cost_usd"] or "not known"

    def remove(self, obj: Tool, *, actor: str) -> None:
        catalog.remove_tool(obj, actor=actor)


class ResourceForm(NamedForm):
    """A named pattern."""

    labels = LabelsField()
    refusals = (*REFUSALS, PatternError)

    class Meta:
        model = Resource
        fields = ["workspace", "name", "pattern", "labels", "steward"]

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        return catalog.set_resource(
            workspace,
            name=name,
            pattern=values["pattern"],
            labels=values["labels"],
            steward=values["steward"],
            actor=self.actor,
        ).row


@admin.register(Resource)
class ResourceAdmin(GrantedAdmin):
    """Named patterns of resources."""

    form = ResourceForm
    add_permission = change_permission = delete_permission = "manage_tools"
    list_display = ["name", "workspace", "pattern", "labels_shown"]
    fields = ["workspace", "name", "pattern", "labels", "steward"]

    @display(description="Labels", label=True)
    def labels_shown(self, resource: Resource) -> list[str]:
        return list(resource.labels)

    def remove(self, obj: Resource, *, actor: str) -> None:
        catalog.remove_resource(obj, actor=actor)


class RoleForm(NamedForm):
    """What a role bundles. Both lists offer everything of the visible workspaces; a mix is refused."""

    bundle = forms.MultipleChoiceField(
        label="Permissions",
        required=False,
        widget=UnfoldAdminSelectMultipleWidget(attrs={"size": 14}),
        help_text="Hold Ctrl or ⌘ to choose several.",
    )

    class Meta:
        model = Role
        fields = ["workspace", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.instance
        if "bundle" not in self.fields:
            return
        self.targets = permissions_in_role(role.workspace) if role.pk is not None else {}
        self.fields["bundle"].choices = [(key, label) for key, (label, *_) in self.targets.items()]  # type: ignore[attr-defined]
        if role.pk is not None:
            self.initial["bundle"] = [
                key_of(row.permission.codename, row.content_object) for row in own_grants(role)
            ]

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        chosen = [self.targets[key][1:] for key in values.get("bundle", ())]
        return catalog.set_role(workspace, name=name, bundle=chosen, actor=self.actor).row


def key_of(permission: str, target: Target) -> str:
    """One permission on one thing, as a form names it."""
    return f"{permission}:{target.public_id}"


def permissions_in_role(workspace: Workspace) -> dict[str, tuple[str, str, Target]]:
    """Every permission that the workspace's things have: key → (label, permission, thing)."""
    found: dict[str, tuple[str, str, Target]] = {}
    for tool in workspace.tools.order_by("name"):
        found[key_of("use", tool)] = (f"use {tool.name}", "use", tool)
    for resource in workspace.resources.order_by("name"):
        for permission, _ in Resource._meta.permissions:
            label = f"{permission} {resource.name} ({resource.pattern})"
            found[key_of(permission, resource)] = (label, permission, resource)
    return found


@admin.register(Role)
class RoleAdmin(NamedAdmin):
    """Bundles of permissions for agents."""

    form = RoleForm
    add_permission = change_permission = delete_permission = "manage_agents"
    list_display = ["name", "workspace", "holders"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(holder_count=Count("agent_roles", distinct=True))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new role gets its name first: what it can bundle depends on its workspace."""
        return ["workspace", "name", "bundle"] if obj else ["workspace", "name"]

    @display(description="Agents", ordering="holder_count")
    def holders(self, role: Any) -> int:
        return int(role.holder_count)

    @display(description="Permissions")
    def bundle(self, role: Role) -> str:
        return (
            ", ".join(f"{row.permission.codename} {row.content_object}" for row in own_grants(role)) or "none"
        )

    def remove(self, obj: Role, *, actor: str) -> None:
        catalog.remove_role(obj, actor=actor)


class NamedListForm(NamedForm):
    """A list that conditions read."""

    members = LinesField(help_text="One a line.")

    class Meta:
        model = NamedList
        fields = ["workspace", "name", "members"]

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        return catalog.set_list(workspace, name=name, members=values["members"], actor=self.actor).row


@admin.register(NamedList)
class NamedListAdmin(NamedAdmin):
    """Lists that conditions read as ``lists.<name>``. Who publishes policies keeps them: they decide too."""

    form = NamedListForm
    add_permission = change_permission = delete_permission = "publish_policy"
    list_display = ["name", "workspace", "size"]
    fields = ["workspace", "name", "members"]
    list_filter = [WorkspaceFilter]

    @display(description="Members")
    def size(self, named: NamedList) -> int:
        return len(named.members)

    def remove(self, obj: NamedList, *, actor: str) -> None:
        catalog.remove_list(obj, actor=actor)
