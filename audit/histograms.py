"""How many results of a search fall into each hour, day or month."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from audit.models import Entry, Posting
from audit.postings import DAY, HOUR, MARKS, NARROW, WIDE, decode, term, width_of
from audit.search import CHUNK, Found, Segment

MONTH = "month"
BY_HOUR, BY_DAY = timedelta(days=3), timedelta(days=100)  # the longest spans that are told by hour, by day


@dataclass(frozen=True, slots=True)
class Bar:
    """Results from ``begin`` on and before ``end``, in UTC."""

    begin: datetime
    end: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars without gaps; ``unit`` is hour, day or month."""

    unit: str
    bars: list[Bar]

    @property
    def most(self) -> int:
        """The highest bar's count."""
        return max((each.count for each in self.bars), default=0)


def histogram(log_id: int, found: Found) -> Histogram:
    """The results over the time of all entries that were looked at."""
    there = Entry.objects.filter(log_id=log_id, index__gte=found.first, index__lt=found.high)
    times = there.values_list("time", flat=True)
    oldest, latest = times.order_by("index").first(), times.order_by("-index").first()
    if oldest is None or latest is None:
        return Histogram(DAY, [])
    begin, last = oldest.astimezone(UTC), latest.astimezone(UTC)
    unit = HOUR if last - begin <= BY_HOUR else DAY if last - begin <= BY_DAY else MONTH
    counted: Counter[datetime] = Counter()
    for moment, count in marked(log_id, found, HOUR if unit == HOUR else DAY):
        counted[start_of(unit, moment)] += count
    bars = []
    at = start_of(unit, begin)
    while at <= last:
        bars.append(Bar(at, end := following(unit, at), counted[at]))
        at = end
    return Histogram(unit, bars)


def marked(log_id: int, found: Found, unit: str) -> Iterator[tuple[datetime, int]]:
    """How many results each hour or day has in each part of the log."""
    for segment in found.segments:
        if segment.rows is not None:
            for columns in segment.rows.values():
                yield columns[1].astimezone(UTC), 1
    for level in (NARROW, WIDE):
        by_block = {
            each.first // width_of(level): each
            for each in found.segments
            if each.rows is None and each.level == level and each.bits
        }
        blocks = list(by_block)
        while blocks:
            for block, marks in marks_in(log_id, level, blocks[:CHUNK], unit).items():
                yield from counted_between(by_block[block], marks, width_of(level))
            blocks = blocks[CHUNK:]


def marks_in(
    log_id: int, level: int, blocks: Sequence[int], unit: str
) -> dict[int, list[tuple[int, datetime]]]:
    """For each block the offsets at which an hour or day begins, in order."""
    postings = Posting.objects.filter(log_id=log_id, level=level, block__in=blocks)
    rows = postings.filter(term__gt=term(unit, ""), term__lt=term(unit, "") + b"\xff").order_by(
        "block", "term"
    )
    marks: dict[int, list[tuple[int, datetime]]] = {}
    for block, each, content in rows.values_list("block", "term", "content"):
        text = bytes(each).decode().partition(":")[2]
        begins = decode(bytes(content), width_of(level))
        lowest = (begins & -begins).bit_length() - 1  # a merged posting has one for each block
        marks.setdefault(block, []).append((lowest, datetime.strptime(text, MARKS[unit]).replace(tzinfo=UTC)))
    return marks


def counted_between(
    segment: Segment, marks: Sequence[tuple[int, datetime]], width: int
) -> Iterator[tuple[datetime, int]]:
    """How many results are between one mark and the next."""
    ends = [offset for offset, _ in marks[1:]] + [width]
    for (offset, moment), end in zip(marks, ends, strict=True):
        if count := (segment.bits >> offset & (1 << (end - offset)) - 1).bit_count():
            yield moment, count


def start_of(unit: str, moment: datetime) -> datetime:
    """When the hour, day or month of a time began."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if unit == HOUR:
        return hour
    return hour.replace(hour=0) if unit == DAY else hour.replace(hour=0, day=1)


def following(unit: str, begin: datetime) -> datetime:
    """When the next one begins."""
    if unit == HOUR:
        return begin + timedelta(hours=1)
    if unit == DAY:
        return begin + timedelta(days=1)
    return (begin + timedelta(days=31)).replace(day=1)
