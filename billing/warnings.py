"""Warnings: a budget tells people once when what was spent reaches a share of its limit, and when it first refuses.

They are noted with what causes them, in the same transaction: an entry, and a row of what is owed. Who hears of it,
and how, is the worker's part. Nothing here asks the database anything unless there is something to tell.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import F, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Greatest, Least

from audit import owed
from audit.log import Writer
from billing.book import AccountState, BudgetSpec, dollars
from billing.models import Budget
from workspaces.models import Agent

WARNED = "billing.budget.warned"
WHOLE = 100  # percent: what a refusal stands for
EXHAUSTED = "exhausted"


def note(accounts: Sequence[AccountState], entries: Writer) -> None:
    """Give warning of each account whose spending reached a share that it did not warn of yet. One that passed
    several at once warns of the highest. Called under the head when charges were booked."""
    for account in accounts:
        share = reached(account.budget, account.spent, account.limit)
        if share > account.warned and is_current(account):
            warn(account, share, f"{share}% spent", entries)


def refused(account: AccountState, entries: Writer) -> None:
    """Give warning that a budget refused a call for being exhausted, the first time. Called under the head."""
    if account.warned < WHOLE:
        warn(account, WHOLE, EXHAUSTED, entries)


def reached(budget: BudgetSpec, spent: int, limit: int) -> int:
    """The highest share (percent) of its warnings that spending has reached, or 0. A budget that never refuses warns
    of the whole of it besides."""
    shares = budget.warn_at if budget.hard else [*budget.warn_at, WHOLE]
    return max((share for share in shares if spent > 0 and spent * 100 >= share * limit), default=0)


def is_current(account: AccountState) -> bool:
    """Whether an account still counts: what is settled after a reset may belong to one from before it."""
    generation = account.budget.generation
    return not generation or account.key.split("|", 2)[1:2] == [f"r{generation}"]


def warn(account: AccountState, share: int, outcome: str, entries: Writer) -> None:
    """Write the entry, and owe telling of it."""
    account.warned, account.changed = share, True
    budget = account.budget
    agent, session = whose(account)
    entry = entries.append(
        WARNED,
        actor="system",
        agent=agent,
        outcome=outcome,
        session=session,
        data={
            "budget": budget.public_id,
            "share": share,
            "unit": budget.unit,
            "spent": written(budget, account.spent),
            "limit": written(budget, account.limit),
            "window": account.key.partition("|")[0],
        },
    )
    owed.owe(WARNED, [payload(entry.log_id, entry.index)], due=entries.now)


def written(budget: BudgetSpec, amount: int) -> str | int:
    """An amount as an entry has it: dollars as a decimal string, tokens as a whole number."""
    return amount if budget.unit == Budget.Unit.TOKENS else dollars(amount)


def payload(log_id: int, index: int) -> dict[str, Any]:
    """What is owed of a warning: where its entry stands, which says the rest."""
    return {"log": log_id, "index": index}


def whose(account: AccountState) -> tuple[str, str]:
    """Public id of the agent and name of the session that an account belongs to; empty where it is everybody's."""
    agent, session = account.budget.agent_id, ""
    if account.budget.scope == Budget.Scope.SESSION:
        whose = account.key.partition("|")[2].removeprefix(f"r{account.budget.generation}|")
        owner, _, session = whose.partition("|")
        agent = int(owner)
    if agent is None:
        return "", ""
    return Agent.objects.values_list("public_id", flat=True).get(pk=agent), session


def after_raise(account: AccountState) -> None:
    """Have a raised account warn again of shares that it fell below by that."""
    kept = min(account.warned, account.spent * 100 // max(account.limit, 1))
    account.changed |= kept != account.warned
    account.warned = kept


def still_warned(limit: Combinable) -> Combinable:
    """``after_raise`` as an expression, for an UPDATE of a budget's accounts whose limit is changed to this. A lowered
    limit takes nothing back: what it brought above a share is told of with the next charge."""
    return Least(F("warned"), F("spent") / Greatest(limit / 100, Value(1)))
