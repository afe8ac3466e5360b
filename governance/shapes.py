"""Shapes: which values an expression can have, read from JSON Schemas and narrowed by a condition's own
tests.

A shape is an upper bound: a value that it excludes cannot occur, one that it allows might not either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import Any

KINDS = frozenset({"null", "bool", "int", "double", "string", "list", "map"})
NUMBERS = frozenset({"int", "double"})
JSON_KINDS = {
    "null": "null",
    "boolean": "bool",
    "integer": "int",
    "number": "double",
    "string": "string",
    "array": "list",
    "object": "map",
}
MAX_DEPTH = 16

Value = tuple[str, Any]  # numbers are tagged alike, because CEL compares them by value


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from ``low`` to ``high``; None is unbounded, and an open end is not part of it."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def holds(self, number: Decimal) -> bool:
        return not self.meet(Interval(number, number)).empty

    def meet(self, other: "Interval") -> "Interval":
        low, low_open = _tighter((self.low, self.low_open), (other.low, other.low_open), lowest=False)
        high, high_open = _tighter((self.high, self.high_open), (other.high, other.high_open), lowest=True)
        return Interval(low, high, low_open, high_open)

    def join(self, other: "Interval") -> "Interval":
        low = low_open = high = high_open = None
        if self.low is not None and other.low is not None:
            low = min(self.low, other.low)
            low_open = all(side.low_open for side in (self, other) if side.low == low)
        if self.high is not None and other.high is not None:
            high = max(self.high, other.high)
            high_open = all(side.high_open for side in (self, other) if side.high == high)
        return Interval(low, high, bool(low_open), bool(high_open))


UNBOUNDED = Interval()


def _tighter(
    one: tuple[Decimal | None, bool], other: tuple[Decimal | None, bool], *, lowest: bool
) -> tuple[Decimal | None, bool]:
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    if one[0] == other[0]:
        return one[0], one[1] or other[1]
    return one if (one[0] < other[0]) == lowest else other


@dataclass(frozen=True, slots=True)
class Shape:
    """``kinds`` are CEL's types (no kind: no value at all). The rest bounds values of the kind that it is
    about.

    ``values``: all possible ones, where they are few. ``interval``: of numbers. ``size``: fewest and most
    items or characters. ``item``: of a list. ``fields``: of a map, of which ``required`` are always there;
    ``extra`` is the shape of other fields, None where there are none. ``forms``: globs that a text fits one
    of (``governance.forms``).
    """

    kinds: frozenset[str]
    values: frozenset[Value] | None = None
    interval: Interval = UNBOUNDED
    size: tuple[int, int | None] = (0, None)
    item: "Shape | None" = None
    fields: Mapping[str, "Shape"] | None = None
    required: frozenset[str] = frozenset()
    extra: "Shape | None" = None
    forms: tuple[Any, ...] | None = None

    def field(self, name: str) -> "Shape":
        """The shape of a field of a map, whether or not it is declared."""
        if self.fields is not None and name in self.fields:
            return self.fields[name]
        return self.extra or (ANY if self.fields is None else NOTHING)

    @property
    def constant(self) -> Value | None:
        """The only value, where there is only one."""
        if self.values is not None and len(self.values) == 1:
            return next(iter(self.values))
        return None


NOTHING = Shape(frozenset())
ANY = Shape(KINDS)
TRUE: Value = ("bool", True)
FALSE: Value = ("bool", False)


def of_kind(*kinds: str) -> Shape:
    return Shape(frozenset(kinds))


def literal(kind: str, value: Any) -> Shape:
    """The shape of one value; texts and numbers carry their size and interval."""
    if kind in NUMBERS:
        number = Decimal(str(value)) if value == value and abs(value) != float("inf") else None
        bounds = UNBOUNDED if number is None else Interval(number, number)
        return Shape(frozenset({kind}), frozenset({("number", value)}), bounds)
    size = (len(value), len(value)) if kind == "string" else (0, None)
    return Shape(frozenset({kind}), frozenset({(kind, value)}), size=size)


def texts(values: Any) -> Shape:
    """One of these texts."""
    return Shape(frozenset({"string"}), frozenset(("string", value) for value in values))


def list_of(item: Shape, fewest: int = 0, most: int | None = None) -> Shape:
    return Shape(frozenset({"list"}), item=item, size=(fewest, most))


def map_of(
    fields: Mapping[str, Shape], *, required: frozenset[str] | None = None, extra: Shape | None = None
) -> Shape:
    """A map with these fields, all of them always there unless ``required`` says which."""
    always = frozenset(fields) if required is None else required
    return Shape(frozenset({"map"}), fields=fields, required=always, extra=extra)


def join(one: Shape, other: Shape) -> Shape:
    """What either may be."""
    if not one.kinds or not other.kinds:
        return other if not one.kinds else one
    numeric = [side.interval for side in (one, other) if side.kinds & NUMBERS]
    sized = [side.size for side in (one, other) if side.kinds & {"string", "list", "map"}]
    items = [side.item for side in (one, other) if "list" in side.kinds]
    maps = [side for side in (one, other) if "map" in side.kinds]
    fields: Mapping[str, Shape] | None = None
    if maps and all(side.fields is not None for side in maps):
        names = {name for side in maps for name in side.fields or {}}
        fields = {
            name: reduce(join, [s.field(name) for s in maps if s.field(name).kinds], NOTHING)
            for name in names
        }
    extras = [side.extra for side in maps if side.extra is not None]
    return Shape(
        one.kinds | other.kinds,
        one.values | other.values if one.values is not None and other.values is not None else None,
        reduce(Interval.join, numeric) if numeric else UNBOUNDED,
        (min(size[0] for size in sized), _most([size[1] for size in sized])) if sized else (0, None),
        reduce(join, [item for item in items if item is not None]) if items and None not in items else None,
        fields,
        reduce(frozenset.intersection, [side.required for side in maps]) if maps else frozenset(),
        reduce(join, extras) if extras else None,
        one.forms + other.forms if one.forms is not None and other.forms is not None else None,
    )


def _most(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return max(known) if len(known) == len(sizes) else None


def meet(one: Shape, other: Shape) -> Shape:
    """What is both. Never narrower than the truth."""
    kinds = one.kinds & other.kinds
    if "int" in one.kinds | other.kinds and "double" in one.kinds | other.kinds and not kinds & NUMBERS:
        kinds |= {"int"}  # JSON Schema: an integer is a number
    values = one.values if other.values is None else other.values
    if one.values is not None and other.values is not None:
        values = one.values & other.values
    interval = one.interval.meet(other.interval)
    if values is not None:
        values = frozenset(v for v in values if v[0] != "number" or interval.holds(Decimal(str(v[1]))))
        if not values:
            return NOTHING
    mosts = [size for size in (one.size[1], other.size[1]) if size is not None]
    item = meet(one.item, other.item) if one.item and other.item else one.item or other.item
    fields = one.fields if other.fields is None else other.fields
    extra = one.extra if other.fields is None else other.extra
    if one.fields is not None and other.fields is not None:
        both = {name: (one.fields.get(name), other.fields.get(name)) for name in {*one.fields, *other.fields}}
        fields = {name: meet(a, b) if a and b else a or b or ANY for name, (a, b) in both.items()}
        extra = one.extra if one.extra is not None and other.extra is not None else None
    forms = one.forms if other.forms is None else other.forms
    size = (max(one.size[0], other.size[0]), min(mosts, default=None))
    return Shape(kinds, values, interval, size, item, fields, one.required | other.required, extra, forms)


def shape_of(schema: Any, root: Any = None, depth: int = 0) -> Shape:
    """The shape of what a JSON Schema (2020-12) allows, after nulls are dropped and defaults filled in.

    "number" becomes double and "integer" int. Keywords that it does not know widen the shape, never narrow
    it.
    """
    root = schema if root is None else root
    if schema is False:
        return NOTHING
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return ANY
    shape = _own_keywords(schema, root, depth)
    if isinstance(reference := schema.get("$ref"), str):
        shape = meet(shape, shape_of(_resolve(reference, root), root, depth + 1))
    for part in _schemas(schema, "allOf"):
        shape = meet(shape, shape_of(part, root, depth + 1))
    for keyword in ("anyOf", "oneOf"):
        if parts := _schemas(schema, keyword):
            shape = meet(shape, reduce(join, [shape_of(part, root, depth + 1) for part in parts]))
    return shape


def _schemas(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    parts = schema.get(keyword)
    return parts if isinstance(parts, list) else []


def _resolve(reference: str, root: Any) -> Any:
    """A reference inside the same schema (RFC 6901 pointer); anything else allows everything."""
    if not reference.startswith("#"):
        return True
    found = root
    for part in reference[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        found = found.get(part, True) if isinstance(found, Mapping) else True
    return found


def _own_keywords(schema: Mapping[str, Any], root: Any, depth: int) -> Shape:
    types = schema.get("type", list(JSON_KINDS))
    kinds = frozenset(
        JSON_KINDS[name] for name in ([types] if isinstance(types, str) else types) if name in JSON_KINDS
    )
    if "type" in schema and "double" in kinds:
        kinds -= {"int"}  # a number that happens to be whole is a double too
    shape = Shape(kinds, interval=_interval(schema))
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(listed, list) and not any(isinstance(value, list | dict) for value in listed):
        allowed = reduce(join, [_json_literal(value, kinds) for value in listed], NOTHING)
        shape = replace(allowed, kinds=allowed.kinds & kinds)
    if "string" in kinds and "list" not in kinds:
        shape = replace(shape, size=(_count(schema, "minLength") or 0, _count(schema, "maxLength")))
    if "list" in kinds:
        shape = replace(shape, item=_item(schema, root, depth))
        if "string" not in kinds:
            shape = replace(shape, size=(_count(schema, "minItems") or 0, _count(schema, "maxItems")))
    return _with_fields(shape, schema, root, depth) if "map" in kinds else shape


def _count(schema: Mapping[str, Any], keyword: str) -> int | None:
    value = schema.get(keyword)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _json_literal(value: Any, kinds: frozenset[str]) -> Shape:
    if value is None:
        return literal("null", None)
    if isinstance(value, bool):
        return literal("bool", value)
    if isinstance(value, int | float):
        kind = "double" if "double" in kinds and ("int" not in kinds or isinstance(value, float)) else "int"
        return literal(kind, value)
    return literal("string", value)


def _interval(schema: Mapping[str, Any]) -> Interval:
    bounds = UNBOUNDED
    for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        value = schema.get(keyword)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number, is_open = Decimal(str(value)), keyword.startswith("exclusive")
            low = keyword.lower().endswith("minimum")
            bounds = bounds.meet(
                Interval(low=number, low_open=is_open) if low else Interval(high=number, high_open=is_open)
            )
    return bounds


def _item(schema: Mapping[str, Any], root: Any, depth: int) -> Shape | None:
    parts = [shape_of(part, root, depth + 1) for part in _schemas(schema, "prefixItems")]
    if "items" in schema:
        parts.append(shape_of(schema["items"], root, depth + 1))
    elif parts:
        return None
    return reduce(join, parts) if parts else None


def _with_fields(shape: Shape, schema: Mapping[str, Any], root: Any, depth: int) -> Shape:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return replace(shape, extra=ANY)
    fields: dict[str, Shape] = {}
    always: set[str] = set()
    required = schema.get("required")
    for name, inner in properties.items():
        declared = shape_of(inner, root, depth + 1)
        fields[name] = replace(declared, kinds=declared.kinds - {"null"})  # nulls are dropped
        filled_in = isinstance(inner, Mapping) and inner.get("default") is not None
        if filled_in or (isinstance(required, list) and name in required and "null" not in declared.kinds):
            always.add(name)
    others = schema.get("additionalProperties", True)
    extra = (
        None if others is False and "patternProperties" not in schema else shape_of(others, root, depth + 1)
    )
    return replace(shape, fields=fields, required=frozenset(always), extra=extra)


def fit(shape: Shape, value: Any) -> Any:
    """A JSON value as conditions see it: whole numbers become doubles where the schema says number, and ints
    where it says integer, so that one condition means one thing however the agent wrote the number."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value) if "double" in shape.kinds and "int" not in shape.kinds else value
    if isinstance(value, float):
        return (
            int(value)
            if "int" in shape.kinds and "double" not in shape.kinds and value.is_integer()
            else value
        )
    if isinstance(value, list):
        return [fit(shape.item, item) for item in value] if shape.item is not None else value
    if isinstance(value, dict) and (shape.fields is not None or shape.extra is not None):
        return {name: fit(shape.field(name), inner) for name, inner in value.items()}
    return value
