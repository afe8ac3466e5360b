"""Walks at random through holding, settling, expiring, resetting, raising and lowering, over window edges and the hours
that daylight saving skips and repeats: each step held against sums that are kept beside it."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from audit import log
from billing import limits
from billing.book import Call, Cost, load_budgets
from billing.budgets import Ledger
from billing.models import Account, Budget, Hold
from billing.prices import PriceList
from billing.settlement import Allowed, Settlements, Spending
from tests.cast import ACTOR, declare, employ
from workspaces import agents, catalog, tenancy
from workspaces.declarations import Action
from workspaces.models import Agent, Workspace

BORN = itertools.count()
# Each begins some hours before its clocks change.
CLOCKS = [
    ("Europe/Berlin", datetime(2026, 3, 28, 20, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 7, 23, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 10, 31, 23, tzinfo=UTC)),
]
STEPS = [
    timedelta(seconds=1),
    timedelta(minutes=59),
    timedelta(hours=1),
    timedelta(hours=23),
    timedelta(days=6),
]
BUDGETS: list[dict[str, Any]] = [
    {"agent": True, "window": "day", "limit_amount": 100},
    {"window": "week", "limit_amount": 300},
    {"per_session": True, "window": "ever", "limit_amount": 60},
    {"window": "day", "unit": "tokens", "limit_amount": 500},
    {"window": "month", "limit_amount": 40, "hard": False},
    {"agent": True, "window": "day", "tool": "ask", "limit_amount": 30, "when_short": "ask"},
]
NANOS, WHICH, BUDGET = st.integers(0, 40), st.integers(0, 5), st.integers(0, len(BUDGETS) - 1)


@dataclass
class Known:
    """One call as the walk keeps it: its accounts as (budget, key), and what it comes to in nano-dollars and tokens."""

    allowed: Allowed
    held: tuple[int, int]
    accounts: set[tuple[int, str]]
    charged: tuple[int, int] | None = None
    final: bool = False


@dataclass
class Books:
    """What budgets say, beside the database: limits, raises and resets."""

    limit: dict[int, int] = field(default_factory=dict)
    raised: dict[tuple[int, str], int] = field(default_factory=dict)
    resets: dict[int, int] = field(default_factory=dict)


class Walk(RuleBasedStateMachine):
    """One workspace with an agent, six budgets, and a clock that never goes back."""

    place: Workspace
    agent: Agent

    @initialize(clock=st.sampled_from(CLOCKS))
    def begin(self, clock: tuple[str, datetime]) -> None:
        zone, self.now = clock
        slug = f"walk-{next(BORN)}"
        self.place = tenancy.create_workspace(slug, name=slug, timezone=zone, actor=ACTOR)
        self.owner = employ(self.place, f"olga@{slug}.test", "Olga", "owner")
        self.agent = agents.create_agent(self.place, "bot", owner=self.owner, actor=ACTOR)
        catalog.set_tool(self.place, declaration=declare("ask", Action.READ), actor=ACTOR)
        self.calls: list[Known] = []
        self.books = Books()
        self.budgets = [
            self.limit_to(number, budget["limit_amount"]) for number, budget in enumerate(BUDGETS)
        ]

    def limit_to(self, number: int, amount: int) -> Budget:
        terms = {**BUDGETS[number], "limit_amount": amount}
        whose = self.agent if terms.pop("agent", False) else None
        row = limits.set_budget(self.place, agent=whose, actor=ACTOR, **terms).row
        self.books.limit[row.pk] = amount
        return row

    def ledger(self) -> Ledger:
        return Ledger(self.place.pk, self.now, self.place.timezone, load_budgets(self.place.pk))

    def keys(self, call: Call, at: datetime) -> set[tuple[int, str]]:
        """The accounts of a call by the calendar on the wall."""
        day = datetime.fromtimestamp(at.timestamp(), ZoneInfo(self.place.timezone)).date()
        starts = {
            "day": str(day), "week": str(day - timedelta(day.weekday())), "month": f"{day:%Y-%m}-01", "ever": "ever",
        }  # fmt: skip
        found = set()
        for row in self.budgets:
            if row.tool in ("", call.tool):
                whose = f"|{self.agent.pk}|{call.session}" if row.scope == "session" else ""
                resets = self.books.resets.get(row.pk, 0)
                found.add((row.pk, starts[row.window] + (f"|r{resets}" if resets else "") + whose))
        return found

    @rule(step=st.sampled_from(STEPS), edge=st.booleans())
    def tick(self, step: timedelta, edge: bool) -> None:
        """Time goes on; or it is the last moment before the next midnight there, and then the first of the day."""
        if edge:
            there = self.now.astimezone(ZoneInfo(self.place.timezone))
            midnight = datetime.combine(there.date() + timedelta(days=1), datetime.min.time(), there.tzinfo)
            last = midnight.astimezone(UTC) - timedelta(microseconds=1)
            self.now = last if self.now < last else last + timedelta(microseconds=1)
        else:
            self.now += step

    @rule(nanos=NANOS, tokens=NANOS, session=st.sampled_from(["", "a", "a|r1"]), asks=st.booleans(),
          trusted=st.booleans(), lift=st.booleans())  # fmt: skip
    def hold(self, nanos: int, tokens: int, session: str, asks: bool, trusted: bool, lift: bool) -> None:
        call = Call(self.agent.pk, session, "ask" if asks else "read", "", self.owner.pk)
        cost = Cost(nanos, tokens, "estimated")
        lifted = frozenset({f"budget:{self.budgets[5].public_id}"}) if lift else frozenset()
        keys = self.keys(call, self.now)
        with log.write(self.place.log_id):
            ledger = self.ledger()
            ledger.load([call])
            shortage = ledger.check(call, cost, lifted=lifted)
            assert (shortage is None) == self.fits(keys, cost, lift), shortage
            if shortage is None:
                decision = f"dec_{next(BORN)}"
                raised = ledger.hold(call, cost, decision, lifted=lifted)
                ledger.store()
                for row in self.budgets:
                    for pair in (pair for pair in keys if pair[0] == row.pk and row.public_id in raised):
                        self.books.raised[pair] = self.books.raised.get(pair, 0) + raised[row.public_id]
                if cost.is_kept:
                    allowed = Allowed(decision, call, self.now, trusted)
                    self.calls.append(Known(allowed, (nanos, tokens), keys))

    def fits(self, keys: set[tuple[int, str]], cost: Cost, lift: bool) -> bool:
        """Whether every hard budget bears a cost."""
        for row in self.budgets:
            amount = cost.of(row.unit) or 0
            for pair in (pair for pair in keys if pair[0] == row.pk):
                held, spent = self.sums().get(pair, (0, 0))
                limit = self.limit(pair)
                wide = row.scope == "workspace" and amount * 5 > limit
                short = amount and (wide or held + spent + amount > limit)
                if short and row.hard and not (lift and row.when_short == "ask"):
                    return False
        return True

    @rule(which=WHICH, cost=st.none() | st.integers(0, 90), tokens=st.none() | st.integers(1, 90),
          kind=st.sampled_from(["settle", "settle", "keep", "skip"]), again=st.booleans())  # fmt: skip
    def report(self, which: int, cost: int | None, tokens: int | None, kind: str, again: bool) -> None:
        """An outcome, perhaps late, perhaps in the same batch twice; after a final one there is no other."""
        if (known := self.known(which)) is None or known.final:
            return
        usage = {"input_tokens": tokens} if tokens else None
        said = Spending(cost, "", usage, started=kind != "skip")
        with log.write(self.place.log_id):
            ledger = self.ledger()
            settlements = Settlements(ledger, PriceList())
            settlements.load([(known.allowed, said)])
            for _ in range(2 if again and kind != "keep" else 1):
                (settlements.keep if kind == "keep" else settlements.settle)(known.allowed, said)
            ledger.store()
            settlements.store()
        self.note(known, (cost, tokens), kind)

    def note(self, known: Known, real: tuple[int | None, int | None], kind: str) -> None:
        """What a report makes of a call."""
        if kind == "keep":
            earlier = known.charged or known.held
            most = (max(earlier[0], real[0] or 0), max(earlier[1], real[1] or 0))
            known.held, known.charged = (known.held, most) if known.charged else (most, None)
            return
        charged = []
        for stands, amount in zip(known.charged or known.held, real, strict=True):
            if not known.allowed.trusted:
                charged.append(max(stands, amount or 0))
            else:
                charged.append(amount if amount is not None else 0 if kind == "skip" else stands)
        known.charged, known.final = (charged[0], charged[1]), True

    @rule(which=WHICH)
    def expire(self, which: int) -> None:
        """No outcome came in time."""
        if (known := self.known(which)) is None or known.final:
            return
        with log.write(self.place.log_id):
            ledger = self.ledger()
            settlements = Settlements(ledger, PriceList())
            settlements.load([(known.allowed, Spending())])
            settlements.assume(known.allowed.decision)
            ledger.store()
            settlements.store()
        known.charged = known.charged or known.held

    def known(self, which: int) -> Known | None:
        return self.calls[-1 - which] if which < len(self.calls) else None

    @rule(number=BUDGET)
    def reset(self, number: int) -> None:
        """What is in flight follows to the new account; what is settled or assumed stays."""
        row = self.budgets[number]
        limits.reset(row, actor=ACTOR, reason="Anew.")
        self.books.resets[row.pk] = generation = self.books.resets.get(row.pk, 0) + 1
        for known in self.calls:
            if known.charged is None:
                moved = {
                    (pk, after_reset(key, generation)) if pk == row.pk else (pk, key)
                    for pk, key in known.accounts
                }
                known.accounts = moved

    @rule(number=BUDGET, amount=st.integers(0, 400))
    def lower_or_raise(self, number: int, amount: int) -> None:
        self.limit_to(number, amount)

    def limit(self, pair: tuple[int, str]) -> int:
        return self.books.limit[pair[0]] + self.books.raised.get(pair, 0)

    def sums(self) -> dict[tuple[int, str], tuple[int, int]]:
        """What each account holds and has spent, by the calls."""
        tokens = {row.pk for row in self.budgets if row.unit == "tokens"}
        found: dict[tuple[int, str], tuple[int, int]] = {}
        for known in self.calls:
            for pair in known.accounts:
                held, spent = found.get(pair, (0, 0))
                place = int(pair[0] in tokens)
                if known.charged is None:
                    found[pair] = held + known.held[place], spent
                else:
                    found[pair] = held, spent + known.charged[place]
        return found

    @invariant()
    def every_account_is_the_sum_of_its_calls(self) -> None:
        sums = self.sums()
        rows = Account.objects.filter(budget__workspace=self.place)
        there = {(row.budget_id, row.key): row for row in rows}
        for pair in sums.keys() | there.keys():
            held, spent = sums.get(pair, (0, 0))
            row = there.get(pair)
            if row is None:
                assert (held, spent) == (0, 0), pair
                continue
            assert (row.held, row.spent) == (held, spent), pair
            assert row.limit_amount == self.limit(pair)
            assert row.overage == max(0, held + spent - row.limit_amount)
        assert not rows.filter(limit_amount__lt=F("spent") + F("held") - F("overage")).exists()

    @invariant()
    def no_charge_is_lost_or_doubled(self) -> None:
        rows = {row.decision: row for row in Hold.objects.filter(workspace=self.place)}
        assert rows.keys() == {known.allowed.decision for known in self.calls}
        for known in self.calls:
            row = rows[known.allowed.decision]
            assert (row.held_nanos, row.held_tokens) == known.held
            charged = None if row.state == "held" else (row.charged_nanos, row.charged_tokens)
            assert charged == known.charged


def after_reset(key: str, generation: int) -> str:
    start, *whose = key.split("|", 1 if generation == 1 else 2)
    return "|".join([start, f"r{generation}", *(whose if generation == 1 else whose[1:])])


@pytest.mark.django_db(transaction=True)
def test_money_is_exact_on_every_way() -> None:
    tenancy.install(actor=ACTOR)
    run_state_machine_as_test(
        Walk,
        settings=settings(max_examples=20, stateful_step_count=30, deadline=None,
                          suppress_health_check=list(HealthCheck)),
    )  # fmt: skip
