"""The Spend page: what a workspace spent and on what, how its budgets stand, and the same as a file."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from audit import spreadsheets
from audit.log import newest
from billing import gauges, spending
from billing.budgets import NANOS, dollars
from billing.counting import Sum
from billing.models import Hold
from billing.outlooks import outlooks
from billing.spending import BY, Figures, Line, Only, Span, Tail
from workspaces.access import may, workspaces_for
from workspaces.access.admin import actor_in
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Workspace

PERIODS = {"today": "Today", "7": "7 days", "month": "This month", "30": "30 days"}
UNITS = {"nanos": "US dollars", "tokens": "Tokens", "calls": "Calls"}
RANKED = {"nanos": "what they cost", "tokens": "tokens", "calls": "calls"}
STACKED = 5  # values that the chart tells apart
LABELS = {each.value: each.label for each in BY}

COLUMNS = (
    "first_day", "last_day", "what", "id", "charged_usd", "tokens", "calls", "unpriced_calls", "charged_usd_before",
)  # fmt: skip

overview = first_workspace("spend")


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for: a dimension, a period, a unit to rank by, and one value alone."""

    by: str = "agent"
    period: str = "30"
    unit: str = "nanos"
    of: str = ""

    @property
    def query(self) -> str:
        """Its address; what is usual is left out."""
        named = {"by": self.by, "period": self.period, "unit": self.unit, "of": self.of}
        return urlencode({name: text for name, text in named.items() if text != getattr(USUAL, name)})

    def but(self, **changed: str) -> str:
        """The address with something else."""
        return Asked(
            **{"by": self.by, "period": self.period, "unit": self.unit, "of": self.of} | changed
        ).query

    def span(self, today: date) -> Span:
        """The days of the period."""
        if self.period == "month":
            return Span(today.replace(day=1), today)
        days = 1 if self.period == "today" else int(self.period)
        return Span(today - timedelta(days=days - 1), today)


USUAL = Asked()


def asked_in(request: HttpRequest) -> Asked:
    """What the address asks for; what there is not, is as usual."""
    by, period, unit = (request.GET.get(name, "") for name in ("by", "period", "unit"))
    return Asked(
        by if by in LABELS else USUAL.by,
        period if period in PERIODS else USUAL.period,
        unit if unit in UNITS else USUAL.unit,
        request.GET.get("of", "").replace("\0", "")[:250],
    )


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """What was spent, and the budgets."""
    asked = asked_in(request)
    context = {
        **admin.site.each_context(request),
        "title": f"Spend: {workspace.name}",
        "workspaces": workspaces_for(request.user).order_by("name"),
        "may_manage": may(request.user, "manage_budgets", workspace),
        **told(workspace, asked),
    }
    response = render(request, "admin/portal/spend.html", context)
    response["Cache-Control"] = "no-store, private"
    return response


