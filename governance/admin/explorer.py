"""What the log's page shows of one search: results as sentences, facets with counts, and how they lie in time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from audit import histograms, search
from audit.admin.entries import SPANS
from audit.models import Entry
from audit.postings import CALL, ROW
from governance.naming import annotate
from governance.presentation import visible
from governance.readings import VERDICTS, WHY
from workspaces.models import Agent, Resource, User, Workspace

SHOWN = 50  # results a page
VALUES = 8  # of each facet
NAMED = 20  # agents or people that a word may stand for
LABELS = {
    "type": "Type",
    "outcome": "Outcome",
    "agent": "Agent",
    "tool": "Tool",
    "actor": "By",
    "session": "Session",
    "resource": "Resource",
    CALL: "Call",
    ROW: "Row",
}
NAMES = ("agent", "actor", "resource")  # facets whose values are public ids
COUNTED = ("type", "outcome", "agent", "tool", "actor", "session", "resource")
HEIGHT = 40  # of the histogram, in its own units


class NoTime(Exception):
    """What is asked for as a time is none; searching without it would show something else than was asked."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"“{visible(text)}” is no time. Write a day such as 2026-11-01, a time such as 2026-11-01T18:00,"
            f" or how far back: {', '.join(SPANS)}."
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as its address says it: ``since`` is a key of SPANS, a time or empty, ``until`` a time or empty."""

    workspace: str = ""
    text: str = ""
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    since: str = ""
    until: str = ""
    before: int | None = None

    @property
    def query(self) -> str:
        """The address after its question mark."""
        pairs = [("workspace", self.workspace), ("q", self.text)]
        pairs += [(facet, value) for facet, values in self.facets.items() for value in values]
        pairs += [("since", self.since), ("until", self.until), ("before", str(self.before or ""))]
        return urlencode([(name, value) for name, value in pairs if value])

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for but everything."""
        return bool(self.text or any(self.facets.values()) or self.since or self.until)

    def with_facet(self, facet: str, values: Sequence[str]) -> "Asked":
        """The same search with these values of a facet, from its newest result on."""
        return replace(self, facets={**self.facets, facet: values}, before=None)


def explore(workspace: Workspace, asked: Asked) -> dict[str, Any]:
    """The page's content for one search of one workspace's log. Raises TooBroad and NoTime."""
    log_id, now = workspace.log_id, timezone.now()
    since, until = time_of(asked.since, now), time_of(asked.until, now)
    wanted: dict[str, Any] = {
        "facets": asked.facets,
        "text": asked.text,
        "also": lambda word: also(workspace, word),
        "since": since,
        "until": until,
    }
    found = search.find(log_id, **wanted)
    page = search.search(log_id, **wanted, before=asked.before, limit=SHOWN)
    counted = search.counts(log_id, found, COUNTED, VALUES)
    names = names_in(workspace, [*(value for facet in NAMES for value in asked.facets.get(facet, ())),
                                 *(value for facet in NAMES for value, _ in counted[facet])])  # fmt: skip
    return {
        "entries": entries_at(log_id, page.indexes),
        "total": found.total,
        "whole": found.whole,
        "looked_back_to": found.first,
        "older": replace(asked, before=page.before).query if page.before is not None else "",
        "newest": replace(asked, before=None).query if asked.before is not None else "",
        "facets": facets_of(asked, counted, names),
        "chips": chips(asked, names),
        "chart": chart(asked, histograms.histogram(log_id, found)),
    }


