"""Calls that wait for people, opened as admission opens them."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from audit import log
from governance import approvals, outcomes, schedule
from governance.models import Approval, Vote
from workspaces.identifiers import public_id
from workspaces.models import Agent, User

ARGUMENTS = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}


def requirement(
    *reviewers: User, rule: str = "Mail is looked at", quorum: int = 1, owner: bool = False
) -> dict[str, Any]:
    """One rule's demand for people."""
    return {
        "rule": rule,
        "ask": "May this mail go out?",
        "message": "A person looks at mail.",
        "reviewers": [person.pk for person in reviewers],
        "owner_counts": owner,
        "quorum": quorum,
    }


def ask(
    agent: Agent,
    requirements: Sequence[dict[str, Any]],
    *,
    risk: str = "medium",
    tool: str = "mail.send",
    expires_in: timedelta = timedelta(hours=1),
    on_behalf_of: User | None = None,
    arguments: dict[str, Any] | None = None,
    reason: str = "the customer asked",
) -> Approval:
    """A pending call with its entry, and its approval in the same write."""
    decision, approval = public_id("dec"), public_id("apr")
    with log.write(agent.workspace.log_id) as entries:
        agent.refresh_from_db()
        entry = entries.append(
            "governance.check.pending",
            actor=f"agent:{agent.public_id}",
            agent=agent.public_id,
            tool=tool,
            outcome="pending",
            data={"decision": decision, "approval": approval},
            detail={
                "arguments": ARGUMENTS if arguments is None else arguments,
                "resources": ["mailto:ann@customers.test"],
                "reason": reason,
            },
        )
        approvals.open(
            [
                approvals.Ask(
                    public_id=approval,
                    workspace_id=agent.workspace_id,
                    agent_id=agent.pk,
                    decision=decision,
                    tool=tool,
                    action="send",
                    risk=risk,
                    session="run-1",
                    binding="0" * 64,
                    lifts=[],
                    requirements=list(requirements),
                    on_behalf_of_id=on_behalf_of.pk if on_behalf_of else None,
                    epoch=outcomes.current_epoch(agent, agent.workspace),
                    created=entries.now,
                    expires_at=entries.now + expires_in,
                    entry_index=entry.index,
                )
            ]
        )
    return Approval.objects.select_related("workspace", "agent").get(public_id=approval)


REASON = "I have looked at it."


def decide(
    approval: Approval,
    person: User,
    approve: bool = True,
    comment: str | None = None,
    second_factor: str = "totp",
) -> Approval:
    """A vote of somebody who is signed in and confirmed it; with a reason where the risk wants one."""
    needed = REASON if approval.risk in approvals.CONFIRMED_RISKS else ""
    return approvals.decide(
        approval,
        person=person,
        approve=approve,
        comment=needed if comment is None else comment,
        known_by=Vote.KnownBy.SESSION,
        actor=f"person:{person.public_id}",
        second_factor=second_factor,
    )


def types_in(approval: Approval) -> list[str]:
    """Types of the approval's own entries, in the log's order."""
    entries = approval.workspace.log.entries.filter(type__startswith="governance.approval.").order_by("index")
    return [
        entry.type.removeprefix("governance.approval.")
        for entry in entries
        if json.loads(bytes(entry.body))["data"]["approval"] == approval.public_id
    ]


def pass_time(by: timedelta) -> None:
    """As if so much time went by: everything that waits was asked, and will be over, that much earlier."""
    for approval in Approval.objects.filter(status=Approval.Status.PENDING):
        approval.created -= by
        approval.expires_at -= by
        approval.plan = [{**step, "at": (schedule.time_of(step) - by).isoformat()} for step in approval.plan]
        approval.next_step_at = schedule.next_at(approval.plan)
        approval.save(update_fields=["created", "expires_at", "plan", "next_step_at"])
        approval.links.update(deadline=approval.expires_at)
