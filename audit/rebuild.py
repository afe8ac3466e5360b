"""Rebuilding the configuration from a log, and finding every row that the log did not make.

An entry of a configuration change holds the state of each row that it saved. The last state of every row,
kept here while the log is read, must be what the database holds. Personal columns stand in the body as
commitments only; they are compared through the salts of the entry's Detail, as long as it exists.

Columns that are no configuration (``omit`` of `audit.registry.register_kind`) are not compared.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from audit import canonical, registry
from audit.findings import COMPARE, Finding, short
from audit.log import commitment
from audit.registry import Kind
from audit.verification import Body, Sealed

UNDO = "Find out who writes to the database, and set it again through the portal."


@dataclass(slots=True)
class Recorded:
    """A row as the log last said it is: by which entry, its columns, the commitments to its personal columns,
    and their salts where the Detail still has them."""

    index: int
    state: dict[str, Any]
    commitments: dict[str, str]
    salts: dict[str, str] = field(default_factory=dict)


class Rebuild:
    """A reader of one log that ends with the configuration as it must be now."""

    def __init__(self, log_id: int) -> None:
        self.log_id = log_id
        self.recorded: dict[tuple[str, Any], Recorded] = {}

    @property
    def rows(self) -> int:
        """How many rows the log accounts for."""
        return len(self.recorded)

    def read(self, body: Body, detail: Sealed) -> Iterable[Finding]:
        """Take over the rows of one entry."""
        rows = body["data"].get("rows")
        return [finding for row in rows for finding in self.take(row, body, detail)] if rows else ()

    def skip(self) -> None:
        """What configures is never pruned."""

    def take(self, row: Any, body: Body, detail: Sealed) -> Iterator[Finding]:
        if not is_row(row):
            yield Finding(
                "rows", f"It names a row that cannot be read: {short(row)}. {COMPARE}", body["index"]
            )
            return
        key = row["kind"], row["key"]
        if row["state"] is None:
            if self.recorded.pop(key, None) is None:
                message = f"It removes {key[0]} {key[1]}, which no earlier entry made. {COMPARE}"
                yield Finding("rows", message, body["index"])
            return
        kind = registry.kinds.get(row["kind"])
        if kind is None:  # a table that this version does not have any more
            return
        names = {column: f"{kind.name}:{row['key']}:{column}" for column in kind.private}
        commitments = body.get("detail", {})
        self.recorded[key] = Recorded(
            body["index"],
            row["state"],
            {column: commitments[name] for column, name in names.items() if name in commitments},
            {column: detail[name]["salt"] for column, name in names.items() if name in detail},
        )

    def conclude(self) -> Iterator[Finding]:
        """Compare with the database: first each row that is there, then what is missing."""
        left = dict(self.recorded)
        for kind in registry.kinds.values():
            for row in kind.rows_of(self.log_id).order_by("pk").iterator(chunk_size=1000):
                recorded = left.pop((kind.name, row.pk), None)
                if recorded is None:
                    message = f"{title(kind, kind.state(row))} The log did not make this row. {UNDO}"
                    yield Finding("row_unrecorded", message.strip(), row=(kind.name, row.pk))
                else:
                    yield from compare(kind, row, recorded)
        for (name, key), recorded in left.items():
            message = f"The row is gone; entry {recorded.index} made it, and none removed it. {UNDO}"
            message = f"{title(registry.kinds[name], recorded.state)} {message}".strip()
            yield Finding("row_missing", message, row=(name, key))


def is_row(row: Any) -> bool:
    """Whether an element of ``data.rows`` is one: ``{"kind": …, "key": …, "state": {…} or null}``."""
    return (
        type(row) is dict
        and row.keys() == {"kind", "key", "state"}
        and type(row["kind"]) is str
        and type(row["key"]) in (int, str)
        and (row["state"] is None or type(row["state"]) is dict)
    )


def compare(kind: Kind, row: models.Model, recorded: Recorded) -> Iterator[Finding]:
    """The columns of one row that are not as the log last said."""
    name = title(kind, recorded.state)
    for column, value in kind.state(row).items():
        # A column that came with a later version stands at its default until the row is saved again.
        said = recorded.state[column] if column in recorded.state else default_of(kind, column)
        if not same(value, said):
            message = (
                f"{name} {column} is {short(value)}, and entry {recorded.index}, which last set it, says "
                f"{short(said)}. {UNDO}"
            )
            yield Finding("row_changed", message.strip(), row=(kind.name, row.pk))
    for column, value in kind.private_state(row).items():
        committed, salt = recorded.commitments.get(column), recorded.salts.get(column)
        if committed is None:
            changed = not same(value, default_of(kind, column))
        else:
            changed = salt is not None and commitment(bytes.fromhex(salt), value) != committed
        if changed:
            message = (
                f"{name} {column} is not what entry {recorded.index}, which last set it, commits to. {UNDO}"
            )
            yield Finding("row_changed", message.strip(), row=(kind.name, row.pk))


def default_of(kind: Kind, column: str) -> Any:
    """What a row made before the column existed holds in it."""
    return registry.plain(
        next(f for f in kind.model._meta.concrete_fields if f.attname == column).get_default()
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON: 1 is 1.0, and neither is true."""
    try:
        return canonical.encode(one) == canonical.encode(other)
    except canonical.CanonicalError:
        return False


def title(kind: Kind, state: dict[str, Any]) -> str:
    """What people call a row, where it has a name that is not personal."""
    name = next((state[column] for column in ("slug", "name", "public_id") if state.get(column)), "")
    return f"({short(name)})" if name else ""
