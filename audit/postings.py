"""The log's search index: where each term stands among the entries of a block.

A *term* is a facet and a value, such as ``tool:mail.send``; ``word:`` terms serve free text. The entries of a log are
cut into *blocks* of BLOCK indexes; when one is full, the worker writes a posting for each term of it, once and for all.
When FACTOR blocks are, their postings are merged into those of one *wide* block, so that rare terms cost few rows. The
newest entries, whose block is not full, are searched without postings (``audit.search``). Nothing here is evidence: a
posting only says which entries to look at.

A posting's content is a sorted array of 16-bit offsets in the block, or a bitmap where that is shorter.
"""

import re
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from audit.models import Entry, Head, Indexed, Posting, Pruning

BLOCK = 4096  # entries
FACTOR = 16  # blocks in a wide one: 65,536 entries, the most that 16 bits can tell apart
NARROW, WIDE = 0, 1  # levels
LONGEST = 200  # characters of a value, as in the columns
ROWS = 500  # postings written or deleted in one transaction, for the gate writes too
ROUND = 0.5  # seconds of indexing before the worker's other sweeps get their turn

FACETS = ("type", "actor", "agent", "tool", "resource", "outcome", "session")
COLUMNS = ("index", "time", *FACETS)
# Facets that are found in bodies: the decision and approval that an entry is about, and the rows that it changed.
CALL, ROW = "call", "row"
INSIDE = (CALL, ROW)
CALL_IDS = ("decision", "approval", "used_approval")
HOUR, DAY = "hour", "day"
MARKS = {HOUR: "%Y-%m-%dT%H", DAY: "%Y-%m-%d"}
UNITS = tuple(f"{unit}:".encode() for unit in MARKS)
INSERT = (
    "INSERT INTO audit_posting (log_id, level, block, term, content) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)
SPOKEN = ("type", "tool", "resource", "outcome", "session")  # columns whose words free text finds
MOST_WORDS = 16  # of one column: agents choose some, and each word costs a posting
WORD = re.compile(r"[^\W_]+")


def term(facet: str, value: str) -> bytes:
    """A term as it is stored."""
    return f"{facet}:{value[:LONGEST]}".encode()


def words(text: str) -> set[str]:
    """The first lower-cased words of a column."""
    return set(islice((found[0] for found in WORD.finditer(text.lower())), MOST_WORDS))


def terms_of(columns: Sequence[Any], body: bytes | None) -> set[bytes]:
    """Every term of an entry. ``columns`` in the order of COLUMNS; without its body, those of INSIDE are left out."""
    found = {term(facet, value) for facet, value in zip(FACETS, columns[2:], strict=True) if value}
    for facet, value in zip(FACETS, columns[2:], strict=True):
        if facet in SPOKEN:
            found |= {term("word", word) for word in words(value)}
    if body is not None:
        data = orjson.loads(body)["data"]
        found |= {term(CALL, value) for name in CALL_IDS if isinstance(value := data.get(name), str)}
        found |= {term(ROW, f"{row['kind']}:{row['key']}") for row in rows_in(data)}
    return found


def rows_in(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that an entry's data says were saved or removed; none where it is no change of the configuration."""
    rows = data.get("rows", ())
    return [row for row in rows if isinstance(row, dict) and "kind" in row] if isinstance(rows, list) else []


def encode(offsets: Sequence[int], width: int) -> bytes:
    """Sorted offsets in a block of ``width`` as a posting's content."""
    if 16 * len(offsets) < width:
        return struct.pack(f"<{len(offsets)}H", *offsets)
    return bits_of(offsets, width).to_bytes(width // 8, "little")


def decode(content: bytes, width: int) -> int:
    """A posting's content as a number whose bit ``n`` stands for offset ``n``."""
    if len(content) == width // 8:
        return int.from_bytes(content, "little")
    return bits_of(struct.unpack(f"<{len(content) // 2}H", content), width)


def bits_of(offsets: Iterable[int], width: int) -> int:
    """Offsets as bits of a number."""
    marked = bytearray(width // 8)
    for offset in offsets:
        marked[offset >> 3] |= 1 << (offset & 7)
    return int.from_bytes(marked, "little")


def offsets_of(bits: int) -> Iterator[int]:
    """The bits that are set, the highest first."""
    while bits:
        offset = bits.bit_length() - 1
        yield offset
        bits ^= 1 << offset


def width_of(level: int) -> int:
    """How many entries a block of this level spans."""
    return BLOCK * FACTOR if level == WIDE else BLOCK


def index_new() -> int:
    """Index what has grown by a block or more, and forget what was pruned, for at most ROUND seconds; returns how many
    blocks that were."""
    until, done = time.monotonic() + ROUND, 0
    known = Indexed.objects.filter(log_id=OuterRef("log_id")).values("size")
    grown = Head.objects.annotate(known=Coalesce(Subquery(known), Value(0)))
    for log_id in grown.filter(size__gte=F("known") + BLOCK).values_list("log_id", flat=True):
        while time.monotonic() < until and advance(log_id):
            done += 1
    ends = Pruning.objects.filter(log_id=OuterRef("log_id")).order_by("-entry_index").values("end")[:1]
    pruned = Indexed.objects.annotate(end=Subquery(ends)).filter(end__gte=F("thinned") + BLOCK)
    for log_id, end in pruned.values_list("log_id", "end"):
        while time.monotonic() < until and thin(log_id, end):
            done += 1
    return done


def advance(log_id: int) -> bool:
    """Index the next full block of a log, and merge what it completes; False where there is none. Whatever is
    interrupted is done again: postings of a full block are always the same, and count once ``Indexed`` says so."""
    state = Indexed.objects.get_or_create(log_id=log_id)[0]
    if Head.objects.values_list("size", flat=True).get(log_id=log_id) < state.size + BLOCK:
        return False
    block = state.size // BLOCK
    save(log_id, NARROW, block, gather(log_id, block))
    Indexed.objects.filter(log_id=log_id, size=state.size).update(size=state.size + BLOCK)
    if (block + 1) // FACTOR > state.merged:
        merge(log_id, state.merged)
    return True


def gather(log_id: int, block: int) -> Iterator[tuple[bytes, bytes]]:
    """Term and content of each posting of a full block."""
    first = block * BLOCK
    entries = Entry.objects.filter(log_id=log_id, index__gte=first, index__lt=first + BLOCK).order_by("index")
    found: dict[bytes, list[int]] = defaultdict(list)
    begun = dict.fromkeys(MARKS, b"")
    for *columns, body in entries.values_list(*COLUMNS, "body").iterator(chunk_size=500):
        offset = columns[0] - first
        for each in terms_of(columns, bytes(body)):
            found[each].append(offset)
        for unit in MARKS:
            if (mark := mark_of(unit, columns[1])) != begun[unit]:
                begun[unit] = mark
                found[mark].append(offset)
    for each, offsets in sorted(found.items()):
        yield each, encode(offsets, BLOCK)


def mark_of(unit: str, moment: datetime) -> bytes:
    """The term of an hour or a day. Its posting tells the first entry of it in each block, and no others."""
    return term(unit, moment.astimezone(UTC).strftime(MARKS[unit]))


def save(log_id: int, level: int, block: int, contents: Iterable[tuple[bytes, bytes]]) -> None:
    """Write a block's postings, a few in each transaction; those that are there stay.

    Hand-written because ``bulk_create`` costs three times as much, and there are more postings than entries."""
    rows = ((log_id, level, block, each, content) for each, content in contents)
    while batch := list(islice(rows, ROWS)):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(INSERT, batch)


def merge(log_id: int, wide: int) -> None:
    """Write a wide block's postings out of those of its blocks, and remove the blocks' of the one before: whoever
    reads these now learned of them before it was merged."""
    save(log_id, WIDE, wide, gather_wide(log_id, wide))
    Indexed.objects.filter(log_id=log_id, merged=wide).update(merged=wide + 1)
    for block in range((wide - 1) * FACTOR, wide * FACTOR):
        remove(log_id, block)


def remove(log_id: int, block: int) -> None:
    """Delete the postings of a narrow block, a few in each transaction."""
    rows = Posting.objects.filter(log_id=log_id, level=NARROW, block=block)
    while keys := list(rows.values_list("pk", flat=True)[:ROWS]):
        Posting.objects.filter(pk__in=keys).delete()


def gather_wide(log_id: int, wide: int) -> Iterator[tuple[bytes, bytes]]:
    """Term and content of each posting of a wide block."""
    first, width = wide * FACTOR, width_of(WIDE)
    narrow = Posting.objects.filter(
        log_id=log_id, level=NARROW, block__gte=first, block__lt=first + FACTOR
    ).order_by("term", "block")
    rows = narrow.values_list("term", "block", "content").iterator(chunk_size=2000)
    for each, group in groupby(rows, key=lambda row: bytes(row[0])):
        offsets: list[int] = []
        for _, block, content in group:
            base = (block - first) * BLOCK
            offsets += sorted(base + offset for offset in offsets_of(decode(bytes(content), BLOCK)))
        yield each, encode(offsets, width)


def thin(log_id: int, end: int) -> bool:
    """Take the entries that are gone out of the postings of the next block that lies below ``end``; False where none
    does. The hours and days stay, for the bars of what is still there."""
    state = Indexed.objects.get(log_id=log_id)
    level = WIDE if state.thinned < state.merged * width_of(WIDE) else NARROW
    width = width_of(level)
    block = state.thinned // width
    first, following = block * width, (block + 1) * width
    if following > min(end, state.size):
        return False
    there = Entry.objects.filter(log_id=log_id, index__gte=first, index__lt=following)
    kept = bits_of((index - first for index in there.values_list("index", flat=True)), width)
    after = 0
    rows = Posting.objects.filter(log_id=log_id, level=level, block=block).order_by("pk")
    while batch := list(rows.filter(pk__gt=after).values_list("pk", "term", "content")[:ROWS]):
        after = batch[-1][0]
        keep_only(
            kept, width, [(key, content) for key, each, content in batch if not bytes(each).startswith(UNITS)]
        )
    if level == WIDE:
        for each in range(block * FACTOR, (block + 1) * FACTOR):
            remove(log_id, each)
    Indexed.objects.filter(log_id=log_id, thinned=state.thinned).update(thinned=following)
    return True


def keep_only(kept: int, width: int, rows: Iterable[tuple[int, Any]]) -> None:
    """Leave these bits in postings given as (primary key, content), in one transaction."""
    emptied: list[int] = []
    changed: list[tuple[bytes, int]] = []
    for key, content in rows:
        before = decode(bytes(content), width)
        if bits := before & kept:
            if bits != before:
                changed.append((encode(sorted(offsets_of(bits)), width), key))
        else:
            emptied.append(key)
    with transaction.atomic(), connection.cursor() as cursor:
        Posting.objects.filter(pk__in=emptied).delete()
        cursor.executemany("UPDATE audit_posting SET content = %s WHERE id = %s", changed)
