"""The ledger of what agents may do without asking each time: what it rests on, how often it was used, and its end."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from audit.admin.pages import PortalChangeList, display
from governance import disclosures, endings, presentation, standing, suggestions
from governance.models import StandingApproval
from governance.readings import sees_content
from governance.standing import AlreadyRevoked
from workspaces.access import Forbidden, may, workspaces_for
from workspaces.access.admin import ScopedAdmin, WorkspaceFilter, act, actor_in, filled, person_of
from workspaces.models import User

LOOKED_INTO = 5  # workspaces for suggestions
LABELS = {endings.IN_FORCE: "success", "revoked": "danger"}


class ReasonForm(forms.Form):
    """Why it ends."""

    reason = forms.CharField(required=False, max_length=standing.LONGEST_REASON)


class Ledger(PortalChangeList):
    """A page of the ledger, with how each stands."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        found = endings.statuses(self.result_list, timezone.now())
        for row in self.result_list:
            row.standing = found[row.pk]


@admin.register(StandingApproval)
class StandingApprovalAdmin(ScopedAdmin):
    """Approvals in advance."""

    list_display = ["call", "agent", "shown_standing", "uses", "expires_at", "given_by"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["agent", "workspace", "given_by", "use"]
    ordering = ["-pk"]
    sortable_by = ()
    list_per_page = 50
    list_before_template = "admin/portal/standing_suggestions.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return Ledger

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """With what could be given, in the workspaces where the person decides."""
        person, now = person_of(request), timezone.now()
        places = workspaces_for(person, "decide").order_by("name")[:LOOKED_INTO]
        found = [each for workspace in places for each in suggestions.suggestions(workspace, now)]
        return super().changelist_view(request, {**(extra_context or {}), "suggestions": found})

    @display(description="Call")
    def call(self, row: StandingApproval) -> str:
        return presentation.visible(row.tool)

    @display(description="Standing", label={"in force": "success", "revoked": "danger"})
    def shown_standing(self, row: Any) -> str:
        return str(row.standing)

    @display(description="Used")
    def uses(self, row: StandingApproval) -> str:
        return f"{endings.uses_of(row)} of {row.max_uses}"

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related("workspace", "agent", "given_by", "use", "approval")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.find(request, object_id)
        person = person_of(request)
        word = endings.statuses([row], timezone.now())[row.pk]
        used = endings.uses_of(row)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{row.agent.name}: {presentation.visible(row.tool)}, approved ahead",
            "opts": self.opts,
            "standing": row,
            "status": (word, LABELS.get(word, "default")),
            "used": used,
            "left": max(0, row.max_uses - used),
            "limits": shown_limits(person, row),
            "may_revoke": row.revoked_at is None and may_revoke(person, row),
            "longest_reason": standing.LONGEST_REASON,
        }
        response = TemplateResponse(request, "admin/portal/standing_approval.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    @act("revoke", AlreadyRevoked)
    def revoke(self, request: HttpRequest, row: StandingApproval) -> None:
        """End it, from this moment. Raises Forbidden."""
        if not may_revoke(person_of(request), row):
            raise Forbidden(
                "Approvers, and who may tighten this agent, end what was approved of it in advance."
            )
        reason = filled(ReasonForm(request.POST))["reason"]
        standing.revoke(row, actor=actor_in(request), reason=reason)
        messages.success(request, "Revoked: the agent's next such call waits for people again.")


def may_revoke(person: User, row: StandingApproval) -> bool:
    """Whether a person may end it: who decides here, or may tighten its agent."""
    return may(person, "decide", row.workspace) or may(person, "tighten", row.agent)


def shown_limits(person: User, row: StandingApproval) -> dict[str, Any] | None:
    """Patterns and bounds as text, recorded as read; None for who may not see what was sent."""
    if row.approval is None or not sees_content(person, row.approval):
        return None
    agent = row.agent.public_id
    disclosures.disclose(
        row.workspace.log_id, row.approval.entry_index, person=person, agent=agent, tool=row.tool
    )
    return {
        "resources": [presentation.visible(each) for each in row.resources],
        "bounds": [(presentation.visible(pointer), told(bound)) for pointer, bound in row.bounds.items()],
    }


def told(bound: dict[str, Any]) -> str:
    """A bound in words."""
    if "any" in bound:
        return "anything"
    if "is" in bound:
        return f"exactly {presentation.pretty(bound['is'])}"
    if "in" in bound:
        return "one of " + ", ".join(presentation.pretty(each) for each in bound["in"])
    ends = [("at least", "min"), ("at most", "max")]
    return ", ".join(f"{word} {bound[name]}" for word, name in ends if name in bound)
