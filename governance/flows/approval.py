"""The approval as a viewflow process. Routes only: every effect is a call into ``outcomes``.

One review task is open at a time; after each vote the tally ends the process or opens the next review. Time
has no timer here: viewflow's timers take the process lock before the log's head, which deadlocks against
every vote. ``approvals.expire`` and ``approvals.step`` end the review unanswered instead, and the tally finds what
is due: the end, a reminder, or the next rung of a ladder.
"""

from django.utils import timezone
from viewflow import this
from viewflow.workflow import Activation, flow
from viewflow.workflow.models import Process

from governance import asking, outcomes, reviewers
from governance.flows.nodes import WAITING_LOCK, AnswerNode, is_unanswered, saved
from governance.models import Approval, ApprovalProcess
from governance.requirements import is_quorate
from governance.schedule import ESCALATE, REMIND
from workspaces.models import User

Status = Approval.Status


def may_answer(person: User, process: ApprovalProcess) -> bool:
    """Whether the person's answer to the approval of this process would count now."""
    return reviewers.may_decide(person, process.approval, timezone.now())


class ApprovalFlow(flow.Flow):
    """Approval of one call

    People answer until every quorum is reached, somebody rejects, or the time is over; on the way they are
    reminded, and others are asked, too."""

    process_class = ApprovalProcess
    lock_impl = WAITING_LOCK

    start = flow.StartHandle(this.link).Next(this.review)
    review = AnswerNode(may_answer).Next(this.tally)
    tally = (
        flow.Switch()
        .Case(this.expire, this.is_over)
        .Case(this.remind, this.is_time_to_remind)
        .Case(this.escalate, this.is_time_to_escalate)
        .Case(this.reject, this.is_vetoed)
        .Case(this.approve, this.is_quorate)
        .Default(this.review)
    )
    remind = flow.Function(this.on_reminded).Next(this.review)
    escalate = flow.Function(this.on_escalated).Next(this.review)
    expire = flow.Function(this.on_expired).Next(this.end)
    reject = flow.Function(this.on_rejected).Next(this.end)
    approve = flow.Function(this.on_approved).Next(this.end)
    end = flow.End()

    def link(self, activation: Activation, approval: Approval) -> Process:
        """Link the process to its approval."""
        process = saved(activation.process)
        Approval.objects.filter(pk=approval.pk).update(process=process)
        return process

    def is_over(self, activation: Activation) -> bool:
        return is_unanswered(activation) and outcomes.is_over(activation.process.approval)

    def is_time_to_remind(self, activation: Activation) -> bool:
        return is_unanswered(activation) and asking.next_step(activation.process.approval) == REMIND

    def is_time_to_escalate(self, activation: Activation) -> bool:
        return is_unanswered(activation) and asking.next_step(activation.process.approval) == ESCALATE

    def is_vetoed(self, activation: Activation) -> bool:
        return reviewers.is_vetoed(activation.process.approval, timezone.now())

    def is_quorate(self, activation: Activation) -> bool:
        return is_quorate(activation.process.approval)

    def on_reminded(self, activation: Activation) -> None:
        asking.remind(activation.process.approval)

    def on_escalated(self, activation: Activation) -> None:
        asking.escalate(activation.process.approval)

    def on_expired(self, activation: Activation) -> None:
        outcomes.settle(activation.process.approval, Status.EXPIRED, actor="system")

    def on_rejected(self, activation: Activation) -> None:
        outcomes.settle(activation.process.approval, Status.REJECTED, actor="system")

    def on_approved(self, activation: Activation) -> None:
        outcomes.settle(activation.process.approval, Status.APPROVED, actor="system")
