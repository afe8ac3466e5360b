"""What time does to calls and proposals that wait for people, swept up by workers: expiry, reminders, ladders, and what
a containment step has voided. Each is found without a lock, and judged again under its own."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error
from django.db.models import F, QuerySet
from django.utils import timezone

from audit import log, owed
from governance import approvals, asking, outcomes, proposals
from governance.approvals import NotPending
from governance.models import Approval, Proposal
from governance.outcomes import Status
from workspaces.models import Workspace

SWEEP = 100  # rows moved on in one sweep, so that nothing else waits long
CURRENT_EPOCH = F("agent__epoch") + F("workspace__epoch")

Waits = TypeVar("Waits", Approval, Proposal)  # both call it "pending"

logger = logging.getLogger(__name__)


def recheck(payload: dict[str, Any]) -> str:
    """Bring what waits in a workspace in step with who is there now, some approvals at a time."""
    workspace = Workspace.objects.get(pk=payload["workspace"])
    waiting = Approval.objects.filter(
        workspace=workspace, status=Status.PENDING, process__isnull=False, pk__gt=payload.get("after", 0)
    )
    rows = list(waiting.select_related("workspace").order_by("pk")[:SWEEP])
    for approval in rows:
        with log.write(workspace.log_id) as entries:
            row = approvals.read(approval)
            if outcomes.refusal(row, entries.now) is None:
                asking.review(row, entries)
    if len(rows) == SWEEP:
        owed.owe(asking.RECHECK, [{**payload, "after": rows[-1].pk}], due=log.database_time())
    return f"{workspace.slug}: {len(rows)} looked at"


def expire_due() -> int:
    """End the approvals whose time is over; how many."""
    return sweep(Approval.objects.filter(expires_at__lte=timezone.now()), approvals.expire)


def expire_proposals() -> int:
    """End the proposals whose time is over; how many."""
    return sweep(Proposal.objects.filter(expires_at__lte=timezone.now()), proposals.expire)


def step_due() -> int:
    """Take the steps that are due: reminders, and rungs of ladders; how many."""
    now = timezone.now()
    current = Approval.objects.filter(epoch=CURRENT_EPOCH, expires_at__gt=now)
    return sweep(current.filter(next_step_at__lte=now), approvals.step, first="next_step_at")


def cancel_void() -> int:
    """Tidy the approvals that a containment step has voided; how many. They counted for nothing already."""

    def withdraw(approval: Approval) -> bool:
        approvals.cancel(approval, actor="system", reason="The agent's standing was changed after it asked.")
        return True

    return sweep(Approval.objects.exclude(epoch=CURRENT_EPOCH), withdraw)


def sweep(due: QuerySet[Waits], act: Callable[[Waits], bool], first: str = "expires_at") -> int:
    """Find what is due and still waits without any lock, then act on one after the other under its own."""
    count = 0
    for row in due.filter(status=Status.PENDING).select_related("workspace").order_by(first)[:SWEEP]:
        try:
            count += act(row)
        except (NotPending, proposals.NotPending):
            continue  # somebody was faster
        except Error:
            raise
        except Exception:
            logger.exception("%s could not be moved on.", row.public_id)
    return count
