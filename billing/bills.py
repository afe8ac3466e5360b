"""Charges held against a provider's bill: a day and model at a time, billed and charged and the difference."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, FloatField, Sum
from django.db.models.functions import Cast, TruncDate

from audit import log, spreadsheets
from billing.bill_files import Billed, BillFile, BillRefused, read_bill
from billing.book import FULL, dollars
from billing.model_names import folded, identity
from billing.models import BillCheck, Hold
from workspaces.models import Workspace

LONGEST_DAYS = 92
MOST_KEPT = 5_000  # lines of a result
FILE_COLUMNS = (
    "day", "model", "charged_as", "billed_usd", "charged_usd", "difference_usd", "billed_tokens", "charged_tokens",
    "calls", "what",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charged:
    """What was charged for one model on one day. ``unpriced`` calls have a price that is not known."""

    model: str
    nanos: int
    tokens: int
    calls: int
    unpriced: int


def check_bill(
    workspace: Workspace,
    content: bytes,
    *,
    zone: str = "UTC",
    columns: Mapping[str, str] | None = None,
    decimal: str = "",
    day_first: bool | None = None,
    actor: str,
) -> BillCheck:
    """Hold a workspace's charges against a bill, whose days are in the time zone ``zone``, and keep what came of it.

    Models are the same where their names are, or where the public list knows both names as one. Raises BillRefused.
    """
    bill = read_bill(content, columns=columns, decimal=decimal, day_first=day_first)
    first, last = bill.lines[0].day, bill.lines[-1].day
    if (last - first).days >= LONGEST_DAYS or not date(2015, 1, 1) <= first <= last < date(2100, 1, 1):
        raise BillRefused(
            "bill_too_long",
            f"The bill goes from {first} to {last}; split it into {LONGEST_DAYS} days at most.",
        )
    lines = compare(bill, charged_in(workspace, first, last, ZoneInfo(zone)))
    if len(lines) > MOST_KEPT:
        raise BillRefused(
            "bill_too_large", f"That gives more than {MOST_KEPT:,} lines; split the file by month."
        )
    with log.write(workspace.log_id) as entries:
        check = BillCheck.objects.create(
            workspace=workspace,
            digest=hashlib.sha256(content).hexdigest(),
            zone=zone,
            columns=dict(bill.columns),
            first_day=first,
            last_day=last,
            billed_nanos=sum(line["billed"] for line in lines),
            charged_nanos=min(FULL, sum(line["charged"] for line in lines)),
            lines=lines,
            created=entries.now,
        )
        data = {
            "bill": check.public_id,
            "digest": check.digest,
            "first": first.isoformat(),
            "last": last.isoformat(),
            "billed": dollars(check.billed_nanos),
            "charged": dollars(check.charged_nanos),
        }
        entries.append("billing.bill.checked", actor=actor, data=data)
    return check


def charged_in(
    workspace: Workspace, first: date, last: date, zone: ZoneInfo
) -> dict[tuple[date, str], Charged]:
    """What was charged by day and model, of calls that were allowed on these days. Added up as floats, which take any
    number of them: exact to nine million dollars a day and model."""
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    after = last + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone)
    rows = (
        Hold.objects.filter(
            workspace=workspace, created__gte=begin.astimezone(UTC), created__lt=end.astimezone(UTC)
        )
        .filter(settled_at__isnull=False)
        .exclude(model="")
        .annotate(day=TruncDate("created", tzinfo=zone))
        .values_list("day", "model")
        .annotate(
            nanos=Sum(Cast("charged_nanos", FloatField())),
            tokens=Sum(Cast("charged_tokens", FloatField())),
            calls=Count("pk"),
            priced=Count("charged_nanos"),
        )
        .order_by()
    )
    return {
        (day, model): Charged(model, int(nanos or 0), int(tokens or 0), calls, calls - priced)
        for day, model, nanos, tokens, calls, priced in rows
    }


def compare(bill: BillFile, charged: Mapping[tuple[date, str], Charged]) -> list[dict[str, Any]]:
    """A line a day and model, the bill's and what only we charged, by day. Amounts are nano-US-dollars."""
    ours: dict[tuple[date, str], list[Charged]] = defaultdict(list)
    for (day, model), each in charged.items():
        ours[day, one_name(model)].append(each)
    theirs: dict[tuple[date, str], list[Billed]] = defaultdict(list)
    for line in bill.lines:
        theirs[line.day, one_name(line.model)].append(line)
    known = {model for _, model in ours}
    return [
        line_of(day, theirs.get((day, model), []), ours.get((day, model), []), known=model in known)
        for day, model in sorted(theirs.keys() | ours.keys())
    ]


def one_name(name: str) -> str:
    """One name for all names of a model: the public list's, where it knows it."""
    return identity(name) or folded(name)


def line_of(
    day: date, billed: Sequence[Billed], charged: Sequence[Charged], *, known: bool
) -> dict[str, Any]:
    """What is kept of a day and model."""
    return {
        "day": day.isoformat(),
        "model": ", ".join(sorted({each.model for each in billed})),
        "charged_as": ", ".join(sorted({each.model for each in charged})),
        "billed": sum(each.nanos for each in billed),
        "charged": sum(each.nanos for each in charged),
        "billed_tokens": sum(each.input + each.output for each in billed),
        "charged_tokens": sum(each.tokens for each in charged),
        "calls": sum(each.calls for each in charged),
        "unpriced": sum(each.unpriced for each in charged),
        "known": known,
    }


def meaning(line: Mapping[str, Any]) -> str:
    """What a line of a result says, in words."""
    if not line["charged_as"]:
        return "not charged that day" if line["known"] else "unknown here"
    if not line["model"]:
        return "not on the bill"
    if line["unpriced"]:
        return "calls of unknown price"
    difference = line["billed"] - line["charged"]
    return "agrees" if not difference else "more was billed" if difference > 0 else "less was billed"


def as_csv(check: BillCheck) -> str:
    """The result as a file that no spreadsheet calculates."""
    return spreadsheets.written([FILE_COLUMNS, *(cells(line) for line in check.lines)])


def cells(line: Mapping[str, Any]) -> list[str]:
    """A line of the file."""
    amounts = (line["billed"], line["charged"], line["billed"] - line["charged"])
    counts = (line["billed_tokens"], line["charged_tokens"], line["calls"])
    names = [line["day"], line["model"], line["charged_as"]]
    return [*names, *map(dollars, amounts), *map(str, counts), meaning(line)]
