"""What an entry of a changed configuration changed, row by row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit import registry, search
from audit.models import Entry
from audit.postings import ROW, rows_in

SHOWN = 40  # rows of one entry; a workspace file may change hundreds
LOOKED_AT = 200  # earlier entries read in one go
ATTEMPTS = 3
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column's value before and after, as text; equal where it stayed."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row: ``how`` is added, changed, removed, or saved where the state before is not known. ``index`` is the entry
    that tells the state before, ``private`` names the columns that the entry only commits to."""

    kind: str
    key: str
    title: str
    how: str
    columns: list[ColumnChange] = field(default_factory=list)
    index: int | None = None
    private: tuple[str, ...] = ()

    @property
    def shown(self) -> list[ColumnChange]:
        """The columns that differ."""
        return [each for each in self.columns if each.before != each.after]

    @property
    def term(self) -> str:
        """The value of the ``row`` facet that finds its history."""
        return f"{self.kind}:{self.key}"


def changes(entry: Entry, body: dict[str, Any]) -> tuple[list[RowChange], int]:
    """The first rows that an entry changed, and how many it changed in all."""
    rows = rows_in(body["data"])
    listed = rows[:SHOWN]
    before = states_before(entry.log_id, [term_of(row) for row in listed], entry.index)
    return [change_of(row, *before.get(term_of(row), (None, None))) for row in listed], len(rows)


def term_of(row: dict[str, Any]) -> str:
    """A row as the ``row`` facet names it."""
    return f"{row['kind']}:{row['key']}"


def states_before(
    log_id: int, terms: Sequence[str], index: int
) -> dict[str, tuple[dict[str, Any] | None, int]]:
    """For each row the newest state below the index, None where it was removed, and the entry that tells it. Rows that
    nobody changed before are absent, and so are such as a bounded search does not reach."""
    found: dict[str, tuple[dict[str, Any] | None, int]] = {}
    before: int | None = index
    for _ in range(ATTEMPTS):
        missing = [each for each in terms if each not in found]
        if not missing or before is None:
            break
        page = search.search(log_id, facets={ROW: missing}, before=before, limit=LOOKED_AT)
        entries = Entry.objects.filter(log_id=log_id, index__in=page.indexes).order_by("-index")
        for at, stored in entries.values_list("index", "body"):
            for row in rows_in(json.loads(bytes(stored))["data"]):
                if term_of(row) in missing:
                    found.setdefault(term_of(row), (row["state"], at))
        before = page.before
    return found


def change_of(row: dict[str, Any], before: dict[str, Any] | None, index: int | None) -> RowChange:
    """What became of one row."""
    after: dict[str, Any] | None = row["state"]
    kind = registry.kinds.get(row["kind"])
    how = "removed" if after is None else "changed" if before is not None else "added"
    names = list(dict.fromkeys([*(before or {}), *(after or {})]))
    columns = [ColumnChange(name, told(before, name), told(after, name)) for name in names]
    state = after or before or {}
    noun = str(kind.model._meta.verbose_name) if kind else str(row["kind"])
    title = " ".join(filter(None, [noun, str(state.get("name") or f"#{row['key']}")]))
    private = kind.private if kind else ()
    return RowChange(str(row["kind"]), str(row["key"]), title, how, columns, index, private)


def told(state: dict[str, Any] | None, name: str) -> str:
    """A column's value as text."""
    if state is None or name not in state:
        return ABSENT
    value = state[name]
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
