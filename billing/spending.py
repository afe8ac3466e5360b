"""What a workspace spent: by day, and by whom or on what. Amounts are nano-US-dollars and tokens.

A charge belongs to the day of the workspace's calendar on which its call was allowed. The sums of days (``SpendDay``)
answer; what the worker has not counted yet is added out of the charges themselves, so that a page is right at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.db.models import Sum as Total

from audit import log
from billing.budgets import NANOS
from billing.counting import Place, Sum, differences, read
from billing.models import UNCOUNTED, Hold, SpendDay
from workspaces.models import Agent, User, Workspace

UNCOUNTED_READ = 3_000  # charges that the worker has not counted; beyond, figures lag and say so
TREND = 30  # days
LINES = 20
MOST_EXPORTED = 20_000  # lines of a file
CENT = 10**7  # nano-dollars
Dimension = SpendDay.Dimension
BY = [each for each in Dimension if each != Dimension.ALL]
NOBODY = {
    Dimension.OWNER: "nobody",
    Dimension.MODEL: "no model named",
    Dimension.COST_CENTER: "no cost center",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Days, both ends included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> "Span":
        """As many days right before."""
        return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Only:
    """What alone is looked at: one value of a dimension, or everything."""

    dimension: str = Dimension.ALL.value
    value: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What one value of a dimension was charged, and in the days before. ``public`` names the value outside of the
    database: a public id, or agent|session; ``agent`` is there where the value is of an agent."""

    value: str
    name: str
    public: str
    agent: Agent | None
    now: Sum
    before: Sum


@dataclass(frozen=True, slots=True)
class Tail:
    """Charges that are not in the sums yet, as what they add. ``partial``: there are more than were read."""

    added: dict[Place, Sum]
    partial: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """A workspace's spending at one moment. ``trend``: day → sum for TREND days, and ``earlier`` the same of as many
    before. ``month_before`` ends on the same day of the month. ``held``: nano-dollars, tokens and calls in flight."""

    today: Sum
    yesterday: Sum
    month: Sum
    month_before: Sum
    trend: list[tuple[date, Sum]]
    earlier: list[tuple[date, Sum]]
    held: tuple[int, int, int]
    partial: bool

    @property
    def recent(self) -> Sum:
        return total(each for _, each in self.trend)

    @property
    def recent_before(self) -> Sum:
        return total(each for _, each in self.earlier)


def today(workspace: Workspace, now: datetime) -> date:
    """The day in the workspace's time zone."""
    return now.astimezone(ZoneInfo(workspace.timezone)).date()


def total(sums: Iterable[Sum]) -> Sum:
    """Sums added up."""
    whole = Sum()
    for each in sums:
        whole.add(each)
    return whole


def tail(workspace: Workspace, only: Only = Only()) -> Tail:
    """What the worker has not come to, up to UNCOUNTED_READ charges, in one query."""
    waiting = Hold.objects.filter(UNCOUNTED, of_charges(only), workspace=workspace)
    charges = read(waiting[: UNCOUNTED_READ + 1])
    added, _ = differences(charges[:UNCOUNTED_READ], ZoneInfo(workspace.timezone))
    return Tail(added, len(charges) > UNCOUNTED_READ)


def by_day(workspace: Workspace, only: Only, span: Span, rest: Tail) -> dict[date, Sum]:
    """The sum of each day of a span on which there was anything, in one query."""
    rows = SpendDay.objects.filter(
        workspace=workspace, dimension=only.dimension, value=only.value, day__range=(span.first, span.last)
    )
    found: dict[date, Sum] = defaultdict(Sum)
    for day, *amounts in rows.values_list("day", "nanos", "tokens", "calls", "unpriced"):
        found[day].add(Sum(*amounts))
    for place, added in rest.added.items():
        if (place.dimension, place.value) == (only.dimension, only.value) and place.day in span:
            found[place.day].add(added)
    return found


