"""What an agent did lately, from one bounded reading of its entries, and how its budgets stand."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from audit.models import Entry
from billing import gauges, spending
from billing.models import Hold
from billing.outlooks import outlooks
from billing.spending import Dimension, Only
from governance.models import DecisionRecord, Session
from governance.naming import recent
from governance.presentation import visible
from governance.readings import CHECKS
from workspaces.models import Agent

LOOKED_THROUGH = 2_000  # entries of an agent
SHOWN = 12
SESSIONS = 8
DENIED = "governance.check.denied"
CHARGES = 8
FULL = 100  # percent


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
        **spent(agent, timezone.now()),
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


def spent(agent: Agent, now: datetime) -> dict[str, Any]:
    """What the agent spent, how its budgets stand, and its last charges, in about nine queries."""
    figures = spending.figures(agent.workspace, now, only=Only(Dimension.AGENT.value, str(agent.pk)))
    most = max((each.nanos for _, each in figures.trend), default=0)
    charges = Hold.objects.filter(agent=agent).order_by("-created", "-pk")
    return {
        "figures": figures,
        "spent_days": [(day, each, FULL * each.nanos // most if most else 0) for day, each in figures.trend],
        "outlooks": outlooks(agent.workspace, gauges.of_agent(agent, now), now),
        "charges": list(charges[:CHARGES]),
    }
