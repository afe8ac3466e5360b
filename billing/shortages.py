"""Why a call does not fit, and what it can do about that: the budgets' policy at the edge. Pure: accounts and
a cost in, a shortage out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.book import FULL, MOST, AccountState, BudgetSpec, Cost, window_end

WIDER_SHARE = 5  # one hold may take at most a fifth of a workspace's budget
BUSY_SECONDS = 1  # calls in flight settle soon; how soon, nobody knows
STRICTEST = ("deny", "wait", "downgrade", "ask")
PREFIX = "budget:"  # in the lifts of an approval: this budget may be raised once


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a call's cost could not be held. ``code`` is ``budget_exhausted``, ``budget_busy`` when only holds are in the
    way, or ``unknown_price``; ``budget`` is the public id of the one that says so, empty where none would bear it.

    ``retry_after`` are seconds, 0 where asking again does not help. ``asks`` are the budgets that a person may raise
    for this call, each with the amount it is short of: then nothing else stands in the way. ``downgrade`` is the
    cheaper model that may be offered. ``exhausted`` are the accounts that have too little left."""

    code: str
    message: str
    budget: str
    retry_after: int = 0
    asks: tuple[tuple[BudgetSpec, int], ...] = ()
    downgrade: str = ""
    exhausted: tuple[AccountState, ...] = ()


def find_shortage(
    accounts: Sequence[AccountState], cost: Cost, lifted: frozenset[str], now: datetime, timezone: str
) -> Shortage | None:
    """Why a cost cannot be held in these accounts now, or None. ``lifted`` are budgets, as ``budget:<public id>``, that
    a person said may be raised for this call."""
    short: list[AccountState] = []
    for account in accounts:
        budget = account.budget
        amount = cost.of(budget.unit)
        if amount and account.spent + account.held + amount > FULL:
            return Shortage("budget_exhausted", COUNTS_NO_MORE, budget.public_id)
        if not budget.hard:
            continue
        if amount is None:
            return unknown(budget, cost)
        if not amount or is_lifted(account, lifted):
            continue
        if budget.scope == "workspace" and amount * WIDER_SHARE > account.limit:
            return too_wide(account, amount)
        if account.spent + account.held + amount > account.limit:
            short.append(account)
    return judge(short, cost, now, timezone) if short else None


def is_lifted(account: AccountState, lifted: frozenset[str]) -> bool:
    """Whether a person said that this account may be raised; that counts only while its budget asks."""
    return bool(lifted) and account.budget.when_short == "ask" and PREFIX + account.budget.public_id in lifted


def judge(short: Sequence[AccountState], cost: Cost, now: datetime, timezone: str) -> Shortage:
    """What the strictest policy of the budgets that are short says."""
    policy = min((account.budget.when_short for account in short), key=STRICTEST.index)
    gone = [account for account in short if is_exhausted(account, cost)]
    strictest = [account for account in short if account.budget.when_short == policy]
    exhausted = [account for account in strictest if policy == "deny" or account in gone]
    if not exhausted:
        return Shortage(
            "budget_busy", BUSY, strictest[0].budget.public_id, BUSY_SECONDS, exhausted=tuple(gone)
        )
    first = exhausted[0]
    if policy == "ask" and any(short_of(account, cost) > MOST for account in short):
        policy = "wait"  # so far over its limit that nobody is asked to raise it for one call
    asks = tuple((account.budget, short_of(account, cost)) for account in short) if policy == "ask" else ()
    seconds = 0 if policy == "deny" else seconds_left(gone, now, timezone)
    return Shortage(
        "budget_exhausted",
        f"{had_left(first, cost)} {what_next(policy, seconds, first.budget)}",
        first.budget.public_id,
        seconds,
        asks,
        first.budget.downgrade_to if policy == "downgrade" else "",
        tuple(gone),
    )


def is_exhausted(account: AccountState, cost: Cost) -> bool:
    """Whether the call would not fit even if all calls in flight turned out to be free."""
    return account.spent + (cost.of(account.budget.unit) or 0) > account.limit


def short_of(account: AccountState, cost: Cost) -> int:
    """By how much an account must be raised for the call to fit."""
    return account.spent + account.held + (cost.of(account.budget.unit) or 0) - account.limit


def seconds_left(accounts: Sequence[AccountState], now: datetime, timezone: str) -> int:
    """Seconds until the windows of all these accounts are over; 0 where one never is."""
    ends = [window_end(account.budget.window, now, timezone) for account in accounts]
    if any(end is None for end in ends):
        return 0
    return max(math.ceil((end - now).total_seconds()) for end in ends if end is not None)


def had_left(account: AccountState, cost: Cost) -> str:
    """What is left and what is needed, as a sentence."""
    budget = account.budget
    needed = budget.amount(cost.of(budget.unit) or 0)
    whose = str(budget)
    return f"{whose[0].upper()}{whose[1:]} has {budget.amount(account.remaining)} left and this call needs {needed}."


def what_next(policy: str, seconds: int, budget: BudgetSpec) -> str:
    """What the agent can do about an exhausted budget."""
    if policy == "ask":
        return "An owner is asked to raise it once; wait for the approval, then ask again with its id as “approval”."
    if policy == "downgrade" and budget.downgrade_to:
        return f"Ask again with the model {budget.downgrade_to} if that fits, or ask an owner to raise it."
    if seconds:
        return "Wait for the next window, or ask an owner to raise it."
    return "Ask an owner to raise it."


def too_wide(account: AccountState, amount: int) -> Shortage:
    """That one call may not take so much of what everybody shares."""
    budget = account.budget
    return Shortage(
        "budget_exhausted",
        f"One call may hold at most a fifth of the workspace's budget of {budget.amount(account.limit)}; this one needs"
        f" {budget.amount(amount)}. Ask an owner to raise the budget.",
        budget.public_id,
    )


def unknown(budget: BudgetSpec, cost: Cost) -> Shortage:
    """That nobody knows what the call costs, under a budget that must hold."""
    if budget.unit == "tokens":
        message = (
            f"How many tokens this call needs is not known, and {budget} counts them. Send estimated_usage."
        )
    elif cost.model:
        said = "" if cost.usage is not None else "send estimated_usage, or "
        message = (
            f"What this call of the model {cost.model} costs is not known, and {budget} must hold. To go on, {said}have"
            " an owner set a price for the model or a ceiling price, or declare the tool's cost_usd."
        )
    else:
        message = (
            f"What this call costs is not known before, and {budget} must hold. Name a model and its estimated_usage,"
            " or have an owner declare the tool's cost_usd or set a ceiling price."
        )
    return Shortage("unknown_price", message, budget.public_id)


TOO_DEAR = Shortage(
    "budget_exhausted",
    "No call may hold more than a million dollars; check its estimated_usage, and what its model is said to cost.",
    "",
)
COUNTS_NO_MORE = "This budget's account can count no more; ask an owner to reset it."
BUSY = "Only calls in flight are in the way of this one; ask again in a moment."
