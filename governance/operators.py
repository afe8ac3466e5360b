"""What CEL's operators and functions make of shapes. None means: no combination of these kinds is ever
evaluated.

Overloads: cel-spec, langdef.md, "List of Standard Definitions", as far as the engine that evaluates has them.
Comparison and equality cross int and double, arithmetic does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from governance.forms import overlap
from governance.shapes import ANY, NUMBERS, UNBOUNDED, Interval, Shape, list_of, literal, of_kind

BOOL = of_kind("bool")
NUMERIC = NUMBERS | {"uint"}
ORDERED = frozenset({"string", "bool", "bytes", "timestamp", "duration"})
EVERYTHING = ANY.kinds | {"uint", "bytes", "timestamp", "duration", "type"}

# (left, right) → result
ARITHMETIC: Mapping[str, Mapping[tuple[str, str], str]] = {
    "_+_": {
        **{(kind, kind): kind for kind in ("int", "uint", "double", "string", "bytes", "list", "duration")},
        ("timestamp", "duration"): "timestamp",
        ("duration", "timestamp"): "timestamp",
    },
    "_-_": {
        **{(kind, kind): kind for kind in ("int", "uint", "double", "duration")},
        ("timestamp", "timestamp"): "duration",
        ("timestamp", "duration"): "timestamp",
    },
    "_*_": {(kind, kind): kind for kind in ("int", "uint", "double")},
    "_/_": {(kind, kind): kind for kind in ("int", "uint", "double")},
    "_%_": {(kind, kind): kind for kind in ("int", "uint")},
}


@dataclass(frozen=True, slots=True)
class Signature:
    """``receiver`` is None for a function; ``result`` is told the shape of the receiver or only argument."""

    receiver: frozenset[str] | None
    arguments: tuple[frozenset[str], ...]
    result: Callable[[Shape], Shape]


def truth(value: bool) -> Shape:
    return literal("bool", value)


def _kinds(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


def _fixed(shape: Shape) -> Callable[[Shape], Shape]:
    return lambda _: shape


def _between(low: int, high: int) -> Callable[[Shape], Shape]:
    return _fixed(Shape(frozenset({"int"}), interval=Interval(Decimal(low), Decimal(high))))


def _size(shape: Shape) -> Shape:
    fewest, most = shape.size
    if "string" in shape.kinds:  # counted in UTF-8 bytes, declared in characters: up to four each
        most = None if most is None else most * 4
    return Shape(
        frozenset({"int"}), interval=Interval(Decimal(fewest), None if most is None else Decimal(most))
    )


def _type(shape: Shape) -> Shape:
    return Shape(frozenset({"type"}), frozenset(("type", kind) for kind in shape.kinds))


_TEXT = _kinds("string")
_CLOCK = {
    "getFullYear": (0, 9999),
    "getMonth": (0, 11),
    "getDate": (1, 31),
    "getDayOfMonth": (0, 30),
    "getDayOfWeek": (0, 6),
    "getDayOfYear": (0, 365),
    "getHours": (0, 23),
    "getMinutes": (0, 59),
    "getSeconds": (0, 59),
    "getMilliseconds": (0, 999),
}

SIGNATURES: Mapping[str, tuple[Signature, ...]] = {
    "size": (
        Signature(None, (_kinds("string", "bytes", "list", "map"),), _size),
        Signature(_kinds("string", "bytes", "list", "map"), (), _size),
    ),
    **{
        name: (Signature(_TEXT, (_TEXT,), _fixed(BOOL)),)
        for name in ("contains", "startsWith", "endsWith", "matches")
    },
    **{name: (Signature(_kinds("timestamp"), (), _between(*bounds)),) for name, bounds in _CLOCK.items()},
    "int": (Signature(None, (_kinds("int", "uint", "double", "string"),), _fixed(of_kind("int"))),),
    "double": (Signature(None, (_kinds("int", "uint", "double", "string"),), _fixed(of_kind("double"))),),
    "string": (Signature(None, (_kinds("int", "uint", "double", "string"),), _fixed(of_kind("string"))),),
    "timestamp": (Signature(None, (_TEXT,), _fixed(of_kind("timestamp"))),),
    "duration": (Signature(None, (_TEXT,), _fixed(of_kind("duration"))),),
    "type": (Signature(None, (EVERYTHING,), _type),),
    "is_private": (Signature(None, (_TEXT,), _fixed(BOOL)),),
    "domain": (Signature(None, (_TEXT,), _fixed(of_kind("string"))),),
    "links": (Signature(None, (ANY.kinds,), _fixed(list_of(of_kind("string")))),),
    "has_secret": (Signature(None, (ANY.kinds,), _fixed(BOOL)),),
}


def can_equal(one: Shape, other: Shape) -> bool:
    """Whether some value of one equals some value of the other."""
    if one.values is not None and other.values is not None:
        return any(_same(a, b) for a in one.values for b in other.values)
    shared = one.kinds & other.kinds
    crossing = one.kinds & NUMERIC and other.kinds & NUMERIC
    for kind in shared - NUMERIC:
        if kind == "string" and not _texts_can_equal(one, other):
            continue
        if kind == "bool" and not _values_can_equal(one, other, "bool"):
            continue
        return True
    return bool(crossing) and not one.interval.meet(other.interval).empty and _numbers_can_equal(one, other)


def always_equal(one: Shape, other: Shape) -> bool:
    """Whether both have one value, and it is the same."""
    a, b = one.constant, other.constant
    return a is not None and b is not None and _same(a, b)


def _same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    return one[0] == other[0] and bool(one[1] == other[1])


def _values_can_equal(one: Shape, other: Shape, kind: str) -> bool:
    for mine, theirs in ((one, other), (other, one)):
        if mine.values is not None and theirs.values is not None:
            return not mine.values.isdisjoint(theirs.values)
        if mine.values is not None and not any(tag == kind for tag, _ in mine.values):
            return False
    return True


def _texts_can_equal(one: Shape, other: Shape) -> bool:
    if not _values_can_equal(one, other, "string"):
        return False
    for mine, theirs in ((one, other), (other, one)):
        if mine.values is not None and theirs.forms is not None:
            texts = [value for tag, value in mine.values if tag == "string"]
            return any(overlap(form, text.replace("*", "%2A")) for form in theirs.forms for text in texts)
        if mine.values is not None and theirs.kinds == {"string"}:
            sizes = [len(value) for tag, value in mine.values if tag == "string"]
            low, high = theirs.size
            return any(low <= size and (high is None or size <= high) for size in sizes)
    return True


def _numbers_can_equal(one: Shape, other: Shape) -> bool:
    for mine, theirs in ((one, other), (other, one)):
        if mine.values is not None:
            numbers = [Decimal(str(value)) for tag, value in mine.values if tag == "number"]
            return any(theirs.interval.holds(number) for number in numbers)
    return True


def compare(operator: str, one: Shape, other: Shape) -> Shape | None:
    """``<  <=  >  >=``: what the bounds of numbers say of the outcome."""
    both_numbers = one.kinds & NUMERIC and other.kinds & NUMERIC
    if not both_numbers and not one.kinds & other.kinds & ORDERED:
        return None
    if not (one.kinds <= NUMERIC and other.kinds <= NUMERIC):
        return BOOL
    if operator in ("_<_", "_<=_"):
        one, other = other, one
    strict = operator in ("_<_", "_>_")
    can_be_true = _can_exceed(one.interval, other.interval, or_equal=not strict)
    can_be_false = _can_exceed(other.interval, one.interval, or_equal=strict)
    return BOOL if can_be_true == can_be_false else truth(can_be_true)


def _can_exceed(one: Interval, other: Interval, *, or_equal: bool) -> bool:
    """Whether some number of one is greater than (or equal to) some number of the other."""
    if one.high is None or other.low is None or one.high > other.low:
        return True
    return or_equal and one.high == other.low and not one.high_open and not other.low_open


def calculate(operator: str, one: Shape, other: Shape) -> Shape | None:
    """Arithmetic and joining. Two known numbers are calculated."""
    table = ARITHMETIC[operator]
    kinds = frozenset(
        table[left, right] for left in one.kinds for right in other.kinds if (left, right) in table
    )
    if not kinds:
        return None
    a, b = one.constant, other.constant
    if a and b and a[0] == b[0] == "number" and operator in ("_+_", "_-_", "_*_"):
        result = {"_+_": a[1] + b[1], "_-_": a[1] - b[1], "_*_": a[1] * b[1]}[operator]
        return literal(next(iter(kinds)), result)
    if kinds == {"list"}:
        return list_of(ANY)
    return Shape(kinds)


def negate(shape: Shape) -> Shape | None:
    kinds = shape.kinds & NUMBERS
    if not kinds:
        return None
    if shape.constant and shape.constant[0] == "number":
        return literal(next(iter(kinds)), -shape.constant[1])
    bounds = shape.interval
    low = None if bounds.high is None else -bounds.high
    high = None if bounds.low is None else -bounds.low
    return Shape(kinds, interval=Interval(low, high, bounds.high_open, bounds.low_open))


def test_text(function: str, receiver: Shape, argument: Shape) -> Shape:
    """``startsWith``, ``endsWith`` and ``contains`` of known texts and of known forms."""
    wanted = argument.constant
    if wanted is None or receiver.kinds != {"string"} or function == "matches":
        return BOOL
    text = wanted[1]
    if receiver.values is not None:
        tests = {"startsWith": str.startswith, "endsWith": str.endswith, "contains": str.__contains__}
        outcomes = {tests[function](value, text) for _, value in receiver.values}
        return truth(outcomes.pop()) if len(outcomes) == 1 else BOOL
    if receiver.forms is not None:
        plain = text.replace("*", "%2A")
        glob = {"startsWith": f"{plain}*", "endsWith": f"*{plain}", "contains": f"*{plain}*"}[function]
        if not any(overlap(form, glob) for form in receiver.forms):
            return truth(False)
    return BOOL


def bounded(operator: str, number: Decimal) -> Interval:
    """The numbers x with ``x operator number``."""
    return {
        "_<_": Interval(high=number, high_open=True),
        "_<=_": Interval(high=number),
        "_>_": Interval(low=number, low_open=True),
        "_>=_": Interval(low=number),
    }.get(operator, UNBOUNDED)
