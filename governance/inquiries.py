"""What an agent may ask about itself: its standing, and what became of its approvals. Asked under the lock."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from audit.details import read_detail, read_details
from audit.log import stamp
from billing.budgets import AccountState, dollars
from governance import raises
from governance.decide import in_force
from governance.models import Approval
from governance.requests import Answer, ApprovalCancel, ApprovalQuery, ApprovalReply, Problem, StandingQuery
from governance.rules import Effect
from governance.snapshot import Snapshot
from governance.subjects import AgentEntry
from workspaces.models import Resource

if TYPE_CHECKING:
    from governance.checks import Batch

NO_APPROVAL = Problem(404, "not_found", "This agent asked for no such approval; check the id.")


def approval(
    batch: "Batch", agent: AgentEntry, request: ApprovalQuery | ApprovalCancel | ApprovalReply
) -> Answer:
    """One approval as its agent sees it: what became of it, what was asked about it, and what it is for now."""
    row = approval_of(agent, request.approval)
    return NO_APPROVAL if row is None else msgspec.json.encode(approval_view(row, batch.now))


def approval_of(agent: AgentEntry, public_id: str) -> Approval | None:
    """The agent's own approval of this id."""
    rows = Approval.objects.filter(public_id=public_id, agent_id=agent.id)
    return rows.select_related("workspace", "agent").first()


def approval_view(row: Approval, now: datetime) -> dict[str, Any]:
    """The wire form of an approval. One that ran out says so before the sweep has come round."""
    status = row.status
    if status == Approval.Status.PENDING and row.expires_at <= now:
        status = Approval.Status.EXPIRED
    view: dict[str, Any] = {
        "id": row.public_id,
        "status": str(status),
        "version": row.version,
        "decision": row.decision,
        "tool": row.tool,
        "created": stamp(row.created),
        "expires_at": stamp(row.expires_at),
        "settled_at": stamp(row.settled_at) if row.settled_at else None,
        "used": bool(row.used_by),
        "reachable": row.unreachable_since is None,
        "raises": raises.view(row),
        "questions": questions(row),
        "edited": row.edit_index is not None,
        "comments": [],
    }
    if row.edit_index is not None:
        edit = read_detail(row.workspace.log_id, row.edit_index)
        view |= {name: edit.get(name) for name in ("arguments", "resources", "changes")}
    if row.settled_at is not None:
        details = [read_detail(row.workspace.log_id, vote.entry_index) for vote in row.votes.order_by("pk")]
        view["comments"] = [detail["comment"] for detail in details if detail.get("comment")]
    return view


def questions(approval: Approval) -> list[dict[str, Any]]:
    """What reviewers asked the agent, the oldest first; answered is what the agent said something after."""
    rows = list(approval.remarks.order_by("pk"))
    if not rows:
        return []
    asked = [row for row in rows if row.person_id is not None]
    answered = max((row.entry_index for row in rows if row.person_id is None), default=-1)
    texts = dict(read_details(approval.workspace.log_id, [row.entry_index for row in asked]))
    return [
        {
            "id": row.entry_index,
            "text": texts.get(row.entry_index, {}).get("text", ""),
            "asked_at": stamp(row.created),
            "answered": row.entry_index < answered,
        }
        for row in asked
    ]


def standing(batch: "Batch", agent: AgentEntry, request: StandingQuery) -> Answer:
    """The agent's own standing, permissions in force, budgets left, and tools that would ask a person."""
    current = batch.snapshot
    tools = [name for name, tool in current.tools.items() if in_force(agent.tools, tool.id, batch.now)]
    names = dict(Resource.objects.filter(workspace_id=current.workspace_id).values_list("pk", "pattern"))
    permissions: dict[str, list[str]] = {}
    for resource_id, action in agent.resources:
        if resource_id in names and in_force(agent.resources, (resource_id, action), batch.now):
            permissions.setdefault(action, []).append(names[resource_id])
    effective = batch.snapshot.standing_of(agent, batch.now)
    batch.ledger.load_agent(agent.id)
    budgets = [budget_view(account) for account in batch.ledger.of_agent(agent.id)]
    return msgspec.json.encode({
        "agent": agent.public_id,
        "name": agent.name,
        "workspace": current.public_id,
        "standing": effective,
        "labels": sorted(agent.labels),
        "tools": sorted(tools),
        "permissions": {action: sorted(patterns) for action, patterns in sorted(permissions.items())},
        "asks_a_person": sorted(name for name in tools if may_ask(current, agent, name, effective)),
        "budgets": budgets,
        "agent_seq": batch.memory.agents[agent.id].seq,
        "policy": current.policy,
        "revision": current.revision,
    })  # fmt: skip


def budget_view(account: AccountState) -> dict[str, Any]:
    """A budget as the agent sees it, of its default session; amounts in its unit."""
    budget = account.budget
    tokens = budget.unit == "tokens"
    amounts = {
        "limit": account.limit,
        "held": account.held,
        "spent": account.spent,
        "remaining": account.remaining,
    }
    return {
        "id": budget.public_id,
        "scope": budget.scope,
        "window": budget.window,
        "unit": budget.unit,
        "tool": budget.tool,
        "model": budget.model,
        "hard": budget.hard,
        "when_short": budget.when_short,
        **{
            f"{name}_tokens" if tokens else f"{name}_usd": amount if tokens else dollars(amount)
            for name, amount in amounts.items()
        },
    }


def may_ask(current: Snapshot, agent: AgentEntry, tool: str, effective: str) -> bool:
    """Whether a call of this tool could need a person, depending on its arguments."""
    if effective == "supervised" and current.tools[tool].compiled.declaration.action.value != "read":
        return True
    return any(
        rule.rule.effect is Effect.REQUIRE_APPROVAL or (rule.rule.limit and rule.rule.limit.then != "deny")
        for rule in current.candidates(agent, tool)
    )
