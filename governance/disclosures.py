"""Showing a person what stands in a Detail: each reading is an entry of its own."""

from typing import Any

from audit import log
from audit.details import read_detail
from workspaces.models import User
from workspaces.people import actor_of


def disclose(log_id: int, index: int, *, person: User, agent: str = "", tool: str = "") -> dict[str, Any]:
    """Field → value of one entry's Detail, and the entry that says who read it.

    Whether the person may is for the caller to ask. Where nothing is left to read nothing is written."""
    with log.write(log_id) as entries:
        detail = read_detail(log_id, index)
        if detail:
            entries.append(
                "governance.detail.read",
                actor=actor_of(person),
                agent=agent,
                tool=tool,
                data={"entry": index, "fields": sorted(detail)},
            )
    return detail
