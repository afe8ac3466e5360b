"""Bounds on arguments, within which a call needs not be asked about again. Pure.

A bound stands at a JSON pointer (RFC 6901) into the arguments and speaks of all that lies there: ``{"is": value}``,
``{"in": [value, …]}``, ``{"min": number, "max": number}`` or ``{"any": true}``. An argument of which no bound speaks
is refused, and so is a call that lacks what a bound names; only ``any`` may be absent. Values are the same where
their canonical JSON (RFC 8785) is, so that another spelling of a number changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from audit import canonical

Bound: TypeAlias = dict[str, Any]
Bounds: TypeAlias = Mapping[str, Bound]

MOST_BOUNDS = 50
MOST_VALUES = 100  # in one "in"
ABSENT = object()


class BadBounds(ValueError):
    """Bounds that make no sense, or that no call could meet; ``pointer`` says which."""

    code, status = "bad_bounds", 400

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'Arguments'}: {message}")
        self.pointer = pointer


def exact(arguments: Mapping[str, Any]) -> dict[str, Bound]:
    """The bounds that these very arguments meet and no others."""
    return {pointer_to(name): {"is": value} for name, value in arguments.items()}


def outside(bounds: Bounds, arguments: Mapping[str, Any]) -> str | None:
    """The pointer to the first thing that is not within the bounds; None where all of it is."""
    for pointer, bound in bounds.items():
        if not is_met(bound, at(arguments, pointer)):
            return pointer
    return next((pointer for pointer in leaves(arguments) if not is_named(pointer, bounds)), None)


def is_met(bound: Bound, value: Any) -> bool:
    """Whether a value (or ABSENT) is what a bound allows."""
    if "any" in bound:
        return True
    if value is ABSENT:
        return False
    if "is" in bound:
        return same(value, bound["is"])
    if "in" in bound:
        return any(same(value, each) for each in bound["in"])
    return is_number(value) and bound.get("min", value) <= value <= bound.get("max", value)


def is_named(pointer: str, bounds: Bounds) -> bool:
    """Whether a bound stands at a pointer, or above it."""
    steps = pointer.split("/")
    return any("/".join(steps[:length]) in bounds for length in range(2, len(steps) + 1))


def leaves(value: Any, pointer: str = "") -> Iterator[str]:
    """Pointers to what an argument consists of: its plain values, what is empty, and objects that could pass for
    lists."""
    if isinstance(value, Mapping) and (value or not pointer) and not (pointer and is_like_a_list(value)):
        for name, item in value.items():
            yield from leaves(item, pointer + pointer_to(name))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{place}")
    else:
        yield pointer


def at(arguments: Any, pointer: str) -> Any:
    """What stands at a pointer; ABSENT where nothing does."""
    value = arguments
    for depth, step in enumerate(pointer.split("/")[1:]):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and name in value and not (depth and is_like_a_list(value)):
            value = value[name]
        elif (
            isinstance(value, list) and name.isdecimal() and str(int(name)) == name and int(name) < len(value)
        ):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def is_like_a_list(value: Mapping[str, Any]) -> bool:
    """Whether a pointer into an object could be one into a list: some of its names are numbers. It is bounded as a
    whole."""
    return any(name.isdecimal() for name in value)


def checked(bounds: Mapping[str, Any]) -> dict[str, Bound]:
    """The bounds again, each of a known form. Raises BadBounds."""
    if len(bounds) > MOST_BOUNDS:
        raise BadBounds("", f"at most {MOST_BOUNDS} bounds, please; bound an argument as a whole.")
    for pointer, bound in bounds.items():
        if not pointer.startswith("/") or pointer == "/":
            raise BadBounds(pointer, "a bound stands at a JSON pointer such as /amount.")
        if message := wrong(bound):
            raise BadBounds(pointer, message)
    return dict(bounds)


def wrong(bound: Any) -> str:
    """What is wrong with one bound; empty where nothing is."""
    names = set(bound) if isinstance(bound, Mapping) else set()
    if names == {"is"} or (names == {"any"} and bound["any"] is True):
        return ""
    if names == {"in"}:
        values = bound["in"]
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
            return f"name between 1 and {MOST_VALUES} values; no call is within none."
        return ""
    if names and names <= {"min", "max"}:
        if not all(is_number(each) for each in bound.values()):
            return "the ends of a range are numbers."
        if bound.get("min", bound.get("max")) > bound.get("max", bound.get("min")):
            return "the range ends before it begins; no call is within it."
        return ""
    return 'write {"is": …}, {"in": […]}, {"min": …, "max": …} or {"any": true}.'


def narrowest(calls: Sequence[Mapping[str, Any]]) -> dict[str, Bound] | None:
    """The narrowest bounds that all these arguments meet; None where they do not have the same names."""
    if not calls or any(set(each) != set(calls[0]) for each in calls):
        return None
    return {pointer_to(name): around([each[name] for each in calls]) for name in calls[0]}


def around(values: Sequence[Any]) -> Bound:
    """The narrowest bound around some values: the one, the range, or each of them."""
    different = list({canonical.encode(value): value for value in values}.values())
    if len(different) == 1:
        return {"is": different[0]}
    if all(is_number(value) for value in different):
        return {"min": min(different), "max": max(different)}
    return {"in": different}


def pointer_to(name: str) -> str:
    """The pointer to a member of the arguments."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one."""
    return canonical.encode(one) == canonical.encode(other)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
