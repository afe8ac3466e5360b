"""Policies, decisions, approvals and what people propose, by concept; imported from here."""

from governance.models.absences import Absence
from governance.models.approvals import (
    Approval,
    ApprovalLink,
    ApprovalProcess,
    Asking,
    CallbackState,
    Overflow,
    Remark,
    Vote,
)
from governance.models.campaigns import AccessReview, ReviewItem
from governance.models.decisions import (
    AgentState,
    Call,
    Counter,
    Decision,
    DecisionRecord,
    GrantUse,
    Idempotency,
    Session,
    UseCursor,
)
from governance.models.mailings import Mailing
from governance.models.policies import (
    ImmutableVersion,
    PolicyVersion,
    Replay,
    ReplayDifference,
    RuleOrigin,
)
from governance.models.proposals import (
    AccessRequestProcess,
    OnboardingProcess,
    PolicyChangeProcess,
    Proposal,
    ProposalVote,
)
from governance.models.standing import StandingApproval, StandingUse

__all__ = [
    "Absence",
    "AccessRequestProcess",
    "AccessReview",
    "AgentState",
    "Approval",
    "ApprovalLink",
    "ApprovalProcess",
    "Asking",
    "Call",
    "CallbackState",
    "Counter",
    "Decision",
    "DecisionRecord",
    "GrantUse",
    "Idempotency",
    "ImmutableVersion",
    "Mailing",
    "OnboardingProcess",
    "Overflow",
    "PolicyChangeProcess",
    "PolicyVersion",
    "Proposal",
    "ProposalVote",
    "Remark",
    "Replay",
    "ReplayDifference",
    "ReviewItem",
    "RuleOrigin",
    "Session",
    "StandingApproval",
    "StandingUse",
    "UseCursor",
    "Vote",
]
