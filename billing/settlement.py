"""Settling holds: what a call really cost replaces what was held for it. The caller holds the log's head.

``Settlements`` are the charges that change in one transaction. Their accounts are the ledger's, so that a check in the
same batch sees what an outcome freed, and no write of either is lost.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from audit.log import adapt, insert
from billing.book import FULL, MOST, AccountState, Call, window_start
from billing.budgets import Ledger
from billing.costs import priced
from billing.models import Account, Budget, Hold
from billing.prices import PriceList

State, Basis, Unit = Hold.State, Hold.Basis, Budget.Unit
BY_TOKENS = (Basis.PRICED, Basis.CEILING)
# Columns of a charge that settling changes, and those that a charge without a hold begins with besides.
CHANGING = ("accounts", "model", "held_nanos", "charged_nanos", "held_tokens", "charged_tokens", "basis", "price",
            "usage", "state", "settled_at")  # fmt: skip
FIXED = ("workspace_id", "agent_id", "decision", "tool", "session", "owner_id", "cost_center")


class TooMuch(ValueError):
    """A charge that no call costs, or that no account can count."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """An allowed call that is charged. ``trusted``: what is reported of its tool may lower a charge."""

    decision: str
    call: Call
    created: datetime
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Spending:
    """What an outcome says of its call: ``cost`` in nano-dollars, ``usage`` tokens by kind of ``model``; ``started`` is
    false where the call is said never to have begun."""

    cost: int | None = None
    model: str = ""
    usage: Mapping[str, int] | None = None
    started: bool = True

    @property
    def tokens(self) -> int | None:
        """All tokens together; None where nothing was said of them."""
        return sum(self.usage.values()) if self.usage else None


@dataclass(frozen=True, slots=True)
class Real:
    """What a call cost as far as is known, in nano-dollars, and what that rests on."""

    nanos: int | None = None
    basis: str = Basis.NONE
    price: str = ""


def real_cost(prices: PriceList, day: date, said: Spending, model: str) -> Real:
    """The cost that a report comes to: its tokens at the prices of a day, or what it says; where it says both, the
    greater. An unknown price is None, never 0. Raises TooMuch."""
    found = Real(*priced(prices, day, model, said.usage)) if said.usage else Real()
    if said.cost is not None and (found.nanos is None or said.cost > found.nanos):
        found = Real(said.cost, Basis.REPORTED)
    if found.nanos is not None and found.nanos > MOST:
        raise TooMuch("One call costs a million dollars at most.")
    return found


class Settlements:
    """The charges that one transaction changes: read at once, written at once."""

    def __init__(self, ledger: Ledger, prices: PriceList) -> None:
        self.ledger = ledger
        self.prices = prices
        self.holds: dict[str, Hold] = {}
        self.by_key: dict[int, AccountState] = {}
        self.changed: dict[str, tuple[Hold, list[AccountState]]] = {}

    def load(self, reports: Sequence[tuple[Allowed, Spending]]) -> None:
        """Read the holds of these calls and every account that they count against, before anything is changed."""
        decisions = {allowed.decision for allowed, _ in reports}
        self.holds = {hold.decision: hold for hold in Hold.objects.filter(decision__in=decisions)}
        self.read({key for hold in self.holds.values() for key in hold.accounts})
        opened: list[AccountState] = []
        for allowed, said in reports:
            opened += self.joining(allowed, said, self.holds.get(allowed.decision))
        self.ledger.read(list({(each.budget.id, each.key) for each in opened if each.id is None}))

    def read(self, keys: Iterable[int]) -> None:
        """Read accounts by their keys; those of removed budgets are gone."""
        accounts, specs = self.ledger.accounts, self.ledger.budgets.specs
        for row in Account.objects.filter(pk__in=set(keys)) if keys else ():
            spec = specs.get(row.budget_id)
            if spec is None:
                continue
            state = accounts.get((spec.id, row.key))
            if state is None or state.id is None:
                state = accounts[spec.id, row.key] = state or AccountState(spec, row.key)
                state.id, state.raised, state.warned = row.pk, row.raised, row.warned
                state.spent, state.held = row.spent, row.held
            self.by_key[row.pk] = state

    def settle(self, allowed: Allowed, said: Spending) -> Hold | None:
        """Charge a call. What it really cost raises what is held or charged of it always, and lowers that only where
        the tool is trusted. A call without a hold is charged where something is said to have been spent; None where
        nothing was held and nothing spent. Raises TooMuch, with nothing changed."""
        hold = self.holds.get(allowed.decision)
        real = self.real(allowed, said, hold)
        if hold is None and not real.nanos and not said.tokens:
            return None
        accounts = self.accounts(allowed, said, hold)
        hold = hold or self.begin(allowed, said)
        # Not what was held once: a call may be assumed, and its charge raised by a report, or priced anew, since.
        stands = standing(hold)
        nanos = charge(stands[0], real.nanos, said, allowed)
        tokens = charge(stands[1], said.tokens, said, allowed)
        never = allowed.trusted and not said.started and not nanos and not tokens
        unknown = real.nanos is None and is_unknown(hold) and not never
        state = State.RELEASED if never else State.SETTLED
        self.book(hold, accounts, state=state, charged=(None if unknown else nanos, tokens))
        explain(hold, said, real, counts=real.nanos is not None and real.nanos >= nanos)
        return hold

    def keep(self, allowed: Allowed, said: Spending) -> Hold | None:
        """Raise what a call that still runs holds, or was charged, to what it has cost already; never lower it. None
        where nothing is said to have been spent. Raises TooMuch, with nothing changed."""
        hold = self.holds.get(allowed.decision)
        real = self.real(allowed, said, hold)
        if not real.nanos and not said.tokens:
            return None
        accounts = self.accounts(allowed, said, hold)
        hold = hold or self.begin(allowed, said)
        earlier = standing(hold)
        most = max(earlier[0], real.nanos or 0), max(earlier[1], said.tokens or 0)
        if hold.state == State.HELD:
            self.book(hold, accounts, state=State.HELD, held=most)
        else:
            self.book(hold, accounts, state=State(hold.state), charged=most)
        explain(hold, said, real, counts=most[0] > earlier[0])
        return hold

    def assume(self, decision: str) -> Hold | None:
        """Charge in full a call whose outcome never came, since it may have run; what was charged already stays. None
        where nothing was held."""
        hold = self.holds.get(decision)
        if hold is None or hold.state != State.HELD:
            return hold
        charged = (None if is_unknown(hold) else hold.held_nanos, hold.held_tokens)
        self.book(hold, self.of(hold), state=State.ASSUMED, charged=charged)
        return hold

    def real(self, allowed: Allowed, said: Spending, hold: Hold | None) -> Real:
        """What a report comes to, at the prices of the day on which the call was allowed."""
        day = allowed.created.astimezone(ZoneInfo(self.ledger.timezone)).date()
        return real_cost(self.prices, day, said, said.model or (hold.model if hold else allowed.call.model))

    def begin(self, allowed: Allowed, said: Spending) -> Hold:
        """The charge of a call for which nothing was held."""
        call = allowed.call
        return Hold(
            workspace_id=self.ledger.workspace_id,
            agent_id=call.agent_id,
            decision=allowed.decision,
            accounts=[],
            tool=call.tool,
            session=call.session,
            model=said.model,
            owner_id=call.owner_id,
            cost_center=call.cost_center,
            held_nanos=0,
            created=allowed.created,
        )

    def of(self, hold: Hold) -> list[AccountState]:
        """The accounts in which a hold stands."""
        if hold.decision in self.changed:
            return self.changed[hold.decision][1]
        return [self.by_key[key] for key in hold.accounts if key in self.by_key]

    def accounts(self, allowed: Allowed, said: Spending, hold: Hold | None) -> list[AccountState]:
        """The accounts that a charge counts against from now on."""
        found = list(self.of(hold)) if hold else []
        there = {(account.budget.id, account.key) for account in found}
        joining = self.joining(allowed, said, hold)
        return found + [each for each in joining if (each.budget.id, each.key) not in there]

    def joining(self, allowed: Allowed, said: Spending, hold: Hold | None) -> list[AccountState]:
        """The accounts that a report brings a charge into: for a call without a hold those that it would have counted
        against when it was allowed; else those of budgets of the model that it turned out to use."""
        if hold and (not said.model or said.model == hold.model):
            return []
        if hold is None and not said.usage and not said.cost:
            return []
        call, ledger, found = allowed.call, self.ledger, []
        for spec in ledger.budgets.for_call(call.agent_id, call.tool, said.model):
            if hold is None or spec.model:
                start = window_start(spec.window, allowed.created, ledger.timezone)
                key = spec.key(start, call.agent_id, call.session)
                found.append(ledger.accounts.setdefault((spec.id, key), AccountState(spec, key)))
        return found

    def book(
        self,
        hold: Hold,
        accounts: Sequence[AccountState],
        *,
        state: Hold.State,
        held: tuple[int, int] | None = None,
        charged: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Take what a hold comes to from the accounts in which it stands, and put what it comes to now into these.
        Amounts are nano-dollars and tokens. Raises TooMuch, with nothing changed."""
        held = held or (hold.held_nanos, hold.held_tokens)
        moves: dict[tuple[int, str], tuple[AccountState, list[int]]] = {}
        for sign, places, amounts in (
            (-1, self.of(hold), parts(hold.state, standing(hold))),
            (1, accounts, parts(state, held if state == State.HELD else charged)),
        ):
            for account in places:
                _, change = moves.setdefault((account.budget.id, account.key), (account, [0, 0]))
                for place, amount in enumerate(amounts[account.budget.unit]):
                    change[place] += sign * amount
        for account, change in moves.values():
            if sum(change) > 0 and account.spent + account.held + sum(change) > FULL:
                raise TooMuch("A budget's account would count more than it can.")
        for account, (more_held, more_spent) in moves.values():
            if more_held or more_spent or account.id is None:
                account.move(held=more_held, spent=more_spent)
        hold.held_nanos, hold.held_tokens = held
        hold.charged_nanos, hold.charged_tokens = charged
        hold.state = state
        hold.settled_at = None if state == State.HELD else self.ledger.now
        self.holds[hold.decision] = hold
        self.changed[hold.decision] = hold, list(accounts)

    def store(self) -> None:
        """Write what changed, after the ledger stored its accounts."""
        if not self.changed:
            return
        every = {
            (each.budget.id, each.key): each for _, accounts in self.changed.values() for each in accounts
        }
        self.ledger.read([pair for pair, account in every.items() if account.id is None])
        added: list[tuple[Any, ...]] = []
        again: list[tuple[Any, ...]] = []
        for hold, accounts in self.changed.values():
            hold.accounts = [account.id for account in accounts]
            values = [column(hold, name) for name in CHANGING]
            if hold._state.adding:
                created: Any = adapt(hold.created)
                added.append((*values, *(getattr(hold, name) for name in FIXED), created))
            else:
                again.append((*values, hold.pk))
        with connection.cursor() as cursor:
            insert(cursor, Hold, " ".join((*CHANGING, *FIXED, "created")), added)
            if again:
                cursor.executemany(UPDATE, again)


