"""What each budget's window is expected to cost by its end, for people who look at its bar."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q

from billing.budgets import window_end
from billing.forecasts import Forecast, forecast
from billing.gauges import Gauge
from billing.models import Budget, SpendDay
from billing.spending import Dimension, Only, Span, today
from workspaces.models import Workspace

KNOWN = 30  # whole days that a forecast looks at


@dataclass(frozen=True, slots=True)
class Outlook:
    """A gauge with its forecast, None where there is none."""

    gauge: Gauge
    forecast: Forecast | None

    @property
    def exceeds(self) -> bool:
        """Whether the limit is there, and expected not to last."""
        limit = self.gauge.limit
        return self.forecast is not None and self.gauge.used <= limit < self.forecast.expected

    @property
    def told(self) -> str:
        """The forecast in words; empty where there is none."""
        if self.forecast is None:
            return ""
        amounts = [
            self.gauge.shown(each) for each in (self.forecast.expected, self.forecast.low, self.forecast.high)
        ]
        return "About {} expected by its end, from {} to {}.".format(*amounts)


def outlooks(workspace: Workspace, gauges: Sequence[Gauge], now: datetime) -> list[Outlook]:
    """The gauges with their forecasts, in one query. A budget of several restrictions at once, of each session or for
    ever has none: no sum of days is of its calls alone, or it has no end."""
    sums = {id(gauge): only for gauge in gauges if (only := sums_of(gauge.budget)) is not None}
    day = today(workspace, now)
    known = days_of(workspace, set(sums.values()), Span(day - timedelta(days=KNOWN), day - timedelta(days=1)))
    found = []
    for gauge in gauges:
        end, only = window_end(gauge.budget.window, now, workspace.timezone), sums.get(id(gauge))
        told = None
        if end is not None and only is not None:
            before = [each[gauge.budget.unit == Budget.Unit.TOKENS] for each in known[only]]
            told = forecast(gauge.used, before, (end - now) / timedelta(days=1))
        found.append(Outlook(gauge, told))
    return found


def sums_of(budget: Budget) -> Only | None:
    """The sums of days that are of a budget's calls and of no others, if there are such."""
    named = {
        Dimension.AGENT: str(budget.agent_id or ""),
        Dimension.TOOL: budget.tool,
        Dimension.MODEL: budget.model,
    }
    given = [Only(dimension.value, value) for dimension, value in named.items() if value]
    if budget.scope == Budget.Scope.SESSION or len(given) > 1:
        return None
    return given[0] if given else Only()


def days_of(workspace: Workspace, wanted: set[Only], span: Span) -> dict[Only, list[tuple[int, int]]]:
    """Nano-dollars and tokens of each day of a span, the oldest first."""
    chosen = Q(pk__in=[])
    for only in wanted:
        chosen |= Q(dimension=only.dimension, value=only.value)
    rows = SpendDay.objects.filter(chosen, workspace=workspace, day__range=(span.first, span.last))
    sums: dict[tuple[Only, date], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for dimension, value, day, nanos, tokens in rows.values_list(
        "dimension", "value", "day", "nanos", "tokens"
    ):
        sums[Only(dimension, value), day] = nanos, tokens
    days = [span.first + timedelta(days=number) for number in range(span.days)]
    return {only: [sums[only, day] for day in days] for only in wanted}
