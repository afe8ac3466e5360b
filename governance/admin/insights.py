"""What a workspace's approvals teach, as a page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance import insights
from governance.insights import SEEN_BY, spoken
from workspaces.access import workspaces_for
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Workspace

SPANS = (1, 7, 30, 90)  # days
USUAL = 30

overview = first_workspace("insights", SEEN_BY)


@workspace_page(SEEN_BY)
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """A period's figures, what stands out, reviewers and rules."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, SPANS) else USUAL
    found = insights.read(workspace, days=days, now=timezone.now())
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Insights: {workspace.name}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user, SEEN_BY).order_by("name"),
        "spans": SPANS,
        "days": days,
        "found": found,
        "figures": figures(found),
        "glance": int(insights.GLANCE.total_seconds()),
        "most": max((rule.asked for rule in found.rules), default=0),
    }
    return render(request, "admin/portal/insights.html", context)


def figures(found: insights.Insights) -> list[tuple[str, str, str]]:
    """(what, how much, what that means) of the large figures."""
    decided = found.by_status["approved"] + found.by_status["rejected"]
    return [
        ("Waiting now", f"{found.waiting:,}", "calls that somebody should answer"),
        ("Time to decision", spoken(found.times.median), f"nine of ten within {spoken(found.times.most)}"),
        ("Rejected", share(found.by_status["rejected"], decided), f"of {decided:,} that people decided"),
        ("Expired", share(found.by_status["expired"], found.asked), f"of {found.asked:,} that were asked"),
        (
            "Decided alone",
            "–" if found.alone is None else f"{found.alone:.1%}",
            "of all decisions, without a person",
        ),
        (
            "Prompts an hour",
            "–" if found.prompts is None else f"{found.prompts:.2f}",
            f"of each agent at work; {found.agent_hours:,} such hours",
        ),
    ]


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"
