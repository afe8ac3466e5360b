"""How budgets stand in the window that runs, as bars: spent, held by calls in flight, and what is over the limit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, FloatField, Prefetch, Q, QuerySet
from django.db.models.functions import Cast

from billing.budgets import window_start
from billing.models import Account, Budget
from billing.spending import spoken
from workspaces.models import Agent, Workspace

FULL, NEARLY = 100, 80  # percent
MOST = 12
WINDOWS = {
    Budget.Window.DAY: "today",
    Budget.Window.WEEK: "this week",
    Budget.Window.MONTH: "this month",
    Budget.Window.EVER: "for ever",
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A budget in the window that runs. Amounts are in its unit, shares in percent of the limit or, where more than
    that is used, of what is used."""

    budget: Budget
    limit: int
    spent: int
    held: int
    overage: int
    raised: int

    @property
    def title(self) -> str:
        return title(self.budget)

    @property
    def window(self) -> str:
        return WINDOWS[Budget.Window(self.budget.window)]

    @property
    def per_session(self) -> bool:
        """Whether it has an account for each session, and none that could be shown here."""
        return self.budget.scope == Budget.Scope.SESSION

    @property
    def used(self) -> int:
        return self.spent + self.held

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def percent(self) -> int:
        """Of the limit that is used, rounded down; of a limit of nothing everything is."""
        return self.used * FULL // self.limit if self.limit else FULL

    @property
    def state(self) -> str:
        return "danger" if self.percent >= FULL else "warning" if self.percent >= NEARLY else "success"

    @property
    def whole(self) -> int:
        """What the bar's length stands for."""
        return max(self.limit, self.used, 1)

    @property
    def marks(self) -> list[tuple[str, float, float]]:
        """(kind, where it begins, how long it is) of the bar's parts: spent, held, and what is over the limit."""
        inside = min(self.spent, self.limit)
        held = min(self.held, self.limit - inside)
        parts = [
            ("spent", 0, inside),
            ("held", inside, held),
            ("over", self.limit, max(0, self.used - self.limit)),
        ]
        return [
            (kind, round(FULL * begin / self.whole, 2), round(FULL * length / self.whole, 2))
            for kind, begin, length in parts
            if length
        ]

    def shown(self, amount: int) -> str:
        """An amount in the budget's unit."""
        return f"{amount:,} tokens" if self.budget.unit == Budget.Unit.TOKENS else spoken(amount)

    @property
    def texts(self) -> dict[str, str]:
        """Every amount for people."""
        names = ("limit", "spent", "held", "overage", "raised", "left")
        return {name: self.shown(getattr(self, name)) for name in names}

    @property
    def told(self) -> str:
        """The bar in words."""
        texts = self.texts
        over = f", {texts['overage']} over it" if self.overage else ""
        return f"{texts['spent']} spent and {texts['held']} held of {texts['limit']}{over}"


def title(budget: Budget) -> str:
    """Whom or what a budget is for."""
    each = ", each session" if budget.scope == Budget.Scope.SESSION else ""
    whose = budget.agent.name if budget.agent else "Every agent" if each else "The whole workspace"
    of = "".join(f", {name}" for name in (budget.tool, budget.model) if name)
    return f"{whose}{each}{of}"


def running_keys(timezones: Iterable[str], budgets: QuerySet[Budget], now: datetime) -> set[str]:
    """Keys of the accounts that run now, over all windows and resets; one query."""
    starts = {window_start(window, now, zone) for zone in timezones for window in Budget.Window.values}
    generations = set(budgets.order_by().values_list("generation", flat=True).distinct())
    return {key_of(start, generation) for start in starts for generation in generations}


def key_of(start: str, generation: int) -> str:
    """The account of a window after so many resets."""
    return f"{start}|r{generation}" if generation else start


def of_agent(agent: Agent, now: datetime) -> list[Gauge]:
    """The budgets that the agent's calls may count against, its own first, in three queries."""
    applying = Budget.objects.filter(Q(agent=agent) | Q(agent=None), workspace=agent.workspace)
    return gauges(agent.workspace, applying.order_by("scope", "pk"), now)


def fullest(workspace: Workspace, now: datetime, most: int = MOST) -> list[Gauge]:
    """The budgets of which most is used, and those that nothing was used of where there is room: four queries."""
    budgets = Budget.objects.filter(workspace=workspace)
    keys = running_keys([workspace.timezone], budgets, now)
    used = (F("spent") + F("held")) * 1.0 / F("limit_amount")
    accounts = Account.objects.filter(key__in=keys, budget__workspace=workspace, limit_amount__gt=0)
    by_share = accounts.annotate(share=Cast(used, FloatField())).order_by("-share", "budget")
    chosen = list(by_share.values_list("budget", flat=True)[: most * 2])
    others = budgets.exclude(pk__in=chosen).order_by("-scope", "pk").values_list("pk", flat=True)[:most]
    found = gauges(workspace, budgets.filter(pk__in=[*chosen, *others]), now, keys)
    return sorted(found, key=lambda each: (each.per_session, -each.used / each.whole, each.budget.pk))[:most]


def gauges(
    workspace: Workspace, budgets: QuerySet[Budget], now: datetime, keys: Iterable[str] = ()
) -> list[Gauge]:
    """Each of these budgets with its running account, in their order."""
    running = Account.objects.filter(key__in=keys or running_keys([workspace.timezone], budgets, now))
    rows = budgets.select_related("agent").prefetch_related(Prefetch("accounts", running, to_attr="running"))
    return [gauge(budget, budget.running, now, workspace.timezone) for budget in rows]


def gauge(budget: Any, running: Sequence[Account], now: datetime, timezone: str) -> Gauge:
    """One budget with its account among these; nothing was used of one without."""
    key = key_of(window_start(budget.window, now, timezone), budget.generation)
    account = next((each for each in running if each.key == key), Account(limit_amount=budget.limit_amount))
    return Gauge(budget, account.limit_amount, account.spent, account.held, account.overage, account.raised)


def session_gauges(budget: Budget, now: datetime, most: int = MOST) -> list[tuple[str, str, Gauge]]:
    """(session, its agent's name, how it stands) of the sessions that used most of a budget of each session."""
    start = key_of(window_start(budget.window, now, budget.workspace.timezone), budget.generation)
    rows = Account.objects.filter(budget=budget, key__startswith=f"{start}|")
    accounts = list(rows.annotate(used=F("spent") + F("held")).order_by("-used", "pk")[:most])
    parts = [account.key[len(start) + 1 :].partition("|") for account in accounts]
    whose = [int(agent) for agent, _, _ in parts if agent.isdecimal()]
    names = dict(Agent.objects.filter(workspace=budget.workspace, pk__in=whose).values_list("pk", "name"))
    return [
        (session, names.get(int(agent), "") if agent.isdecimal() else "",
         Gauge(budget, row.limit_amount, row.spent, row.held, row.overage, row.raised))
        for row, (agent, _, session) in zip(accounts, parts, strict=True)
    ]  # fmt: skip
