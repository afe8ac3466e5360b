"""Budgets that hold: money and tokens are held before a call and settled after it. All amounts are integers in the
budget's unit: nano-US-dollars, or tokens.

Nothing here locks: every caller holds the workspace log's head. ``Ledger`` is one batch's view of the accounts; it is
loaded in one query and stored in one, and its statements are hand-written because they are in every decision's path.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from audit.log import adapt
from billing import warnings
from billing.book import (
    FREE,
    MOST,
    NANOS,
    AccountState,
    BudgetBook,
    BudgetSpec,
    Call,
    Cost,
    dollars,
    load_budgets,
    window_end,
    window_start,
)
from billing.models import Hold
from billing.shortages import PREFIX, TOO_DEAR, Shortage, find_shortage, is_lifted, short_of

__all__ = [
    "FREE",
    "NANOS",
    "PREFIX",
    "AccountState",
    "BudgetBook",
    "BudgetSpec",
    "Call",
    "Cost",
    "Ledger",
    "Left",
    "Shortage",
    "dollars",
    "load_budgets",
    "window_end",
    "window_start",
]

READ_AT_ONCE = 5000  # accounts a statement; SQLite takes 32,766 parameters


class Left(NamedTuple):
    """What the tightest hard budgets have left; None where none counts this unit."""

    nanos: int | None
    tokens: int | None


@dataclass(slots=True)
class Reservation:
    """What was held for one allowed call."""

    decision: str
    call: Call
    cost: Cost
    accounts: list[AccountState]


@dataclass(slots=True)
class Ledger:
    """The accounts that one batch of calls counts against."""

    workspace_id: int
    now: datetime
    timezone: str
    budgets: BudgetBook
    accounts: dict[tuple[int, str], AccountState] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)
    cached: dict[Call, list[AccountState]] = field(default_factory=dict)
    by_id: dict[int, AccountState] = field(default_factory=dict)
    day: date = field(init=False)  # in the workspace's time zone; its prices hold

    def __post_init__(self) -> None:
        self.day = self.now.astimezone(ZoneInfo(self.timezone)).date()

    def load(self, calls: Iterable[Call]) -> None:
        """Read the accounts of these calls, and those of the cheaper models that they may be offered."""
        if not self.budgets:
            return
        for call in calls:
            accounts = self.of(call)
            for budget in [account.budget for account in accounts] if call.model else ():
                if budget.when_short == "downgrade":
                    self.open(self.budgets.for_call(call.agent_id, call.tool, budget.downgrade_to), call)
        self.read(list(self.accounts))

    def load_agent(self, agent_id: int) -> None:
        """Read the accounts of every budget that some call of the agent could count against."""
        self.open(self.budgets.of_agent(agent_id), Call(agent_id))
        self.read([pair for pair, account in self.accounts.items() if account.id is None])

    def open(
        self, specs: Sequence[BudgetSpec], call: Call, starts: Mapping[str, str] | None = None
    ) -> list[AccountState]:
        """The accounts of these budgets that a call counts against: of the windows that begin so, else that run now."""
        found = []
        for spec in specs:
            start = (starts or self.starts).get(spec.window)
            if start is None:
                start = self.starts[spec.window] = window_start(spec.window, self.now, self.timezone)
            key = spec.key(start, call.agent_id, call.session)
            account = self.accounts.get((spec.id, key))
            if account is None:
                account = self.accounts[spec.id, key] = AccountState(spec, key)
            found.append(account)
        return found

    def read(self, wanted: Sequence[tuple[int, str]]) -> None:
        """Fill in what the database knows of the accounts."""
        for first in range(0, len(wanted), READ_AT_ONCE):
            pairs = wanted[first : first + READ_AT_ONCE]
            marks = ", ".join(["(%s, %s)"] * len(pairs))
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT budget_id, key, id, raised, spent, held, warned FROM billing_account"
                    f" WHERE (budget_id, key) IN (VALUES {marks})",
                    [value for pair in pairs for value in pair],
                )
                for row in cursor.fetchall():
                    self.take(row)

    def take(self, row: tuple[Any, ...]) -> None:
        """Take up an account's row. One that changed in this batch is newer than its row."""
        budget_id, key, id, raised, spent, held, warned = row
        state = self.accounts.get((budget_id, key))
        if state is None:
            state = self.accounts[budget_id, key] = AccountState(self.budgets.specs[budget_id], key)
        state.id = id
        self.by_id[id] = state
        if not state.changed:
            state.raised, state.spent, state.held, state.warned = raised, spent, held, warned

    def of(self, call: Call) -> list[AccountState]:
        """The accounts that a call counts against; those of calls that were loaded."""
        if not self.budgets:
            return []
        found = self.cached.get(call)
        if found is None:
            specs = self.budgets.for_call(call.agent_id, call.tool, call.model)
            found = self.cached[call] = self.open(specs, call)
        return found

    def of_agent(self, agent_id: int) -> list[AccountState]:
        """The accounts of the agent's budgets, of whatever tool and model, in its default session."""
        return self.open(self.budgets.of_agent(agent_id), Call(agent_id))

    def check(self, call: Call, cost: Cost, *, lifted: frozenset[str] = frozenset()) -> Shortage | None:
        """Why the cost cannot be held now, or None. ``lifted`` are budgets, as ``budget:<public id>``, that a person
        said may be raised for this call."""
        if cost.nanos is not None and cost.nanos > MOST:
            return TOO_DEAR
        accounts = self.of(call)
        return find_shortage(accounts, cost, lifted, self.now, self.timezone) if accounts else None

    def hold(
        self, call: Call, cost: Cost, decision: str, *, lifted: frozenset[str] = frozenset()
    ) -> dict[str, int]:
        """Hold the cost of a call that ``check`` found to fit. A lifted budget is raised by exactly what the call is
        short of; what was raised is returned by the budgets' public ids."""
        raised: dict[str, int] = {}
        if not cost.is_kept:
            return raised
        accounts = self.of(call)
        for account in accounts:
            amount = cost.of(account.budget.unit) or 0
            if amount and is_lifted(account, lifted) and (missing := short_of(account, cost)) > 0:
                account.raised += missing
                warnings.after_raise(account)
                raised[account.budget.public_id] = missing
            account.move(held=amount)
        self.reservations.append(Reservation(decision, call, cost, accounts))
        return raised

    def remaining(self, call: Call) -> Left:
        """What the tightest hard budgets of each unit have left for a call."""
        nanos, tokens = None, None
        for account in self.of(call):
            if not account.budget.hard:
                continue
            left = account.remaining
            if account.budget.unit == "tokens":
                tokens = left if tokens is None else min(tokens, left)
            else:
                nanos = left if nanos is None else min(nanos, left)
        return Left(nanos, tokens)

    def spend_view(self, call: Call) -> dict[str, float]:
        """What conditions see as ``spend``: US dollars spent and held, by scope and window, over all tools and
        models."""
        view: dict[str, float] = {}
        for account in self.of(call):
            budget = account.budget
            if budget.unit == "usd" and not budget.tool and not budget.model:
                name = f"{budget.scope}_{budget.window}"
                view[name] = max(view.get(name, 0.0), (account.spent + account.held) / NANOS)
        return view

    def fetch(self, ids: Iterable[int]) -> None:
        """Read these accounts by their keys, of whatever window; those of budgets that are gone are gone."""
        wanted = sorted(set(ids) - self.by_id.keys())
        for first in range(0, len(wanted), READ_AT_ONCE):
            keys = wanted[first : first + READ_AT_ONCE]
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT budget_id, key, id, raised, spent, held, warned FROM billing_account"
                    f" WHERE id IN ({', '.join(['%s'] * len(keys))})",
                    keys,
                )
                for row in cursor.fetchall():
                    if row[0] in self.budgets.specs:
                        self.take(row)

    def known(self, ids: Iterable[int]) -> list[AccountState]:
        """Accounts that were read, by their keys; those that are gone left out."""
        return [self.by_id[id] for id in ids if id in self.by_id]

    def at(self, then: datetime, agent_id: int, session: str, tool: str, model: str) -> list[AccountState]:
        """The accounts that a call counted against at an earlier time: those of the windows that held it."""
        specs = self.budgets.for_call(agent_id, tool, model)
        starts = {spec.window: window_start(spec.window, then, self.timezone) for spec in specs}
        found = self.open(specs, Call(agent_id, session), starts)
        self.read([(account.budget.id, account.key) for account in found if account.id is None])
        return found

    def store(self) -> None:
        """Write changed accounts and new holds; every account that changed has its key then."""
        changed = [account for account in self.accounts.values() if account.changed]
        known = [(*amounts(account), account.id) for account in changed if account.id is not None]
        new = [account for account in changed if account.id is None]
        with connection.cursor() as cursor:
            if known:
                cursor.executemany(
                    "UPDATE billing_account SET limit_amount = %s, raised = %s, spent = %s, held = %s, overage = %s,"
                    " warned = %s WHERE id = %s",
                    known,
                )
            if new:
                cursor.executemany(
                    "INSERT INTO billing_account (budget_id, key, limit_amount, raised, spent, held, overage, warned)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    [(account.budget.id, account.key, *amounts(account)) for account in new],
                )
        self.read([(account.budget.id, account.key) for account in new])
        if self.reservations:
            self.store_holds()

    def store_holds(self) -> None:
        created: Any = adapt(self.now)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO billing_hold (workspace_id, agent_id, decision, accounts, tool, session, model, owner_id,"
                " cost_center, held_nanos, held_tokens, basis, price, usage, state, created)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [(self.workspace_id, *columns(r), Hold.State.HELD.value, created) for r in self.reservations],
            )


def amounts(account: AccountState) -> tuple[int, ...]:
    """An account's columns that a batch changes."""
    return account.limit, account.raised, account.spent, account.held, account.overage, account.warned


def columns(reservation: Reservation) -> tuple[Any, ...]:
    """A hold's own columns, from the agent to the usage."""
    call, cost = reservation.call, reservation.cost
    return (
        call.agent_id, reservation.decision, str([account.id for account in reservation.accounts]), call.tool,
        call.session, call.model, call.owner_id, call.cost_center, cost.nanos or 0, cost.tokens or 0, cost.basis,
        cost.price, None if cost.usage is None else json.dumps(dict(cost.usage)),
    )  # fmt: skip
