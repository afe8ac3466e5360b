"""Charges priced anew, after a price was corrected: looked at first, then done slice by slice by the worker.

A charge that rests on tokens keeps the version of its price. Where the price of its day is another one now, the charge
becomes what its tokens cost at that, in the accounts too, and keeps the new version; so doing it again changes nothing.
What agents reported, tools declare or nobody knows the tokens of stays.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError
from django.db.models import Q, QuerySet

from audit import log, owed
from billing.book import MOST, load_budgets
from billing.budgets import Ledger
from billing.models import Hold, Repricing
from billing.price_table import EARLIEST, LATEST
from billing.prices import PriceList, load_prices, warm
from billing.settlement import Settlements, TooMuch
from workspaces.models import Workspace

TASK = "billing.repricing"
SLICE = 100  # charges of one transaction, so that the head is free again within 100 ms
SLICE_SECONDS = 10.0  # then other tasks of the worker get their turn
LONGEST_DAYS = 92
MOST_PREVIEWED = 100_000
WORKER = "system"
BY_TOKENS = (Hold.Basis.PRICED, Hold.Basis.CEILING)
SETTLED = (Hold.State.SETTLED, Hold.State.ASSUMED)
COLUMNS = ("pk", "model", "usage", "charged_nanos", "basis", "price", "created")


class RepricingRefused(ValueError):
    """Charges that cannot be priced anew; the message says what to do."""

    code, status = "repricing_refused", 409


@dataclass(frozen=True, slots=True)
class Anew:
    """What a charge becomes: nano-dollars, and what they rest on."""

    nanos: int
    basis: str
    price: str


@dataclass(slots=True)
class Difference:
    """What pricing anew does to the charges of one model; nano-dollars."""

    model: str
    charges: int = 0
    before: int = 0
    after: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(slots=True)
class Preview:
    """What pricing anew would do. ``looked_at`` charges rest on tokens; ``partial``: there are more than were read."""

    looked_at: int = 0
    partial: bool = False
    models: dict[str, Difference] = field(default_factory=dict)

    @property
    def charges(self) -> int:
        return sum(each.charges for each in self.models.values())

    @property
    def before(self) -> int:
        return sum(each.before for each in self.models.values())

    @property
    def after(self) -> int:
        return sum(each.after for each in self.models.values())

    @property
    def change(self) -> int:
        return self.after - self.before


def preview(workspace: Workspace, first: date, last: date) -> Preview:
    """What pricing the charges of these days anew would do; nothing is changed. Raises RepricingRefused."""
    check_days(first, last)
    prices, zone, found = load_prices(workspace.pk), ZoneInfo(workspace.timezone), Preview()
    rows = resting_on_tokens(workspace, first, last).only(*COLUMNS)[: MOST_PREVIEWED + 1]
    for hold in rows.iterator(chunk_size=2000):
        if found.looked_at == MOST_PREVIEWED:
            found.partial = True
            break
        found.looked_at += 1
        anew = priced_anew(prices, zone, hold)
        if anew is not None:
            each = found.models.setdefault(hold.model, Difference(hold.model))
            each.charges += 1
            each.before += hold.charged_nanos or 0
            each.after += anew.nanos
    return found


def start(workspace: Workspace, first: date, last: date, *, actor: str) -> Repricing:
    """Have the worker price the charges of these days anew. Raises RepricingRefused."""
    check_days(first, last)
    try:
        with log.write(workspace.log_id) as entries:
            repricing = Repricing.objects.create(
                workspace=workspace, first_day=first, last_day=last, created=entries.now
            )
            days = {"first": first.isoformat(), "last": last.isoformat()}
            data = {"repricing": repricing.public_id, **days}
            entries.append("billing.repricing.started", actor=actor, data=data)
            owed.owe(TASK, [{"repricing": repricing.pk}], due=entries.now)
    except IntegrityError as error:
        raise RepricingRefused(
            "Charges of this workspace are being priced anew already; wait until that is done."
        ) from error
    return repricing


def check_days(first: date, last: date) -> None:
    """Raises RepricingRefused for days that are none or too many."""
    if not 0 <= (last - first).days < LONGEST_DAYS or not EARLIEST <= first <= last <= LATEST:
        raise RepricingRefused(
            f"Choose a first and a last day, {LONGEST_DAYS} days at most, from {EARLIEST} to {LATEST}."
        )


def resting_on_tokens(workspace: Workspace, first: date, last: date) -> QuerySet[Hold]:
    """Settled charges of these days of the workspace's calendar that rest on tokens, or on nothing yet."""
    zone = ZoneInfo(workspace.timezone)
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    day_after = last + timedelta(days=1)
    end = datetime(day_after.year, day_after.month, day_after.day, tzinfo=zone)
    rests = Q(basis__in=BY_TOKENS) | Q(basis="", charged_nanos__isnull=True)
    rows = Hold.objects.filter(
        rests, workspace=workspace, created__gte=begin, created__lt=end, state__in=SETTLED
    )
    return rows.order_by("pk")


