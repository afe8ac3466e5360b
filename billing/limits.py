"""Budgets as configuration: how much may be spent, by whom, on what, in which window."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F, Value
from django.db.models.functions import Greatest

from audit import log
from billing import resets, warnings
from billing.budgets import dollars
from billing.models import Account, Budget
from workspaces.changes import Applied, Change, OtherWorkspace, assign
from workspaces.models import Agent, Tool, Workspace

MOST_NANOS = 9 * 10**15  # nine million dollars; in entries a number stays below 2**53
MOST_TOKENS = 10**15
LONGEST_REASON = 500


def set_budget(
    workspace: Workspace,
    *,
    agent: Agent | None = None,
    per_session: bool = False,
    window: str,
    tool: str = "",
    model: str = "",
    unit: str = Budget.Unit.USD,
    limit_amount: int,
    hard: bool = True,
    when_short: str = Budget.WhenShort.WAIT,
    downgrade_to: str = "",
    warn_at: Iterable[int] = (),
    actor: str,
) -> Applied[Budget]:
    """Make this the limit, in nano-US-dollars or tokens, of an agent's window (None: of the whole workspace's; with
    ``per_session`` of each session). ``tool`` and ``model`` narrow which calls count; with ``unit`` they tell budgets
    apart. ``warn_at`` are percents of it.

    It holds from the next call on, in the window that runs too: what was spent and held stays, and where
    that is more than a lowered limit, nothing is left. Raises OtherWorkspace and ValidationError.
    """
    if agent is not None and agent.workspace_id != workspace.pk:
        raise OtherWorkspace(f"The agent {agent.name} is not in {workspace.slug}.")
    scope = Budget.Scope.SESSION if per_session else Budget.Scope.AGENT if agent else Budget.Scope.WORKSPACE
    terms = {
        "limit_amount": limit_amount,
        "hard": hard,
        "when_short": when_short,
        "downgrade_to": downgrade_to,
        "warn_at": sorted(set(warn_at)),
    }
    with log.write(workspace.log_id) as entries:
        whose = {"workspace": workspace, "scope": scope, "agent": agent, "window": window, "tool": tool,
                 "model": model, "unit": unit}  # fmt: skip
        found = Budget.objects.filter(**whose).first()
        budget = found or Budget(**whose)
        before = told(found) if found else None
        if not assign(budget, terms) and found:
            return Applied(budget, Change.UNCHANGED)
        check(budget)
        budget.save()
        if found:
            carry_over(budget)
        entries.record(
            "billing.budget.changed",
            actor=actor,
            saved=[budget],
            agent=agent.public_id if agent else "",
            data={"budget": budget.public_id, "before": before, "after": told(budget)},
        )
    return Applied(budget, Change.CHANGED if found else Change.CREATED)


def told(budget: Budget) -> dict[str, Any]:
    """What a budget's terms are, in an entry's data: dollars as a decimal string, tokens as a whole number."""
    return {
        "limit": amount(budget, budget.limit_amount),
        "unit": budget.unit,
        "hard": budget.hard,
        "when_short": budget.when_short,
        "downgrade_to": budget.downgrade_to,
        "warn_at": budget.warn_at,
    }


def amount(budget: Budget, value: int) -> str | int:
    """An amount of a budget as JSON has it."""
    return value if budget.unit == Budget.Unit.TOKENS else dollars(value)


def check(budget: Budget) -> None:
    """Raise ValidationError, with a stable code at each field, for a budget that makes no sense."""
    problems: dict[str, ValidationError] = {}

    def refuse(field: str, code: str, message: str) -> None:
        problems.setdefault(field, ValidationError(message, code=code))

    tokens = budget.unit == Budget.Unit.TOKENS
    if not 0 <= budget.limit_amount <= (MOST_TOKENS if tokens else MOST_NANOS):
        most = f"{MOST_TOKENS:,} tokens" if tokens else f"${dollars(MOST_NANOS)}"
        refuse("limit_amount", "limit_out_of_range", f"A limit is not negative and at most {most}.")
    if not all(isinstance(percent, int) and 1 <= percent <= 100 for percent in budget.warn_at):
        refuse("warn_at", "bad_percent", "Warn at whole percents of the limit, from 1 to 100.")
    for field in ("tool", "model", "downgrade_to"):
        text = getattr(budget, field)
        if text != text.strip() or any(unicodedata.category(letter)[0] == "C" for letter in text):
            refuse(field, "bad_name", "A name begins and ends with no space and has only visible characters.")
    if budget.tool and budget._state.adding:
        tools = Tool.objects.filter(workspace=budget.workspace, name=budget.tool)
        if not tools.exists():
            refuse("tool", "unknown_tool", f"There is no tool {budget.tool} in the workspace.")
    if not budget.hard and budget.when_short != Budget.WhenShort.WAIT:
        refuse("when_short", "never_short", "A budget that only warns is never short; leave it at wait.")
    check_downgrade(budget, refuse)
    if problems:
        raise ValidationError(problems)
    budget.full_clean()


def check_downgrade(budget: Budget, refuse: Any) -> None:
    """A cheaper model is named where one is offered, and only there; ``refuse(field, code, message)`` is told."""
    offers = budget.when_short == Budget.WhenShort.DOWNGRADE
    if offers and not budget.downgrade_to:
        refuse("downgrade_to", "downgrade_missing", "Name the cheaper model that is offered.")
    if budget.downgrade_to and not offers:
        refuse("downgrade_to", "downgrade_unused", "A cheaper model is offered only with downgrade.")
    if offers and budget.downgrade_to and budget.downgrade_to == budget.model:
        refuse("downgrade_to", "same_model", "Name another model than the one that the budget is for.")
    if offers and budget.unit == Budget.Unit.TOKENS and not budget.model:
        refuse(
            "when_short", "no_fewer_tokens", "Another model takes as many tokens; name the model that counts."
        )


def carry_over(budget: Budget) -> None:
    """Put the new limit into the budget's accounts, each with what it was raised by; what was used beyond it becomes
    overage, and no more than that."""
    limit = F("raised") + budget.limit_amount
    Account.objects.filter(budget=budget).update(
        limit_amount=limit,
        overage=Greatest(F("spent") + F("held") - limit, Value(0)),
        warned=warnings.still_warned(limit),
    )


def reset(budget: Budget, *, actor: str, reason: str) -> Budget:
    """Begin every account of a budget anew, with nothing spent; what calls in flight hold stays held. The budget as it
    now is. Raises ValidationError without a reason of at most 500 characters."""
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        message = f"Give a reason of 1 to {LONGEST_REASON} characters; whoever reads the log will want it."
        raise ValidationError({"reason": ValidationError(message, code="reason_missing")})
    with log.write(budget.workspace.log_id) as entries:
        budget.refresh_from_db(fields=["generation", "limit_amount"])
        budget.generation += 1
        budget.save(update_fields=["generation"])
        resets.move_holds(budget)
        entries.record(
            "billing.budget.reset",
            actor=actor,
            saved=[budget],
            agent=budget.agent.public_id if budget.agent else "",
            data={"budget": budget.public_id, "generation": budget.generation},
            detail={"reason": reason},
        )
    return budget


def remove_budget(budget: Budget, *, actor: str) -> None:
    """Remove a budget with its accounts. One that is set again later begins with nothing spent."""
    with log.write(budget.workspace.log_id) as entries:
        agent = budget.agent
        entries.record(
            "billing.budget.removed",
            actor=actor,
            removed=[budget],
            agent=agent.public_id if agent else "",
            data={"budget": budget.public_id, "before": told(budget)},
        )
        budget.delete()
