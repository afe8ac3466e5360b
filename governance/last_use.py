"""When agents last used what they were given.

The worker reads allowed calls from the log after a cursor, so that the check's own path writes nothing for it; what
is told here is some seconds old. Calls that an observation let pass count too: they were made.
"""

from collections.abc import Iterable
from datetime import datetime
from time import monotonic
from typing import TypeAlias

import orjson
from django.db import transaction
from django.db.models import Max, QuerySet

from audit.models import Entry, Head
from governance.models import GrantUse, UseCursor
from workspaces.declarations import Action
from workspaces.models import Agent, Tool, Workspace

ALLOWED = "governance.check.allowed"
ACTIONS = frozenset(action.value for action in Action)
CHUNK = 2_000  # entries of one log read at once
LONGEST = 0.5  # seconds of one round
PAUSE = 10.0  # seconds between two rounds once everything is read

Seen: TypeAlias = dict[tuple[str, str, str], datetime]

rounds = {"next": 0.0}


def last_uses(workspace: Workspace, agents: Iterable[Agent] | None = None) -> dict[tuple[str, str], datetime]:
    """When each (agent's public id, tool's name) was last allowed; what is absent never was. ``agents`` None: all
    of the workspace. One query, over one row for each agent, tool and resource."""
    rows = uses(workspace, agents).values_list("agent__public_id", "tool").annotate(Max("at"))
    return {(agent, tool): at for agent, tool, at in rows}


def last_touches(
    workspace: Workspace, agents: Iterable[Agent] | None = None
) -> dict[tuple[str, str, str], datetime]:
    """When each (agent's public id, resource's public id, action) was last allowed, in two queries.

    The actions are those of the tool's templates as they are now. A tool that is gone may have done anything, and
    counts for every action: better too recent than a grant taken away that is needed."""
    declared = Tool.objects.filter(workspace=workspace).values_list("name", "templates")
    actions = {name: frozenset(each["action"] for each in templates) for name, templates in declared}
    found: Seen = {}
    rows = uses(workspace, agents).exclude(resource="")
    for agent, tool, resource, at in rows.values_list("agent__public_id", "tool", "resource", "at"):
        for action in actions.get(tool, ACTIONS):
            key = agent, resource, action
            found[key] = max(at, found.get(key, at))
    return found


def uses(workspace: Workspace, agents: Iterable[Agent] | None) -> QuerySet[GrantUse]:
    """The rows of these agents of the workspace."""
    rows = GrantUse.objects.filter(agent__workspace=workspace)
    return rows if agents is None else rows.filter(agent__in=list(agents))


def note_uses() -> int:
    """Read on in every log that has grown, for half a second at most; how many entries were read."""
    begun = monotonic()
    if begun < rounds["next"]:
        return 0
    read = 0
    for log_id, size, cursor in behind():
        while cursor < size and monotonic() - begun < LONGEST:
            upto = min(size, cursor + CHUNK)
            if not take(log_id, cursor, upto):
                break  # another worker is reading here
            read += upto - cursor
            cursor = upto
    if monotonic() - begun < LONGEST:
        rounds["next"] = begun + PAUSE
    return read


def behind() -> list[tuple[int, int, int]]:
    """(log id, size, next index) of each workspace's log that was not read to its end."""
    cursors = dict(UseCursor.objects.values_list("log_id", "next_index"))
    logs = Workspace.objects.values("log_id")
    sizes = Head.objects.filter(log_id__in=logs).values_list("log_id", "size")
    return [(log_id, size, cursors.get(log_id, 0)) for log_id, size in sizes if size > cursors.get(log_id, 0)]


def take(log_id: int, cursor: int, upto: int) -> bool:
    """Note the allowed calls of [cursor, upto) and move the cursor; False when somebody else moved it."""
    entries = Entry.objects.filter(log_id=log_id, index__gte=cursor, index__lt=upto, type=ALLOWED)
    seen: Seen = {}
    for agent, tool, time, body in entries.order_by("index").values_list("agent", "tool", "time", "body"):
        for resource in ["", *orjson.loads(bytes(body))["data"].get("resources", ())]:
            seen[agent, tool, resource] = time  # in the log's order, so the last one stands
    keys = dict(
        Agent.objects.filter(public_id__in={agent for agent, *_ in seen}).values_list("public_id", "pk")
    )
    noted = [
        GrantUse(agent_id=keys[agent], tool=tool, resource=resource, at=at)
        for (agent, tool, resource), at in seen.items()
        if agent in keys
    ]
    UseCursor.objects.get_or_create(log_id=log_id)
    with transaction.atomic():
        if not UseCursor.objects.filter(log_id=log_id, next_index=cursor).update(next_index=upto):
            return False
        GrantUse.objects.bulk_create(
            noted, update_conflicts=True, unique_fields=["agent", "tool", "resource"], update_fields=["at"]
        )
    return True
