"""Where everybody begins: what needs attention, and the way to everything that the person may see."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone

from audit.models import Head
from governance import pulse, readings, reviewers
from governance.admin import attention
from workspaces.access import glass, may_somewhere, operates, workspaces_for
from workspaces.access.admin import person_of
from workspaces.access.scoping import Visitor
from workspaces.models import Agent, BrokenGlass, Standing, User, Workspace

SHOWN = 8
MOST_COUNTED = 99  # approvals in the sidebar's badge


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's context: unfold calls this for the index page."""
    person, now = person_of(request), timezone.now()
    workspaces = list(workspaces_for(person).order_by("name"))
    found = attention.concerns(person, workspaces, now) if workspaces else []
    return {
        **context,
        "title": "Desk",
        "workspaces": workspaces,
        "stopped": [each for each in workspaces if each.standing != Standing.ACTIVE],
        "halted": halted(workspaces),
        "looked_into": looked_into(workspaces, now),
        "yours": [each for each in found if each.rows and each.yours],
        "of_others": [each for each in found if each.rows and not each.yours],
        "quiet": [each for each in found if not each.rows],
        "pulse": pulse.read(workspaces[0], now) if workspaces else None,
        "agent_count": Agent.objects.filter(workspace__in=workspaces).count(),
        "may_add_agent": may_somewhere(person, "manage_agents"),
        "public_url": settings.PUBLIC_URL,
    }


def halted(workspaces: Iterable[Workspace]) -> list[tuple[Workspace, str]]:
    """Workspaces whose log takes no entries, so that every agent is refused, each with what the publisher found."""
    logs = {each.log_id: each for each in workspaces}
    rows = Head.objects.filter(log_id__in=logs).exclude(halted="").order_by("log_id")
    return [(logs[log_id], reason) for log_id, reason in rows.values_list("log_id", "halted")]


def looked_into(workspaces: list[Workspace], now: datetime) -> list[BrokenGlass]:
    """Who looks into these workspaces now without belonging to them."""
    rows = BrokenGlass.objects.filter(workspace__in=workspaces, until__gt=now)
    return list(rows.select_related("workspace", "person").order_by("until"))


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """What every page's context has beyond unfold's: no inline style, for ``colors.css`` has the theme's colors; and
    the workspaces that the person looks into as an operator of the installation."""
    person = request.user
    broken = glass.broken_by(person) if isinstance(person, User) else []
    return {"colors": None, "border_radius": None, "broken_glass": broken}


def colors(request: HttpRequest) -> str:
    """The theme's colors."""
    return static("portal/colors.css")


def icon(request: HttpRequest) -> str:
    """What a browser's tab shows."""
    return static("portal/icon.svg")


def styles(request: HttpRequest) -> str:
    """Our style sheet."""
    return static("portal/portal.css")


def script(request: HttpRequest) -> str:
    """Our script: nothing that a page could not do without."""
    return static("portal/portal.js")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: only what leads somewhere for this person."""
    person = request.user
    sees = may_somewhere(person, "view_workspace")
    live = [
        {"title": workspace.name, "icon": "sensors", "link": reverse("live", args=[workspace.slug])}
        for workspace in (workspaces_for(person).order_by("name")[:SHOWN] if sees else ())
    ]
    groups = [
        group("", item("Desk", "space_dashboard", "admin:index"), *pages(person, DAILY)),
        {"title": "Live", "separator": True, "items": live},
        group("Agents and what they may use", *pages(person, CATALOG)),
        group("Workspace", *pages(person, KEEPING)),
    ]
    if sees:
        groups[-1]["items"].append(item("Who can do what", "rule", "access_overview"))
        groups[-1]["items"].append(item("Who is away", "event_busy", "absences_overview"))
        groups[0]["items"].insert(2, item("Requests", "rate_review", "proposals"))
        groups[0]["items"].append(item("Spend", "bar_chart", "spend_overview"))
        groups[0]["items"].append(item("Optimize", "tune", "optimize_overview"))
        groups[-1]["items"].append(item("Prices", "sell", "prices_overview"))
    if may_somewhere(person, "export_log"):
        groups[0]["items"] += [
            item("Exports", "archive", "exports_overview"),
            item("Streams", "cell_tower", "streams_overview"),
        ]
    if may_somewhere(person, "view_log"):
        groups[0]["items"] += [
            item("Insights", "insights", "insights_overview"),
            item("Privacy", "shield_person", "privacy_overview"),
        ]
    if operates(person):
        link = item("Installation", "dns", "admin:workspaces_installation_changelist")
        groups.append(group("Installation", link))
    groups.append(
        group("Yours", item("Sign-in", "lock", "own_factors"), item("API tokens", "key", "api_tokens"))
    )
    count_waiting(person, groups)
    show_where(request, [each for group in groups for each in group["items"]])
    return [each for each in groups if each["items"]]


def count_waiting(person: Visitor, groups: list[dict[str, Any]]) -> None:
    """Say beside the approvals' link how many wait for this person."""
    if isinstance(person, User) and reviewers.answers_somewhere(person):
        count = readings.waiting_for(person, timezone.now())[: MOST_COUNTED + 1].count()
        for each in groups[0]["items"]:
            if count and each["title"] == "Approvals":
                each["badge"] = count if count <= MOST_COUNTED else f"{MOST_COUNTED}+"


# Link of the sidebar → how the names of its pages' addresses begin, which are not below the link's own.
BELOW = {
    "Insights": ("insights",),
    "Spend": ("spend",),
    "Optimize": ("optimize",),
    "Log": ("log_",),
    "Exports": ("export",),
    "Streams": ("stream",),
    "Requests": ("proposal",),
    "Privacy": ("privacy", "erasure", "hold_"),
    "Who can do what": ("access",),
    "Who is away": ("absence",),
}
ABOVE = tuple(name for names in BELOW.values() for name in names)


def show_where(request: HttpRequest, items: list[dict[str, Any]]) -> None:
    """Light up the link to which the open page belongs."""
    match = request.resolver_match
    name = (match.url_name or "") if match else ""
    for each in items:
        if name.startswith(ABOVE):
            each["active"] = name.startswith(BELOW.get(each["title"], ()))


DAILY = [
    ("Approvals", "approval_delegation", "governance_approval", "view_workspace"),
    ("Approved ahead", "event_repeat", "governance_standingapproval", "view_workspace"),
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
