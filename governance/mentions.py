"""Where a log mentions a text: in the values of its Details, and in bodies, which nothing is erased from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import orjson

from audit import envelopes, registry
from audit.details import uuid_of
from audit.models import Detail, Entry, Log

SHORTEST = 3  # characters; a shorter text would be found in nearly everything


@dataclass(frozen=True)
class Needle:
    """A text as it may stand in JSON: as it is, whatever its case, and percent-encoded as in a resource's name."""

    text: str

    @cached_property
    def forms(self) -> frozenset[str]:
        """The forms, without capitals."""
        written = {self.text, quote(self.text), quote(self.text, safe="")}
        return frozenset(orjson.dumps(form).decode()[1:-1].casefold() for form in written)

    def is_in(self, encoded: str) -> bool:
        """Whether JSON text holds it."""
        folded = encoded.casefold()
        return any(form in folded for form in self.forms)

    def is_value(self, value: Any) -> bool:
        """Whether a JSON value holds it."""
        return self.is_in(orjson.dumps(value).decode())


@dataclass(slots=True)
class Mentions:
    """What one part of a log holds: fields of Details by index, how many of them the configuration still has, and
    how many bodies have the text."""

    fields: dict[int, list[str]]
    in_use: int = 0
    in_clear: int = 0


def find(log: Log, needle: Needle | None, start: int, end: int, *, field: str = "") -> Mentions:
    """What is mentioned from one index up to another; without a needle, everything, or one ``field``."""
    found = Mentions({})
    for index, content in opened(log.pk, start, end):
        if needle is not None and not needle.is_in(content.decode()):
            continue
        for name, sealed in orjson.loads(content).items():
            value = sealed["value"]
            if (field and name != field) or (needle is not None and not needle.is_value(value)):
                continue
            if is_in_use(name, value, needle):
                found.in_use += 1
            else:
                found.fields.setdefault(index, []).append(name)
    if needle is not None:
        bodies = Entry.objects.filter(log=log, index__gte=start, index__lt=end).values_list("body", flat=True)
        found.in_clear = sum(needle.is_in(bytes(body).decode()) for body in bodies.iterator())
    return found


def opened(log_id: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(index, content) of the Details of a part of a log."""
    uuid = uuid_of(log_id)
    rows = Detail.objects.filter(log_id=log_id, index__gte=start, index__lt=end).order_by("index")
    for index, content in rows.values_list("index", "content").iterator(chunk_size=100):
        yield index, envelopes.open_envelope(log_id, uuid, index, bytes(content))


def is_in_use(name: str, value: Any, needle: Needle | None) -> bool:
    """Whether a field is a column of the configuration that still holds the value, or the text."""
    kind_name, _, rest = name.partition(":")
    key, _, column = rest.partition(":")
    kind = registry.kinds.get(kind_name)
    if kind is None or column not in kind.private:
        return False
    row = kind.model._default_manager.filter(pk=key).first()
    if row is None:
        return False
    now = kind.private_state(row)[column]
    return bool(now == value if needle is None else needle.is_value(now))
