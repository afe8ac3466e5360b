"""What is going on: decisions of the last hour by minute and outcome, and by agent. Bounded, however busy."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, Count, F, Func

from audit.log import newest
from governance.models import DecisionRecord
from workspaces.models import Agent, Workspace

OUTCOMES = {
    "governance.check.allowed": "allowed",
    "governance.check.pending": "waits",
    "governance.check.denied": "denied",
}
MINUTES = 60
LOOKED_THROUGH = 20_000  # newest entries of the log; a busier hour is shown from where they begin
AGENTS = 8


class Minute(Func):
    """The minute of a time as ``2026-11-23 11:15``, in UTC, without a function of Python's in SQLite's loop."""

    output_field = CharField()
    length, pattern = 16, "YYYY-MM-DD HH24:MI"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = f"substr(%(expressions)s, 1, {self.length})"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = f"to_char(%(expressions)s AT TIME ZONE 'UTC', '{self.pattern}')"
        return self.as_sql(compiler, connection, template=template, **context)


class Hour(Minute):
    """The hour of a time as ``2026-11-23 11``."""

    length, pattern = 13, "YYYY-MM-DD HH24"


@dataclass(frozen=True, slots=True)
class Pulse:
    """One workspace's last hour. ``minutes``: for each outcome a count a minute, the oldest first; ``agents``:
    the busiest ones as [name, public id, count by outcome]; ``partial``: there was more than is counted."""

    size: int
    begin: str
    minutes: dict[str, list[int]]
    agents: list[tuple[str, str, dict[str, int]]]
    totals: dict[str, int]
    partial: bool


def read(workspace: Workspace, now: datetime) -> Pulse:
    """The hour before ``now``, from at most LOOKED_THROUGH entries."""
    size = newest(workspace.log_id)
    begin = (now - timedelta(minutes=MINUTES - 1)).replace(second=0, microsecond=0)
    newest_ones = DecisionRecord.objects.filter(
        log_id=workspace.log_id, index__gte=size - LOOKED_THROUGH, time__gte=begin
    )
    decided = newest_ones.filter(type__in=OUTCOMES).order_by()
    counts = decided.annotate(minute=Minute(F("time"))).values_list("minute", "type", "agent")
    minutes = {outcome: [0] * MINUTES for outcome in OUTCOMES.values()}
    by_agent: dict[str, dict[str, int]] = {}
    for minute, kind, agent, count in counts.annotate(count=Count("pk")):
        outcome = OUTCOMES[kind]
        at = int((datetime.fromisoformat(f"{minute}+00:00") - begin).total_seconds() // 60)
        minutes[outcome][min(at, MINUTES - 1)] += count
        of_agent = by_agent.setdefault(agent, dict.fromkeys(OUTCOMES.values(), 0))
        of_agent[outcome] += count
    busiest = sorted(by_agent, key=lambda agent: -sum(by_agent[agent].values()))[:AGENTS]
    names = dict(Agent.objects.filter(public_id__in=busiest).values_list("public_id", "name"))
    oldest = DecisionRecord.objects.filter(log_id=workspace.log_id, index=size - LOOKED_THROUGH)
    first_time = oldest.values_list("time", flat=True).first()
    return Pulse(
        size=size,
        begin=begin.isoformat(),
        minutes=minutes,
        agents=[(names.get(agent, agent), agent, by_agent[agent]) for agent in busiest],
        totals={outcome: sum(counts) for outcome, counts in minutes.items()},
        partial=first_time is not None and first_time > begin,
    )
