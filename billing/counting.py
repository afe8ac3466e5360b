"""Sums of charges by day, so that no page adds up a million of them.

The worker adds each settled charge to the sums of its day, and notes on the charge what it added. Whatever changes a
charge later (a late report, another price) makes it differ from its note; then the worker takes away what it had added
and adds what holds now. So nobody who settles has to think of the sums. What the worker has not come to yet is read
beside them (``billing.spending``).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import QuerySet

from billing.models import UNCOUNTED, Hold
from workspaces.models import Workspace

CHUNK = 500  # charges of one transaction, for the gate writes too
ROUND = 0.5  # seconds of counting before the worker's other sweeps get their turn
MOST_A_DAY = (
    2**55
)  # nano-dollars, or tokens: 36 million dollars; half a year of such days can still be added up
CAPS = (MOST_A_DAY,) * 4  # as ADD takes them
ADD = (
    "INSERT INTO billing_spendday (workspace_id, dimension, day, value, nanos, tokens, calls, unpriced)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (workspace_id, dimension, day, value) DO UPDATE SET"
    " nanos = CASE WHEN billing_spendday.nanos + excluded.nanos > %s THEN %s"
    " ELSE billing_spendday.nanos + excluded.nanos END,"
    " tokens = CASE WHEN billing_spendday.tokens + excluded.tokens > %s THEN %s"
    " ELSE billing_spendday.tokens + excluded.tokens END,"
    " calls = billing_spendday.calls + excluded.calls, unpriced = billing_spendday.unpriced + excluded.unpriced"
)
NOTE = (
    "UPDATE billing_hold SET counted_day = %s, counted_nanos = charged_nanos, counted_tokens = charged_tokens,"
    " counted_model = model WHERE id = %s"
)


class Charge(NamedTuple):
    """What counting needs of a charge; thousands of whole rows would take longer to make than to count."""

    id: int
    workspace_id: int
    agent_id: int
    owner_id: int | None
    tool: str
    session: str
    model: str
    cost_center: str
    created: datetime
    settled_at: datetime | None
    charged_nanos: int | None
    charged_tokens: int | None
    counted_day: date | None
    counted_nanos: int | None
    counted_tokens: int | None
    counted_model: str


class Place(NamedTuple):
    """Which sum: of a workspace, on a day, by a value of a dimension."""

    workspace_id: int
    dimension: str
    day: date
    value: str


@dataclass(slots=True)
class Sum:
    """Nano-US-dollars and tokens charged, for so many calls; ``unpriced`` of them have a price that is not known."""

    nanos: int = 0
    tokens: int = 0
    calls: int = 0
    unpriced: int = 0

    def add(self, other: "Sum", sign: int = 1) -> None:
        """Add another sum to this one, or take it away."""
        self.nanos += sign * other.nanos
        self.tokens += sign * other.tokens
        self.calls += sign * other.calls
        self.unpriced += sign * other.unpriced

    @property
    def is_nothing(self) -> bool:
        return not (self.nanos or self.tokens or self.calls or self.unpriced)


def of(nanos: int | None, tokens: int | None) -> Sum:
    """What one charge adds."""
    return Sum(nanos or 0, tokens or 0, 1, int(nanos is None))


def capped(amount: int) -> int:
    """An amount as one statement adds it to a sum, which stays within its column."""
    return max(-MOST_A_DAY, min(MOST_A_DAY, amount))


def read(rows: QuerySet[Hold]) -> list[Charge]:
    """Charges as counting needs them."""
    return [Charge(*values) for values in rows.values_list(*Charge._fields)]


def differences(charges: Iterable[Charge], zone: ZoneInfo) -> tuple[dict[Place, Sum], dict[int, date | None]]:
    """What charges that are not counted rightly would add to each sum, and by its key the day on which each charge is
    counted, None for one that is in flight again. A charge stays on the day on which it was first counted, whatever
    becomes of the workspace's time zone."""
    found: dict[Place, Sum] = defaultdict(Sum)
    days: dict[int, date | None] = {}
    for charge in charges:
        day = days[charge.id] = charge.counted_day or charge.created.astimezone(zone).date()
        if charge.counted_day is not None:
            counted = of(charge.counted_nanos, charge.counted_tokens)
            for place in places(charge, day, charge.counted_model):
                found[place].add(counted, -1)
        if charge.settled_at is None:
            days[charge.id] = None
            continue
        charged = of(charge.charged_nanos, charge.charged_tokens)
        for place in places(charge, day, charge.model):
            found[place].add(charged)
    return {place: each for place, each in found.items() if not each.is_nothing}, days


def places(charge: Charge, day: date, model: str) -> list[Place]:
    """The sums that a charge belongs to; it has one value in each dimension, which may be empty."""
    found = (
        ("", ""),
        ("agent", str(charge.agent_id)),
        ("owner", str(charge.owner_id or "")),
        ("tool", charge.tool),
        ("session", f"{charge.agent_id}|{charge.session}"),
        ("model", model),
        ("cost_center", charge.cost_center),
    )
    return [Place(charge.workspace_id, dimension, day, value) for dimension, value in found]


def count_new() -> int:
    """Count charges that were settled or changed, for at most ROUND seconds; returns how many."""
    until, done = monotonic() + ROUND, 0
    while monotonic() < until and (count := count_some()):
        done += count
    return done


def count_some() -> int:
    """Count up to CHUNK charges of one workspace in one transaction; 0 where there are none that nobody else counts."""
    first = Hold.objects.filter(UNCOUNTED).order_by("workspace_id").values_list("workspace_id", flat=True)[:1]
    for workspace in Workspace.objects.filter(pk__in=list(first)):
        with transaction.atomic():
            waiting = Hold.objects.filter(UNCOUNTED, workspace=workspace)
            charges = read(waiting.select_for_update(skip_locked=True)[:CHUNK])
            added, days = differences(charges, ZoneInfo(workspace.timezone))
            with connection.cursor() as cursor:
                # In one order, so that two workers never wait for each other.
                cursor.executemany(
                    ADD,
                    [
                        (*place, capped(each.nanos), capped(each.tokens), each.calls, each.unpriced, *CAPS)
                        for place, each in sorted(added.items(), key=lambda item: item[0])
                    ],
                )
                cursor.executemany(NOTE, [(day, key) for key, day in days.items()])
        return len(charges)
    return 0
