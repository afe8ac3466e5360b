"""Calls that wait for people: opening, starting, voting, expiry and cancelling.

Every change takes the log's head first, then viewflow's process lock, reads again, and only then acts;
nothing here may be called the other way round. viewflow's own timers, cancel button and admin transitions
do that, so they are not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from viewflow.workflow import PROCESS, STATUS

from audit import log, owed
from audit.log import Writer
from audit.secrets import withhold
from governance import asking, outcomes, reviewers, schedule
from governance.flows import ApprovalFlow
from governance.models import Approval, Vote
from governance.outcomes import NotPending as NotPending
from governance.outcomes import Status
from governance.requirements import open_requirements, votes_of
from workspaces.declarations import Risk
from workspaces.models import User

START = "governance.approval.start"
TIDY = "governance.approval.tidy"
CONFIRMED_RISKS = {Risk.HIGH.value, Risk.CRITICAL.value}
SHORTEST_REASON = 10  # characters
EDITED_SINCE = (
    "Another reviewer changed this call after you opened it. Look at it as it is now, in round {}, "
    "and answer that."
)


class NotAReviewer(Exception):
    """The person's vote does not count for this approval."""

    status = 403
    code = "not_a_reviewer"


class ReasonNeeded(Exception):
    """An answer about a call of high or critical risk says why."""

    status = 400
    code = "reason_needed"


class SecondFactorNeeded(Exception):
    """Who approves a call of high or critical risk confirms anew who they are."""

    status = 403
    code = "second_factor_needed"


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that needs people, as admission judged it; ``entry_index`` is its pending decision's entry."""

    public_id: str
    workspace_id: int
    agent_id: int
    decision: str
    tool: str
    action: str
    risk: str
    session: str
    binding: str
    lifts: list[str]
    requirements: list[dict[str, Any]]
    on_behalf_of_id: int | None
    epoch: int
    created: datetime
    expires_at: datetime
    entry_index: int
    key: str = ""
    policy: str = ""
    raises: dict[str, dict[str, Any]] = field(default_factory=dict)


COLUMNS = [each.name for each in fields(Ask)]


def approval_of(ask: Ask) -> Approval:
    """The row of an ask, not saved yet."""
    return Approval(**{name: getattr(ask, name) for name in COLUMNS})


def open(asks: Sequence[Ask]) -> None:
    """Insert the approvals of one write, and owe the start of their processes. Called inside admission's; the
    pending decision's entry stands for it in the log."""
    Approval.objects.bulk_create([approval_of(ask) for ask in asks])
    owed.owe(START, [{"approval": ask.public_id} for ask in asks], due=asks[0].created)


def start(approval: Approval) -> None:
    """Start the process and owe each reviewer a mail. Does nothing when it was started or has ended."""
    with log.write(approval.workspace.log_id) as entries:
        row = read(approval)
        if row.process_id is None and outcomes.refusal(row, entries.now) is None:
            begin(row, entries)


def begin(approval: Approval, entries: Writer) -> None:
    """Start the process of an approval that was just read, under the head."""
    ApprovalFlow.start.run(approval=approval)
    asking.begin(approval, entries)


def decide(
    approval: Approval,
    *,
    person: User,
    approve: bool,
    comment: str,
    known_by: Vote.KnownBy,
    actor: str,
    second_factor: str = "",
    opened_at: datetime | None = None,
    seen: int | None = None,
) -> Approval:
    """Record one person's vote and move the process on; returns the approval as it is then. ``second_factor``: by
    what they confirmed just now who they are; ``opened_at``: when they first saw what is asked; ``seen``: the round of
    the call that they looked at, where their door can tell.

    Raises NotPending when it ended, or was edited, before this vote got its turn, NotAReviewer when the vote would not
    count, and for high and critical risk ReasonNeeded and SecondFactorNeeded.
    """
    with log.write(approval.workspace.log_id) as entries:
        row = read(approval)
        if refused := outcomes.refusal(row, entries.now):
            raise refused
        if row.process_id is None:
            begin(row, entries)
            row = read(approval)
        with ApprovalFlow.lock(row.process_id):
            row = read(approval)
            if refused := outcomes.refusal(row, entries.now):
                raise refused
            if seen not in (None, row.round):
                raise NotPending("approval_edited", EDITED_SINCE.format(row.round))
            voter = User.objects.get(pk=person.pk)
            ballot = reviewers.ballot(voter, row, entries.now)
            if ballot is None:
                raise NotAReviewer(reviewers.why_not(voter, row, entries.now))
            require_confirmation(row.risk, approve=approve, reason=comment, second_factor=second_factor)
            vote = Vote(
                approval=row,
                round=row.round,
                person=voter,
                seat_id=ballot.seat,
                counts_for=list(ballot.counts_for),
                approve=approve,
                known_by=known_by,
                second_factor=second_factor,
                opened_at=opened_at,
                created=entries.now,
            )
            cast(vote, comment=comment, actor=actor, entries=entries)
            answer(row, voter)
            asking.review(read(row), entries)
        return read(approval)


