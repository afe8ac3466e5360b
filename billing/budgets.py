"""Hard budgets: money is held before a call and settled after it. All amounts are integers of nano-US-dollars.

Nothing here locks: every caller holds the workspace log's head. ``Ledger`` is one batch's view of the accounts; it is
loaded in one query and stored in one, and its statements are hand-written because they are in every decision's path.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from audit.log import adapt
from billing.models import Budget, Hold

NANOS = 10**9
WIDER_SHARE = 5  # one hold may take at most a fifth of a workspace's budget


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """A budget as judged."""

    id: int
    public_id: str
    scope: str
    agent_id: int | None
    window: str
    limit: int

    def applies_to(self, agent_id: int) -> bool:
        return self.agent_id is None or self.agent_id == agent_id

    def key(self, start: str, agent_id: int, session: str) -> str:
        """The account of this budget that a call counts against."""
        return f"{start}|{agent_id}|{session}" if self.scope == Budget.Scope.SESSION else start


@dataclass(slots=True)
class AccountState:
    """One account as this batch sees and changes it."""

    budget: BudgetSpec
    key: str
    id: int | None = None
    spent: int = 0
    held: int = 0
    overage: int = 0
    changed: bool = False

    @property
    def remaining(self) -> int:
        return max(0, self.budget.limit + self.overage - self.spent - self.held)


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why money could not be held: ``budget_exhausted``, or ``budget_busy`` when only holds are in the way."""

    code: str
    message: str
    budget: str


@dataclass(slots=True)
class Reservation:
    """What was held for one allowed call."""

    decision: str
    agent_id: int
    amount: int
    accounts: list[AccountState]


def load_budgets(workspace_id: int) -> list[BudgetSpec]:
    """The workspace's budgets, as a snapshot keeps them."""
    rows = Budget.objects.filter(workspace_id=workspace_id).order_by("pk")
    return [
        BudgetSpec(row.pk, row.public_id, row.scope, row.agent_id, row.window, row.limit_amount)
        for row in rows
    ]


def window_start(window: str, now: datetime, timezone: str) -> str:
    """The first day of the window that holds ``now`` in the workspace's time zone, or ``ever``."""
    if window == Budget.Window.EVER:
        return "ever"
    day = now.astimezone(ZoneInfo(timezone)).date()
    if window == Budget.Window.WEEK:
        day -= timedelta(days=day.weekday())
    elif window == Budget.Window.MONTH:
        day = day.replace(day=1)
    return day.isoformat()


def dollars(nanos: int) -> str:
    """Nano-dollars as a decimal string without needless zeros: 20_000_000 → "0.02"."""
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    text = f"{nanos // NANOS}.{nanos % NANOS:09d}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"{sign}{whole}.{part.ljust(2, '0')}"