UPDATE = f"UPDATE billing_hold SET {', '.join(f'{name} = %s' for name in CHANGING)} WHERE id = %s"  # noqa: S608


def column(hold: Hold, name: str) -> Any:
    """A column of a charge as the database's driver wants it."""
    value = getattr(hold, name)
    if name == "settled_at":
        return value and adapt(value)
    if name in ("accounts", "usage"):
        return None if value is None else json.dumps(value)
    return str(value) if isinstance(value, str) else value


def charge(stands: int, real: int | None, said: Spending, allowed: Allowed) -> int:
    """What a call is charged, of what it comes to as it stands and what is known of its real amount."""
    if not allowed.trusted:
        return max(stands, real or 0)
    if real is not None:
        return real
    return stands if said.started else 0


def is_unknown(hold: Hold) -> bool:
    """Whether nobody could say what the call costs, so that nothing was held for it."""
    return not hold.held_nanos and hold.basis == Basis.NONE


def standing(hold: Hold) -> tuple[int, int]:
    """What a hold comes to as it stands, in nano-dollars and tokens: held, or charged."""
    if hold.state == State.HELD:
        return hold.held_nanos, hold.held_tokens
    return hold.charged_nanos or 0, hold.charged_tokens or 0


def parts(state: str, amounts: tuple[int | None, int | None]) -> dict[str, tuple[int, int]]:
    """What stands in an account of each unit: held and spent."""
    counted = {Unit.USD: amounts[0] or 0, Unit.TOKENS: amounts[1] or 0}
    return {unit: (amount, 0) if state == State.HELD else (0, amount) for unit, amount in counted.items()}


def explain(hold: Hold, said: Spending, real: Real, *, counts: bool) -> None:
    """Keep what a charge rests on: the report where that is what ``counts``, else what was held."""
    if counts:
        hold.basis, hold.price = real.basis, real.price
    if counts or hold.basis not in BY_TOKENS:
        hold.model = said.model or hold.model
        hold.usage = dict(said.usage) if said.usage else hold.usage
