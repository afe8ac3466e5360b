"""The workspace's own page, and the installation's."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from audit.admin.pages import display
from audit.models import Entry
from governance import health
from governance.admin.standing import BADGES, StandingPages, ladder
from governance.naming import recent
from workspaces import tenancy
from workspaces.access import operates
from workspaces.access.admin import ActingForm, ScopedAdmin, actor_in
from workspaces.models import Installation, Workspace

STEPS = 10
CONTAINED = "governance.containment.changed"


class WorkspaceForm(ActingForm):
    """The settings of a workspace."""

    class Meta:
        model = Workspace
        fields = ["name", "timezone", "two_people", "retention_days"]

    def apply(self, values: dict[str, Any]) -> Model:
        return tenancy.change_workspace(
            self.instance,
            name=values["name"],
            timezone=values["timezone"],
            two_people=values["two_people"],
            retention_days=values["retention_days"],
            actor=self.actor,
        ).row


@admin.register(Workspace)
class WorkspaceAdmin(StandingPages, ScopedAdmin):
    """Workspaces that the person is in. Its owners, who manage its members, keep its settings."""

    scope = ""
    form = WorkspaceForm
    change_permission = "manage_members"
    list_display = ["name", "slug", "shown_standing", "two_people"]
    list_filter = []
    ordering = ["name"]
    fields = ["slug", "name", "timezone", "two_people", "retention_days"]
    readonly_fields = ["slug"]
    change_form_template = "admin/portal/workspace.html"

    @display(description="Standing", ordering="standing", label=BADGES)
    def shown_standing(self, workspace: Workspace) -> str:
        return workspace.standing

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        # Entries without an agent are few, and have an index; what agents did is not looked through.
        steps = Entry.objects.filter(log_id=obj.log_id, agent="", type=CONTAINED).order_by("-index")
        return {"ladder": ladder(request, obj), "steps": recent(steps, STEPS)}


@admin.register(Installation)
class InstallationAdmin(StandingPages, ScopedAdmin):
    """The whole installation, for its administrators. They hold no workspace, so none is named here."""

    change_form_template = "admin/portal/installation.html"
    list_filter = []
    fields = ["standing"]

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = Installation.objects.all()
        return rows if self.has_view_permission(request) else rows.none()

    def allows(self, request: HttpRequest, permission: str | None, obj: Any) -> bool:
        """Administrators see it; the ladder's button asks ``containment``."""
        return permission == self.view_permission and operates(request.user)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one; go to it."""
        if self.has_view_permission(request):
            row = tenancy.install(actor=actor_in(request))
            return HttpResponseRedirect(reverse("admin:workspaces_installation_change", args=[row.pk]))
        return super().changelist_view(request, extra_context)

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        steps = Entry.objects.filter(log_id=obj.log_id, type=CONTAINED).order_by("-index")
        return {
            "ladder": ladder(request, obj),
            "steps": recent(steps, STEPS),
            "health": health.findings(timezone.now()),
        }
