"""A new agent: registered with answers about its risk, approved by somebody else, and given its first key."""

from typing import Any

from viewflow import this
from viewflow.workflow import flow

from governance.flows.deciding import Deciding, may_answer
from governance.flows.nodes import WAITING_LOCK, AnswerNode
from governance.models import OnboardingProcess, Proposal


class OnboardingFlow(Deciding, flow.Flow):
    """Onboarding of an agent

    Who registers it says what it may do and how risky that is; somebody else approves; then it gets a key."""

    process_class = OnboardingProcess
    lock_impl = WAITING_LOCK

    register = flow.StartHandle(this.link).Next(this.approval)
    approval = AnswerNode(may_answer).Next(this.tally)
    tally = (
        flow.Switch()
        .Case(this.expire, this.is_unanswered)
        .Case(this.reject, this.is_vetoed)
        .Case(this.create, this.is_agreed)
        .Default(this.approval)
    )
    expire = flow.Function(this.on_expired).Next(this.end)
    reject = flow.Function(this.on_rejected).Next(this.end)
    create = flow.Function(this.on_agreed).Next(this.created)
    created = flow.If(this.is_created).Then(this.first_key).Else(this.end)
    first_key = flow.Handle().Next(this.end)
    end = flow.End()

    def is_created(self, activation: Any) -> bool:
        """Whether the agent is there: what was agreed to may no longer be possible."""
        rows = Proposal.objects.filter(process_id=activation.process.pk)
        return rows.filter(status=Proposal.Status.APPROVED).exists()
