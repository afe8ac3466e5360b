"""Calls that wait for people: opening, starting, voting, expiry and cancelling.

Every change takes the log's head first, then viewflow's process lock, reads again, and only then acts;
nothing here may be called the other way round. viewflow's own timers, cancel button and admin transitions
do that, so they are not used.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import Error
from django.db.models import F, QuerySet
from django.utils import timezone
from viewflow.workflow import STATUS

from audit import log, owed
from audit.log import Writer
from audit.secrets import withhold
from governance import outcomes, reviewers
from governance.flows import ApprovalFlow
from governance.models import Approval, ApprovalLink, Asking, Vote
from governance.outcomes import NotPending, Status, current_epoch
from governance.reviewers import may_decide
from workspaces.declarations import Risk
from workspaces.models import User

__all__ = [
    "CONFIRMED_RISKS",
    "Ask",
    "NotAReviewer",
    "NotPending",
    "ReasonNeeded",
    "SecondFactorNeeded",
    "add_reviewers",
    "approval_of",
    "cancel",
    "cancel_void",
    "current_epoch",
    "decide",
    "expire",
    "expire_due",
    "inbox",
    "may_decide",
    "open",
    "require_confirmation",
    "start",
]

START = "governance.approval.start"
MAIL = "governance.approval.mail"
SWEEP = 100  # approvals ended in one sweep, so that nothing else waits long
CONFIRMED_RISKS = {Risk.HIGH.value, Risk.CRITICAL.value}
SHORTEST_REASON = 10  # characters

logger = logging.getLogger(__name__)


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


COLUMNS = [field.name for field in fields(Ask)]


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
    approval.excluded = reviewers.excluded_of(approval)
    approval.save(update_fields=["excluded"])
    ApprovalFlow.start.run(approval=approval)
    ApprovalLink.objects.bulk_create(
        ApprovalLink(approval=approval, person_id=person_id, deadline=approval.expires_at)
        for person_id in sorted(reviewers.waits_for(approval, entries.now))
    )
    Asking.objects.bulk_create([
        Asking(approval=approval, workspace=approval.workspace, rule=rule, created=entries.now)
        for rule in sorted({requirement["rule"] for requirement in approval.requirements})
    ])  # fmt: skip
    people = reviewers.reviewers_of(approval, entries.now)
    add_reviewers(approval, people, source=ApprovalLink.Source.NAMED, entries=entries)
    entries.append(
        "governance.approval.started",
        actor="system",
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        data={
            "approval": approval.public_id,
            "decision": approval.decision,
            "reviewers": [person.public_id for person in people],
            "quorums": {requirement["rule"]: requirement["quorum"] for requirement in approval.requirements},
        },
        log_id=approval.workspace.log_id,
    )


def add_reviewers(
    approval: Approval, people: Iterable[User], *, source: ApprovalLink.Source, entries: Writer
) -> None:
    """Put a started approval into people's inboxes and owe each a mail."""
    asked = list(people)
    known = set(approval.links.values_list("person_id", flat=True))
    ApprovalLink.objects.bulk_create(
        ApprovalLink(approval=approval, person=person, source=source, deadline=approval.expires_at)
        for person in asked
        if person.pk not in known
    )
    mails = [{"approval": approval.public_id, "person": person.public_id} for person in asked]
    owed.owe(MAIL, mails, due=entries.now)


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
) -> Approval:
    """Record one person's vote and move the process on; returns the approval as it is then. ``second_factor``: by
    what they confirmed just now who they are; ``opened_at``: when they first saw what is asked.

    Raises NotPending when it ended before this vote got its turn, NotAReviewer when the vote would not count, and
    for high and critical risk ReasonNeeded and SecondFactorNeeded.
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
            note_who_waits(read(row), entries.now)
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


def note_who_waits(approval: Approval, now: datetime) -> None:
    """Keep the inboxes in step: an approval waits for those whose answer is still missing, or would be if their
    roles let them decide."""
    waiting = reviewers.waits_for(approval, now)
    approval.links.filter(waiting=True).exclude(person__in=waiting).update(waiting=False)
    approval.links.filter(waiting=False, person__in=waiting).update(waiting=True)


def cast(vote: Vote, *, comment: str, actor: str, entries: Writer) -> None:
    """Insert the vote with its entry; the comment goes into the entry's Detail only, without secrets."""
    comment = withhold(comment)[0]
    approval, given = vote.approval, reviewers.votes_of(vote.approval)
    before = [requirement["rule"] for requirement in reviewers.open_requirements(approval, given)]
    after = [requirement["rule"] for requirement in reviewers.open_requirements(approval, [*given, vote])]
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
            if read(approval).status != Status.PENDING:
                return False
            activation = open_review(row)
            activation.lapse()
            activation.activate_next()
        return True


def cancel(approval: Approval, *, actor: str, reason: str) -> Approval:
    """Withdraw a pending approval. Raises NotPending when it has ended already."""
    with log.write(approval.workspace.log_id):
        row = read(approval)
        if row.process_id is None:
            outcomes.settle(row, Status.CANCELLED, actor=actor, reason=reason)
            return row
        with ApprovalFlow.lock(row.process_id):
            row = read(approval)
            outcomes.settle(row, Status.CANCELLED, actor=actor, reason=reason)
            # viewflow's cancel judges the process that it is handed: this one was read under the lock.
            ApprovalFlow.instance.cancel(ApprovalFlow.process_class.objects.get(pk=row.process_id))
        return row


def read(approval: Approval) -> Approval:
    """The approval as it is now."""
    return Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)


def open_review(approval: Approval) -> Any:
    """The activation of the one review that waits for an answer."""
    task = ApprovalFlow.task_class.objects.get(
        process_id=approval.process_id, flow_task=ApprovalFlow.review, status=STATUS.NEW
    )
    return ApprovalFlow.review.activation_class(task)


def expire_due() -> int:
    """End the approvals whose time is over; how many."""
    return sweep(Approval.objects.filter(expires_at__lte=timezone.now()), expire)


def cancel_void() -> int:
    """Tidy the approvals that a containment step has voided; how many. They counted for nothing already."""

    def withdraw(approval: Approval) -> bool:
        cancel(approval, actor="system", reason="The agent's standing was changed after it asked.")
        return True

    epochs = F("agent__epoch") + F("workspace__epoch")
    return sweep(Approval.objects.exclude(epoch=epochs), withdraw)


def sweep(due: QuerySet[Approval], act: Callable[[Approval], bool]) -> int:
    """Find what is due without any lock, then act on one after the other under its own."""
    count = 0
    for approval in (
        due.filter(status=Status.PENDING).select_related("workspace").order_by("expires_at")[:SWEEP]
    ):
        try:
            count += act(approval)
        except NotPending:
            continue  # somebody was faster
        except Error:
            raise
        except Exception:
            logger.exception("Approval %s could not be ended.", approval.public_id)
    return count


def inbox(person: User) -> QuerySet[Approval]:
    """What this person may decide now, oldest deadline first."""
    return reviewers.inbox(person, timezone.now())
