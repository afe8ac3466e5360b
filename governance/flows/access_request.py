"""An agent asks for a grant that ends; its owner and the resource's steward decide."""

from viewflow import this
from viewflow.workflow import flow

from governance.flows.deciding import Deciding, may_answer
from governance.flows.nodes import WAITING_LOCK, AnswerNode
from governance.models import AccessRequestProcess


class AccessRequestFlow(Deciding, flow.Flow):
    """Request for access

    The agent's owner and the resource's steward answer; what they agree to is granted for a time."""

    process_class = AccessRequestProcess
    lock_impl = WAITING_LOCK

    ask = flow.StartHandle(this.link).Next(this.answer)
    answer = AnswerNode(may_answer).Next(this.tally)
    tally = (
        flow.Switch()
        .Case(this.expire, this.is_unanswered)
        .Case(this.reject, this.is_vetoed)
        .Case(this.grant, this.is_agreed)
        .Default(this.answer)
    )
    expire = flow.Function(this.on_expired).Next(this.end)
    reject = flow.Function(this.on_rejected).Next(this.end)
    grant = flow.Function(this.on_agreed).Next(this.end)
    end = flow.End()
