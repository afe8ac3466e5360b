"""Taking from an agent what it does not use: what that is, and doing it after a person looked."""

from collections.abc import Collection

from audit import log
from audit.log import database_time
from governance import matrix
from governance.matrix import Row
from workspaces import access
from workspaces.models import Agent


def unused(agent: Agent, *, days: int) -> list[Row]:
    """The agent's own grants in force that were given and last used more than ``days`` days ago."""
    now = database_time()
    rows = matrix.rows_of(agent.workspace, [agent], now)
    return [
        row for row in rows if row.line.through is None and not row.ended and matrix.is_unused(row, days, now)
    ]


def key_of(row: Row) -> str:
    """What names a grant on the page: ``use:tool_…``, ``read:res_…``."""
    return f"{row.line.permission}:{row.line.target.public_id}"


def narrow(agent: Agent, keys: Collection[str], *, days: int, actor: str) -> list[Row]:
    """Take away those of these grants that still lie unused, each with an entry; which those were."""
    with log.write(agent.workspace.log_id):
        taken = [row for row in unused(agent, days=days) if key_of(row) in keys]
        for row in taken:
            access.revoke(agent, permission=row.line.permission, obj=row.line.target, actor=actor)
    return taken
