"""What became of allowed calls: outcomes as agents report them, and those that never come."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from audit import canonical, log
from audit.log import stamp
from billing import warnings
from billing.book import Call, load_budgets
from billing.budgets import Ledger
from billing.models import Hold
from billing.prices import PriceList
from billing.settlement import Allowed, Settlements, Spending, TooMuch
from governance.models import Decision
from governance.records import LEASE
from governance.requests import Answer, OutcomeReport, Problem
from governance.snapshot import Snapshot
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
TOO_MUCH = Problem(
    400,
    "number_out_of_range",
    "A call that cost so much cannot be counted, so nothing was recorded; check the cost and the usage, and report"
    " again. Without another report it is charged what was held for it.",
)


class Reports:
    """The outcomes of one batch: what they are about is read at once, and written at once."""

    def __init__(self, current: Snapshot, entries: log.Writer, ledger: Ledger) -> None:
        self.snapshot = current
        self.entries = entries
        self.settlements = Settlements(ledger, current.prices)
        self.rows: dict[tuple[str, int], Decision] = {}
        self.changed: dict[int, Decision] = {}

    def load(self, requests: Sequence[OutcomeReport]) -> None:
        """Read the calls that these are about, with their holds and accounts."""
        if not requests:
            return
        found = Decision.objects.filter(public_id__in={request.decision for request in requests})
        self.rows = {(row.public_id, row.agent_id): row for row in found}
        about = []
        for request in requests:
            row = self.rows.get((request.decision, request.caller.agent_id))
            agent = self.snapshot.agent(request.caller.agent_id)
            if row is not None and agent is not None:
                about.append((allowed(row, agent), spending(request)))
        if about:
            self.settlements.load(about)

    def report(self, agent: AgentEntry, request: OutcomeReport) -> Answer:
        """Record an outcome, charge the call, and answer with what is on record. Reporting the same again is no
        change."""
        row = self.rows.get((request.decision, agent.id))
        if row is None:
            return NO_DECISION
        told = digest(request)
        if row.outcome in FINAL:
            same = row.outcome == request.status and row.report in ("", told)
            return view(row) if same else REPORTED
        running = request.status == Outcome.RUNNING
        if running and row.created + LONGEST_RUN <= self.entries.now:
            return RAN_TOO_LONG
        settle = self.settlements.keep if running else self.settlements.settle
        try:
            hold = settle(allowed(row, agent), spending(request))
        except TooMuch:
            return TOO_MUCH
        row.outcome = Outcome(request.status)
        if running:
            row.lease_until = self.entries.now + LEASE
        else:
            row.report = told
        self.changed[row.pk] = row
        self.entries.append(
            "governance.outcome.reported",
            actor=f"agent:{agent.public_id}",
            agent=agent.public_id,
            tool=row.tool,
            outcome=request.status,
            session=row.session,
            data=named(row) | claims(request) | amounts(hold),
            detail=request.told,
        )
        if hold is not None:
            warnings.note(self.settlements.of(hold), self.entries)
        return view(row)

    def store(self) -> None:
        """Write the rows; the ledger has stored its accounts."""
        self.settlements.store()
        if self.changed:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "UPDATE governance_decision SET outcome = %s, report = %s, lease_until = %s WHERE id = %s",
                    [
                        (str(row.outcome), row.report, log.adapt(row.lease_until), row.pk)
                        for row in self.changed.values()
                    ],
                )


def allowed(row: Decision, agent: AgentEntry) -> Allowed:
    """The call of a decision as it is charged."""
    call = Call(row.agent_id, row.session, row.tool, "", agent.owner_id, agent.cost_center)
    return Allowed(row.public_id, call, row.created, row.trusts_reports)


def spending(request: OutcomeReport) -> Spending:
    """What a report says of money and tokens."""
    started = request.status != Outcome.SKIPPED
    return Spending(request.cost_nanos, request.model, request.usage, started)


def digest(request: OutcomeReport) -> str:
    """By which the same report is known again: what it says of status and cost."""
    said = [request.status, request.cost_nanos, request.model, request.usage]
    return hashlib.sha256(canonical.encode(said)).hexdigest()


def named(row: Decision) -> dict[str, Any]:
    """Which call an entry is about."""
    return {"decision": row.public_id, "allowed": row.entry_index}


def claims(request: OutcomeReport) -> dict[str, Any]:
    """What the agent says that the call cost."""
    said = {"reported": request.cost_nanos, "model": request.model or None, "usage": request.usage or None}
    return {name: value for name, value in said.items() if value is not None}


def amounts(hold: Hold | None) -> dict[str, Any]:
    """What a call holds or was charged, as entries say it: ``held`` in flight, else ``charged`` in nano-dollars, absent
    where it is not known; the tokens; the basis and the price where there is one."""
    if hold is None:
        return {}
    in_flight = hold.state == Hold.State.HELD
    said: dict[str, Any] = {
        "held": hold.held_nanos if in_flight else None,
        "charged": hold.charged_nanos,
        "tokens": (hold.held_tokens if in_flight else hold.charged_tokens) or None,
        "basis": str(hold.basis) or None,
        "price": hold.price or None,
    }
    return {name: value for name, value in said.items() if value is not None}


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
    for row in due.select_related("workspace").order_by("lease_until")[:SWEEP]:
        with log.write(row.workspace.log_id) as entries:
            closed += close(entries, row.pk)
    return closed


def close(entries: log.Writer, pk: int) -> int:
    """Close one decision, read again under the lock; 1 when it was still open."""
    row = Decision.objects.select_related("agent", "workspace").get(pk=pk)
    if row.outcome not in (Outcome.OPEN, Outcome.RUNNING) or row.lease_until > entries.now:
        return 0
    row.outcome = Outcome.UNREPORTED
    row.save(update_fields=["outcome"])
    place = row.workspace
    ledger = Ledger(place.pk, entries.now, place.timezone, load_budgets(place.pk))
    settlements = Settlements(ledger, PriceList())
    settlements.load([(Allowed(row.public_id, Call(row.agent_id), row.created), Spending())])
    hold = settlements.assume(row.public_id)
    entries.append(
        "governance.outcome.unreported",
        actor="system",
        agent=row.agent.public_id,
        tool=row.tool,
        outcome=Outcome.UNREPORTED,
        session=row.session,
        data=named(row) | amounts(hold),
    )
    if hold is not None:
        warnings.note(settlements.of(hold), entries)
    ledger.store()
    settlements.store()
    return 1
