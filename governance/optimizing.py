"""What could be had for less, or with less: findings, each with what it rests on, what it would save, and one thing to
do about it. Nothing is changed here.

Every finding comes from a few aggregated queries, whose number does not grow with what there is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlencode

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.urls import reverse

from audit.log import newest
from audit.models import Entry
from billing import slopes
from billing.budgets import NANOS, dollars, window_start
from billing.models import Account, Budget, Hold, SpendDay
from billing.prices import PriceList, load_prices
from billing.public_list import siblings
from billing.spending import today
from governance.budget_notices import WINDOWS
from governance.models import GrantUse
from governance.presentation import visible
from workspaces.models import Agent, ResourceGrant, Standing, ToolGrant, Workspace

UNUSED_DAYS = 30
SPAN = 30  # days of spending that are looked at
MOST = 20  # findings of a kind
WINDOWS_BACK = {Budget.Window.DAY: 28, Budget.Window.WEEK: 56, Budget.Window.MONTH: 124}  # days
ENOUGH_WINDOWS = 3
FAR = 30  # percent: a budget that never came nearer to its limit is wide
SESSIONS_READ = 5000
LOOPS_READ = 20_000  # entries
LOOPS = 3  # stopped calls of one tool and agent
CHARGES_READ = 1000
MODELS = 5  # that cost most
MUCH = 2 / 3  # of what a model costs
Dimension = SpendDay.Dimension

Usage: TypeAlias = dict[str, int]

UNUSED, WIDE, GROWING, UNPRICED, LOOPING, MODEL, UNBOUND = (
    "unused_permission", "wide_budget", "growing_cost", "unknown_price", "loops", "cheaper_model", "no_budget",
)  # fmt: skip
KINDS_OF_FINDING = (UNBOUND, UNPRICED, GROWING, MODEL, LOOPING, UNUSED, WIDE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that could be better. ``needs`` is the permission that the action takes, on ``agent`` where there is
    one; ``series`` is what its chart shows; ``saves`` is empty where that is no money."""

    kind: str
    title: str
    rests: str
    saves: str
    action: str
    address: str
    needs: str
    agent: Agent | None = None
    series: Sequence[int] = field(default=())


def findings(workspace: Workspace, now: datetime, *, days: int = UNUSED_DAYS) -> list[Finding]:
    """All findings, those about money first. ``days``: how long a permission must have lain unused."""
    here = today(workspace, now)
    since = here - timedelta(days=SPAN)
    return [
        *unbound(workspace, since),
        *unpriced(workspace, since),
        *growing(workspace, since),
        *cheaper(workspace, since, here),
        *looping(workspace),
        *unused(workspace, now, days),
        *wide(workspace, now),
    ]


def unbound(workspace: Workspace, since: date) -> list[Finding]:
    """Agents that spent although no budget of theirs, or of everybody, counts it."""
    budgets = Budget.objects.filter(workspace=workspace, tool="", model="")
    if budgets.filter(agent=None).exists():
        return []
    bound = {str(key) for key in budgets.values_list("agent", flat=True)}
    spent = days_of(workspace, Dimension.AGENT, since).values("value").annotate(nanos=Sum("nanos"))
    rows = [
        row
        for row in spent.filter(nanos__gt=0).order_by("-nanos")[: MOST + len(bound)]
        if row["value"] not in bound
    ]
    agents = Agent.objects.in_bulk([int(row["value"]) for row in rows[:MOST]])
    return [
        Finding(
            kind=UNBOUND,
            title=f"{visible(agent.name)} spends without a budget",
            rests=f"It was charged ${cents(row['nanos'])} in {SPAN} days, and no budget counts all of its calls.",
            saves="A limit saves what a runaway would cost.",
            action="Set a budget",
            address=f"{reverse('admin:billing_budget_add')}?"
            + urlencode({"scope": "agent", "agent": agent.name, "workspace": workspace.pk}),
            needs="manage_budgets",
            agent=agent,
        )
        for row in rows[:MOST]
        if (agent := agents.get(int(row["value"])))
    ]


