"""How approvals end: the one writer of an approval's status, under the log's head and the process lock."""

from datetime import datetime

from django.db.models import F

from audit import log
from governance.callbacks import owe_callback
from governance.models import Approval
from workspaces.models import Agent, Workspace

Status = Approval.Status


class NotPending(Exception):
    """The approval cannot be decided now. ``code``: approval_settled, approval_expired, approval_void or
    approval_edited."""

    status = 409

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def current_epoch(agent: Agent, workspace: Workspace) -> int:
    """What an approval's epoch must equal to count; each containment step of either raises it.

    A step of the whole installation raises every workspace's."""
    return agent.epoch + workspace.epoch


def is_void(approval: Approval) -> bool:
    """Whether a containment step came after the agent asked."""
    return approval.epoch != current_epoch(approval.agent, approval.workspace)


def refusal(approval: Approval, now: datetime) -> NotPending | None:
    """Why the approval cannot be decided at this time; None while it can."""
    if approval.status == Status.EXPIRED or (
        approval.status == Status.PENDING and approval.expires_at <= now
    ):
        return NotPending(
            "approval_expired", "The time to answer is over, which means no; the agent may ask again."
        )
    if approval.status != Status.PENDING:
        label = Status(approval.status).label.lower()
        return NotPending(
            "approval_settled", f"This approval is settled already: {label}. Nothing was changed."
        )
    if is_void(approval):
        sentence = "The agent's standing was changed after it asked, so this approval no longer counts."
        return NotPending("approval_void", sentence)
    return None


def is_over(approval: Approval) -> bool:
    """Whether the time to answer is over, by the clock of the write that asks."""
    with log.write(approval.workspace.log_id) as entries:
        return approval.expires_at <= entries.now


def settle(approval: Approval, status: Approval.Status, *, actor: str, reason: str = "") -> None:
    """End a pending approval and record how. ``reason`` is for people and kept out of the entry's body.

    Raises NotPending when it has ended already."""
    with log.write(approval.workspace.log_id) as entries:
        pending = Approval.objects.filter(pk=approval.pk, status=Status.PENDING)
        changes = {"status": status, "settled_at": entries.now, "next_step_at": None}
        if not pending.update(version=F("version") + 1, **changes):
            raise NotPending("approval_settled", "This approval is settled already. Nothing was changed.")
        approval.refresh_from_db(fields=["version", *changes])
        approval.links.filter(waiting=True).update(waiting=False)
        entries.append(
            "governance.approval.settled",
            actor=actor,
            agent=approval.agent.public_id,
            tool=approval.tool,
            session=approval.session,
            outcome=status.value,
            data={"approval": approval.public_id, "decision": approval.decision},
            detail={"reason": reason} if reason else None,
            log_id=approval.workspace.log_id,
        )
        owe_callback(approval, "settled", entries)
