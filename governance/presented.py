"""What lifts the objections of rules that ask: the approval that an agent presents, or one given in advance.

Neither is a grant. Both lift exactly the rules that asked, and everything else is judged again.
"""

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from governance import standing
from governance.decide import Verdict
from governance.models import Approval, StandingApproval
from governance.records import Draft
from governance.requests import CheckRequest
from governance.subjects import AgentEntry

if TYPE_CHECKING:
    from governance.checks import Batch

# Somebody said no to this very call, or is asked still: nothing that was given in advance answers in their place.
ANSWERED = ("pending", "approval_rejected")


@dataclass(frozen=True, slots=True)
class Lifting:
    """What was found. ``waiting`` is a good approval that people have not settled; ``refused`` a code that says why the
    presented one lifts nothing."""

    approval: Approval | None = None
    standing: StandingApproval | None = None
    waiting: Approval | None = None
    refused: str = ""
    edited: str = ""  # the presented approval, where it is for another call because a reviewer edited it

    @property
    def lifted(self) -> frozenset[str]:
        """Digests of the rules that are lifted."""
        good = self.approval or self.standing
        return frozenset(good.lifts if good else ())

    def explain(self, verdict: Verdict) -> None:
        """Tell the agent of an edited approval what was approved instead, and where that stands."""
        if self.edited and verdict.code == "approval_mismatch":
            verdict.reasons[0]["message"] = EDITED
            verdict.reasons[0]["approval"] = f"{settings.PUBLIC_URL}/v1/approvals/{self.edited}"

    def use(self, batch: "Batch", draft: Draft) -> None:
        """Note in rows, entry and answer what an allowed call used."""
        if self.approval is not None:
            self.approval.used_by = draft.decision
            draft.entry["data"]["used_approval"] = self.approval.public_id
            batch.records.used_approvals.append(self.approval)
        elif self.standing is not None:
            standing.note_use(self.standing, batch.now)
            draft.entry["data"]["standing_approval"] = self.standing.public_id
            draft.answer["standing_approval"] = self.standing.public_id


NOTHING = Lifting()
EDITED = (
    "A reviewer edited this call: the approval is for the edited one. Read the approval, and ask again with the tool "
    "and the arguments that it tells."
)


def find(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, presented: str
) -> Lifting:
    """What lifts the objections of this pending verdict. An approval in advance is looked for only where no good one
    was presented."""
    refused = why_refused(batch, agent, request, verdict, presented) if presented else ""
    if presented and not refused:
        return Lifting(approval=batch.recall.approvals[presented])
    if refused == "pending":
        return Lifting(waiting=batch.recall.approvals[presented])
    if refused not in ANSWERED and (given := standing.lifting(batch, agent, request, verdict)) is not None:
        return Lifting(standing=given)
    if not refused:
        return NOTHING
    row = batch.recall.approvals.get(presented)
    edited = refused == "approval_mismatch" and row is not None and is_edited_for(row, agent)
    return Lifting(refused=refused, edited=presented if edited else "")


def why_refused(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, presented: str
) -> str:
    """Why the presented approval does not lift what this call needs lifted; "" when it does."""
    refused = batch.recall.why_refused(presented, agent.id, batch.epoch(agent))
    if refused in ("", "pending"):
        approval = batch.recall.approvals[presented]
        if not hmac.compare_digest(approval.binding, batch.records.binding(agent, request, verdict)):
            return "approval_mismatch"
        # Whom a call is made for may not review it: an approval is for the person it was asked for, or nobody.
        if batch.recall.principal(agent.id, request.on_behalf_of) != approval.on_behalf_of_id:
            return "approval_mismatch"
    return refused


def is_edited_for(approval: Approval, agent: AgentEntry) -> bool:
    """Whether a reviewer edited this approval of this agent."""
    return approval.agent_id == agent.id and approval.edit_index is not None