def priced_anew(prices: PriceList, zone: ZoneInfo, hold: Hold) -> Anew | None:
    """What a charge becomes at the prices of its day; None where it stays."""
    if not hold.usage:
        return None
    day = hold.created.astimezone(zone).date()
    listed = (prices.of(hold.model, day) if hold.model else None), prices.ceiling(day)
    for price, basis in zip(listed, BY_TOKENS, strict=True):
        nanos = price.cost(hold.usage) if price else None
        if price is not None and nanos is not None:
            same = price.version == hold.price and nanos == hold.charged_nanos
            return None if same or nanos > MOST else Anew(nanos, basis.value, price.version)
    return None


@owed.performer(TASK, aside=True)
def carry_on(payload: dict[str, Any]) -> str | None:
    """Price charges anew for some seconds, and owe the rest."""
    repricing = Repricing.objects.select_related("workspace").get(pk=payload["repricing"])
    warm()
    until = time.monotonic() + SLICE_SECONDS
    while repricing.status == Repricing.Status.RUNNING and time.monotonic() < until:
        reprice_slice(repricing)
    if repricing.status == Repricing.Status.RUNNING:
        owed.owe(TASK, [payload], due=log.database_time())
    return f"{repricing.charges} charges changed"


def reprice_slice(repricing: Repricing) -> None:
    """Price the next charges anew in one transaction; the row moves on with them, so a slice that is repeated after a
    crash begins where the last one ended."""
    workspace = repricing.workspace
    with log.write(workspace.log_id) as entries:
        repricing.refresh_from_db()
        if repricing.status != Repricing.Status.RUNNING:
            return
        rows = resting_on_tokens(workspace, repricing.first_day, repricing.last_day)
        holds = list(rows.filter(pk__gt=repricing.position)[:SLICE])
        changed = list(book(workspace, holds, entries.now))
        for _, before, after, _ in changed:
            repricing.charges += 1
            repricing.before_nanos += before or 0
            repricing.after_nanos += after
        if changed:
            told = [
                {"decision": decision, "before": before, "charged": after, "price": price}
                for decision, before, after, price in changed
            ]
            data = {"repricing": repricing.public_id, "charges": told}
            entries.append("billing.charges.repriced", actor=WORKER, data=data)
        if holds:
            repricing.position = holds[-1].pk
        if len(holds) < SLICE:
            repricing.status = Repricing.Status.DONE
        repricing.save()


def book(
    workspace: Workspace, holds: Iterable[Hold], now: datetime
) -> Iterator[tuple[str, int | None, int, str]]:
    """Bring charges and their accounts to what they cost now; yields decision, nano-dollars before and after, and the
    price. The caller holds the log's head."""
    prices, zone = load_prices(workspace.pk), ZoneInfo(workspace.timezone)
    anew = [(hold, found) for hold in holds if (found := priced_anew(prices, zone, hold)) is not None]
    if not anew:
        return
    ledger = Ledger(workspace.pk, now, workspace.timezone, load_budgets(workspace.pk))
    settlements = Settlements(ledger, prices)
    settlements.holds = {hold.decision: hold for hold, _ in anew}
    settlements.read({key for hold, _ in anew for key in hold.accounts})
    told = []
    for hold, found in anew:
        before, settled_at, accounts = hold.charged_nanos, hold.settled_at, settlements.of(hold)
        try:
            settlements.book(
                hold, accounts, state=Hold.State(hold.state), charged=(found.nanos, hold.charged_tokens)
            )
        except TooMuch:
            continue
        hold.basis, hold.price, hold.settled_at = found.basis, found.price, settled_at
        told.append((hold.decision, before, found.nanos, found.price))
    ledger.store()
    settlements.store()
    yield from told
