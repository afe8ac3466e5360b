"""Agents: the pages of ``workspaces.admin.agents``, with how they stand and what they did."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from audit.admin.pages import display
from governance import containment
from governance.admin.approvals import waits_at
from governance.admin.entries import CHECKS
from governance.admin.naming import recent
from governance.admin.standing import BADGES, StandingPages, installation, ladder
from governance.models import Approval, DecisionRecord
from governance.subjects import effective_standing
from workspaces.access.admin import WorkspaceFilter
from workspaces.admin.agents import AgentPages
from workspaces.models import Agent, Installation, Standing

RECENT = 12


class StandingFilter(SimpleListFilter):
    """Agents by their own standing."""

    title, parameter_name = "standing", "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Standing.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(standing=self.value()) if self.value() else queryset


@admin.register(Agent)
class AgentAdmin(StandingPages, AgentPages):
    """Agents with everything about them."""

    list_display = ["name", "workspace", "shown_standing", "owner", "shown_risk", "seen", "waiting"]
    list_filter = [WorkspaceFilter, StandingFilter]

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

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = timezone.now()
        done = DecisionRecord.objects.filter(
            log_id=obj.workspace.log_id, agent=obj.public_id, type__in=CHECKS
        )
        open_approvals = obj.approvals.filter(waits_at(now))
        holds = containment.effective(obj, obj.workspace, installation(), now=now)
        return {
            **super().panels(request, obj),
            "ladder": ladder(request, obj),
            "holds": holds,
            "decisions": recent(done.order_by("-index"), RECENT),
            "open_approvals": open_approvals.order_by("expires_at")[:RECENT],
        }
