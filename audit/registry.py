"""Entry types and configuration kinds. Each app registers its own; an unregistered one is refused."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import models


class UnknownType(LookupError):
    """An entry type or a model that nobody registered."""


@dataclass(frozen=True, slots=True)
class EntryType:
    """A dotted type and the sentence that tells it to a person, with names from the body in braces."""

    name: str
    sentence: str


entry_types: dict[str, EntryType] = {}


def register_types(sentences: dict[str, str]) -> None:
    """Add entry types: ``{"workspaces.agent.created": "{actor} created the agent {agent}."}``."""
    for name, sentence in sentences.items():
        entry_types[name] = EntryType(name, sentence)


@dataclass(frozen=True, slots=True)
class Kind:
    """A configuration table: which columns stand in the log, and which of them only as commitments."""

    name: str
    model: type[models.Model]
    columns: tuple[str, ...]
    private: tuple[str, ...]
    rows_of: Callable[[int], models.QuerySet[Any]]
    touches: Callable[[Any], tuple[str, int]]

    def state(self, row: models.Model) -> dict[str, Any]:
        """The row's public columns as plain JSON values."""
        return {column: plain(getattr(row, column)) for column in self.columns}

    def private_state(self, row: models.Model) -> dict[str, Any]:
        """The row's personal columns, which enter the body as salted commitments."""
        return {column: plain(getattr(row, column)) for column in self.private}


kinds: dict[str, Kind] = {}
kinds_by_model: dict[type[models.Model], Kind] = {}


def register_kind(
    model: type[models.Model],
    *,
    rows_of: Callable[[int], models.QuerySet[Any]],
    private: Sequence[str] = (),
    omit: Sequence[str] = (),
    touches: Callable[[Any], tuple[str, int]] | None = None,
) -> None:
    """Declare a model as configuration. ``rows_of(log_id)`` selects the rows that the log accounts for;
    ``omit`` names columns that are not configuration (counters, times of use); ``touches(row)`` says what of a
    snapshot a change of the row makes stale, as (kind, key); without it, (model's label, primary key)."""
    columns = tuple(
        field.attname
        for field in model._meta.concrete_fields
        if field.attname not in private and field.attname not in omit
    )
    name = model._meta.label_lower
    kind = Kind(name, model, columns, tuple(private), rows_of, touches or (lambda row: (name, row.pk)))
    kinds[kind.name] = kinds_by_model[model] = kind


def kind_of(row: models.Model) -> Kind:
    """The kind of a row; raises UnknownType."""
    try:
        return kinds_by_model[type(row)]
    except KeyError:
        raise UnknownType(f"{type(row).__name__} is not registered as configuration.") from None


def plain(value: Any) -> Any:
    """A column's value as JSON that looks the same before and after the database stored it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple):
        return json.loads(json.dumps(value))
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