def require_confirmation(risk: str, *, approve: bool, reason: str, second_factor: str) -> None:
    """Raise ReasonNeeded or SecondFactorNeeded where an answer of this risk lacks them. Saying no is safe: it takes
    a reason only."""
    if risk not in CONFIRMED_RISKS:
        return
    if len(reason.strip()) < SHORTEST_REASON:
        raise ReasonNeeded(f"Say why, in at least {SHORTEST_REASON} characters: this call is of {risk} risk.")
    if approve and not second_factor:
        raise SecondFactorNeeded(f"Confirm who you are with your second factor: this call is of {risk} risk.")


def cast(vote: Vote, *, comment: str, actor: str, entries: Writer) -> None:
    """Insert the vote with its entry; the comment goes into the entry's Detail only, without secrets."""
    comment = withhold(comment)[0]
    approval, given = vote.approval, votes_of(vote.approval)
    before = [requirement["rule"] for requirement in open_requirements(approval, given)]
    after = [requirement["rule"] for requirement in open_requirements(approval, [*given, vote])]
    entry = entries.append(
        "governance.approval.voted",
        actor=actor,
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        outcome="approved" if vote.approve else "rejected",
        data={
            "approval": approval.public_id,
            "round": vote.round,
            "person": vote.person.public_id,
            "seat": vote.seat.public_id if vote.seat else "",
            "approve": vote.approve,
            "known_by": str(vote.known_by),
            "second_factor": vote.second_factor,
            "satisfied": [rule for rule in before if rule not in after],
            "still_open": after,
        },
        detail={"comment": comment} if comment else None,
        log_id=approval.workspace.log_id,
    )
    vote.entry_index = entry.index
    vote.save()


def answer(approval: Approval, person: User) -> None:
    """Complete the open review in the person's name; the tally decides what follows."""
    activation = open_review(approval)
    activation.assign(person)
    activation.start(request=None)
    activation.execute()


def expire(approval: Approval) -> bool:
    """End an approval whose time is over: that means no. False when it is not due, or ended otherwise."""
    with log.write(approval.workspace.log_id) as entries:
        row = read(approval)
        if row.status != Status.PENDING or row.expires_at > entries.now:
            return False
        if row.process_id is None:
            outcomes.settle(row, Status.EXPIRED, actor="system")
            return True
        with ApprovalFlow.lock(row.process_id):
            lapse(row)
        return True


def step(approval: Approval) -> bool:
    """Take the step of its plan that is due: remind, or ask more people. False when none is, or it ended."""
    with log.write(approval.workspace.log_id) as entries:
        row = read(approval)
        if not is_due(row, entries.now):
            return False
        with ApprovalFlow.lock(row.process_id):
            lapse(row)
            asking.review(read(row), entries)
        return True


def is_due(approval: Approval, now: datetime) -> bool:
    """Whether a started approval still waits, and the first step of its plan is due."""
    started = approval.process_id is not None
    return (
        started and outcomes.refusal(approval, now) is None and schedule.due(approval.plan, now) is not None
    )


def lapse(approval: Approval) -> None:
    """End the open review without an answer; the tally finds what is due instead."""
    activation = open_review(approval)
    activation.lapse()
    activation.activate_next()


def cancel(approval: Approval, *, actor: str, reason: str) -> Approval:
    """Withdraw a pending approval. Raises NotPending when it has ended already."""
    with log.write(approval.workspace.log_id):
        row = read(approval)
        if row.process_id is None:
            outcomes.settle(row, Status.CANCELLED, actor=actor, reason=reason)
            return row
        with ApprovalFlow.lock(row.process_id):
            outcomes.settle(row, Status.CANCELLED, actor=actor, reason=reason)
            end_process(row)
        return row


def withdraw(approval: Approval, *, actor: str, reason: str, entries: Writer) -> None:
    """Cancel a pending approval inside the gate's batch, which has no time for its process: a worker ends that.
    Raises NotPending when it has ended already."""
    outcomes.settle(approval, Status.CANCELLED, actor=actor, reason=reason)
    if approval.process_id is not None:
        owed.owe(TIDY, [{"approval": approval.public_id}], due=entries.now)


def tidy(payload: dict[str, Any]) -> str:
    """End the process of an approval that was withdrawn inside a batch. Does nothing when that was done."""
    approval = Approval.objects.select_related("workspace").get(public_id=payload["approval"])
    with log.write(approval.workspace.log_id):
        row = read(approval)
        if row.status != Status.PENDING and row.process_id is not None:
            with ApprovalFlow.lock(row.process_id):
                end_process(row)
    return approval.public_id


def end_process(approval: Approval) -> None:
    """Cancel what is left of a settled approval's process, under its lock."""
    # viewflow's cancel judges the process that it is handed: this one was read under the lock.
    process = ApprovalFlow.process_class.objects.get(pk=approval.process_id)
    if process.status == PROCESS.NEW:
        ApprovalFlow.instance.cancel(process)


def read(approval: Approval) -> Approval:
    """The approval as it is now."""
    return Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)


def open_review(approval: Approval) -> Any:
    """The activation of the one review that waits for an answer."""
    task = ApprovalFlow.task_class.objects.get(
        process_id=approval.process_id, flow_task=ApprovalFlow.review, status=STATUS.NEW
    )
    return ApprovalFlow.review.activation_class(task)
