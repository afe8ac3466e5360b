"""The inbox: what waits for the viewer, through their groups, or for anybody, the oldest deadline first."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet, prefetch_related_objects
from django.http import HttpRequest

from governance import presentation, readings
from governance.approvals import CONFIRMED_RISKS
from governance.models import Approval, Overflow
from governance.pending import MOST_OPEN
from governance.reviewers import Panel
from governance.rosters import Roster
from workspaces.access import workspaces_for
from workspaces.declarations import Risk
from workspaces.models import User, Workspace

FOR_YOU = "waits for you"
STATUS_LABELS = {
    FOR_YOU: "danger",
    "waiting": "warning",
    "approved": "success",
    "rejected": "danger",
    "expired": "default",
    "cancelled": "default",
}
ADDRESS = "admin:governance_approval_changelist"
PLACE = re.compile(
    r"([0-9]{1,11}(?:\.[0-9]{1,6})?)-([0-9]{1,18})", re.ASCII
)  # deadline and key, in an address
VIEWS = {"mine": "For you", "groups": "Through your groups", "all": "Everything that waits"}
ENDED = [(value, label) for value, label in Approval.Status.choices if value != Approval.Status.PENDING]
STATUSES = {"": "Waiting", **dict(ENDED), "all": "All"}
PAGE = 50
MOST_LOOKED_AT = 1000  # links of a person, for those that came through a group
FOLDED = 3  # waiting calls of one agent and tool that are listed one by one
FLOODED = timedelta(hours=1)  # how long the calls that were refused for being too many are told
MOST_FLOODED = 10
LISTENED = 6  # workspaces whose feeds a page follows


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for. ``after``: the last row of the page before."""

    view: str = "mine"
    status: str = ""
    workspace: str = ""
    after: tuple[datetime, int] | None = None

    @property
    def query(self) -> str:
        """As the part of an address after the question mark."""
        named = {"view": self.view if self.view != "mine" else "", "status": self.status}
        named["workspace"] = self.workspace
        if self.after is not None:
            named["after"] = f"{self.after[0].timestamp():.6f}-{self.after[1]}"
        return urlencode({name: value for name, value in named.items() if value})

    def turned(self, *, view: str, status: str = "") -> str:
        """The query of another list, from its beginning."""
        return replace(self, view=view, status=status, after=None).query

    def elsewhere(self, workspace: str) -> str:
        """The query of the same list of one workspace, or of all."""
        return replace(self, workspace=workspace, after=None).query


