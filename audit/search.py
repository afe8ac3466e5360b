"""Searching a log: from the newest entry back, by facets and words, through postings where there are any.

Every call does a bounded amount of work and says where the next one goes on. Who may search which log is for the caller
to ask.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias

from django.db.models import Q, QuerySet

from audit import registry
from audit.log import index_at, newest
from audit.models import Entry, Indexed, Posting
from audit.postings import (
    CALL,
    COLUMNS,
    FACETS,
    INSIDE,
    NARROW,
    WIDE,
    WORD,
    bits_of,
    decode,
    offsets_of,
    term,
    terms_of,
    width_of,
)

SCANNED = 10_000  # entries without postings that one call looks through
CHUNK = 16  # blocks read by one query
MOST_CHUNKS = 8  # of one call: eight million entries
MOST_ROWS = 8_000  # postings that words which begin with a text may have in a chunk
SHORTEST_PREFIX = 3  # characters; a shorter word is searched as it is
MOST_WORDS = 10
NEWEST = 500  # results whose values are counted
PREFIXES = tuple(term(facet, "") for facet in INSIDE)

Also: TypeAlias = Callable[[str], Iterable[tuple[str, str]]]


class TooBroad(ValueError):
    """A search that would look at too much; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Need:
    """What an entry must have at least one of: whole terms, or one that begins with a prefix."""

    terms: frozenset[bytes]
    prefix: bytes = b""

    def met_by(self, found: set[bytes]) -> bool:
        """Whether an entry with these terms has it."""
        if not self.terms.isdisjoint(found):
            return True
        return bool(self.prefix) and any(each.startswith(self.prefix) for each in found)


@dataclass(slots=True)
class Segment:
    """Results among consecutive entries: bit ``n`` stands for index ``first + n``. ``rows`` has the columns of the
    results by index where the entries themselves were read, and None where postings were."""

    first: int
    bits: int
    level: int = NARROW
    rows: dict[int, Sequence[Any]] | None = None

    @property
    def indexes(self) -> Iterator[int]:
        """Newest first."""
        return (self.first + offset for offset in offsets_of(self.bits))


@dataclass(frozen=True, slots=True)
class Page:
    """Indexes of results, newest first; ``before`` asks for what is older, None where nothing is."""

    indexes: list[int]
    before: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """Every result within a call's bounds. ``first`` is the oldest index that was looked at, ``whole`` whether that
    is all that was asked for."""

    segments: list[Segment] = field(default_factory=list)
    low: int = 0
    high: int = 0
    first: int = 0

    @property
    def whole(self) -> bool:
        return self.first <= self.low

    @property
    def total(self) -> int:
        return sum(each.bits.bit_count() for each in self.segments)

    def newest(self, count: int) -> list[int]:
        """The newest results' indexes."""
        return list(islice((index for segment in self.segments for index in segment.indexes), count))


