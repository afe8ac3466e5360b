"""Agents: the pages of ``workspaces.admin.agents``, with how they stand and what they did."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import URLPattern
from django.utils import timezone

from audit.admin.pages import display
from audit.log import newest
from governance import containment, last_use, leavers
from governance.admin.activity import activity
from governance.admin.approvals import waits_at
from governance.admin.grants import GrantPages
from governance.admin.registration import RegistrationPages
from governance.admin.standing import BADGES, StandingPages, installation, ladder
from governance.models import Approval, CallbackState
from governance.observed import may_draft
from governance.subjects import effective_standing
from workspaces.access import GrantLine
from workspaces.access.admin import WorkspaceFilter
from workspaces.admin.agents import AgentPages
from workspaces.models import Agent, Installation, Standing, Tool

RECENT = 12


class OwnerFilter(SimpleListFilter):
    """Agents whose owner left and that nobody took since."""

    title, parameter_name = "owner", "owner_left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("yes", "left")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=leavers.unowned().values("pk")) if self.value() else queryset


class StandingFilter(SimpleListFilter):
    """Agents by their own standing."""

    title, parameter_name = "standing", "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Standing.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(standing=self.value()) if self.value() else queryset


@admin.register(Agent)
class AgentAdmin(RegistrationPages, GrantPages, StandingPages, AgentPages):
    """Agents with everything about them."""

    list_display = ["name", "workspace", "shown_standing", "owner", "shown_risk", "seen", "waiting"]
    list_filter = [WorkspaceFilter, StandingFilter, OwnerFilter]
    list_before_template = "admin/workspaces/agent_list_intro.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        waiting = Approval.objects.filter(waits_at(timezone.now()), agent=OuterRef("pk"))
        counted = waiting.order_by().values("agent").annotate(number=Count("pk")).values("number")
        everything = Installation.objects.order_by("pk")
        return (
            super()
            .get_queryset(request)
            .annotate(
                open_approvals=Coalesce(Subquery(counted), 0),
                installation_standing=Subquery(everything.values("standing")[:1]),
                installation_until=Subquery(everything.values("observe_until")[:1]),
            )
        )

    @display(description="Standing", ordering="standing", label=BADGES)
    def shown_standing(self, agent: Any) -> str:
        """What holds: the strictest of the agent's, the workspace's and the installation's."""
        return effective_standing(
            timezone.now(),
            (agent.standing, agent.observe_until),
            (agent.workspace.standing, agent.workspace.observe_until),
            (agent.installation_standing or "active", agent.installation_until),
        )

    @display(description="Open approvals", ordering="open_approvals")
    def waiting(self, agent: Any) -> int:
        return int(agent.open_approvals)

    def get_urls(self) -> list[URLPattern]:
        return [self.beside("activity", self.activity_view), *super().get_urls()]

    def activity_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the agent did lately, as the part of its page that is fetched anew when the log grows."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        agent = self.find(request, object_id)
        context = {**activity(agent), "may_draft": may_draft(request.user, agent)}
        response = render(request, "admin/workspaces/agent_activity.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = timezone.now()
        open_approvals = obj.approvals.filter(waits_at(now))
        holds = containment.effective(obj, obj.workspace, installation(), now=now)
        shown = super().panels(request, obj)
        return {
            **shown,
            **activity(obj),
            "may_draft": may_draft(request.user, obj),
            "ladder": ladder(request, obj),
            "holds": holds,
            "grants": used(obj, shown["grants"]),
            "open_approvals": open_approvals.order_by("expires_at")[:RECENT],
            "callback_state": CallbackState.objects.filter(agent=obj).first(),
            "grown_to": newest(obj.workspace.log_id) - 1,
        }


def used(agent: Agent, grants: list[GrantLine]) -> list[tuple[GrantLine, datetime | None]]:
    """Each grant with when a call last needed it; None where none did."""
    tools = last_use.last_uses(agent.workspace, [agent])
    touched = last_use.last_touches(agent.workspace, [agent])
    return [
        (
            each,
            tools.get((agent.public_id, each.target.name))
            if isinstance(each.target, Tool)
            else touched.get((agent.public_id, each.target.public_id, each.permission)),
        )
        for each in grants
    ]