@dataclass(slots=True)
class Ledger:
    """The accounts that one batch of calls counts against."""

    workspace_id: int
    now: datetime
    timezone: str
    budgets: Sequence[BudgetSpec]
    accounts: dict[tuple[int, str], AccountState] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)

    def load(self, callers: Iterable[tuple[int, str]]) -> None:
        """Read the accounts of these (agent id, session) pairs."""
        if not self.budgets:
            return
        self.starts = {
            window: window_start(window, self.now, self.timezone)
            for window in {b.window for b in self.budgets}
        }
        for agent_id, session in set(callers):
            for budget in self.budgets:
                if budget.applies_to(agent_id):
                    key = budget.key(self.starts[budget.window], agent_id, session)
                    self.accounts.setdefault((budget.id, key), AccountState(budget, key))
        self.read(list(self.accounts))

    def read(self, wanted: list[tuple[int, str]]) -> None:
        """Fill in what the database knows of the accounts."""
        if not wanted:
            return
        marks = ", ".join(["(%s, %s)"] * len(wanted))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT budget_id, key, id, spent, held, overage FROM billing_account"
                f" WHERE (budget_id, key) IN (VALUES {marks})",
                [value for pair in wanted for value in pair],
            )
            for budget_id, key, id, spent, held, overage in cursor.fetchall():
                state = self.accounts[budget_id, key]
                state.id, state.spent, state.held, state.overage = id, spent, held, overage

    def of(self, agent_id: int, session: str) -> list[AccountState]:
        """The accounts that a call of this agent in this session counts against."""
        return [
            self.accounts[budget.id, budget.key(self.starts[budget.window], agent_id, session)]
            for budget in self.budgets
            if budget.applies_to(agent_id)
        ]

    def check(self, agent_id: int, session: str, amount: int) -> Shortage | None:
        """Why ``amount`` cannot be held now, or None."""
        busy = None
        for account in self.of(agent_id, session):
            limit = account.budget.limit
            if account.spent - account.overage + amount > limit:
                return Shortage(
                    "budget_exhausted",
                    f"The {account.budget.window} budget has ${dollars(account.remaining)} left and this call needs"
                    f" ${dollars(amount)}; wait for the next window, or ask an owner to raise it.",
                    account.budget.public_id,
                )
            if account.budget.scope == Budget.Scope.WORKSPACE and amount * WIDER_SHARE > limit:
                return Shortage(
                    "budget_exhausted",
                    f"One call may hold at most a fifth of the workspace's budget of ${dollars(limit)}; this one needs"
                    f" ${dollars(amount)}. Ask an owner to raise the budget.",
                    account.budget.public_id,
                )
            if amount > account.remaining:
                busy = account
        if busy is None:
            return None
        return Shortage(
            "budget_busy",
            "Only calls in flight are in the way of this one; ask again in a moment.",
            busy.budget.public_id,
        )

    def hold(self, agent_id: int, session: str, amount: int, decision: str) -> None:
        """Hold ``amount`` for a call that ``check`` found to fit."""
        accounts = self.of(agent_id, session)
        for account in accounts:
            account.held += amount
            account.changed = True
        self.reservations.append(Reservation(decision, agent_id, amount, accounts))

    def remaining(self, agent_id: int, session: str) -> int | None:
        """What the tightest budget has left; None where no budget applies."""
        return min((account.remaining for account in self.of(agent_id, session)), default=None)

    def spend_view(self, agent_id: int, session: str) -> dict[str, float]:
        """What conditions see as ``spend``: US dollars spent and held, by scope and window."""
        view: dict[str, float] = {}
        for account in self.of(agent_id, session):
            name = f"{account.budget.scope}_{account.budget.window}"
            view[name] = (account.spent + account.held) / NANOS
        return view

    def store(self) -> None:
        """Write changed accounts and new holds."""
        changed = [account for account in self.accounts.values() if account.changed]
        if not changed:
            return
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO billing_account (budget_id, key, limit_amount, raised, spent, held, overage, warned)"
                " VALUES (%s, %s, %s, 0, %s, %s, %s, 0) ON CONFLICT (budget_id, key) DO UPDATE SET"
                " limit_amount = excluded.limit_amount, spent = excluded.spent,"
                " held = excluded.held, overage = excluded.overage",
                [(a.budget.id, a.key, a.budget.limit, a.spent, a.held, a.overage) for a in changed],
            )
        self.read([(account.budget.id, account.key) for account in changed if account.id is None])
        self.store_holds()

    def store_holds(self) -> None:
        created: Any = adapt(self.now)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO billing_hold (workspace_id, agent_id, decision, accounts, held_nanos, held_tokens, tool,"
                " session, model, cost_center, basis, price, state, created)"
                " VALUES (%s, %s, %s, %s, %s, 0, '', '', '', '', '', '', %s, %s)",
                [
                    (self.workspace_id, r.agent_id, r.decision, str([a.id for a in r.accounts]), r.amount,
                     Hold.State.HELD.value, created)
                    for r in self.reservations
                ],
            )  # fmt: skip
