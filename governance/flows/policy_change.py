"""A change of the policy, or of a tool that gets more room: drafted, replayed, and published by a second person."""

from typing import Any

from viewflow import this
from viewflow.workflow import flow

from governance.flows.deciding import Deciding, may_answer
from governance.flows.nodes import WAITING_LOCK, AnswerNode
from governance.models import PolicyChangeProcess, Proposal


class PolicyChangeFlow(Deciding, flow.Flow):
    """Change of the policy

    Recorded calls are judged by the draft; then somebody who did not draft it publishes it."""

    process_class = PolicyChangeProcess
    lock_impl = WAITING_LOCK

    draft = flow.StartHandle(this.link).Next(this.kind)
    kind = flow.If(this.is_policy).Then(this.replay).Else(this.second_person)
    replay = flow.Handle().Next(this.second_person)
    second_person = AnswerNode(may_answer).Next(this.tally)
    tally = (
        flow.Switch()
        .Case(this.expire, this.is_unanswered)
        .Case(this.reject, this.is_vetoed)
        .Case(this.publish, this.is_agreed)
        .Default(this.second_person)
    )
    expire = flow.Function(this.on_expired).Next(this.end)
    reject = flow.Function(this.on_rejected).Next(this.end)
    publish = flow.Function(this.on_agreed).Next(this.end)
    end = flow.End()

    def is_policy(self, activation: Any) -> bool:
        """A tool's declaration is compared by people: recorded calls were judged by what it declared then."""
        return bool(activation.process.proposal.kind == Proposal.Kind.POLICY)
