"""The Optimize page: what could be had for less, or with less; and the draft of what an agent needs."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from governance import narrowing, optimizing
from governance.optimizing import Finding
from workspaces.access import NotVisible, get_agent, may, workspaces_for
from workspaces.access.admin import actor_in
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Workspace

SPANS = (7, 30, 90)  # days that a permission lay unused
HEADINGS = {
    optimizing.UNBOUND: ("Spending that no budget counts", "A budget ends a runaway before the bill does."),
    optimizing.UNPRICED: (
        "Prices that are not known",
        "What has no price counts as nothing, so budgets cannot hold it.",
    ),
    optimizing.GROWING: (
        "Sessions that cost more and more",
        "Often a context that is never cut, or a prompt that grew.",
    ),
    optimizing.MODEL: (
        "Models with a cheaper one beside them",
        "Hints only: list prices of the same generation, for the tokens that were used.",
    ),
    optimizing.LOOPING: ("Calls that loop", "Each stopped loop cost the model calls that went around it."),
    optimizing.UNUSED: (
        "Permissions that nobody uses",
        "What an agent never uses, whoever talks it into something can.",
    ),
    optimizing.WIDE: ("Budgets far from their limit", "A limit that is never near stops a runaway late."),
}

overview = first_workspace("optimize")


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding, and whether the viewer may do something about it."""

    finding: Finding
    may_act: bool
    bars: list[tuple[float, float, float]]


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """All findings, by kind."""
    days = days_in(request)
    found = optimizing.findings(workspace, timezone.now(), days=days)
    sections = [
        (kind, *HEADINGS[kind], [shown(request, workspace, each) for each in found if each.kind == kind])
        for kind in optimizing.KINDS_OF_FINDING
        if any(each.kind == kind for each in found)
    ]
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Optimize: {workspace.name}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user).order_by("name"),
        "spans": SPANS,
        "days": days,
        "sections": sections,
        "count": len(found),
        "span": optimizing.SPAN,
    }
    return render(request, "admin/portal/optimize.html", context)


def days_in(request: HttpRequest) -> int:
    """How long a permission must have lain unused; what there is not, is as usual."""
    asked = request.GET.get("days", "")
    return int(asked) if asked in map(str, SPANS) else optimizing.UNUSED_DAYS


def shown(request: HttpRequest, workspace: Workspace, finding: Finding) -> Shown:
    """A finding as the viewer sees it."""
    target = finding.agent if finding.agent and finding.needs == "manage_agents" else workspace
    return Shown(finding, may(request.user, finding.needs, target), bars(finding))


def bars(finding: Finding) -> list[tuple[float, float, float]]:
    """(x, y, height) of the chart's bars, in a field 100 wide and 24 high."""
    most = max(finding.series, default=0)
    if not most:
        return []
    step = 100 / len(finding.series)
    heights = [max(1.0, 24 * value / most) for value in finding.series]
    return [
        (round(step * number, 2), round(24 - high, 2), round(high, 2)) for number, high in enumerate(heights)
    ]


@workspace_page("manage_agents")
@require_http_methods(["GET", "POST"])
def unused(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """The narrower draft: an agent's grants that lie unused, ticked; posted, those are taken away."""
    agent = get_agent(request.user, public_id, "manage_agents")
    if agent.workspace_id != workspace.pk:
        raise NotVisible("There is no such agent here.")
    days = days_in(request)
    if request.method == "POST":
        taken = narrowing.narrow(agent, request.POST.getlist("grant"), days=days, actor=actor_in(request))
        if taken:
            names = ", ".join(f"{row.line.permission} on {row.line.target}" for row in taken)
            messages.success(
                request,
                f"{agent.name} has lost {len(taken)} grant{'s' if len(taken) > 1 else ''}: {names}. "
                "To undo it, grant them again on the agent’s page; the log keeps which they were.",
            )
            return HttpResponseRedirect(reverse("optimize", args=[workspace.slug]) + f"?days={days}")
        messages.error(
            request, "Tick what is to go. What was used meanwhile is not listed any more and stays."
        )
    context = {
        **admin.site.each_context(request),
        "title": f"What {agent.name} does not use",
        "workspace": workspace,
        "agent": agent,
        "days": days,
        "rows": [(narrowing.key_of(row), row) for row in narrowing.unused(agent, days=days)],
    }
    return render(request, "admin/portal/optimize_unused.html", context)
