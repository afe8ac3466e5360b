"""A workspace's budgets as they are judged: which of them a call counts against, found without looking at the others,
and the windows of the calendar. No locks, no clock."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing.model_names import NamedModels
from billing.models import Budget, Hold

NANOS = 10**9
NONE: frozenset[str] = frozenset()


class Call(NamedTuple):
    """Whose call it is, and of what: what budgets tell calls apart by, and whom its charge belongs to."""

    agent_id: int
    session: str = ""
    tool: str = ""
    model: str = ""
    owner_id: int | None = None
    cost_center: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call is expected to cost: ``nanos`` and ``tokens`` are None where nobody knows. ``basis`` is one of
    Hold.Basis, and ``price`` the version of the price that it rests on, if any."""

    nanos: int | None = 0
    tokens: int | None = 0
    basis: str = Hold.Basis.NONE.value
    price: str = ""
    model: str = ""
    usage: Mapping[str, int] | None = None

    def of(self, unit: str) -> int | None:
        """The amount that counts against a budget of this unit."""
        return self.tokens if unit == "tokens" else self.nanos

    @property
    def is_kept(self) -> bool:
        """Whether a hold is written for it: something is held, or a model was named, so that a charge will come."""
        return bool(self.nanos or self.tokens or self.model)


FREE = Cost()
MOST = 10**15  # nano-dollars that one call may cost: a million dollars, as on the wire
FULL = 2**62  # what no account goes beyond, so that it always fits into its column


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """A budget as judged. ``limit`` is in its unit, nano-US-dollars or tokens."""

    id: int
    public_id: str
    scope: str
    agent_id: int | None
    window: str
    tool: str
    model: str
    unit: str
    limit: int
    hard: bool
    when_short: str
    downgrade_to: str
    warn_at: tuple[int, ...]
    generation: int

    def applies_to(self, agent_id: int, tool: str, models: frozenset[str]) -> bool:
        """Whether a call counts against this budget; what it leaves open is any. ``models`` are the names that budgets
        have for the call's model."""
        return (
            self.agent_id in (None, agent_id)
            and self.tool in ("", tool)
            and (not self.model or self.model in models)
        )  # fmt: skip

    def key(self, start: str, agent_id: int, session: str) -> str:
        """The account of this budget that a call counts against."""
        # The reset stands before the session's name, which an agent chooses and may end as a reset does.
        key = f"{start}|r{self.generation}" if self.generation else start
        return f"{key}|{agent_id}|{session}" if self.scope == "session" else key

    def amount(self, amount: int) -> str:
        """An amount of this budget, for people: ``$0.02``, or ``1200 tokens``."""
        return f"{amount} tokens" if self.unit == "tokens" else f"${dollars(amount)}"

    def __str__(self) -> str:
        whose = {"agent": "this agent's", "session": "this session's"}.get(self.scope, "the workspace's")
        window = "" if self.window == "ever" else f" of the {self.window}"
        of = "".join(f" for {name}" for name in (self.tool, self.model) if name)
        return f"{whose} budget{window}{of}"


@dataclass(slots=True)
class AccountState:
    """One account as a batch sees and changes it, in its budget's unit."""

    budget: BudgetSpec
    key: str
    id: int | None = None
    raised: int = 0
    spent: int = 0
    held: int = 0
    warned: int = 0
    changed: bool = False

    @property
    def limit(self) -> int:
        """The budget's limit, and what approvals raised this window by."""
        return self.budget.limit + self.raised

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.spent - self.held)

    @property
    def overage(self) -> int:
        """What is spent and held beyond the limit: by settlement, by a lowered limit, or where it only warns."""
        return max(0, self.spent + self.held - self.limit)

    def move(self, *, held: int = 0, spent: int = 0) -> None:
        """Add to what is held and spent, or take from it."""
        self.held += held
        self.spent += spent
        self.changed = True