def search(
    log_id: int,
    *,
    facets: Mapping[str, Sequence[str]] | None = None,
    text: str = "",
    also: Also | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Page:
    """Entries that have one of the values of every facet and every word of the text (``also`` names more terms, as
    (facet, value), that a word may stand for), from ``since`` on and before ``until`` and the index ``before``. A page
    may be short, or empty, and still have a ``before``. Raises TooBroad."""
    needs = needed(facets or {}, text, also)
    low, high = bounds(log_id, since, until, before)
    found: list[int] = []
    looked = high
    for segment in matches(log_id, needs, low, high):
        for index in segment.indexes:
            if len(found) == limit:
                return Page(found, found[-1])
            found.append(index)
        looked = segment.first
    return Page(found, looked if looked > low else None)


def find(
    log_id: int,
    *,
    facets: Mapping[str, Sequence[str]] | None = None,
    text: str = "",
    also: Also | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Found:
    """All results at once, for counting; within the bounds of one call. Arguments as of ``search``."""
    low, high = bounds(log_id, since, until, None)
    segments = list(matches(log_id, needed(facets or {}, text, also), low, high))
    return Found(segments, low, high, max(low, segments[-1].first) if segments else low)


def needed(facets: Mapping[str, Sequence[str]], text: str, also: Also | None) -> list[Need]:
    """What an entry must have, one for each facet and each word. Raises TooBroad."""
    needs = [
        Need(frozenset(term(facet, value) for value in values)) for facet, values in facets.items() if values
    ]
    spoken = text.split()
    if len(spoken) > MOST_WORDS:
        raise TooBroad(f"A search takes at most {MOST_WORDS} words; leave some out.")
    for word in spoken:
        named = frozenset(term(*pair) for pair in (*also_of_ids(word), *(also(word) if also else ())))
        if named:
            needs.append(Need(named | {term("word", word.lower())}))
            continue
        for part in WORD.findall(word.lower()):
            told = {term("type", name) for name in types_that_say(part)}
            long = len(part) >= SHORTEST_PREFIX
            needs.append(Need(frozenset(told | {term("word", part)}), term("word", part) if long else b""))
    return needs


def also_of_ids(word: str) -> Iterable[tuple[str, str]]:
    """What a public id stands for in an entry."""
    match word.partition("_")[0]:
        case "agt":
            return [("agent", word), ("actor", f"agent:{word}")]
        case "usr":
            return [("actor", f"person:{word}")]
        case "dec" | "apr":
            return [(CALL, word)]
    return []


def types_that_say(word: str) -> list[str]:
    """Entry types whose sentence has a word that begins so."""
    if len(word) < SHORTEST_PREFIX:
        return []
    return [
        kind.name
        for kind in registry.entry_types.values()
        if any(each.startswith(word) for each in WORD.findall(kind.sentence.lower()))
    ]


def bounds(
    log_id: int, since: datetime | None, until: datetime | None, before: int | None
) -> tuple[int, int]:
    """The first index to look at, and the one after the last."""
    high = newest(log_id) if before is None else min(before, newest(log_id))
    if until is not None:
        high = min(high, index_at(log_id, until))
    return (index_at(log_id, since) if since is not None else 0), high


def matches(log_id: int, needs: Sequence[Need], low: int, high: int) -> Iterator[Segment]:
    """Results with an index from ``low`` on and below ``high``, newest first, with gaps between segments for what has
    none; the last segment tells how far it looked."""
    if low >= high:
        return
    state = Indexed.objects.filter(log_id=log_id).first() or Indexed()
    if high > state.size:
        bottom = max(low, state.size, high - SCANNED)
        yield scan(log_id, needs, bottom, high)
        if bottom > max(low, state.size):
            return
        high = min(high, state.size)
    for level, blocks in chunks(state, low, high):
        width = width_of(level)
        found = intersect(log_id, needs, level, blocks)
        for block in blocks:
            first = block * width
            bits = found.get(block, 0) & within(first, width, low, high)
            yield Segment(first, bits, level)


def chunks(state: Indexed, low: int, high: int) -> Iterator[tuple[int, list[int]]]:
    """The levels and blocks to read, newest first, a few at a time and not too many in all."""
    wide = width_of(WIDE)
    merged = state.merged * wide
    left = MOST_CHUNKS
    for level, bottom, top in ((NARROW, max(low, merged), high), (WIDE, low, min(high, merged))):
        width = width_of(level)
        blocks = list(range(bottom // width, -(-top // width)))[::-1] if top > bottom else []
        while blocks and left:
            yield level, blocks[:CHUNK]
            blocks, left = blocks[CHUNK:], left - 1


def within(first: int, width: int, low: int, high: int) -> int:
    """The bits of a block whose indexes are from ``low`` on and below ``high``."""
    upper = min(max(high - first, 0), width)
    lower = min(max(low - first, 0), width)
    return (1 << upper) - 1 & ~((1 << lower) - 1)


def intersect(log_id: int, needs: Sequence[Need], level: int, blocks: Sequence[int]) -> dict[int, int]:
    """Block → bits of the entries that meet every need; blocks without any are left out."""
    width = width_of(level)
    found = dict.fromkeys(blocks, (1 << width) - 1)
    for need in needs:
        if not found:
            return {}
        postings = Posting.objects.filter(log_id=log_id, level=level, block__in=list(found))
        met: dict[int, int] = {}
        for block, content in contents(postings, need):
            met[block] = met.get(block, 0) | decode(bytes(content), width)
        found = {block: both for block, bits in found.items() if (both := bits & met.get(block, 0))}
    return found


def contents(postings: QuerySet[Posting], need: Need) -> list[tuple[int, bytes]]:
    """Block and content of the postings of a need. Raises TooBroad."""
    columns = ("block", "content")
    rows = list(postings.filter(term__in=sorted(need.terms)).values_list(*columns))
    if need.prefix:
        longer = postings.filter(term__gt=need.prefix, term__lt=need.prefix + b"\xff")
        rows += longer.values_list(*columns)[: MOST_ROWS + 1]
        if len(rows) > MOST_ROWS:
            word = need.prefix.partition(b":")[2].decode()
            raise TooBroad(f"Too many words begin with {word!r}; write more of it.")
    return rows


def scan(log_id: int, needs: Sequence[Need], low: int, high: int) -> Segment:
    """Results among entries that have no postings, found by reading them."""
    inside = any(each.startswith(PREFIXES) for need in needs for each in need.terms)
    rows = Entry.objects.filter(log_id=log_id, index__gte=low, index__lt=high).order_by("index")
    for need in needs:
        rows = rows.filter(column_filter(need))
    found = {}
    for row in rows.values_list(*COLUMNS, *(("body",) if inside else ())):
        columns, body = row[: len(COLUMNS)], bytes(row[-1]) if inside else None
        terms = terms_of(columns, body) if needs else set()
        if all(need.met_by(terms) for need in needs):
            found[columns[0]] = columns
    width = -(-(high - low) // 8) * 8
    return Segment(low, bits_of((index - low for index in found), width), rows=found)


def column_filter(need: Need) -> Q:
    """What the database can tell of a need by its columns; everything where it cannot."""
    wanted = Q()
    for each in need.terms:
        facet, _, value = each.decode().partition(":")
        if facet not in FACETS or len(value) >= 200 or need.prefix:
            return Q()
        wanted |= Q(**{facet: value})
    return wanted


def counts(log_id: int, found: Found, facets: Sequence[str], most: int) -> dict[str, list[tuple[str, int]]]:
    """For each facet its values among the results with how many each has, the most frequent first. The values are
    those of the newest results, ``most`` for each facet; their counts are of all results."""
    values = candidates(log_id, found, facets, most)
    total: Counter[bytes] = Counter()
    terms = sorted(term(facet, value) for facet, listed in values.items() for value in listed)
    for segment in found.segments:
        if segment.rows is not None:
            for columns in segment.rows.values():
                total.update(term(facet, value) for facet, value in zip(FACETS, columns[2:], strict=True))
    for level in (NARROW, WIDE):
        width = width_of(level)
        by_block = {
            each.first // width: each.bits
            for each in found.segments
            if each.rows is None and each.level == level and each.bits
        }
        blocks = list(by_block)
        while blocks:
            postings = Posting.objects.filter(log_id=log_id, level=level, block__in=blocks[:CHUNK])
            chosen = postings.filter(term__in=terms).values_list("block", "term", "content")
            for block, each, content in chosen.iterator(chunk_size=500):
                total[bytes(each)] += (decode(bytes(content), width) & by_block[block]).bit_count()
            blocks = blocks[CHUNK:]
    told = {
        facet: [(value, total[term(facet, value)]) for value in listed] for facet, listed in values.items()
    }
    return {facet: sorted(rows, key=lambda row: (-row[1], row[0])) for facet, rows in told.items()}


def candidates(log_id: int, found: Found, facets: Sequence[str], most: int) -> dict[str, list[str]]:
    """The most frequent values of each facet among the newest results."""
    known = found.segments[0].rows if found.segments and found.segments[0].rows is not None else {}
    newest_ones = found.newest(NEWEST)
    rows = [known[index] for index in newest_ones if index in known]
    if others := [index for index in newest_ones if index not in known]:
        rows += Entry.objects.filter(log_id=log_id, index__in=others).values_list(*COLUMNS)
    listed = {}
    for facet in facets:
        at = COLUMNS.index(facet)
        counted = Counter(row[at] for row in rows if row[at])
        listed[facet] = [value for value, _ in counted.most_common(most)]
    return listed
