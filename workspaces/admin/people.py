"""People of a workspace with their roles, and reviewer groups."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Model, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectMultipleWidget

from audit.admin.pages import display
from workspaces import people
from workspaces.access import Forbidden, may_somewhere, workspaces_for
from workspaces.access.admin import ActingForm, ScopedAdmin, WorkspaceFilter, act, actor_in, filled
from workspaces.admin.catalog import NamedAdmin, NamedForm
from workspaces.models import Membership, ReviewerGroup, User, Workspace

OWNED = 50  # agents that a person's page names; the rest is in the list of agents


class PersonFilter(WorkspaceFilter):
    """People of one workspace."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        visible = workspaces_for(request.user).filter(slug=self.value())
        return queryset.filter(memberships__workspace__in=visible)


class PersonForm(ActingForm):
    """Somebody who gets a role: known already, or new."""

    workspace = forms.ModelChoiceField(Workspace.objects.none())
    roles = forms.MultipleChoiceField(
        choices=Membership.Role.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget(), required=True
    )

    class Meta:
        model = User
        fields = ["email", "name"]
        help_texts = {"name": "A person whom the installation knows already keeps the name they have."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "workspace" in self.fields:
            manageable = workspaces_for(self.person, "manage_members")
            self.fields["workspace"].queryset = manageable  # type: ignore[attr-defined]
            self.fields["workspace"].widget.attrs["class"] = "portal-select"
            if manageable.count() == 1:
                self.initial["workspace"] = manageable.get()

    def apply(self, values: dict[str, Any]) -> Model:
        workspace = values["workspace"]
        person = people.create_person(values["email"], name=values["name"], actor=self.actor).row
        held = Membership.objects.filter(workspace=workspace, person=person).values_list("role", flat=True)
        roles = {*values["roles"], *held}
        people.set_roles(workspace, person, roles=roles, actor=self.actor)
        return person


class RolesForm(forms.Form):
    """All roles that a person is to have in one workspace; none is to leave it."""

    roles = forms.MultipleChoiceField(choices=Membership.Role.choices, required=False)


@admin.register(User)
class PersonAdmin(ScopedAdmin):
    """People who have a role where the viewer has one. Their roles elsewhere are not shown, nor is whether
    there are any."""

    scope = "memberships__workspace"
    form = PersonForm
    add_permission = "manage_members"
    list_display = ["shown_name", "email", "shown_roles", "is_active"]
    list_filter = [PersonFilter]
    search_fields = ["name", "email"]
    ordering = ["name", "email"]
    change_form_template = "admin/workspaces/person.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        visible = workspaces_for(request.user).values("pk")
        here = Membership.objects.filter(workspace__in=visible).select_related("workspace").order_by("pk")
        rows = User.objects.filter(memberships__workspace__in=visible).distinct()
        return rows.order_by(*self.ordering).prefetch_related(Prefetch("memberships", here, to_attr="here"))

    def allows(self, request: HttpRequest, permission: str | None, obj: Any) -> bool:
        """On a person: in some workspace that both are in."""
        if permission is None:
            return False
        if obj is None:
            return may_somewhere(request.user, permission)
        where = workspaces_for(request.user, permission).filter(memberships__person=obj)
        return where.filter(pk__in=workspaces_for(request.user).values("pk")).exists()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["shown_name", "email", "is_active"] if obj else ["workspace", "email", "name", "roles"]
        return [(None, {"fields": fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["shown_name", "email", "is_active"] if obj else []

    @display(description="Name", ordering="name")
    def shown_name(self, person: User) -> str:
        return str(person)

    @display(description="Roles")
    def shown_roles(self, person: Any) -> str:
        several = len({row.workspace_id for row in person.here}) > 1
        return ", ".join(
            row.get_role_display() + (f" ({row.workspace})" if several else "") for row in person.here
        )

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        held: dict[Workspace, set[str]] = {}
        for row in obj.here:
            held.setdefault(row.workspace, set()).add(row.role)
        managed = set(workspaces_for(request.user, "manage_members").values_list("pk", flat=True))
        tables = [
            {
                "workspace": workspace,
                "roles": [(role, label, role in roles) for role, label in Membership.Role.choices],
                "may_manage": workspace.pk in managed,
            }
            for workspace, roles in held.items()
        ]
        owned = obj.agents.filter(workspace__in=workspaces_for(request.user).values("pk"))
        shown = owned.select_related("workspace").order_by("name")[:OWNED]
        return {"memberships": tables, "owned": shown, "owned_count": owned.count()}

    @act("roles")
    def set_roles(self, request: HttpRequest, person: User) -> HttpResponse | None:
        """Make the posted roles the person's, in the posted workspace."""
        workspace = self.shared(request, person)
        roles = filled(RolesForm(request.POST))["roles"]
        people.set_roles(workspace, person, roles=roles, actor=actor_in(request))
        messages.success(request, f"Saved: what {person} may do in {workspace}.")
        gone = not self.get_queryset(request).filter(pk=person.pk).exists()
        return HttpResponseRedirect(reverse("admin:workspaces_user_changelist")) if gone else None

    def shared(self, request: HttpRequest, person: User) -> Workspace:
        """The posted workspace, where the viewer manages members and the person is one. Raises Forbidden."""
        workspaces = workspaces_for(request.user, "manage_members").filter(memberships__person=person)
        workspace = workspaces.filter(slug=request.POST.get("workspace", "")).distinct().first()
        if workspace is None:
            raise Forbidden("Only an owner of the workspace says who is what in it.")
        return workspace


class ReviewerGroupForm(NamedForm):
    """The people of a reviewer group, of those who have a role in its workspace."""

    people = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget(attrs={"size": 10}),
        help_text="Their votes count only while their roles let them decide approvals.",
    )

    class Meta:
        model = ReviewerGroup
        fields = ["workspace", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        group = self.instance
        if "people" in self.fields and group.pk is not None:
            members = User.objects.filter(memberships__workspace=group.workspace).distinct()
            self.fields["people"].queryset = members.order_by("name")  # type: ignore[attr-defined]
            self.initial["people"] = [seat.person_id for seat in group.members.all()]

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        chosen = values.get("people") or []
        return people.set_reviewer_group(workspace, name=name, people=chosen, actor=self.actor).row


@admin.register(ReviewerGroup)
class ReviewerGroupAdmin(NamedAdmin):
    """People who are named together as reviewers."""

    form = ReviewerGroupForm
    add_permission = change_permission = delete_permission = "manage_members"
    list_display = ["name", "workspace", "size"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(seats=Count("members"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new group gets its name first: who can sit in it depends on its workspace."""
        return ["workspace", "name", "people"] if obj else ["workspace", "name"]

    @display(description="People", ordering="seats")
    def size(self, group: Any) -> int:
        return int(group.seats)

    @display(description="People")
    def people(self, group: ReviewerGroup) -> str:
        names = [str(seat.person) for seat in group.members.select_related("person").order_by("person__name")]
        return ", ".join(names) or "nobody"

    def remove(self, obj: ReviewerGroup, *, actor: str) -> None:
        people.remove_reviewer_group(obj, actor=actor)