@dataclass(slots=True)
class BudgetBook:
    """All budgets of a workspace. What a call counts against is found once for each agent, tool and model that a budget
    tells apart; it costs nothing to have budgets for others."""

    specs: dict[int, BudgetSpec] = field(default_factory=dict)
    by_agent: dict[int | None, list[BudgetSpec]] = field(default_factory=dict)
    tools: frozenset[str] = NONE
    models: NamedModels = field(default_factory=NamedModels)
    found: dict[tuple[int, str, frozenset[str]], tuple[BudgetSpec, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.specs)

    def put(self, rows: Iterable[Budget], *, instead_of: Iterable[int] = ()) -> None:
        """Take up these budgets as they are now, in the place of those with these keys."""
        for key in instead_of:
            self.specs.pop(key, None)
        for row in rows:
            self.specs[row.pk] = spec_of(row)
        by_agent: dict[int | None, list[BudgetSpec]] = defaultdict(list)
        for spec in sorted(self.specs.values(), key=lambda spec: spec.id):
            by_agent[spec.agent_id].append(spec)
        self.by_agent = dict(by_agent)
        self.tools = frozenset(spec.tool for spec in self.specs.values() if spec.tool)
        self.models = NamedModels({spec.model for spec in self.specs.values() if spec.model})
        self.found = {}

    def read_again(self, keys: set[int]) -> None:
        """Read these budgets again, which changed, or are gone."""
        self.put(Budget.objects.filter(pk__in=keys), instead_of=keys)

    def of_agent(self, agent_id: int) -> list[BudgetSpec]:
        """Every budget that some call of this agent could count against."""
        specs = [*self.by_agent.get(None, ()), *self.by_agent.get(agent_id, ())]
        return sorted(specs, key=lambda spec: spec.id)

    def for_call(self, agent_id: int, tool: str, model: str) -> tuple[BudgetSpec, ...]:
        """The budgets that such a call counts against, in the order in which they were made."""
        # Names that no budget tells apart are not remembered, so that agents cannot fill this.
        key = (agent_id, tool if tool in self.tools else "", self.models.meant(model))
        specs = self.found.get(key)
        if specs is None:
            specs = tuple(spec for spec in self.of_agent(agent_id) if spec.applies_to(*key))
            self.found[key] = specs
        return specs


def spec_of(row: Budget) -> BudgetSpec:
    """A budget's row as judged."""
    return BudgetSpec(
        id=row.pk,
        public_id=row.public_id,
        scope=str(row.scope),
        agent_id=row.agent_id,
        window=str(row.window),
        tool=row.tool,
        model=row.model,
        unit=str(row.unit),
        limit=row.limit_amount,
        hard=row.hard,
        when_short=str(row.when_short),
        downgrade_to=row.downgrade_to,
        warn_at=tuple(row.warn_at),
        generation=row.generation,
    )


def load_budgets(workspace_id: int) -> BudgetBook:
    """The workspace's budgets, as a snapshot keeps them."""
    book = BudgetBook()
    book.put(Budget.objects.filter(workspace_id=workspace_id))
    return book


def first_day(window: str, now: datetime, timezone: str) -> date:
    """The first day of the day, week or month that holds ``now`` in the workspace's time zone."""
    day = now.astimezone(ZoneInfo(timezone)).date()
    if window == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window == "month" else day


def window_start(window: str, now: datetime, timezone: str) -> str:
    """The first day of the window that holds ``now`` in the workspace's time zone, or ``ever``."""
    return "ever" if window == "ever" else first_day(window, now, timezone).isoformat()


def window_end(window: str, now: datetime, timezone: str) -> datetime | None:
    """When the window that holds ``now`` is over: the midnight there that begins the next one; None for ``ever``."""
    if window == "ever":
        return None
    first = first_day(window, now, timezone)
    days = {"day": 1, "week": 7}.get(window)
    after = first + timedelta(days=days) if days else (first + timedelta(days=31)).replace(day=1)
    return datetime.combine(after, time.min, ZoneInfo(timezone))


def dollars(nanos: int) -> str:
    """Nano-dollars as a decimal string without needless zeros: 20_000_000 → "0.02"."""
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    text = f"{nanos // NANOS}.{nanos % NANOS:09d}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"{sign}{whole}.{part.ljust(2, '0')}"
