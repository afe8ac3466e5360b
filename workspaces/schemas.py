"""JSON Schemas of arguments (2020-12): checked when declared, and compiled to what completes arguments.

Completing means: defaults filled in, and numbers brought into the form that conditions compute with. A
value where the schema says `number` becomes a float, one where it says `integer` an int, because CEL
compares ints with doubles but does not add or multiply them. Both follow `$ref`, `allOf` and an `anyOf` or
`oneOf` with one branch besides null; of other branches only the kinds of numbers are taken (`number` wins),
since a default of one branch may not belong to another. Where the schema says nothing, numbers stay as they
came.
"""

from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

from jsonschema_rs import Draft202012Validator, ValidationError, validator_map_for

Node = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SHAPES = 5000
MAX_DEFAULTS = 100_000  # that completing one call's arguments may fill in
MAX_DEFAULTS_OF_ONE = 1000  # that one default may bring along
MAX_TOLD = 20  # problems of one value
MAX_UNROLLED = 20_000  # places that may judge one value
MAX_EXPLAINED = 5_000  # values times places whose problems are listed, of 30 µs each at worst

_IN_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_IN_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_CHOICES = ("anyOf", "oneOf")
_ALONE = (
    *(
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "items",
        "contains",
        "unevaluatedItems",
    ),
    *("not", "if", "then", "else", "contentSchema"),
)


class Problem(NamedTuple):
    """What is wrong with a declaration, and where: the keys and indexes that lead there."""

    path: tuple[str | int, ...]
    message: str


PLAIN = frozenset((str, int, float, bool))  # what stays as it is where no schema speaks of it


class TooManyDefaults(ValueError):
    """Completing would fill in more than MAX_DEFAULTS values."""


class Shape:
    """What completes the values at one place of a schema."""

    __slots__ = ("defaults", "items", "names", "number", "others", "prefix", "required")

    def __init__(self) -> None:
        self.number: type[float] | type[int] | None = None
        self.names: dict[str, Shape] = {}
        self.others: Shape | None = None
        self.defaults: list[tuple[str, Any]] = []
        self.required: frozenset[str] = frozenset()
        self.prefix: list[Shape] = []
        self.items: Shape | None = None


def complete(value: Any, shape: Shape | None, budget: list[int], *, keep_required_nulls: bool = False) -> Any:
    """A JSON value with null members dropped, defaults filled in and numbers in their form: copied where it changes.

    Nulls in lists stay: a list's positions mean something. `budget` holds how many defaults may still be
    filled in; raises TooManyDefaults.
    """
    kind = type(value)
    if shape is None and (kind is dict or kind is list):
        members = value.values() if kind is dict else value
        if PLAIN.issuperset(map(type, members)):  # as most of a large call, and the head is locked meanwhile
            return value
    if kind is dict:
        names = shape.names if shape else {}
        others = shape.others if shape else None
        kept = shape.required if shape and keep_required_nulls else ()
        result = {}
        for name, member in value.items():
            if type(member) is str:
                result[name] = member
            elif member is not None or name in kept:
                child = names.get(name, others)
                result[name] = complete(member, child, budget, keep_required_nulls=keep_required_nulls)
        for name, default in shape.defaults if shape else ():
            if name not in result:
                budget[0] -= 1
                if budget[0] < 0:
                    raise TooManyDefaults
                own = default if type(default) in PLAIN else deepcopy(default)
                result[name] = complete(own, names[name], budget)
        return result
    if kind is list:
        prefix, items = (shape.prefix, shape.items) if shape else ((), None)
        return [
            complete(
                element,
                prefix[index] if index < len(prefix) else items,
                budget,
                keep_required_nulls=keep_required_nulls,
            )
            for index, element in enumerate(value)
        ]
    if shape is not None and shape.number is not None:
        return _number(value, shape.number)
    return value


def _number(value: Any, number: type[float] | type[int]) -> Any:
    if number is float and type(value) is int and abs(value) <= 2**53:
        return float(value)
    if number is int and type(value) is float and value.is_integer():
        return int(value)
    return value


