"""Budgets as configuration: how much may be spent, by whom, in which window."""

from collections.abc import Iterable

from django.db.models import F, Value
from django.db.models.functions import Greatest

from audit import log
from billing.models import Account, Budget
from workspaces.changes import Applied, Change, OtherWorkspace, assign
from workspaces.models import Agent, Workspace


def set_budget(
    workspace: Workspace,
    *,
    agent: Agent | None = None,
    per_session: bool = False,
    window: str,
    limit_amount: int,
    warn_at: Iterable[int] = (),
    actor: str,
) -> Applied[Budget]:
    """Make this the limit, in nano-US-dollars, of an agent's window (None: of the whole workspace's, or with
    ``per_session`` of each session of any agent). ``warn_at`` are percents of it.

    It holds from the next call on, in the window that runs too: what was spent and held stays, and where
    that is more than a lowered limit, nothing is left. Raises OtherWorkspace and ValidationError.
    """
    if agent is not None and agent.workspace_id != workspace.pk:
        raise OtherWorkspace(f"The agent {agent.name} is not in {workspace.slug}.")
    scope = Budget.Scope.SESSION if per_session else Budget.Scope.AGENT if agent else Budget.Scope.WORKSPACE
    with log.write(workspace.log_id) as entries:
        found = Budget.objects.filter(workspace=workspace, scope=scope, agent=agent, window=window).first()
        budget = found or Budget(workspace=workspace, scope=scope, agent=agent, window=window)
        if not assign(budget, {"limit_amount": limit_amount, "warn_at": sorted(set(warn_at))}) and found:
            return Applied(budget, Change.UNCHANGED)
        budget.full_clean()
        budget.save()
        if found:
            carry_over(budget)
        entries.record(
            "billing.budget.changed",
            actor=actor,
            saved=[budget],
            agent=agent.public_id if agent else "",
            data={"budget": budget.public_id},
        )
    return Applied(budget, Change.CHANGED if found else Change.CREATED)


def carry_over(budget: Budget) -> None:
    """Put the new limit into the budget's accounts; what was used beyond it becomes overage, and no more
    than that."""
    Account.objects.filter(budget=budget).update(
        limit_amount=budget.limit_amount,
        overage=Greatest(F("spent") + F("held") - budget.limit_amount, Value(0)),
    )


def remove_budget(budget: Budget, *, actor: str) -> None:
    """Remove a budget with its accounts. One that is set again later begins with nothing spent."""
    with log.write(budget.workspace.log_id) as entries:
        agent = budget.agent
        entries.record(
            "billing.budget.removed",
            actor=actor,
            removed=[budget],
            agent=agent.public_id if agent else "",
            data={"budget": budget.public_id},
        )
        budget.delete()
