"""What may be gone from a log because an entry of it says so: erased values, and what was pruned in its time.

``governance.data.erased`` names the fields of Details that were erased: ``{"erased": {field: [[first, last], …]}}``.

``audit.retention.pruned`` names the entries and the Details that went, each from an index to the one after the last:
``{"entries": {"from", "to", "pruned", "kept", "digest"}, "details": {"from", "to"}}``. ``kept`` entries of the range
stay, and ``digest`` is the SHA-256 over their leaf hashes in order; the tiles keep the others'. What configures is
never pruned, and neither is its Detail.
"""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from audit import canonical, envelopes, proofs
from audit.findings import COMPARE, RESTORE, Finding, short
from audit.kinds import PRUNED
from audit.models import Detail, Entry, Pruning

ERASED = "governance.data.erased"
KEPT = frozenset({ERASED, PRUNED, "governance.containment.changed"})
KEPT_APPS = ("audit.", "workspaces.")
CHUNK = 500  # Details opened at once
MOST_NAMED = 5  # fields in a message


def configures(body: dict[str, Any]) -> bool:
    """Whether an entry holds states of configuration rows."""
    return "rows" in body["data"]


def stays(body: dict[str, Any]) -> bool:
    """Whether an entry is kept however old it is: later ones cannot be understood without it."""
    return configures(body) or body["type"] in KEPT or body["type"].startswith(KEPT_APPS)


@dataclass(slots=True)
class Stated:
    """What one entry says was pruned, and what of the range was met."""

    index: int
    start: int
    end: int
    details_start: int
    details_end: int
    kept: int
    digest: str
    met: int = 0
    seen: Any = field(default_factory=hashlib.sha256)


def stated_by(index: int, body: dict[str, Any]) -> Stated | None:
    """What an entry says was pruned; None for one that is no such statement."""
    try:
        entries, details = body["data"]["entries"], body["data"]["details"]
        numbers = entries["from"], entries["to"], details["from"], details["to"], entries["kept"]
        digest = entries["digest"]
    except (KeyError, TypeError):
        return None
    if body["type"] != PRUNED or {type(number) for number in numbers} != {int} or type(digest) is not str:
        return None
    return Stated(index, *numbers, digest)