def time_of(text: str, now: datetime) -> datetime | None:
    """A time of the address: so long ago, or a day or time, in UTC where it has no offset. None where nothing is
    asked for. Raises NoTime."""
    if not text:
        return None
    if text in SPANS:
        return now - SPANS[text]
    try:
        time = parse_datetime(text)
        day = parse_date(text) if time is None else None
    except ValueError:
        raise NoTime(text) from None
    if day is not None:
        time = datetime(day.year, day.month, day.day)
    if time is None:
        raise NoTime(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def also(workspace: Workspace, word: str) -> Iterable[tuple[str, str]]:
    """Agents and members of the workspace whose names a word is part of."""
    agents = workspace.agents.filter(name__icontains=word).order_by("pk").values_list("public_id", flat=True)
    for public_id in agents[:NAMED]:
        yield "agent", public_id
        yield "actor", f"agent:{public_id}"
    people = User.objects.filter(Q(name__icontains=word), memberships__workspace=workspace).order_by("pk")
    for public_id in people.values_list("public_id", flat=True).distinct()[:NAMED]:
        yield "actor", f"person:{public_id}"


def names_in(workspace: Workspace, values: Iterable[str]) -> dict[str, str]:
    """Names of the workspace's agents, members and resources by public id, as facets have them."""
    bare = {value.rpartition(":")[2] for value in values}
    agents = Agent.objects.filter(workspace=workspace, public_id__in=bare)
    people = User.objects.filter(memberships__workspace=workspace, public_id__in=bare)
    resources = Resource.objects.filter(workspace=workspace, public_id__in=bare)
    return {
        **dict(agents.values_list("public_id", "name")),
        **dict(resources.values_list("public_id", "name")),
        **{person.public_id: str(person) for person in people},
    }


def shown(facet: str, value: str, names: Mapping[str, str]) -> str:
    """A facet's value as people read it."""
    if facet in NAMES:
        return visible(names.get(value.rpartition(":")[2], value))
    return visible(WHY.get(value, value) if facet == "outcome" else value)


def entries_at(log_id: int, indexes: Sequence[int]) -> list[Any]:
    """The entries that are still there, newest first, with names, sentence and badge."""
    rows: list[Any] = list(
        Entry.objects.filter(log_id=log_id, index__in=indexes).defer("body", "leaf").order_by("-index")
    )
    annotate(rows)
    for row in rows:
        row.badge = VERDICTS.get(row.type, (row.outcome, "default"))
    return rows


def facets_of(
    asked: Asked, counted: Mapping[str, Sequence[tuple[str, int]]], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Each facet with its values, their counts, and the search that has the value too."""
    return [
        {
            "facet": facet,
            "label": LABELS[facet],
            "values": [
                {
                    "text": shown(facet, value, names),
                    "count": count,
                    "query": asked.with_facet(facet, [value]).query,
                    "chosen": value in asked.facets.get(facet, ()),
                }
                for value, count in counted[facet]
            ],
        }
        for facet in COUNTED
        if counted[facet]
    ]


def chips(asked: Asked, names: Mapping[str, str]) -> list[dict[str, str]]:
    """What is asked for, each with the search that goes without it."""
    found = [
        {
            "label": LABELS[facet],
            "text": shown(facet, value, names),
            "query": asked.with_facet(facet, [each for each in values if each != value]).query,
        }
        for facet, values in asked.facets.items()
        for value in values
    ]
    if asked.text:
        without = replace(asked, text="", before=None).query
        found.append({"label": "Words", "text": visible(asked.text), "query": without})
    if asked.since:
        text = f"the last {asked.since}" if asked.since in SPANS else f"from {asked.since}"
        found.append({"label": "Time", "text": text, "query": replace(asked, since="", before=None).query})
    if asked.until:
        without = replace(asked, until="", before=None).query
        found.append({"label": "Time", "text": f"before {asked.until}", "query": without})
    return found


def chart(asked: Asked, told: histograms.Histogram) -> dict[str, Any]:
    """The histogram as rectangles of a drawing, one unit wide, each with the search for its span."""
    bars = []
    for number, bar in enumerate(told.bars):
        height = -(-bar.count * HEIGHT // told.most) if told.most else 0
        narrowed = replace(asked, since=iso(bar.begin), until=iso(bar.end), before=None)
        bars.append(
            {
                "x": number,
                "y": HEIGHT - height,
                "height": height,
                "begin": bar.begin,
                "count": bar.count,
                "query": narrowed.query,
            }
        )
    return {
        "bars": bars,
        "unit": told.unit,
        "most": told.most,
        "width": len(bars),
        "height": HEIGHT,
        "begin": told.bars[0].begin if told.bars else None,
        "end": told.bars[-1].end if told.bars else None,
    }


def iso(time: datetime) -> str:
    """A bar's end as addresses have it."""
    return time.strftime("%Y-%m-%dT%H:%MZ")
