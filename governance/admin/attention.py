"""What needs attention, as concerns: each a short list, with what a person of this role can do about it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.db.models import Count, F, FloatField, Max, Model, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from audit.models import Head
from billing import gauges
from billing.models import Account, Budget
from governance import containment, leavers, reviewers, undelivered
from governance.admin.standing import BADGES
from governance.models import Approval, Decision, DecisionRecord
from governance.naming import names_of
from governance.rosters import ANSWERING, DECIDE
from workspaces.access import may_somewhere
from workspaces.models import Agent, AgentKey, AgentRole, ResourceGrant, Standing, ToolGrant, User, Workspace

SHOWN = 8
LOOKED_THROUGH = 10_000  # newest entries in which denials are looked for, over all logs together
REPEATED = 3  # the same agent, tool and reason
HOURS = 6
SOON = timedelta(days=14)
NEAR = 80  # percent of a budget

Workspaces: TypeAlias = Sequence[Workspace]


@dataclass(slots=True)
class Concern:
    """One list of the desk. ``permissions``: who has any of them somewhere can do something about it."""

    key: str
    title: str
    permissions: tuple[str, ...]
    empty: str
    rows: list[Any] = field(default_factory=list)
    urgent: bool = True
    yours: bool = False

    @property
    def template(self) -> str:
        return f"admin/desk/{self.key}.html"

    @property
    def more(self) -> bool:
        """Whether there may be more than is shown."""
        return len(self.rows) >= SHOWN


def concerns(person: User, workspaces: Workspaces, now: datetime) -> list[Concern]:
    """Everything that may need attention, what the person can act on first; a constant number of queries."""
    found = [gather(person, workspaces, now) for gather in GATHERED]
    for concern in found:
        concern.yours = any(may_somewhere(person, each) for each in concern.permissions)
    return sorted(found, key=lambda each: (not each.rows, not each.yours, not each.urgent))


def waiting(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Calls that wait: for this person where they decide, otherwise for anybody."""
    concern = Concern("waiting", "Waiting for an answer", (DECIDE,), "No call waits for anybody's answer.")
    rows = reviewers.inbox(person, timezone.now()) if reviewers.answers_somewhere(person) else None
    # Who manages budgets and decides no calls is seldom asked, and sees what waits for others till then.
    if rows is not None and (may_somewhere(person, DECIDE) or rows.exists()):
        concern.title, concern.permissions = "Waiting for you", ANSWERING
        concern.empty = "Nothing waits for you; you get a mail when it does."
    else:
        rows = Approval.objects.filter(
            workspace__in=workspaces, status=Approval.Status.PENDING, expires_at__gt=now
        ).order_by("expires_at", "pk")
    concern.rows = list(rows.select_related("agent", "workspace")[:SHOWN])
    return concern