def figures(workspace: Workspace, now: datetime, *, only: Only = Only(), rest: Tail | None = None) -> Figures:
    """Today, this month and the trend, each with the time before; four queries at most."""
    rest = rest or tail(workspace, only)
    day = today(workspace, now)
    trend = Span(day - timedelta(days=TREND - 1), day)
    month = Span(day.replace(day=1), day)
    earlier = month_before(month)
    days = by_day(workspace, only, Span(min(earlier.first, trend.before.first), day), rest)
    holds = in_flight(workspace, only)
    return Figures(
        today=days.get(day, Sum()),
        yesterday=days.get(day - timedelta(days=1), Sum()),
        month=within(days, month),
        month_before=within(days, earlier),
        trend=filled(days, trend),
        earlier=filled(days, trend.before),
        held=holds,
        partial=rest.partial,
    )


def month_before(month: Span) -> Span:
    """The month before up to the same day, or to its end where it is shorter."""
    end = month.first - timedelta(days=1)
    return Span(end.replace(day=1), end.replace(day=min(end.day, month.last.day)))


def within(days: dict[date, Sum], span: Span) -> Sum:
    """The sum of a span."""
    return total(each for day, each in days.items() if day in span)


def filled(days: dict[date, Sum], span: Span) -> list[tuple[date, Sum]]:
    """Every day of a span in order, with nothing where there was nothing."""
    every = (span.first + timedelta(days=number) for number in range(span.days))
    return [(day, days.get(day, Sum())) for day in every]


def in_flight(workspace: Workspace, only: Only = Only()) -> tuple[int, int, int]:
    """Nano-dollars and tokens that calls in flight hold, and how many calls."""
    rows = Hold.objects.filter(of_charges(only), workspace=workspace, state=Hold.State.HELD)
    found = rows.aggregate(nanos=Total("held_nanos"), tokens=Total("held_tokens"), calls=Count("pk"))
    return found["nanos"] or 0, found["tokens"] or 0, found["calls"]


def of_charges(only: Only) -> Q:
    """Which charges belong to a value of a dimension."""
    if only.dimension == Dimension.ALL:
        return Q()
    if only.dimension == Dimension.SESSION:
        agent, _, session = only.value.partition("|")
        return Q(agent=agent, session=session)
    if only.dimension == Dimension.OWNER:
        return Q(owner=only.value) if only.value else Q(owner=None)
    return Q(**{str(only.dimension): only.value})


def lines(
    workspace: Workspace, dimension: str, span: Span, rest: Tail, *, unit: str = "nanos", most: int = LINES
) -> list[Line]:
    """The values of a dimension that were charged most in a span, each with the same days before: at most five
    queries. ``unit``: ``nanos``, ``tokens`` or ``calls``."""
    here = SpendDay.objects.filter(workspace=workspace, dimension=dimension)
    now = here.filter(day__range=(span.first, span.last))
    counted = now.filter(calls__gt=0).values("value").annotate(amount=Total(unit))
    wanted = dict.fromkeys(counted.order_by("-amount", "value").values_list("value", flat=True)[:most])
    fresh: dict[str, Sum] = defaultdict(Sum)
    for place, added in rest.added.items():
        if place.dimension == dimension and place.day in span:
            fresh[place.value].add(added)
    newest = sorted(fresh, key=lambda value: -getattr(fresh[value], unit))[:most]
    values = [*wanted, *(value for value in newest if value not in wanted)]
    sums, before = (
        of_values(now, values),
        of_values(here.filter(day__range=(span.before.first, span.before.last)), values),
    )
    for value in values:
        sums[value].add(fresh.get(value, Sum()))
    listed = sorted(values, key=lambda value: (-getattr(sums[value], unit), value))[:most]
    called = names(workspace, dimension, listed)
    return [Line(value, *called[value], sums[value], before[value]) for value in listed if sums[value].calls]