def unpriced(workspace: Workspace, since: date) -> list[Finding]:
    """Models and tools of which calls have no known price."""
    found = []
    for dimension, word in ((Dimension.MODEL, "model"), (Dimension.TOOL, "tool")):
        rows = days_of(workspace, dimension, since).exclude(value="").values("value")
        missing = rows.annotate(unpriced=Sum("unpriced"), calls=Sum("calls")).filter(unpriced__gt=0)
        for row in missing.order_by("-unpriced", "value")[:MOST]:
            to_model = dimension == Dimension.MODEL
            found.append(
                Finding(
                    kind=UNPRICED,
                    title=f"The price of {word} {visible(row['value'])} is not known",
                    rests=f"{row['unpriced']:,} of {row['calls']:,} calls in {SPAN} days count as nothing spent.",
                    saves="Nothing by itself; budgets count these calls only once they have a price.",
                    action="Set its price" if to_model else "Declare its cost",
                    address=reverse("prices", args=[workspace.slug])
                    if to_model
                    else reverse("admin:workspaces_tool_changelist") + "?" + urlencode({"q": row["value"]}),
                    needs="manage_budgets" if to_model else "manage_tools",
                )
            )
    return found


def growing(workspace: Workspace, since: date) -> list[Finding]:
    """Agents whose sessions cost more and more."""
    rows = days_of(workspace, Dimension.SESSION, since).values("value")
    sessions = rows.annotate(nanos=Sum("nanos"), first=Min("day")).filter(nanos__gt=0)
    by_agent: dict[int, list[int]] = {}
    newest_first = sessions.order_by("-first", "value").values_list("value", "nanos")[:SESSIONS_READ]
    for value, nanos in reversed(list(newest_first)):
        by_agent.setdefault(int(value.partition("|")[0]), []).append(nanos)
    grown = {key: slope for key, costs in by_agent.items() if (slope := slopes.growth(costs))}
    ranked = sorted(grown, key=lambda key: -grown[key].extra)[:MOST]
    agents = Agent.objects.in_bulk(ranked)
    return [
        Finding(
            kind=GROWING,
            title=f"Sessions of {visible(agent.name)} cost more and more",
            rests=f"Over {grown[key].sessions} sessions in {SPAN} days the usual cost of one went from "
            f"${cents(grown[key].before)} to ${cents(grown[key].after)}.",
            saves=f"${cents(grown[key].extra)} for as many sessions, if they cost what the first ones did.",
            action="See its sessions",
            address=f"{reverse('spend', args=[workspace.slug])}?by=session",
            needs="view_workspace",
            agent=agent,
            series=slopes.condensed(by_agent[key]),
        )
        for key in ranked
        if (agent := agents.get(key))
    ]


def cheaper(workspace: Workspace, since: date, day: date) -> list[Finding]:
    """Models that cost most, where one of the same family would have cost much less for the same tokens: a hint."""
    rows = days_of(workspace, Dimension.MODEL, since).exclude(value="").values_list("value")
    dear = list(rows.annotate(nanos=Sum("nanos")).filter(nanos__gt=0).order_by("-nanos")[:MODELS])
    if not dear:
        return []
    prices = load_prices(workspace.pk)
    usages = sampled(workspace, [model for model, _ in dear])
    hints = []
    for model, nanos in dear:
        sample = usages.get(model, [])
        smaller = nearest(prices, model, sample, day)
        if smaller is not None:
            hints.append(hint(workspace, model, nanos, len(sample), smaller))
    return hints


@dataclass(frozen=True, slots=True)
class Smaller:
    """A cheaper model, and what the same calls cost (nano-dollars) on the one that is used and on it."""

    name: str
    now: int
    then: int

    @property
    def share(self) -> float:
        """What it would save, of what is spent."""
        return 1 - self.then / self.now


def nearest(prices: PriceList, model: str, sample: Sequence[Usage], day: date) -> Smaller | None:
    """The dearest sibling that costs at most MUCH of what the model does: the cheapest of all is rarely good enough."""
    now = priced(prices, model, sample, day)
    if not now:
        return None
    costs = ((priced(prices, name, sample, day), name) for name in siblings(model))
    much = [(then, name) for then, name in costs if then and then <= MUCH * now]
    return Smaller(max(much)[1], now, max(much)[0]) if much else None