class Absences:
    """What a log says of itself that it does not hold any more. ``audit.verification`` asks it in index order."""

    def __init__(self, log_id: int, uuid: str) -> None:
        self.log_id = log_id
        self.uuid = uuid
        self.stated = list(statements(log_id))
        self.starts = [each.start for each in self.stated]
        self.details = sorted((each.details_start, each.details_end) for each in self.stated)
        self.missing: dict[str, list[int]] = defaultdict(list)
        self.erased: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def at(self, index: int) -> Stated | None:
        """The statement whose range an index is in."""
        place = bisect_right(self.starts, index) - 1
        found = self.stated[place] if place >= 0 else None
        return found if found is not None and index < found.end else None

    def split(self, start: int, end: int) -> Iterator[tuple[int, int, Stated | None]]:
        """A gap in parts: from, to, and who states it."""
        while start < end:
            stated = self.at(start)
            if stated is not None:
                stop = min(stated.end, end)
            else:
                following = bisect_right(self.starts, start)
                stop = min(self.starts[following], end) if following < len(self.starts) else end
            yield start, stop, stated
            start = stop

    def leaves(self, start: int, end: int) -> list[bytes] | None:
        """The leaf hashes of a part of the log, from its tiles; None where they are not there."""
        found = proofs.leaves(self.log_id, start, end)
        return [found[index] for index in range(start, end)] if len(found) == end - start else None

    def meet(self, index: int, leaf: bytes, body: dict[str, Any]) -> Iterable[Finding]:
        """Take note of an entry that is there: of a range that was pruned, or telling of an erasure."""
        if (stated := self.at(index)) is not None:
            stated.met += 1
            stated.seen.update(leaf)
        if body["type"] != ERASED:
            return ()
        try:
            for name, ranges in body["data"]["erased"].items():
                self.erased[name] += [(int(first), int(last)) for first, last in ranges]
        except (AttributeError, KeyError, TypeError, ValueError):
            return [Finding("erasure", f"It does not say what was erased. {COMPARE}", index)]
        return ()

    def is_pruned(self, body: dict[str, Any]) -> bool:
        """Whether the Detail of an entry was pruned in its time."""
        index = body["index"]
        place = bisect_right(self.details, (index, float("inf"))) - 1
        return place >= 0 and index < self.details[place][1] and not configures(body)

    def miss(self, index: int, names: Collection[str]) -> None:
        """Take note of fields that are gone from a Detail."""
        for name in names:
            self.missing[name].append(index)

    def conclude(self) -> Iterator[Finding]:
        """What is gone and no entry says so, and what is there again."""
        for stated in self.stated:
            if (stated.met, stated.seen.hexdigest()) != (stated.kept, stated.digest):
                message = (
                    f"Entry {stated.index} says that {stated.kept} of the entries {stated.start} to {stated.end - 1} "
                    f"were kept; there are {stated.met}, or others. {COMPARE}"
                )
                yield Finding("pruned", message, stated.start)
        told = {name: Ranges(ranges) for name, ranges in self.erased.items()}
        gone: dict[int, list[str]] = defaultdict(list)
        for name, indexes in self.missing.items():
            for index in indexes:
                if name not in told or index not in told[name]:
                    gone[index].append(name)
        for index, names in sorted(gone.items()):
            listed = ", ".join(short(name) for name in sorted(names)[:MOST_NAMED])
            message = f"Of its Detail {listed} is gone, and no entry tells of an erasure. {RESTORE}"
            yield Finding("detail_erased", message, index)
        yield from self.returned(told)

    def returned(self, told: dict[str, "Ranges"]) -> Iterator[Finding]:
        """Values that were erased and are there again, as after a backup was brought back."""
        wanted = Ranges([each for ranges in told.values() for each in ranges.merged])
        for first, last in wanted.merged:
            rows = Detail.objects.filter(log_id=self.log_id, index__range=(first, last)).order_by("index")
            for index, content in rows.values_list("index", "content").iterator(chunk_size=CHUNK):
                names = fields_of(self.log_id, self.uuid, index, bytes(content))
                if again := sorted(name for name in names if name in told and index in told[name]):
                    message = (
                        f"{short(again[0])} in its Detail was erased, and is there again. Erase it again."
                    )
                    yield Finding("detail_returned", message, index)


class Ranges:
    """Inclusive ranges of indexes, merged."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if self.merged and first <= self.merged[-1][1] + 1:
                self.merged[-1] = self.merged[-1][0], max(last, self.merged[-1][1])
            else:
                self.merged.append((first, last))

    def __contains__(self, index: int) -> bool:
        place = bisect_right(self.merged, (index, float("inf"))) - 1
        return place >= 0 and index <= self.merged[place][1]


def statements(log_id: int) -> Iterator[Stated]:
    """What a log's entries say was pruned, in order. A row that names another entry states nothing."""
    named = Pruning.objects.filter(log_id=log_id).values("entry_index")
    rows = Entry.objects.filter(log_id=log_id, index__in=named, type=PRUNED).order_by("index")
    for index, body in rows.values_list("index", "body"):
        try:
            stated = stated_by(index, orjson.loads(bytes(body)))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            stated = None
        if stated is not None:
            yield stated


def fields_of(log_id: int, uuid: str, index: int, content: bytes) -> frozenset[str]:
    """The names of a Detail's fields; none for one that cannot be read, which is found elsewhere."""
    try:
        fields, _ = canonical.decode_canonical(envelopes.open_envelope(log_id, uuid, index, content))
    except (envelopes.SealedOtherwise, canonical.ParseError):
        return frozenset()
    return frozenset(fields) if type(fields) is dict else frozenset()
