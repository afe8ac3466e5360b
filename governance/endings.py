"""Why standing approvals lift nothing any more, as a ledger tells it. The decision compares for itself."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import QuerySet

from governance.models import PolicyVersion, StandingApproval
from governance.outcomes import current_epoch
from workspaces.access import grants_in_force
from workspaces.arguments import Tool as CompiledTool
from workspaces.models import Tool, Workspace

IN_FORCE = "in force"


def ledger(workspaces: QuerySet[Workspace]) -> QuerySet[StandingApproval]:
    """All that was ever given in these workspaces, with what a list shows."""
    rows = StandingApproval.objects.filter(workspace__in=workspaces)
    return rows.select_related("workspace", "agent", "given_by", "use", "approval")


def uses_of(standing: StandingApproval) -> int:
    """How often it was used."""
    return standing.use.count if hasattr(standing, "use") else 0


def statuses(rows: Sequence[StandingApproval], now: datetime) -> dict[int, str]:
    """How each stands, by its key: ``in force``, or why it has ended. A constant number of queries."""
    workspaces = {row.workspace_id for row in rows}
    versions = PolicyVersion.objects.filter(workspace__in=workspaces, status=PolicyVersion.Status.IN_FORCE)
    published = {version.workspace_id: version for version in versions.defer("content")}
    tools = Tool.objects.filter(workspace__in=workspaces, name__in={row.tool for row in rows})
    declared = {(tool.workspace_id, tool.name): CompiledTool(tool.declaration()).digest for tool in tools}
    there = grants_in_force(paths_of(rows, "tool"), paths_of(rows, "resources"), now=now)
    return {
        row.pk: status(
            row, published.get(row.workspace_id), declared.get((row.workspace_id, row.tool)), there, now
        )
        for row in rows
    }


def paths_of(rows: Sequence[StandingApproval], kind: str) -> set[tuple[int, int | None]]:
    """The grants of a kind that any of these rest on."""
    return {(path[0], path[1]) for row in rows for path in row.grants[kind]}


def status(
    row: StandingApproval,
    version: PolicyVersion | None,
    declaration: str | None,
    there: tuple[Collection[tuple[int, int | None]], Collection[tuple[int, int | None]]],
    now: datetime,
) -> str:
    """How one stands. ``there``: the grants of tools and of resources that are in force still."""
    tools, resources = ({tuple(path) for path in row.grants[kind]} for kind in ("tool", "resources"))
    if row.revoked_at is not None:
        return "revoked"
    if row.expires_at <= now:
        return "its time is over"
    if uses_of(row) >= row.max_uses:
        return "used up"
    if version is None or version.digest != row.policy or (version.published_at or now) > row.created:
        return "another policy is in force"
    if row.epoch != current_epoch(row.agent, row.workspace):
        return "the agent was contained"
    if declaration != row.declaration:
        return "the tool was declared anew"
    if tools.isdisjoint(there[0]) or (resources and resources.isdisjoint(there[1])):
        return "a grant that it rests on is gone"
    return IN_FORCE