def priced(prices: PriceList, model: str, sample: Sequence[Usage], day: date) -> int | None:
    """What these calls cost on a model; None where its price is not known. Each by itself, for a price may depend on
    how much one call reads."""
    price = prices.of(model, day)
    costs = [price.cost(usage) for usage in sample] if price else []
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(sample) else None


def hint(workspace: Workspace, model: str, nanos: int, calls: int, smaller: Smaller) -> Finding:
    """That a smaller model would cost less."""
    last = "last call" if calls == 1 else f"last {calls:,} calls"
    return Finding(
        kind=MODEL,
        title=f"{visible(smaller.name)} would cost {smaller.share:.0%} less than {visible(model)}",
        rests=f"The tokens of its {last} at the prices of today: ${cents(smaller.now)} and ${cents(smaller.then)}. "
        "Whether it does the work as well, only a trial says.",
        saves=f"About ${cents(round(nanos * smaller.share))} of ${cents(nanos)} in {SPAN} days.",
        action="See what it is used for",
        address=f"{reverse('spend', args=[workspace.slug])}?by=model",
        needs="view_workspace",
    )


def sampled(workspace: Workspace, models: Sequence[str]) -> dict[str, list[Usage]]:
    """Tokens by kind of each model's calls among the newest charges that say any; one query."""
    found: dict[str, list[Usage]] = {}
    charges = Hold.objects.filter(workspace=workspace, usage__isnull=False).order_by("-created")
    for model, usage in charges.values_list("model", "usage")[:CHARGES_READ]:
        if usage and model in models:
            found.setdefault(model, []).append(usage)
    return found


def looping(workspace: Workspace) -> list[Finding]:
    """Calls that were stopped as loops again and again, among the log's newest entries."""
    first = newest(workspace.log_id) - LOOPS_READ
    rows = Entry.objects.filter(log_id=workspace.log_id, index__gte=first, outcome="loop_detected")
    counted = rows.order_by().values("agent", "tool").annotate(times=Count("pk"), session=Max("session"))
    often = list(counted.filter(times__gte=LOOPS).order_by("-times")[:MOST])
    agents = Agent.objects.filter(workspace=workspace, public_id__in=[row["agent"] for row in often])
    by_id = {agent.public_id: agent for agent in agents}
    return [
        Finding(
            kind=LOOPING,
            title=f"{visible(agent.name)} calls {visible(row['tool'])} in a loop, often",
            rests=f"{row['times']:,} calls were stopped as loops among the last {LOOPS_READ:,} entries.",
            saves="What its model spends on going around, which only its author can end.",
            action="See its calls",
            address=reverse("admin:workspaces_agent_change", args=[agent.pk]),
            needs="view_workspace",
            agent=agent,
        )
        for row in often
        if (agent := by_id.get(row["agent"]))
    ]


def unused(workspace: Workspace, now: datetime, days: int) -> list[Finding]:
    """Agents with grants of their own that lay unused so long; what roles bundle is the roles' matter."""
    since = now - timedelta(days=days)
    used = GrantUse.objects.filter(agent__group=OuterRef("group"), at__gte=since)
    tools = lying(
        ToolGrant.objects.filter(~Exists(used.filter(tool=OuterRef("content_object__name")))),
        workspace,
        now,
        since,
    )
    touched = used.filter(resource=OuterRef("content_object__public_id"))
    resources = lying(ResourceGrant.objects.filter(~Exists(touched)), workspace, now, since)
    counts: dict[int, int] = {}
    for key, count in [*tools, *resources]:
        counts[key] = counts.get(key, 0) + count
    ranked = sorted(counts, key=lambda key: (-counts[key], key))[:MOST]
    agents = Agent.objects.in_bulk(ranked)
    return [
        Finding(
            kind=UNUSED,
            title=f"{visible(agent.name)} has {counts[key]} grant{'s' if counts[key] > 1 else ''} that it does not use",
            rests=f"Given more than {days} days ago, and no call that was allowed used them since.",
            saves="No money; less that can go wrong.",
            action="Draft what it needs",
            address=reverse("optimize_unused", args=[workspace.slug, agent.public_id]) + f"?days={days}",
            needs="manage_agents",
            agent=agent,
        )
        for key in ranked
        if (agent := agents.get(key))
    ]


