"""What an agent did and what was done to it, or one session, one below the other in time."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from audit import registry, search
from audit.models import Entry
from governance.admin.log import cleaned
from governance.naming import annotate
from governance.readings import VERDICTS, WHY
from workspaces.access import get_agent, may
from workspaces.access.pages import workspace_page
from workspaces.models import Agent, Workspace

SHOWN = 60
TOLD = (
    "governance.check.",
    "governance.outcome.",
    "governance.approval.",
    "governance.containment.",
    "governance.agent.",
)
COLORS = {"governance.containment.changed": "danger", "governance.outcome.unreported": "warning"}
OUTCOMES = {
    "succeeded": "success",
    "failed": "danger",
    "approved": "success",
    "rejected": "danger",
    "expired": "warning",
}


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Decisions, approvals, outcomes and containment of an agent or a session, newest first; of a session in order."""
    agent = agent_in(request, workspace, cleaned(request.GET.get("agent", "")))
    session = cleaned(request.GET.get("session", ""))
    before = request.GET.get("before", "")
    facets = {
        "agent": [agent.public_id] if agent else [],
        "session": [session] if session else [],
        "type": [name for name in registry.entry_types if name.startswith(TOLD)],
    }
    found = search.search(
        workspace.log_id,
        facets=facets,
        before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None,
        limit=SHOWN,
    )
    steps = told(request, workspace, found.indexes)
    query = urlencode(
        {"agent": agent.public_id if agent else "", "session": session, "before": found.before or ""}
    )
    context = {
        **admin.site.each_context(request),
        "title": f"Session {session}" if session else f"What {agent or 'every agent'} did",
        "subtitle": str(workspace),
        "workspace": workspace,
        "agent": agent,
        "session": session,
        "in_order": bool(session),
        "steps": steps[::-1] if session else steps,
        "earlier": f"?{query}" if found.before is not None else "",
        "latest": f"?{urlencode({'agent': agent.public_id if agent else '', 'session': session})}"
        if before
        else "",
    }
    response = render(request, "admin/portal/timeline.html", context)
    response["Cache-Control"] = "no-store, private"
    return response


def agent_in(request: HttpRequest, workspace: Workspace, public_id: str) -> Agent | None:
    """The agent of this public id; None where none is named. Raises NotVisible."""
    if not public_id:
        return None
    agent = get_agent(request.user, public_id)
    if agent.workspace_id != workspace.pk:
        raise Http404("There is no such agent.")
    return agent


def told(request: HttpRequest, workspace: Workspace, indexes: list[int]) -> list[Any]:
    """The entries as steps, each with its color, a word of explanation and its page."""
    rows: list[Any] = list(
        Entry.objects.filter(log_id=workspace.log_id, index__in=indexes)
        .exclude(agent="")
        .defer("body", "leaf")
        .order_by("-index")
    )
    annotate(rows)
    reads_log = may(request.user, "view_log", workspace)
    for row in rows:
        row.word, row.color = VERDICTS.get(row.type, (row.outcome, color_of(row)))
        row.why = WHY.get(row.outcome, "") if row.type in VERDICTS else ""
        row.address = ""
        if row.type in VERDICTS:
            row.address = reverse("admin:governance_decisionrecord_change", args=[row.pk])
        elif reads_log:
            row.address = reverse("admin:audit_entry_change", args=[row.pk])
    return rows


def color_of(entry: Entry) -> str:
    """The badge's color of an entry that is no decision."""
    return COLORS.get(entry.type) or OUTCOMES.get(entry.outcome, "info")
