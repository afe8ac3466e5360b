"""What became of allowed calls: outcomes as agents report them, and those that never come."""

from datetime import timedelta
from typing import Any

import msgspec
from django.utils import timezone

from audit import log
from audit.log import stamp
from billing import settlement
from governance.models import Decision
from governance.records import LEASE
from governance.requests import Answer, OutcomeReport, Problem
from governance.subjects import AgentEntry

Outcome = Decision.Outcome
FINAL = {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED}
SWEEP = 100
LONGEST_RUN = timedelta(hours=24)

NO_DECISION = Problem(
    404, "not_found", "This agent was allowed no call by that id; report the id of an allow."
)
REPORTED = Problem(
    409, "outcome_already_reported", "Another outcome was reported for this call already; it stands as it is."
)
RAN_TOO_LONG = Problem(
    409,
    "lease_over",
    "A call may run for 24 hours at most; report how it ended, and ask anew for what is left.",
)


def report(entries: log.Writer, agent: AgentEntry, request: OutcomeReport) -> Answer:
    """Record an outcome, charge the call, and answer with what is on record. Reporting the same again is no change."""
    row = Decision.objects.filter(public_id=request.decision, agent_id=agent.id).first()
    if row is None:
        return NO_DECISION
    if row.outcome in FINAL:
        return view(row) if row.outcome == request.status else REPORTED
    if request.status == Outcome.RUNNING and row.created + LONGEST_RUN <= entries.now:
        return RAN_TOO_LONG
    row.outcome = Outcome(request.status)
    data: dict[str, Any] = {"decision": row.public_id, "allowed": row.entry_index}
    if request.status == Outcome.RUNNING:
        row.lease_until = entries.now + LEASE
    else:
        hold = settlement.settle(
            row.public_id,
            cost=request.cost_nanos,
            trusted=row.trusts_reports,
            started=request.status != Outcome.SKIPPED,
            now=entries.now,
        )
        if hold is not None:
            data["charged"] = hold.charged_nanos
    if request.cost_nanos is not None:
        data["reported"] = request.cost_nanos
    row.save(update_fields=["outcome", "lease_until"])
    entries.append(
        "governance.outcome.reported",
        actor=f"agent:{agent.public_id}",
        agent=agent.public_id,
        tool=row.tool,
        outcome=request.status,
        session=row.session,
        data=data,
        detail=request.told,
    )
    return view(row)


def view(row: Decision) -> bytes:
    """The wire form of a decision's outcome."""
    running = row.outcome == Outcome.RUNNING
    return msgspec.json.encode(
        {
            "id": row.public_id,
            "outcome": str(row.outcome),
            "lease_until": stamp(row.lease_until) if running else None,
        }
    )


def close_unreported() -> int:
    """Call done what was allowed and never reported once its lease is over, and charge it in full."""
    due = Decision.objects.filter(
        outcome__in=[Outcome.OPEN, Outcome.RUNNING], lease_until__lte=timezone.now()
    )
    closed = 0
    for row in due.select_related("workspace", "agent").order_by("lease_until")[:SWEEP]:
        with log.write(row.workspace.log_id) as entries:
            closed += close(entries, row.pk)
    return closed


def close(entries: log.Writer, pk: int) -> int:
    """Close one decision, read again under the lock; 1 when it was still open."""
    row = Decision.objects.select_related("agent").get(pk=pk)
    if row.outcome not in (Outcome.OPEN, Outcome.RUNNING) or row.lease_until > entries.now:
        return 0
    row.outcome = Outcome.UNREPORTED
    row.save(update_fields=["outcome"])
    hold = settlement.assume(row.public_id, now=entries.now)
    entries.append(
        "governance.outcome.unreported",
        actor="system",
        agent=row.agent.public_id,
        tool=row.tool,
        outcome=Outcome.UNREPORTED,
        session=row.session,
        data={"decision": row.public_id, "allowed": row.entry_index}
        | ({"charged": hold.charged_nanos} if hold else {}),
    )
    return 1