@dataclass(frozen=True, slots=True)
class Row:
    """One approval. ``quick``: whether it may be answered from the list."""

    approval: Approval
    tool: str
    status: str
    yours: bool
    quick: bool

    @property
    def waits(self) -> bool:
        """Whether anybody's answer still counts."""
        return self.status in ("waiting", FOR_YOU)

    @property
    def label(self) -> str:
        """The class of its status."""
        return STATUS_LABELS[self.status]


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of one agent and tool; those of a fold that is none stand by themselves."""

    rows: list[Row]
    folded: bool

    @property
    def first(self) -> Row:
        return self.rows[0]


def strange_in(request: HttpRequest) -> set[str]:
    """What the address asks for, and no inbox has."""
    return set(request.GET) - {"view", "status", "workspace", "after"}


def asked_in(request: HttpRequest) -> Asked:
    """What the address asks for; what no inbox has is left out."""
    view, status = request.GET.get("view", "mine"), request.GET.get("status", "")
    where = PLACE.fullmatch(request.GET.get("after", ""))
    after = (datetime.fromtimestamp(float(where[1]), UTC), int(where[2])) if where else None
    return Asked(
        view=view if view in VIEWS else "mine",
        status=status if status in STATUSES else "",
        workspace=request.GET.get("workspace", "")[:200],
        after=after,
    )


def listed(person: User, asked: Asked, now: datetime) -> dict[str, Any]:
    """A page of the inbox, with as many queries however much waits."""
    visible = list(workspaces_for(person).order_by("name"))
    chosen = [each for each in visible if asked.workspace in ("", each.slug)]
    found = page_of(person, asked, chosen, now)
    more = found[PAGE:]
    found = found[:PAGE]
    rows = judged(person, found, now)
    if asked.view == "mine" and not asked.status:
        rows = [row for row in rows if row.yours]
    last = found[-1] if more else None
    return {
        "asked": asked,
        "folds": folded(rows) if not asked.status else [Fold([row], False) for row in rows],
        "several": any(row.yours and row.approval.risk == Risk.LOW for row in rows),
        "next": replace(asked, after=place_of(last, asked)).query if last else "",
        "views": [(label, asked.turned(view=view), view) for view, label in VIEWS.items()],
        "statuses": [
            (label, asked.turned(view="all", status=word), word) for word, label in STATUSES.items()
        ],
        "workspaces": [(each, asked.elsewhere(each.slug)) for each in visible],
        "everywhere": asked.elsewhere(""),
        "feeds": [each.slug for each in chosen[:LISTENED]],
        "flooded": flooded(chosen, now),
        "now": now,
    }


def place_of(approval: Approval, asked: Asked) -> tuple[datetime, int]:
    """Where the next page goes on."""
    return (approval.created if asked.status else approval.expires_at, approval.pk)


def page_of(person: User, asked: Asked, workspaces: list[Workspace], now: datetime) -> list[Approval]:
    """One more approval than a page has, in order."""
    rows = Approval.objects.filter(workspace__in=workspaces).select_related("agent", "workspace")
    if asked.status:
        rows = rows if asked.status == "all" else rows.filter(readings.of_status(asked.status, now))
        if asked.after is not None:
            rows = rows.filter(pk__lt=asked.after[1])
        return list(rows.order_by("-pk")[: PAGE + 1])
    if asked.view == "all":
        return ordered(rows.filter(readings.waits_at(now)), asked, "expires_at", "pk")
    links = readings.waiting_for(person, now).filter(approval__workspace__in=workspaces)
    links = links.select_related("approval__agent", "approval__workspace")
    if asked.view == "mine":
        return [link.approval for link in ordered(links, asked, "deadline", "approval_id")]
    looked_at = list(after_place(links, asked, "deadline", "approval_id")[:MOST_LOOKED_AT])
    return [link.approval for link in looked_at if through_a_group(link.approval, person)][: PAGE + 1]


def after_place(rows: QuerySet[Any], asked: Asked, time: str, key: str) -> QuerySet[Any]:
    """Rows in order, from the place where the page before ended."""
    if asked.after is not None:
        when, last = asked.after
        rows = rows.filter(Q(**{f"{time}__gt": when}) | Q(**{time: when, f"{key}__gt": last}))
    return rows.order_by(time, key)


def ordered(rows: QuerySet[Any], asked: Asked, time: str, key: str) -> list[Any]:
    """A page of rows and one more."""
    return list(after_place(rows, asked, time, key)[: PAGE + 1])


def through_a_group(approval: Approval, person: User) -> bool:
    """Whether a rule asked the person as a member of a group."""
    groups = (each.get("groups", {}).values() for each in approval.requirements)
    return any(person.pk in people for named in groups for people in named)


def judged(person: User, found: list[Approval], now: datetime) -> list[Row]:
    """Each approval with whether it waits for the person, in a constant number of queries."""
    prefetch_related_objects(found, "votes")
    roster = Roster.of(found, now)
    rows = []
    for approval in found:
        status = readings.status_of(approval, now)
        yours = status == "waiting" and Panel(approval, roster).ballot(person.pk) is not None
        rows.append(
            Row(
                approval=approval,
                tool=presentation.visible(approval.tool),
                status=FOR_YOU if yours else status,
                yours=yours,
                quick=yours and approval.risk not in CONFIRMED_RISKS,
            )
        )
    return rows


def folded(rows: list[Row]) -> list[Fold]:
    """Rows in order, with those of an agent and tool of which there are many in the place of the first."""
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.approval.agent_id, row.approval.tool), []).append(row)
    found = []
    for row in rows:
        group = groups[row.approval.agent_id, row.approval.tool]
        if len(group) <= FOLDED:
            found.append(Fold([row], False))
        elif group[0] is row:
            found.append(Fold(group, True))
    return found


def flooded(workspaces: list[Workspace], now: datetime) -> list[dict[str, Any]]:
    """Agents whose calls were refused lately because too many of them wait: one line each."""
    rows = Overflow.objects.filter(agent__workspace__in=workspaces, last_at__gt=now - FLOODED)
    return [
        {
            "agent": row.agent,
            "count": row.count,
            "most": row.agent.most_waiting or MOST_OPEN,
            "last_at": row.last_at,
        }
        for row in rows.select_related("agent").order_by("-last_at")[:MOST_FLOODED]
    ]
