"""What surrounds a call that waits: what its session did so far, and what its agent was allowed and refused lately."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit.models import Entry
from governance.admin.activity import LOOKED_THROUGH, Row, read
from governance.models import Approval, Decision
from governance.presentation import visible
from governance.readings import VERDICTS, WHY

SESSION_SHOWN = 20
LATELY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Step:
    """One earlier decision of the session. ``done`` is what was reported of it, empty where nothing was."""

    entry: int
    time: datetime
    tool: str
    verdict: str
    label: str
    why: str
    done: str


@dataclass(frozen=True, slots=True)
class Told:
    """How often something was decided for one reason."""

    verdict: str
    label: str
    why: str
    count: int


def circumstances(approval: Approval, now: datetime) -> dict[str, Any]:
    """The session's latest decisions, newest first, and the agent's last day by verdict and reason. Three queries over
    the agent's latest LOOKED_THROUGH entries, however many there are."""
    rows = read(approval.workspace.log_id, approval.agent.public_id)
    others = [row for row in rows if row[5] == approval.session and row[1] != approval.entry_index]
    lately = [row for row in rows if row[6] > now - LATELY]
    return {
        "steps": steps(others[:SESSION_SHOWN]),
        "steps_before": len(others),
        "lately": counted(lately),
        "lately_partial": len(rows) == LOOKED_THROUGH and len(lately) == len(rows),
        "looked_through": LOOKED_THROUGH,
    }


def steps(rows: list[Row]) -> list[Step]:
    """Decisions with what became of the calls."""
    bodies = Entry.objects.filter(pk__in=[row[0] for row in rows]).values_list("pk", "body")
    names = {key: json.loads(bytes(body))["data"].get("decision", "") for key, body in bodies}
    outcomes = {
        row.public_id: str(row.get_outcome_display())
        for row in Decision.objects.filter(public_id__in=names.values())
    }
    return [
        Step(
            entry=key,
            time=time,
            tool=visible(tool),
            verdict=VERDICTS[kind][0],
            label=VERDICTS[kind][1],
            why=WHY.get(code, code),
            done=outcomes.get(names.get(key, ""), ""),
        )
        for key, _, kind, code, tool, _, time in rows
    ]


def counted(rows: list[Row]) -> list[Told]:
    """Decisions by verdict and reason, the most frequent first."""
    found = Counter((row[2], row[3]) for row in rows)
    return [
        Told(VERDICTS[kind][0], VERDICTS[kind][1], WHY.get(code, code), count)
        for (kind, code), count in found.most_common()
    ]
