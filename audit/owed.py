"""What a committed change owes the world, and how the worker pays it.

A row is written by the transaction that causes it. A worker claims it by a conditional UPDATE that takes a
lease, performs it outside any transaction, and notes how that went. A worker that dies leaves a lease that
runs out, so a performer may be called twice for one row and must bear it.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import F, Q

from audit.lines import printable
from audit.log import database_time
from audit.models import Owed

Performer: TypeAlias = Callable[[dict[str, Any]], str | None]
Periodic: TypeAlias = Callable[[], int]

LEASE = timedelta(seconds=60)  # longer than any performer takes; mail gives up after 10 s
FIRST_RETRY = 5  # seconds; doubled by every attempt
LONGEST_RETRY = 3600
CROWD = 32  # rows looked at beyond the limit, since other workers claim the first ones too

performers: dict[str, Performer] = {}
kinds_aside: set[str] = set()  # kinds that may take long: a thread of their own performs them
kinds_outward: set[str] = set()  # of those: they wait for servers of others, which may hang, in other threads
periodics: dict[str, Periodic] = {}
logger = logging.getLogger(__name__)


class NoPerformer(LookupError):
    """A row of a kind that no app registered."""


class InTransaction(RuntimeError):
    """Something was to be performed inside a transaction, where mail and files have no place."""


def performer(kind: str, *, aside: bool = False, outward: bool = False) -> Callable[[Performer], Performer]:
    """Register the function that performs rows of a kind. It gets the payload, may return a line that tells
    what it did, and raises when the row is to be tried again. What may take long is performed ``aside``, and what
    waits for a server of somebody else beside that (``outward``)."""

    def register(function: Performer) -> Performer:
        performers[kind] = function
        if aside or outward:
            kinds_aside.add(kind)
        if outward:
            kinds_outward.add(kind)
        return function

    return register


def periodic(function: Periodic) -> Periodic:
    """Register a sweep that each worker calls about once a second; it returns how many things it did."""
    periodics[f"{function.__module__}.{function.__qualname__}"] = function
    return function


def owe(kind: str, payloads: Iterable[dict[str, Any]], *, due: datetime) -> list[Owed]:
    """Write a row for each payload; they exist when the caller's transaction commits."""
    return Owed.objects.bulk_create(Owed(kind=kind, payload=payload, due=due) for payload in payloads)


def claim(
    limit: int, *, at: datetime | None = None, aside: bool | None = None, outward: bool | None = None
) -> list[Owed]:
    """Lease up to ``limit`` due rows; each row goes to one of all the workers that ask at once. ``aside``: only what
    is performed aside, or only what is not; ``outward`` the same.

    New rows come before those that failed, so that a dead mail server holds nothing else up. They are looked for
    first, for the index has them in order, however many are due after a time without a worker.
    """
    at = at or database_time()
    unleased = Q(lease_until__isnull=True) | Q(lease_until__lte=at)
    due = Owed.objects.filter(unleased, done_at__isnull=True, due__lte=at)
    if aside is not None:
        due = due.filter(kind__in=kinds_aside) if aside else due.exclude(kind__in=kinds_aside)
    if outward is not None:
        due = due.filter(kind__in=kinds_outward) if outward else due.exclude(kind__in=kinds_outward)
    claimed: list[Owed] = []
    fresh = list(due.filter(attempts=0).order_by("due", "pk")[: limit + CROWD])
    if len(fresh) < limit + CROWD:
        failed = due.filter(attempts__gt=0).order_by("attempts", "due", "pk")
        fresh += failed[: limit + CROWD - len(fresh)]
    for row in fresh:
        if len(claimed) == limit:
            break
        same = due.filter(pk=row.pk, attempts=row.attempts)
        if same.update(lease_until=at + LEASE, attempts=F("attempts") + 1):
            row.lease_until = at + LEASE
            row.attempts += 1
            claimed.append(row)
    return claimed


@dataclass(frozen=True, slots=True)
class Result:
    """How one attempt went; ``told`` is the performer's own line, or the error."""

    row: Owed
    done: bool
    told: str

    def __str__(self) -> str:
        if self.done:
            return f"{self.row.kind} #{self.row.pk} done" + (f": {self.told}" if self.told else "")
        again = f"{self.row.due:%H:%M:%S}"
        return f"{self.row.kind} #{self.row.pk} failed, again at {again}: {self.told}"


def perform(row: Owed) -> Result:
    """Perform a claimed row and note in it how that went: done, or the error and when to try again.

    Raises InTransaction, and the database's error when it is away: the lease then runs out.
    """
    if connection.in_atomic_block:
        raise InTransaction(f"{row.kind} must be performed outside any transaction.")
    # Whoever claimed the row after this lease ran out raised attempts; that result stands then.
    mine = Owed.objects.filter(pk=row.pk, attempts=row.attempts, done_at__isnull=True)
    try:
        told = performer_of(row.kind)(row.payload) or ""
    except Exception as error:
        logger.info("%s failed", row.kind, exc_info=True)
        row.error = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:500]
        row.due = database_time() + retry_after(row.attempts)
        mine.update(error=row.error, due=row.due, lease_until=None)
        return Result(row, False, row.error)
    row.done_at = database_time()
    mine.update(error="", done_at=row.done_at, lease_until=None)
    return Result(row, True, told)


def performer_of(kind: str) -> Performer:
    """The registered performer of a kind; raises NoPerformer."""
    try:
        return performers[kind]
    except KeyError:
        raise NoPerformer(f"No app registered a performer for {kind!r}.") from None


def retry_after(attempts: int) -> timedelta:
    """How long a row waits after its n-th failed attempt: 5 s, 10 s, 20 s … at most an hour."""
    return timedelta(seconds=min(FIRST_RETRY * 2 ** min(attempts - 1, 20), LONGEST_RETRY))
