"""What lifts the objections of rules that ask: the approval that an agent presents, or one given in advance.

Neither is a grant. Both lift exactly the rules that asked, and everything else is judged again. What stops a call
beside its rules, a budget that is short or a loop, is lifted by an approval that was asked for that, and by nothing
given in advance.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings

from governance import standing
from governance.decide import REFUSED_APPROVAL, Facts, Verdict
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
NOT_ASKED = "not_asked"
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


@dataclass(slots=True)
class Hearing:
    """One check, and what people say of what stops it beside its rules. ``lifting`` is what was found so far."""

    batch: "Batch"
    agent: AgentEntry
    request: CheckRequest
    named: str
    lifting: Lifting = NOTHING

    def lifts(
        self, verdict: Verdict, wanted: Mapping[str, dict[str, Any]], code: str, message: str, **more: Any
    ) -> bool:
        """Whether the presented approval lifts all that is wanted, for this very call. If not, the verdict of the
        allowed call is turned: it waits for people, or is denied where the approval is no good.

        ``wanted``: LOOP, or ``budget:<public id>`` with the account, its limit, by how much it is ``short`` and the
        ``most`` that people are asked to raise it by."""
        approval, refused = self.presented(verdict)
        if approval is not None and refused in ("", "pending"):
            missing = why_not_covered(approval, wanted)
            if not missing and not refused:
                self.lifting = Lifting(approval=approval)
                verdict.passed |= wanted
                return True
            if not missing:
                self.lifting = Lifting(waiting=approval)
            refused = "" if missing in ("", NOT_ASKED) else missing
        if refused:
            verdict.fall_short(refused, REFUSED_APPROVAL[refused])
        else:
            verdict.wait_for({**wanted}, code, message, **more)
        return False

    def heard(self, facts: Facts) -> Facts:
        """The facts with what was lifted in the end."""
        return replace(facts, lifted=self.lifting.lifted) if self.lifting.lifted else facts

    def presented(self, verdict: Verdict) -> tuple[Approval | None, str]:
        """The approval that is presented, and why it lifts nothing; "" where it is good."""
        if self.lifting.approval is not None or not self.named:
            return self.lifting.approval, ""
        refused = why_refused(self.batch, self.agent, self.request, verdict, self.named)
        return self.batch.recall.approvals.get(self.named), refused


def why_not_covered(approval: Approval, wanted: Mapping[str, dict[str, Any]]) -> str:
    """Why an approval does not lift all of this: NOT_ASKED where people were not asked about it, a code where they said
    yes to something else; "" where it does. Who agreed to raise a budget agreed for the window that they saw, for a
    call of the cost that they saw or less, and with the limit that they saw or a higher one."""
    for lift, now in wanted.items():
        if lift not in approval.lifts:
            return NOT_ASKED
        then = approval.raises.get(lift, {})
        if now.get("account") != then.get("account") or now.get("limit", 0) < then.get("limit", 0):
            return "approval_expired"
        if any(
            now.get(name, 0) > then.get(most, 0) for name, most in (("short", "most"), ("needs", "needs"))
        ):
            return "approval_mismatch"
    return ""
