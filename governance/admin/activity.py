"""What an agent did lately, from one bounded reading of its entries, and how its budgets stand."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, Q

from audit.models import Entry
from billing.budgets import dollars, window_start
from billing.models import Account, Budget
from governance.models import DecisionRecord, Session
from governance.naming import recent
from governance.presentation import visible
from governance.readings import CHECKS
from workspaces.models import Agent

LOOKED_THROUGH = 2_000  # entries of an agent
SHOWN = 12
SESSIONS = 8
DENIED = "governance.check.denied"
FULL, NEARLY = 100, 80  # percent


@dataclass(slots=True)
class Denials:
    """Denials of one tool for one reason: how many, and the newest. A grant helps where ``grantable``."""

    tool: str
    code: str
    count: int
    index: int
    entry: int
    time: datetime

    @property
    def grantable(self) -> bool:
        return self.code == "no_permission"


@dataclass(slots=True)
class Run:
    """One session: its calls in the reading, those denied, its last one, and the labels that it carries."""

    name: str
    calls: int
    denied: int
    last: datetime
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Bar:
    """A budget in the window that runs: amounts in US dollars, shares in whole percents of the limit."""

    title: str
    address: int
    limit: str
    spent: str
    held: str
    left: str
    spent_share: int
    held_share: int
    per_session: bool

    @property
    def state(self) -> str:
        used = self.spent_share + self.held_share
        return "danger" if used >= FULL else "warning" if used >= NEARLY else "success"


def activity(agent: Agent) -> dict[str, Any]:
    """The latest decisions, denials by tool and code, and sessions of an agent, newest first."""
    log_id = agent.workspace.log_id
    checks = DecisionRecord.objects.filter(log_id=log_id, agent=agent.public_id, type__in=CHECKS)
    rows = read(log_id, agent.public_id)
    return {
        "agent": agent,
        "decisions": recent(checks.order_by("-index"), SHOWN),
        "denials": denials(rows)[:SHOWN],
        "runs": runs(agent, rows),
        "looked_through": LOOKED_THROUGH,
    }


Row = tuple[int, int, str, str, str, str, datetime]


def read(log_id: int, agent: str) -> list[Row]:
    """(key, index, type, outcome, tool, session, time) of the checks among the agent's latest entries."""
    entries = Entry.objects.filter(log_id=log_id, agent=agent).order_by("-index")
    columns = entries.values_list("pk", "index", "type", "outcome", "tool", "session", "time")
    return [row for row in columns[:LOOKED_THROUGH] if row[2] in CHECKS]


def denials(rows: list[Row]) -> list[Denials]:
    """Denials by tool and code, the one that happened last first."""
    found: dict[tuple[str, str], Denials] = {}
    for key, index, kind, code, tool, _, time in rows:
        if kind != DENIED:
            continue
        if known := found.get((tool, code)):
            known.count += 1
        else:
            found[tool, code] = Denials(visible(tool), code, 1, index, key, time)
    return list(found.values())


def runs(agent: Agent, rows: list[Row]) -> list[Run]:
    """The sessions that were used last."""
    last: dict[str, datetime] = {}
    calls: Counter[str] = Counter()
    denied: Counter[str] = Counter()
    for _, _, kind, _, _, session, time in rows:
        last.setdefault(session, time)
        calls[session] += 1
        denied[session] += kind == DENIED
    names = list(last)[:SESSIONS]
    labels = dict(Session.objects.filter(agent=agent, name__in=names).values_list("name", "labels"))
    return [Run(visible(name), calls[name], denied[name], last[name], labels.get(name, [])) for name in names]


def bars(agent: Agent, now: datetime) -> list[Bar]:
    """The budgets that the agent's calls count against, the tightest scope first, in two queries."""
    workspace = agent.workspace
    starts = {window: window_start(window, now, workspace.timezone) for window in Budget.Window.values}
    running = Account.objects.filter(key__in=starts.values())
    applying = Budget.objects.filter(Q(agent=agent) | Q(agent=None), workspace=workspace)
    budgets = applying.order_by("scope", "pk").prefetch_related(
        Prefetch("accounts", running, to_attr="running")
    )
    return [bar(budget, starts[budget.window]) for budget in budgets]


def bar(budget: Any, start: str) -> Bar:
    """One budget; of one for each session only the limit can be told."""
    account = next((each for each in budget.running if each.key == start), Account())
    limit = budget.limit_amount
    spent, held = account.spent, account.held
    return Bar(
        title=str(budget),
        address=budget.pk,
        limit=dollars(limit),
        spent=dollars(spent),
        held=dollars(held),
        left=dollars(max(0, limit - spent - held)),
        spent_share=share(spent, limit),
        held_share=min(share(held, limit), FULL - share(spent, limit)),
        per_session=budget.scope == Budget.Scope.SESSION,
    )


def share(part: int, whole: int) -> int:
    """Whole percents, 100 at most; all of a limit of nothing is used up."""
    return FULL if part >= whole else part * FULL // whole
