"""What a call refers to: earlier answers under its idempotency key or call id, an approval, the person it is made
for. Read once a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import connection

from governance.answers import Sealed
from governance.memory import marks
from governance.models import Approval, Call, Decision, Idempotency
from governance.requests import CheckRequest
from workspaces.models import ActsFor

APPROVAL_USE = timedelta(minutes=15)
IDEMPOTENCY_AGE = timedelta(hours=24)


class Encodable(Protocol):
    """An answer that was kept, or one of this very batch, which has its bytes once the log sealed its entry."""

    def encode(self) -> bytes: ...


@dataclass(slots=True)
class Answered:
    """An earlier answer, and until when what it says may still stand."""

    digest: bytes
    decision: str
    approval: str
    epoch: int
    answer: Encodable
    created: datetime
    open_until: datetime

    def encode(self) -> bytes:
        """The answer as it is or was sent."""
        return self.answer.encode()


class Recall:
    """The earlier answers, approvals and people that one batch refers to."""

    def __init__(self, now: datetime, log_id: int, uuid: str) -> None:
        self.now = now
        self.log_id = log_id
        self.uuid = uuid
        self.keys: dict[tuple[int, str], Answered] = {}
        self.calls: dict[tuple[int, str, str], Answered] = {}
        self.approvals: dict[str, Approval] = {}
        self.outcomes: dict[str, str] = {}
        self.principals: dict[tuple[int, str], int] = {}

    def load(self, requests: Sequence[CheckRequest]) -> None:
        """Read what the requests refer to; nothing where they refer to nothing, which is the ordinary case."""
        keys = [(r.caller.agent_id, r.idempotency_key) for r in requests if r.idempotency_key]
        calls = [(r.caller.agent_id, r.session, r.call_id) for r in requests if r.call_id]
        if keys:
            for row in rows_of(Idempotency, "agent_id, key", keys, "route = 'check'"):
                if row.created + IDEMPOTENCY_AGE > self.now:
                    self.keys[row.agent_id, row.key] = Answered(
                        bytes(row.body_digest), row.decision, row.approval, row.epoch,
                        Sealed(self.log_id, self.uuid, (row.agent_id, "check", row.key), bytes(row.answer)),
                        row.created, row.expires_at,
                    )  # fmt: skip
        if calls:
            for row in rows_of(Call, "agent_id, session, call_id", calls):
                self.calls[row.agent_id, row.session, row.call_id] = Answered(
                    bytes(row.digest), row.decision, row.approval, row.epoch,
                    Sealed(self.log_id, self.uuid, (row.agent_id, row.session, row.call_id), bytes(row.answer)),
                    row.expires_at, row.expires_at,
                )  # fmt: skip
        earlier = [*self.keys.values(), *self.calls.values()]
        presented = {r.approval for r in requests if r.approval} | {a.approval for a in earlier if a.approval}
        if presented:
            found = Approval.objects.filter(public_id__in=presented)
            self.approvals = {approval.public_id: approval for approval in found}
        if decisions := {a.decision for a in earlier if not a.approval}:
            found_decisions = Decision.objects.filter(public_id__in=decisions)
            self.outcomes = dict(found_decisions.values_list("public_id", "outcome"))
        if named := {r.on_behalf_of.lower() for r in requests if r.on_behalf_of}:
            people = ActsFor.objects.filter(
                agent__in={r.caller.agent_id for r in requests},
                person__email__in=named,
                person__is_active=True,
            ).values_list("agent_id", "person__email", "person_id")
            self.principals = {(agent_id, email): person for agent_id, email, person in people}

    def principal(self, agent_id: int, email: str) -> int | None:
        """The person whom a call is made for, if the agent may act for them; they do not review it."""
        return self.principals.get((agent_id, email.lower()))

    def is_open(self, earlier: Answered, epoch: int) -> bool:
        """Whether an earlier answer may be given again: the standing is unchanged, and the decision is open."""
        if earlier.epoch != epoch or earlier.open_until <= self.now:
            return False
        if earlier.approval:
            approval = self.approvals.get(earlier.approval)
            return approval is not None and approval.status == Approval.Status.PENDING
        return self.outcomes.get(earlier.decision) == Decision.Outcome.OPEN

    def is_edited(self, approval_id: str, presented: str) -> bool:
        """Whether a call's own approval is presented, and a reviewer edited it: then the call is another one now."""
        approval = self.approvals.get(approval_id)
        return approval is not None and presented == approval_id and approval.edit_index is not None

    def why_refused(self, approval_id: str, agent_id: int, epoch: int) -> str:
        """Why a presented approval lifts nothing: a code, ``pending`` while it waits, or "" when it is good."""
        approval = self.approvals.get(approval_id)
        if approval is None or approval.agent_id != agent_id:
            return "approval_mismatch"
        if approval.used_by:
            return "approval_used"
        if approval.status == Approval.Status.REJECTED:
            return "approval_rejected"
        if approval.epoch != epoch:
            return "approval_expired"
        if approval.status == Approval.Status.PENDING:
            return "pending" if approval.expires_at > self.now else "approval_expired"
        settled = approval.settled_at
        if (
            approval.status != Approval.Status.APPROVED
            or settled is None
            or settled + APPROVAL_USE <= self.now
        ):
            return "approval_expired"
        return ""


def rows_of(model: Any, columns: str, wanted: Sequence[tuple[Any, ...]], where: str = "1 = 1") -> Any:
    """Rows whose columns are among the wanted tuples: one query on the unique index."""
    width = "(" + ", ".join(["%s"] * len(wanted[0])) + ")"
    table = connection.ops.quote_name(model._meta.db_table)
    return model.objects.raw(
        f"SELECT * FROM {table} WHERE {where} AND ({columns}) IN (VALUES {marks(list(dict.fromkeys(wanted)), width)})",
        [value for row in dict.fromkeys(wanted) for value in row],
    )
