"""Who can do what: the grants of a workspace's agents, each with when it was last used and by which tools it can be."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit import log
from audit.log import stamp
from audit.spreadsheets import written
from governance.last_use import last_touches, last_uses
from workspaces.access.matrix import Asked, Line, agents_asked, lines_of
from workspaces.models import Agent, Resource, Tool, Workspace

CHUNK = 50  # agents read at once
PAGE = 100  # lines of a page, and what is left of its last agent
LOOKED_THROUGH = 500  # agents of which a page may find nothing, before it says so and offers to go on
COLUMNS = ["agent", "agent id", "action", "tool", "resource", "pattern", "through role", "expires", "granted by",
           "granted", "last used", "tools that can"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A line with when it was last used, and, for a resource, the agent's tools that can use it."""

    line: Line
    last_used: datetime | None
    tools: tuple[str, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, and the name of the agent after which the rest begins; None when there is no more."""

    rows: list[Row]
    rest: str | None


def part(workspace: Workspace, asked: Asked, *, unused: int, after: str, now: datetime) -> Part:
    """A page of the matrix: rows of agents whose name follows ``after``. ``unused`` above 0 asks for grants that
    were given and last used longer ago than so many days."""
    rows: list[Row] = []
    looked_through = 0
    for agents, found in chunks(workspace, asked, unused=unused, after=after, now=now):
        by_agent: defaultdict[int, list[Row]] = defaultdict(list)
        for row in found:
            by_agent[row.line.agent.pk].append(row)
        for agent in agents:
            if len(rows) >= PAGE:
                return Part(rows, after)
            rows += by_agent[agent.pk]
            after = agent.name
        looked_through += len(agents)
        if looked_through >= LOOKED_THROUGH:
            return Part(rows, after)
    return Part(rows, None)


def chunks(
    workspace: Workspace, asked: Asked, *, unused: int = 0, after: str = "", now: datetime
) -> Iterator[tuple[list[Agent], list[Row]]]:
    """Agents in the order of their names with their rows, fifty agents at a time."""
    while agents := list(agents_asked(workspace, asked).filter(name__gt=after)[:CHUNK]):
        rows = rows_of(workspace, agents, now)
        yield agents, [row for row in rows if asked.wants(row.line) and is_unused(row, unused, now)]
        after = agents[-1].name


def rows_of(workspace: Workspace, agents: list[Agent], now: datetime) -> list[Row]:
    """Every row of these agents, in six queries."""
    uses, touches = last_uses(workspace, agents), last_touches(workspace, agents)
    lines = list(lines_of(agents))
    usable: defaultdict[int, dict[str, Tool]] = defaultdict(dict)
    for line in lines:
        if isinstance(line.target, Tool):
            usable[line.agent.pk][line.target.name] = line.target
    rows = []
    for line in lines:
        ended = line.expires_at is not None and line.expires_at <= now
        name = line.agent.public_id
        if isinstance(line.target, Tool):
            rows.append(Row(line, uses.get((name, line.target.name)), (), ended))
        else:
            tools = reaching(usable[line.agent.pk].values(), line.target, line.permission)
            rows.append(Row(line, touches.get((name, line.target.public_id, line.permission)), tools, ended))
    return rows


def reaching(tools: Iterable[Tool], resource: Resource, action: str) -> tuple[str, ...]:
    """Names of the tools with a template of this action that can lead to the resource, as far as schemes tell."""
    scheme = resource.pattern.partition(":")[0]
    return tuple(
        sorted(
            tool.name
            for tool in tools
            if any(
                each["action"] == action and each["template"].partition(":")[0] in (scheme, each["template"])
                for each in tool.templates
            )
        )
    )


def is_unused(row: Row, days: int, now: datetime) -> bool:
    """Whether nothing was done with it for so many days; what was granted later than that had no time to be used."""
    if not days:
        return True
    since = now - timedelta(days=days)
    given = row.line.granted_at
    return (given is None or given < since) and (row.last_used is None or row.last_used < since)


def note_export(workspace: Workspace, *, actor: str) -> None:
    """The entry of somebody who takes the whole matrix along."""
    with log.write(workspace.log_id) as entries:
        entries.append("governance.access.exported", actor=actor)


def lines_of_csv(workspace: Workspace, names: dict[str, str], now: datetime) -> Iterator[str]:
    """The whole matrix as CSV (RFC 4180), some fifty agents at a time. ``names`` maps actors to names."""
    yield written([COLUMNS])
    for _, rows in chunks(workspace, Asked(), now=now):
        yield written(cells(row, names) for row in rows)


def cells(row: Row, names: dict[str, str]) -> list[str]:
    """A row as the CSV's columns."""
    line, target = row.line, row.line.target
    is_tool = isinstance(target, Tool)
    return [
        line.agent.name,
        line.agent.public_id,
        line.permission,
        target.name if is_tool else "",
        "" if is_tool else target.name,
        "" if isinstance(target, Tool) else target.pattern,
        line.through.name if line.through else "",
        time(line.expires_at, "never"),
        names.get(line.granted_by, line.granted_by) or "not noted",
        time(line.granted_at, "not noted"),
        time(row.last_used, "never"),
        "; ".join(row.tools),
    ]


def time(at: datetime | None, otherwise: str) -> str:
    """A time in UTC, or what its absence means."""
    return stamp(at) if at else otherwise