def lying(
    grants: QuerySet[Any], workspace: Workspace, now: datetime, since: datetime
) -> Iterable[tuple[int, int]]:
    """(agent's key, how many) of grants in force that are older than ``since``."""
    old = grants.filter(Q(expires_at=None) | Q(expires_at__gt=now), created__lt=since)
    own = old.filter(group__agent__workspace=workspace).exclude(group__agent__standing=Standing.REVOKED)
    counted = own.order_by().values("group__agent").annotate(count=Count("pk")).order_by("-count")[:MOST]
    return [(row["group__agent"], row["count"]) for row in counted]


def wide(workspace: Workspace, now: datetime) -> list[Finding]:
    """Budgets whose spending never came near their limit in the last windows."""
    lately = Q()
    for window, back in WINDOWS_BACK.items():
        begin = window_start(window, now - timedelta(days=back), workspace.timezone)
        lately |= Q(budget__window=window, key__gte=begin)
    rows = Account.objects.filter(lately, budget__workspace=workspace).order_by().values("budget")
    peaks = rows.annotate(peak=Max("spent"), count=Count("pk")).filter(count__gte=ENOUGH_WINDOWS, peak__gt=0)
    used = {row["budget"]: row for row in peaks}
    budgets = Budget.objects.filter(workspace=workspace, pk__in=used).select_related("agent")
    far = [each for each in budgets if used[each.pk]["peak"] * 100 < each.limit_amount * FAR]
    far.sort(key=lambda each: -each.limit_amount)
    return [too_wide(each, used[each.pk]["peak"], used[each.pk]["count"]) for each in far[:MOST]]


def too_wide(budget: Budget, peak: int, windows: int) -> Finding:
    """That a budget is wide, and what would fit: twice its highest use."""
    limit, fits = budget.limit_amount, fitting(budget, peak)
    editor = reverse("admin:billing_budget_change", args=[budget.pk])
    return Finding(
        kind=WIDE,
        title=f"The {WINDOWS[budget.window]} budget {named(budget)} is never near its limit",
        rests=f"Its highest use in {windows} windows was {amount(budget, peak)} of {amount(budget, limit)}.",
        saves=f"A limit of {amount(budget, fits)}, twice that, stops a runaway {amount(budget, limit - fits)} earlier.",
        action="Lower the limit",
        address=f"{editor}?limit={plain(budget, fits)}",
        needs="manage_budgets",
        agent=budget.agent,
    )


def named(budget: Budget) -> str:
    """Whose a budget is."""
    whose = f"of {visible(budget.agent.name)}" if budget.agent else "of the workspace"
    if budget.scope == Budget.Scope.SESSION:
        whose = "of each session"
    return whose + "".join(f" for {visible(name)}" for name in (budget.tool, budget.model) if name)


def fitting(budget: Budget, peak: int) -> int:
    """Twice the highest use, up to a whole cent or a thousand tokens."""
    step = 1000 if budget.unit == Budget.Unit.TOKENS else NANOS // 100
    return -(-2 * peak // step) * step


def amount(budget: Budget, value: int) -> str:
    return f"{value:,} tokens" if budget.unit == Budget.Unit.TOKENS else f"${cents(value)}"


def plain(budget: Budget, value: int) -> str:
    """An amount as the editor takes it."""
    return str(value) if budget.unit == Budget.Unit.TOKENS else dollars(value)


def cents(nanos: int) -> str:
    """Dollars to the cent, or, below ten cents, as they are to three digits."""
    value = nanos / NANOS
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.3g}"


def days_of(workspace: Workspace, dimension: str, since: date) -> QuerySet[SpendDay]:
    """The sums of a dimension since a day."""
    return SpendDay.objects.filter(workspace=workspace, dimension=dimension, day__gte=since).order_by()