@workspace_page()
@require_GET
def part(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The page's figures, fetched again while somebody looks; nothing where the log has not grown."""
    if request.GET.get("seen", "") == str(newest(workspace.log_id)):
        response = HttpResponse(status=204)
    else:
        context = {"may_manage": may(request.user, "manage_budgets", workspace)}
        response = render(
            request, "admin/portal/spend_figures.html", context | told(workspace, asked_in(request))
        )
    response["Cache-Control"] = "no-store, private"
    return response


def told(workspace: Workspace, asked: Asked) -> dict[str, Any]:
    """Everything that moves while calls come in."""
    now, seen = timezone.now(), newest(workspace.log_id)
    rest, span = spending.tail(workspace), asked.span(spending.today(workspace, now))
    alone = spending.named(workspace, asked.by, asked.of) if asked.of else None
    figures = spending.figures(workspace, now, only=alone or Only(), rest=rest)
    lines = [] if alone else spending.lines(workspace, asked.by, span, rest, unit=asked.unit)
    listed = sum(getattr(line.now, asked.unit) for line in lines)
    whole = getattr(sum_of(workspace, span, rest), asked.unit) if lines else 0
    return {
        "workspace": workspace,
        "asked": asked,
        "query": asked.query,
        "seen": seen,
        "figures": figures,
        **focus(workspace, asked, alone),
        "tiles": tiles(figures),
        "trend": list(zip(figures.trend, figures.earlier, strict=True)),
        "chart": chart(workspace, asked, figures, lines, rest),
        "lines": [(line, share(getattr(line.now, asked.unit), whole)) for line in lines],
        "others": others(listed, whole, asked.unit),
        "label": LABELS[asked.by],
        "unit_words": RANKED[asked.unit],
        "by": [(text, asked.but(by=key, of=""), key == asked.by) for key, text in LABELS.items()],
        "periods": [(text, asked.but(period=key), key == asked.period) for key, text in PERIODS.items()],
        "units": [(text, asked.but(unit=key), key == asked.unit) for key, text in UNITS.items()],
        "all_query": asked.but(of=""),
        "outlooks": [] if alone else outlooks(workspace, gauges.fullest(workspace, now), now),
        "is_empty": not Hold.objects.filter(workspace=workspace).exists(),
    }


def sum_of(workspace: Workspace, span: Span, rest: Tail) -> Sum:
    """Everything in a span."""
    return spending.total(spending.by_day(workspace, Only(), span, rest).values())


def focus(workspace: Workspace, asked: Asked, alone: Only | None) -> dict[str, Any]:
    """What alone is looked at: its name for people, its agent, and where its charges are listed."""
    if alone is None:
        return {"alone": ""}
    name, public, agent = spending.names(workspace, asked.by, [alone.value])[alone.value]
    listed = urlencode({"workspace": workspace.slug, asked.by: public})
    return {
        "alone": name,
        "agent": agent,
        "charges": f"{reverse('admin:billing_hold_changelist')}?{listed}",
    }


def tiles(figures: Figures) -> list[tuple[str, str, str]]:
    """(what, how much, what that means) of the large figures."""
    nanos, _, calls = figures.held
    day, month, recent = figures.today.nanos, figures.month.nanos, figures.recent
    days = spending.TREND
    return [
        ("Today", spending.spoken(day), f"{spending.spoken(figures.yesterday.nanos)} all of yesterday"),
        (
            "This month",
            spending.spoken(month),
            compared(month, figures.month_before.nanos, "by the same day last month"),
        ),
        (
            f"{days} days",
            spending.spoken(recent.nanos),
            compared(recent.nanos, figures.recent_before.nanos, f"in the {days} before"),
        ),
        ("Held now", spending.spoken(nanos), f"by {calls:,} call{'' if calls == 1 else 's'} in flight"),
        (
            f"Tokens, {days} days",
            f"{recent.tokens:,}",
            f"in {recent.calls:,} call{'' if recent.calls == 1 else 's'}",
        ),
    ]


def compared(now: int, before: int, when: str) -> str:
    """How an amount compares, in words."""
    if not before:
        return f"nothing {when}"
    percent = round((now - before) * 100 / before)
    if not percent:
        return f"as much as {when}"
    return f"{abs(percent):,} % {'more' if percent > 0 else 'less'} than {when}"


def share(part: int, whole: int) -> int:
    """Whole percents."""
    return part * 100 // whole if whole else 0


def others(listed: int, whole: int, unit: str) -> str:
    """What all that is not listed was charged, for people; empty where everything is listed."""
    rest = whole - listed
    if rest <= 0:
        return ""
    return spending.spoken(rest) if unit == "nanos" else f"{rest:,}"


def chart(
    workspace: Workspace, asked: Asked, figures: Figures, lines: list[Line], rest: Tail
) -> dict[str, Any]:
    """What the script draws: dollars a day, those of the days before, and the days told apart by the largest values."""
    days = [day for day, _ in figures.trend]
    sums = [each.nanos for _, each in figures.trend]
    series: list[dict[str, Any]] = []
    if chosen := [line for line in lines[:STACKED] if line.now.nanos]:
        stack = spending.stacked(workspace, asked.by, chosen, Span(days[0], days[-1]), rest)
        left = [max(0, whole - sum(parts)) for whole, *parts in zip(sums, *stack, strict=True)]
        series = [
            {"name": line.name, "days": floats(nanos)} for line, nanos in zip(chosen, stack, strict=True)
        ]
        if any(left):
            series.append({"name": "others", "days": floats(left)})
    return {
        "labels": [day.isoformat() for day in days],
        "series": series or [{"name": "Spent", "days": floats(sums)}],
        "before": floats([each.nanos for _, each in figures.earlier]),
    }


def floats(nanos: list[int]) -> list[float]:
    """Dollars, as near as a picture needs them."""
    return [round(each / NANOS, 6) for each in nanos]


@workspace_page()
@require_POST
def export(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The page's table as CSV, whole, after its entry."""
    asked = asked_in(request)
    spending.note_export(workspace, actor=actor_in(request))
    span = asked.span(spending.today(workspace, timezone.now()))
    found = spending.lines(
        workspace, asked.by, span, spending.tail(workspace), unit=asked.unit, most=spending.MOST_EXPORTED
    )
    rows = [COLUMNS, *(cells(line, span) for line in found)]
    response = HttpResponse(spreadsheets.written(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="spend-{workspace.slug}-{asked.by}.csv"'
    response["Cache-Control"] = "no-store, private"
    return response


def cells(line: Line, span: Span) -> list[str]:
    """A line as the file's columns, exact to the nano-dollar."""
    now = line.now
    amounts = [
        dollars(now.nanos),
        str(now.tokens),
        str(now.calls),
        str(now.unpriced),
        dollars(line.before.nanos),
    ]
    return [span.first.isoformat(), span.last.isoformat(), line.name, line.public, *amounts]