class SchemaDocument:
    """One schema, its references resolved. A document with `problems` has no shape and no validator."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.unrolled: float = 0  # infinite where a choice may lead back to itself
        self._anchors: dict[str, Any] = {}
        self._places: set[int] = set()
        self._shapes: dict[tuple[frozenset[int], frozenset[int]], Shape] = {}
        if not isinstance(root, dict):
            self.problems.append(Problem((), "A schema is an object."))
            return
        self._check_dialect()
        self._check_references()
        if not self.problems:
            self._compile()
        if not self.problems:
            self._measure()
        if not self.problems:
            self._check_defaults()

    def _check_dialect(self) -> None:
        if self.root.get("$schema", DIALECT).rstrip("#") != DIALECT:
            self.problems.append(Problem(("$schema",), f"Schemas are JSON Schema 2020-12 ({DIALECT})."))

    def _check_references(self) -> None:
        found = list(_walk(self.root, ()))
        for _, node in found:
            self._places.add(id(node))
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(node.get(keyword), str):
                    self._anchors[node[keyword]] = node
        for path, node in found:
            if path and "$id" in node:
                self.problems.append(
                    Problem((*path, "$id"), "A schema inside a schema has no $id of its own.")
                )
            for keyword in ("$ref", "$dynamicRef"):
                if keyword in node and self.resolve(node[keyword]) is None:
                    message = (
                        "A reference names a place in this schema, as in #/$defs/name; nothing else is read."
                    )
                    self.problems.append(Problem((*path, keyword), message))

    def _measure(self) -> None:
        """How many places of the schema may judge one value, and those around it. References that repeat
        others multiply, and the validator takes as long: forty lines of schema are a second a value."""
        sizes: dict[int, int] = {}
        entered: set[int] = set()
        cyclic = False

        def size(node: Any) -> int:
            nonlocal cyclic
            if not isinstance(node, dict):
                return 1
            if id(node) in entered:
                cyclic = True
                return 1
            if id(node) not in sizes:
                entered.add(id(node))
                apart, together = self._applied(node)
                sizes[id(node)] = 1 + sum(map(size, together)) + max(map(size, apart), default=0)
                entered.discard(id(node))
            return sizes[id(node)]

        try:
            self.unrolled = size(self.root)
        except RecursionError:
            self.problems.append(Problem((), "The schema nests too deep."))
            return
        if self.unrolled > MAX_UNROLLED:
            message = f"References repeat parts of the schema more than {MAX_UNROLLED:,} times; flatten it."
            self.problems.append(Problem((), message))
        elif cyclic and any(keyword in node for _, node in _walk(self.root, ()) for keyword in _CHOICES):
            self.unrolled = float("inf")

    def _applied(self, node: Node) -> tuple[list[Any], list[Any]]:
        """What judges a value or a part of it because ``node`` does: schemas of parts that each judge another
        one, and those that may all judge the same."""
        apart = [child for _, child in _items(node.get("properties"))] + list(node.get("prefixItems", ()))
        together = [self.resolve(node[keyword]) for keyword in ("$ref", "$dynamicRef") if keyword in node]
        for keyword in ("patternProperties", "dependentSchemas"):
            together += [child for _, child in _items(node.get(keyword))]
        for keyword in ("allOf", *_CHOICES):
            together += node.get(keyword, ())
        return apart, together + [node[keyword] for keyword in _ALONE if keyword in node]

    def explain(self, value: Any, validator: Any, most: int) -> Iterator[ValidationError]:
        """The first problems of a value that does not fit; none where finding them would take too long: the
        validator finds all of them, with those of every branch, before it tells the first."""
        if count_values(value, MAX_EXPLAINED) * self.unrolled <= MAX_EXPLAINED:
            yield from islice(validator.iter_errors(value), most)

    def _compile(self) -> None:
        try:
            self.validator = Draft202012Validator(self.root, offline=True, mask="the value")
            self.shape = self._shape([self.root], [])
        except ValidationError as error:
            self.problems.append(
                Problem(tuple(error.instance_path), f"Not JSON Schema 2020-12: {error.message}")
            )
        except (RecursionError, ValueError) as error:
            self.problems.append(Problem((), f"The schema cannot be compiled: {error}"))

    def _check_defaults(self) -> None:
        validators = validator_map_for(self.root, offline=True, mask="the default")
        for path, node in _walk(self.root, ()):
            validator = validators.get("#" + "".join(f"/{escape(step)}" for step in path))
            if node.get("default") is None or validator is None:
                continue
            try:
                default = complete(node["default"], self._shape([node], []), [MAX_DEFAULTS_OF_ONE])
            except (TooManyDefaults, RecursionError):
                self.problems.append(
                    Problem((*path, "default"), "This default brings itself or too many others.")
                )
                return
            if validator.is_valid(default):
                continue
            told = [error.message for error in self.explain(default, validator, MAX_TOLD)]
            self.problems += [
                Problem((*path, "default"), f"The default does not fit: {message}.")
                for message in told or ["it is too large to say why"]
            ]

    def resolve(self, reference: Any) -> Any:
        """The schema that a reference names, or None."""
        if not isinstance(reference, str) or reference[:1] != "#":
            return None
        if reference[:2] != "#/":
            return self.root if reference == "#" else self._anchors.get(reference[1:])
        here = self.root
        for token in reference[2:].split("/"):
            key = unescape(token)
            if isinstance(here, dict) and key in here:
                here = here[key]
            elif isinstance(here, list) and key.isdigit() and int(key) < len(here):
                here = here[int(key)]
            else:
                return None
        return here if isinstance(here, bool) or id(here) in self._places else None

    def spread(self, schemas: list[Any]) -> list[Node]:
        """Every schema that may judge the same value: through references and all branches."""
        strict, loose = self._flatten(schemas, [])
        return strict + loose

    def _flatten(self, strict: list[Any], loose: list[Any]) -> tuple[list[Node], list[Node]]:
        """The schemas that surely judge a value, and those that may."""
        surely: dict[int, Node] = {}
        maybe: dict[int, Node] = {}
        pending = [(schema, True) for schema in strict] + [(schema, False) for schema in loose]
        while pending:
            schema, sure = pending.pop(0)
            seen = surely if sure else maybe
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen[id(schema)] = schema
            pending += [(self.resolve(schema[key]), sure) for key in ("$ref", "$dynamicRef") if key in schema]
            pending += [(branch, sure) for branch in schema.get("allOf", ())]
            for keyword in ("anyOf", "oneOf"):
                branches = [branch for branch in schema.get(keyword, ()) if branch != {"type": "null"}]
                pending += [(branch, sure and len(branches) == 1) for branch in branches]
            pending += [(schema[key], False) for key in ("then", "else") if key in schema]
        return list(surely.values()), [node for key, node in maybe.items() if key not in surely]

    def _shape(self, strict: list[Any], loose: list[Any]) -> Shape:
        surely, maybe = self._flatten(strict, loose)
        key = (frozenset(map(id, surely)), frozenset(map(id, maybe)))
        if key in self._shapes:
            return self._shapes[key]
        if len(self._shapes) >= MAX_SHAPES:
            raise ValueError(f"it has more than {MAX_SHAPES:,} different places")
        shape = self._shapes[key] = Shape()
        shape.number = _number_kind(surely, maybe)
        shape.required = frozenset(name for node in surely for name in node.get("required", ()))
        for name in dict.fromkeys(name for node in surely + maybe for name in node.get("properties", ())):
            members = _members(surely, name)
            shape.names[name] = self._shape(members, _members(maybe, name))
            defaults = [
                node["default"] for node in self._flatten(members, [])[0] if node.get("default") is not None
            ]
            if defaults:
                shape.defaults.append((name, defaults[0]))
        if any("additionalProperties" in node for node in surely + maybe):
            shape.others = self._shape(_members(surely, None), _members(maybe, None))
        places = max((len(node.get("prefixItems", ())) for node in surely + maybe), default=0)
        shape.prefix = [self._shape(_elements(surely, i), _elements(maybe, i)) for i in range(places)]
        if any("items" in node for node in surely + maybe):
            shape.items = self._shape(_elements(surely, places), _elements(maybe, places))
        return shape


def count_values(value: Any, most: int) -> int:
    """How many values a JSON value holds, itself included; ``most`` + 1 where it is more than that."""
    count, waiting = 0, [value]
    while waiting and count <= most:
        current = waiting.pop()
        count += 1
        if isinstance(current, dict | list):
            waiting.extend(islice(current.values() if isinstance(current, dict) else current, most + 1))
    return count


def _members(nodes: list[Node], name: str | None) -> list[Any]:
    """The schemas of the member `name`; of members that are not named, for None."""
    found = []
    for node in nodes:
        if name is not None and name in node.get("properties", ()):
            found.append(node["properties"][name])
        elif "additionalProperties" in node and "patternProperties" not in node:
            found.append(node["additionalProperties"])
    return found


def _elements(nodes: list[Node], index: int) -> list[Any]:
    found = []
    for node in nodes:
        prefix = node.get("prefixItems", ())
        if index < len(prefix):
            found.append(prefix[index])
        elif "items" in node:
            found.append(node["items"])
    return found


def _number_kind(surely: list[Node], maybe: list[Node]) -> type[float] | type[int] | None:
    kinds = {kind for node in surely for kind in types_of(node)}
    if "integer" in kinds or "number" in kinds:
        integers = any("integer" in types_of(node) and "number" not in types_of(node) for node in surely)
        return int if integers else float
    kinds = {kind for node in maybe for kind in types_of(node)}
    return float if "number" in kinds else int if "integer" in kinds else None


def types_of(node: Node) -> list[str]:
    """The names of a schema's `type`, none where it has no such keyword."""
    kinds = node.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _walk(node: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Every schema object in a schema, itself first. Data (enum, const, default) is not looked into."""
    if not isinstance(node, dict):
        return
    yield path, node
    for keyword in _IN_MAPS:
        for name, child in _items(node.get(keyword)):
            yield from _walk(child, (*path, keyword, name))
    for keyword in _IN_LISTS:
        children = node.get(keyword)
        for index, child in enumerate(children if isinstance(children, list) else ()):
            yield from _walk(child, (*path, keyword, index))
    for keyword in _ALONE:
        yield from _walk(node.get(keyword), (*path, keyword))


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def escape(step: str | int) -> str:
    """A key or index as a token of a JSON pointer (RFC 6901, 3)."""
    return str(step).replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """The key that a token of a JSON pointer stands for (RFC 6901, 4)."""
    return token.replace("~1", "/").replace("~0", "~")
