"""Where everybody begins: what needs attention, and the way to everything that the person may see."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone

from audit.models import Head
from governance import approvals
from governance.admin.naming import recent
from governance.admin.standing import BADGES
from governance.models import Decision, DecisionRecord
from workspaces.access import may_somewhere, workspaces_for
from workspaces.access.admin import person_of
from workspaces.access.scoping import Visitor
from workspaces.models import Agent, Standing, Workspace

SHOWN = 8
LOOKED_THROUGH = 2_000  # newest entries of a log in which denials are looked for


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's context: unfold calls this for the index page."""
    person, now = person_of(request), timezone.now()
    workspaces = list(workspaces_for(person).order_by("name"))
    agents = Agent.objects.filter(workspace__in=workspaces).select_related("workspace")
    contained = agents.exclude(standing__in=[Standing.ACTIVE, Standing.REVOKED]).order_by("standing", "name")
    for agent in (shown := list(contained[:SHOWN])):
        agent.color = BADGES[agent.standing]  # type: ignore[attr-defined]
    unreported = Decision.objects.filter(workspace__in=workspaces, outcome=Decision.Outcome.UNREPORTED)
    return {
        **context,
        "title": "Desk",
        "workspaces": workspaces,
        "stopped": [each for each in workspaces if each.standing != Standing.ACTIVE],
        "waiting": approvals.inbox(person).select_related("agent", "workspace")[:SHOWN],
        "may_decide": may_somewhere(person, "decide"),
        "contained": shown,
        "unreported": unreported.filter(created__gt=now - timedelta(days=30))
        .select_related("agent")
        .order_by("-pk")[:SHOWN],
        "denials": recent(denials(workspaces), SHOWN),
        "agent_count": agents.count(),
        "may_add_agent": may_somewhere(person, "manage_agents"),
        "public_url": settings.PUBLIC_URL,
    }


def denials(workspaces: list[Workspace]) -> QuerySet[DecisionRecord]:
    """The newest denials among the latest entries of each log."""
    logs = [workspace.log_id for workspace in workspaces]
    latest = Q(pk__in=[])
    for log_id, size in Head.objects.filter(log_id__in=logs).values_list("log_id", "size"):
        latest |= Q(log_id=log_id, index__gte=size - LOOKED_THROUGH)
    return DecisionRecord.objects.filter(latest, type="governance.check.denied").order_by("-time", "-index")


def styles(request: HttpRequest) -> str:
    """Our style sheet."""
    return static("portal/portal.css")


def script(request: HttpRequest) -> str:
    """Our script: copying, and nothing that a page could not do without."""
    return static("portal/portal.js")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: only what leads somewhere for this person."""
    person = request.user
    sees = may_somewhere(person, "view_workspace")
    live = [
        {"title": workspace.slug, "icon": "sensors", "link": reverse("live", args=[workspace.slug])}
        for workspace in (workspaces_for(person).order_by("name")[:SHOWN] if sees else ())
    ]
    groups = [
        group("", item("Desk", "space_dashboard", "admin:index"), *pages(person, DAILY)),
        {"title": "Live", "separator": True, "items": live},
        group("Agents and what they may use", *pages(person, CATALOG)),
        group("Workspace", *pages(person, KEEPING)),
    ]
    if getattr(person, "is_superuser", False):
        link = item("Installation", "dns", "admin:workspaces_installation_changelist")
        groups.append(group("Installation", link))
    return [each for each in groups if each["items"]]


DAILY = [
    ("Approvals", "approval_delegation", "governance_approval", "view_workspace"),
    ("Decisions", "gavel", "governance_decisionrecord", "view_workspace"),
    ("Log", "receipt_long", "audit_entry", "view_log"),
]
CATALOG = [
    ("Agents", "smart_toy", "workspaces_agent", "view_workspace"),
    ("Tools", "construction", "workspaces_tool", "view_workspace"),
    ("Resources", "inventory_2", "workspaces_resource", "view_workspace"),
    ("Roles", "badge", "workspaces_role", "view_workspace"),
]
KEEPING = [
    ("Policies", "policy", "governance_policyversion", "view_workspace"),
    ("Named lists", "list_alt", "workspaces_namedlist", "view_workspace"),
    ("Budgets", "payments", "billing_budget", "view_workspace"),
    ("People", "group", "workspaces_user", "view_workspace"),
    ("Reviewer groups", "groups", "workspaces_reviewergroup", "view_workspace"),
    ("Workspaces", "domain", "workspaces_workspace", "view_workspace"),
]


def pages(person: Visitor, listed: list[tuple[str, str, str, str]]) -> list[dict[str, Any]]:
    """Items of the lists that the person may open."""
    return [
        item(title, icon, f"admin:{name}_changelist")
        for title, icon, name, permission in listed
        if may_somewhere(person, permission)
    ]


def group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    """A group of the sidebar."""
    return {"title": title, "separator": bool(title), "items": list(items)}


def item(title: str, icon: str, name: str) -> dict[str, Any]:
    """A link of the sidebar."""
    return {"title": title, "icon": icon, "link": reverse(name)}