def stacked(
    workspace: Workspace, dimension: str, chosen: Sequence[Line], span: Span, rest: Tail
) -> list[list[int]]:
    """Nano-dollars a day of a span for each of these lines, in one query."""
    days = {span.first + timedelta(days=number): number for number in range(span.days)}
    stack = {line.value: [0] * span.days for line in chosen}
    rows = SpendDay.objects.filter(workspace=workspace, dimension=dimension, value__in=list(stack))
    for value, day, nanos in rows.filter(day__range=(span.first, span.last)).values_list(
        "value", "day", "nanos"
    ):
        stack[value][days[day]] += nanos
    for place, added in rest.added.items():
        if place.dimension == dimension and place.value in stack and place.day in days:
            stack[place.value][days[place.day]] += added.nanos
    return list(stack.values())


def of_values(rows: QuerySet[SpendDay], values: Sequence[str]) -> dict[str, Sum]:
    """The sums of these values, nothing where there is none."""
    totals = (Total(each) for each in ("nanos", "tokens", "calls", "unpriced"))
    found = rows.filter(value__in=values).values_list("value").annotate(*totals)
    return defaultdict(Sum, {value: Sum(*amounts) for value, *amounts in found})


def names(
    workspace: Workspace, dimension: str, values: Sequence[str]
) -> dict[str, tuple[str, str, Agent | None]]:
    """Name, public name and agent of each value, in at most one query."""
    if dimension in (Dimension.AGENT, Dimension.SESSION):
        keys = {value: int(value.partition("|")[0]) for value in values}
        agents = Agent.objects.filter(workspace=workspace).in_bulk(set(keys.values()))
        return {value: of_agent(dimension, value, agents.get(key)) for value, key in keys.items()}
    if dimension == Dimension.OWNER:
        people = User.objects.in_bulk([int(value) for value in values if value])
        owners = {value: people.get(int(value)) if value else None for value in values}
        return {
            value: (str(owner), owner.public_id, None) if owner else (NOBODY[Dimension.OWNER], "", None)
            for value, owner in owners.items()
        }
    return {value: (value or NOBODY.get(Dimension(dimension), "–"), value, None) for value in values}


def of_agent(dimension: str, value: str, agent: Agent | None) -> tuple[str, str, Agent | None]:
    """Name, public name and agent of a value that is an agent, or one of its sessions."""
    session = value.partition("|")[2]
    if agent is None:
        return "an agent that was removed", "", None
    if dimension == Dimension.SESSION:
        return session or "default", f"{agent.public_id}|{session}", agent
    return agent.name, agent.public_id, agent


def named(workspace: Workspace, dimension: str, public: str) -> Only | None:
    """What a public name stands for, if there is such a thing in the workspace; its sums may still be empty."""
    if dimension in (Dimension.AGENT, Dimension.SESSION):
        public_id, bar, session = public.partition("|")
        key = (
            Agent.objects.filter(workspace=workspace, public_id=public_id)
            .values_list("pk", flat=True)
            .first()
        )
        if key is None or bool(bar) != (dimension == Dimension.SESSION):
            return None
        return Only(dimension, f"{key}{bar}{session}")
    if dimension == Dimension.OWNER:
        owners = User.objects.filter(memberships__workspace=workspace, public_id=public)
        owner = owners.values_list("pk", flat=True).first()
        return None if owner is None else Only(dimension, str(owner))
    return Only(dimension, public) if public else None


def note_export(workspace: Workspace, *, actor: str) -> None:
    """The entry of somebody who takes along what was spent."""
    with log.write(workspace.log_id) as entries:
        entries.append("billing.spend.exported", actor=actor)


def spoken(nanos: int) -> str:
    """Nano-dollars for people: cents where there are any, else as many digits as it takes: $1,234.50, $0.0042."""
    sign, amount = ("−", -nanos) if nanos < 0 else ("", nanos)
    if amount == 0 or amount >= CENT:
        return f"{sign}${Decimal(amount) / NANOS:,.2f}"
    return f"{sign}${(Decimal(amount) / NANOS).quantize(Decimal('1e-9')).normalize():f}"
