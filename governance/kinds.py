"""What of this app is configuration, and the entries that it writes."""

from audit.registry import register_kind, register_types
from governance.models import Absence, PolicyVersion, StandingApproval

SENTENCES = {
    "governance.policy.drafted": "{actor} drafted a policy.",
    "governance.policy.published": "{actor} published a policy.",
    "governance.replay.started": "{actor} had a policy judged over recorded calls.",
    "governance.replay.finished": "A policy was judged over recorded calls: {outcome}.",
    "governance.check.allowed": "{agent} was allowed to use {tool}.",
    "governance.check.denied": "{agent} was denied {tool}.",
    "governance.check.pending": "{agent} waits for people before it may use {tool}.",
    "governance.check.simulated": "{agent} asked what would become of {tool}.",
    "governance.check.throttled": "Keys of {agent} asked too often.",
    "governance.outcome.reported": "{agent} reported what became of {tool}.",
    "governance.outcome.unreported": "{agent} never reported what became of {tool}.",
    "governance.approval.started": "People were asked about {tool} of {agent}.",
    "governance.approval.reminded": "People were reminded of {tool} of {agent}.",
    "governance.approval.escalated": "More people were asked about {tool} of {agent}.",
    "governance.approval.unreachable": "Nobody is left who could answer about {tool} of {agent}.",
    "governance.approval.voted": "{actor} voted on {tool} of {agent}.",
    "governance.approval.settled": "The approval of {tool} for {agent} was settled: {outcome}.",
    "governance.approval.link_refused": "A personal link to an approval was refused: {outcome}.",
    "governance.approval.undelivered": "A reviewer could not be mailed about {tool} of {agent}: {outcome}.",
    "governance.detail.read": "{actor} read what {agent} sent to {tool}.",
    "governance.observation.read": "{actor} read what calls of {agent} lacked.",
    "governance.approval.rerouted": "{tool} of {agent} is asked of others, because a reviewer left.",
    "governance.absence.recorded": "{actor} recorded when a reviewer is away.",
    "governance.absence.ended": "{actor} recorded that a reviewer is back.",
    "governance.agent.ownerless": "{agent} lost its owner, who left.",
    "governance.person.left": "{actor} recorded that a person left.",
    "governance.review.started": "{actor} started an access review.",
    "governance.review.answered": "{actor} answered an access review of {agent}: {outcome}.",
    "governance.review.signed": "{actor} signed off an access review.",
    "governance.access.exported": "{actor} took along who can do what.",
    "governance.proposal.opened": "{actor} proposed a change.",
    "governance.proposal.voted": "{actor} answered a proposal: {outcome}.",
    "governance.proposal.rerouted": "A proposal is asked of others, because somebody left.",
    "governance.proposal.settled": "A proposal was settled: {outcome}.",
    "governance.approval.edited": "{actor} answered {tool} of {agent} with other arguments.",
    "governance.approval.asked_agent": "{actor} asked {agent} about {tool}.",
    "governance.approval.agent_replied": "{agent} answered a reviewer about {tool}.",
    "governance.standing_approval.given": "{actor} approved calls of {tool} by {agent} in advance.",
    "governance.standing_approval.revoked": "{actor} took back what was approved of {agent} in advance.",
    "governance.erasure.requested": "{actor} asked for personal values to be erased, and had them looked for.",
    "governance.erasure.confirmed": "{actor} confirmed that personal values be erased.",
    "governance.erasure.cancelled": "{actor} cancelled an erasure.",
    "governance.erasure.finished": "An erasure that {actor} confirmed is finished.",
    "governance.data.erased": "{actor} erased personal values from Details.",
    "governance.containment.changed": "{actor} changed the standing of {agent} to {outcome}.",
}


def register() -> None:
    """Register this app's entry types and configuration tables."""
    register_types(SENTENCES)
    register_kind(
        PolicyVersion,
        rows_of=lambda log_id: PolicyVersion.objects.filter(workspace__log_id=log_id),
        private=("content", "note"),  # rules name reviewers by address; the digest commits to them
        touches=lambda row: ("policy", row.pk),
    )
    register_kind(
        StandingApproval,
        rows_of=lambda log_id: StandingApproval.objects.filter(workspace__log_id=log_id),
        private=("resources", "bounds"),  # they hold what agents sent
        omit=("approval_id",),  # an approval may be gone before; the entry names it by its public id
    )
    register_kind(
        Absence,
        rows_of=lambda log_id: Absence.objects.filter(workspace__log_id=log_id),
        private=("note",),
    )