def unmailed(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Reviewers whom a mail about what waits for them did not reach, the most urgent first."""
    concern = Concern(
        "unmailed",
        "Reviewers who could not be mailed",
        ("manage_members", "decide"),
        "Every mail to a reviewer about a waiting call was taken.",
    )
    concern.rows = list(undelivered.waiting(workspaces)[:SHOWN])
    return concern


def observed(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Agents for which nothing is enforced."""
    concern = Concern(
        "observed",
        "Observed, not enforced",
        ("loosen", "tighten", "manage_agents"),
        "No agent is merely observed; the rules hold for all of them.",
    )
    rows = agents_of(workspaces).filter(standing=Standing.OBSERVE, observe_until__gt=now)
    concern.rows = list(rows.order_by("observe_until", "pk")[:SHOWN])
    return concern


def contained(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Agents that stand stricter than active, the strictest first."""
    concern = Concern(
        "contained",
        "Contained agents",
        ("loosen", "tighten"),
        "No agent is contained.",
    )
    if containment.may_stop_something(person):
        concern.empty += " The red button on top of every page stops one."
    steps = [Standing.SUSPENDED, Standing.READ_ONLY, Standing.SUPERVISED]
    rows = list(agents_of(workspaces).filter(standing__in=steps).order_by("-standing", "name")[:SHOWN])
    for agent in rows:
        agent.color = BADGES[agent.standing]  # type: ignore[attr-defined]
    concern.rows = rows
    return concern


def ownerless(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Agents whose owner left, the longest ago first; after a while each is supervised."""
    concern = Concern(
        "ownerless", "Agents without an owner", ("manage_members",), "Every agent has an owner."
    )
    rows = list(leavers.ownerless(workspaces)[:SHOWN])
    for agent in rows:
        since = agent.ownerless_since
        agent.until = since + leavers.GRACE if since else None  # type: ignore[attr-defined]
    concern.rows = rows
    return concern


def agents_of(workspaces: Workspaces) -> QuerySet[Agent]:
    """The agents of these workspaces, with them."""
    return Agent.objects.filter(workspace__in=workspaces).select_related("workspace")


def unreported(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Calls that were allowed and of which nobody heard again."""
    concern = Concern(
        "unreported",
        "Never reported",
        ("tighten", "manage_agents"),
        "Every allowed call of the last 30 days got its outcome, or still has time.",
    )
    rows = Decision.objects.filter(workspace__in=workspaces, outcome=Decision.Outcome.UNREPORTED)
    recently = rows.filter(created__gt=now - timedelta(days=30)).select_related("agent")
    concern.rows = list(recently.order_by("-created", "-pk")[:SHOWN])
    return concern


def denied(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Denials of the last hours by agent, tool and reason, among the newest entries of each log."""
    concern = Concern(
        "denied",
        f"Denied in the last {HOURS} hours",
        ("manage_agents", "draft_policy"),
        f"Nothing was denied in the last {HOURS} hours.",
    )
    latest = newest_entries([workspace.log_id for workspace in workspaces])
    denials = DecisionRecord.objects.filter(latest, type="governance.check.denied")
    groups = (
        denials.filter(time__gt=now - timedelta(hours=HOURS))
        .order_by()
        .values("log_id", "agent", "tool", "outcome")
        .annotate(count=Count("pk"), last=Max("time"), newest=Max("pk"))
    )
    concern.rows = list(groups.order_by("-count", "-newest")[:SHOWN])
    names = names_of(row["agent"] for row in concern.rows)
    for row in concern.rows:
        row["agent_name"] = names.get(row["agent"], row["agent"])
        row["repeats"] = row["count"] >= REPEATED
    concern.urgent = any(row["repeats"] for row in concern.rows)
    return concern


def newest_entries(log_ids: Sequence[int], most: int = LOOKED_THROUGH) -> Q:
    """Which entries are among the newest of their log; the bound is shared by all logs."""
    each = max(500, most // max(1, len(log_ids)))
    latest = Q(pk__in=[])
    for log_id, size in Head.objects.filter(log_id__in=log_ids).values_list("log_id", "size"):
        latest |= Q(log_id=log_id, index__gte=size - each)
    return latest


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that was given and soon ends: ``what`` to which ``holder``, an agent or a role."""

    what: str
    holder: Model
    ends: datetime

    @property
    def page(self) -> str:
        """The name of the holder's page."""
        return f"admin:workspaces_{self.holder._meta.model_name}_change"


def ending(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Keys, roles and grants that end within two weeks."""
    concern = Concern(
        "ending", "About to end", ("manage_agents",), "No key, role or grant ends within 14 days."
    )
    soon = {"expires_at__gt": now, "expires_at__lte": now + SOON}
    live = {"agent__workspace__in": workspaces, **soon}
    keys = first(AgentKey.objects.filter(revoked_at=None, **live).select_related("agent"))
    roles = first(AgentRole.objects.filter(**live).select_related("agent", "role"))
    found = [Ending(f"key {key}", key.agent, end(key)) for key in keys]
    found += [Ending(f"role {given.role}", given.agent, end(given)) for given in roles]
    for model in (ToolGrant, ResourceGrant):
        rows = model._default_manager.filter(content_object__workspace__in=workspaces, **soon)
        related = rows.select_related("permission", "content_object", "group__agent", "group__role")
        for grant in first(related):
            holder = getattr(grant.group, "agent", None) or getattr(grant.group, "role", None)
            if holder is not None:
                what = f"{grant.permission.codename} {grant.content_object}"
                found.append(Ending(what, holder, end(grant)))
    concern.rows = sorted(found, key=lambda each: each.ends)[:SHOWN]
    concern.urgent = False
    return concern


def first(rows: QuerySet[Any]) -> Iterable[Any]:
    """The few rows that end first."""
    return rows.order_by("expires_at", "pk")[:SHOWN]


def end(row: Any) -> datetime:
    """When a row that was chosen for its end ends."""
    assert isinstance(row.expires_at, datetime)
    return row.expires_at


def spending(person: User, workspaces: Workspaces, now: datetime) -> Concern:
    """Budgets of which most is spent or held in the window that runs. Those of single sessions are left out."""
    concern = Concern(
        "spending", "Budgets near their limit", ("manage_budgets",), f"No budget is over {NEAR} %."
    )
    budgets = Budget.objects.filter(workspace__in=workspaces).exclude(scope=Budget.Scope.SESSION)
    keys = gauges.running_keys({each.timezone for each in workspaces}, budgets, now)
    used = Cast(F("spent") + F("held"), FloatField()) / F("limit_amount")
    near = Account.objects.filter(key__in=keys, budget__in=budgets, limit_amount__gt=0)
    rows = near.annotate(share=used).filter(share__gte=NEAR / 100)
    for account in rows.select_related("budget__workspace", "budget__agent").order_by("-share")[: SHOWN * 4]:
        gauge = gauges.gauge(account.budget, [account], now, account.budget.workspace.timezone)
        if gauge.used:  # otherwise the account is of a window that ended, or of before a reset
            concern.rows.append(gauge)
    concern.rows = concern.rows[:SHOWN]
    concern.urgent = any(gauge.budget.hard for gauge in concern.rows)
    return concern


Gather: TypeAlias = Callable[[User, Workspaces, datetime], Concern]
GATHERED: list[Gather] = [
    waiting,
    unmailed,
    observed,
    contained,
    ownerless,
    denied,
    unreported,
    spending,
    ending,
]
