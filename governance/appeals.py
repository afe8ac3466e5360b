"""What an agent says about what it waits for or was denied: takes a call back, answers a question, asks for access.

Called inside admission's transaction. Each answers with the wire form of what it is about, or with a problem.
"""

from typing import TYPE_CHECKING

import msgspec

from governance import access_requests, approvals, inquiries, outcomes, remarks
from governance.access_requests import AccessRefused
from governance.models import Approval
from governance.outcomes import NotPending
from governance.remarks import RemarkRefused
from governance.requests import AccessQuery, AccessWish, Answer, ApprovalCancel, ApprovalReply, Problem
from governance.subjects import AgentEntry
from workspaces.models import Agent

if TYPE_CHECKING:
    from governance.checks import Batch

NO_REQUEST = Problem(404, "not_found", "This agent asked for no such access; check the id.")


def cancel(batch: "Batch", agent: AgentEntry, request: ApprovalCancel) -> Answer:
    """Withdraw a call that waits; who was asked about it is asked no more."""
    row = inquiries.approval_of(agent, request.approval)
    if row is None:
        return inquiries.NO_APPROVAL
    try:
        require_pending(batch, row)
        approvals.withdraw(
            row, actor=f"agent:{agent.public_id}", reason=request.reason, entries=batch.entries
        )
    except NotPending as refused:
        return problem(refused)
    known = batch.recall.approvals.get(row.public_id)
    if known is not None:  # what a later call of this batch presents
        known.status = row.status
    waiting = batch.records.waiting.get(agent.id)
    if waiting is not None:  # with what this batch asked for, which no row tells yet
        waiting[:] = [each for each in waiting if each.public_id != row.public_id]
    return inquiries.approval(batch, agent, request)


def reply(batch: "Batch", agent: AgentEntry, request: ApprovalReply) -> Answer:
    """Answer what reviewers asked about a call that waits."""
    row = inquiries.approval_of(agent, request.approval)
    if row is None:
        return inquiries.NO_APPROVAL
    try:
        remarks.reply(row, text=request.text, entries=batch.entries)
    except (NotPending, RemarkRefused) as refused:
        return problem(refused)
    return inquiries.approval(batch, agent, request)


def request_access(batch: "Batch", agent: AgentEntry, request: AccessWish) -> Answer:
    """Ask people for what a call was denied for want of."""
    row = Agent.objects.select_related("workspace").get(pk=agent.id)
    try:
        proposal = access_requests.request(
            row,
            tool=request.tool,
            action=request.action,
            resource=request.resource,
            reason=request.reason,
            hours=request.hours,
        )
    except AccessRefused as refused:
        return problem(refused)
    return msgspec.json.encode(access_requests.told(proposal))


def access_request(batch: "Batch", agent: AgentEntry, request: AccessQuery) -> Answer:
    """What became of a request for access."""
    row = access_requests.find(Agent.objects.get(pk=agent.id), request.request)
    return NO_REQUEST if row is None else msgspec.json.encode(access_requests.told(row))


def require_pending(batch: "Batch", approval: Approval) -> None:
    """Raise NotPending where nothing can be said about the approval any more."""
    if refused := outcomes.refusal(approval, batch.now):
        raise refused


def problem(refused: NotPending | AccessRefused | RemarkRefused) -> Problem:
    """A refusal as the agent gets it."""
    return Problem(refused.status, refused.code, str(refused))
