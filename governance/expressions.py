"""The syntax tree of a condition, with the place of every part, as Google's CEL parser reads it.

``cel_expr_python`` hands out its tree only as a serialized ``cel.expr.ParsedExpr``
(github.com/google/cel-spec, proto/cel/expr/syntax.proto); the few fields that conditions use are decoded
here, and comprehensions are folded back into the macros that they were written as.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from governance.rules import MAX_CONDITION

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_PARSER = cel.NewEnv()
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MACROS = {True: "all", False: "exists"}


class ConditionError(ValueError):
    """A condition that cannot be used, and the place in it (line and column from 1) where that shows."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A literal. ``kind`` is null, bool, int, double, string or bytes."""

    offset: int
    kind: str
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    offset: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Select:
    """``operand.field``, or ``has(operand.field)`` where ``test``. The offset is the field's."""

    offset: int
    operand: "Node"
    field: str
    test: bool


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A function, method (``target`` is its receiver) or operator, which is named as CEL does: ``_&&_``."""

    offset: int
    function: str
    target: "Node | None"
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A list literal."""

    offset: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """A map literal."""

    offset: int
    entries: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Macro:
    """``over.name(variable, test)``, or ``map`` with its ``result`` and perhaps a test."""

    offset: int
    name: str
    over: "Node"
    variable: str
    test: "Node | None"
    result: "Node | None"


Node = Const | Name | Select | Call | Items | Entries | Macro


def parse(text: str) -> Node:
    """The tree of a condition. ConditionError where it is none, is too long, or nests comprehensions."""
    check_length(text)
    try:
        serialized = _PARSER.compile(text, disable_check=True).serialize()
    except Exception as error:  # the binding raises RuntimeError for everything
        raise condition_error(text, str(error)) from None
    return _Decoder(text, serialized).tree()


def check_length(text: str) -> None:
    """Raise ConditionError for a text over 1,000 characters."""
    if len(text) > MAX_CONDITION:
        raise ConditionError(f"A condition has at most {MAX_CONDITION} characters; this one has {len(text)}.")


def condition_error(text: str, report: str) -> ConditionError:
    """The first error of a CEL parser's report, as a sentence with its place."""
    match = _ERROR.search(report)
    if match is None or int(match[1]) < 1:
        if "recursion" in report:
            return ConditionError("The condition is nested too deeply; split it into several rules.")
        return ConditionError("The condition is not valid CEL.")
    message = re.sub(r"^Syntax error: ", "", match[3]).split(" expecting ", maxsplit=1)[0]
    message = message.replace("'<EOF>'", "the end of the condition").removesuffix(" [INVALID_ARGUMENT]")
    return ConditionError(f"The condition is not valid CEL: {message}.", int(match[1]), int(match[2]))


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset into the condition."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def children(node: Node) -> Iterator[Node]:
    match node:
        case Select(operand=operand):
            yield operand
        case Call(target=target, args=args):
            if target is not None:
                yield target
            yield from args
        case Items(items=items):
            yield from items
        case Entries(entries=entries):
            for key, value in entries:
                yield key
                yield value
        case Macro(over=over, test=test, result=result):
            yield from (part for part in (over, test, result) if part is not None)
        case _:
            pass


def start(node: Node) -> int:
    """The offset where an expression begins: the leftmost of its parts."""
    return min([node.offset, *(start(child) for child in children(node))])


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a protobuf message: an int of a varint, bytes of the rest."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == _VARINT:
            yield key >> 3, varint()
            continue
        width = {_FIXED64: 8, _FIXED32: 4}.get(key & 7) or varint()
        yield key >> 3, message[at : at + width]
        at += width


class _Decoder:
    """Builds nodes from the serialized tree; field numbers are those of syntax.proto."""

    def __init__(self, text: str, serialized: bytes) -> None:
        self.text = text
        parsed = dict(_fields(dict(_fields(serialized))[2]))  # google.protobuf.Any around ParsedExpr
        self.root: bytes = parsed[2]
        self.offsets: dict[int, int] = {}
        for number, value in _fields(parsed.get(3, b"")):
            if number == 4:
                entry = dict(_fields(value))
                self.offsets[entry.get(1, 0)] = entry.get(2, 0)

    def tree(self) -> Node:
        return self.node(self.root)

    def node(self, message: bytes, *, looping: bool = False) -> Node:
        fields = dict(_fields(message))
        offset = self.offsets.get(fields.pop(2, 0), 0)
        ((number, body),) = fields.items()
        match number:
            case 3:
                return self._const(offset, body)
            case 4:
                return Name(offset, dict(_fields(body))[1].decode())
            case 5:
                return self._select(body, looping)
            case 6:
                return self._call(offset, body, looping)
            case 7:
                items = [value for key, value in _fields(body) if key == 1]
                return Items(offset, tuple(self.node(item, looping=looping) for item in items))
            case 8:
                return self._entries(offset, body, looping)
            case _:
                return self._macro(offset, body, looping)

    def _const(self, offset: int, body: bytes) -> Const:
        ((number, value),) = _fields(body)
        match number:
            case 1:
                return Const(offset, "null", None)
            case 2:
                return Const(offset, "bool", bool(value))
            case 3:
                return Const(offset, "int", value - 2**64 if value >= 2**63 else value)
            case 4:
                return Const(offset, "uint", value)
            case 5:
                return Const(offset, "double", struct.unpack("<d", value)[0])
            case 6:
                return Const(offset, "string", value.decode())
            case _:
                return Const(offset, "bytes", value)

    def _select(self, body: bytes, looping: bool) -> Select:
        fields = dict(_fields(body))
        operand = self.node(fields[1], looping=looping)
        field = fields[2].decode()
        found = re.compile(rf"\.\s*({re.escape(field)})\b").search(self.text, operand.offset)
        return Select(found.start(1) if found else operand.offset, operand, field, bool(fields.get(3)))

    def _call(self, offset: int, body: bytes, looping: bool) -> Call:
        target, function, args = None, "", []
        for number, value in _fields(body):
            if number == 1:
                target = self.node(value, looping=looping)
            elif number == 2:
                function = value.decode()
            else:
                args.append(self.node(value, looping=looping))
        if function.isidentifier():  # the parser points at the parenthesis; people look for the name
            offset = max(self.text.rfind(function, 0, offset + 1), 0)
        return Call(offset, function, target, tuple(args))

    def _entries(self, offset: int, body: bytes, looping: bool) -> Entries:
        entries = []
        for number, value in _fields(body):
            if number == 1:
                raise ConditionError("Conditions cannot make messages.", *position(self.text, offset))
            entry = dict(_fields(value))
            entries.append((self.node(entry[3], looping=looping), self.node(entry[4], looping=looping)))
        return Entries(offset, tuple(entries))

    def _macro(self, offset: int, body: bytes, looping: bool) -> Macro:
        """A comprehension's ``loop_step`` tells which macro it was (cel-spec, langdef.md, macros)."""
        offset = max(self.text.rfind(".", 0, offset + 1), 0) + 1
        offset += len(self.text[offset:]) - len(self.text[offset:].lstrip())
        if looping:
            raise ConditionError(
                "A condition has no loop inside a loop (exists, all, filter, map); test with “in”.",
                *position(self.text, offset),
            )
        fields = dict(_fields(body))
        over = self.node(fields[2])
        variable = fields[1].decode()
        step = self.node(fields[6], looping=True)
        assert isinstance(step, Call)
        match step.function, step.args:
            case ("_||_" | "_&&_") as joined, (_, test):
                return Macro(offset, "exists" if joined == "_||_" else "all", over, variable, test, None)
            case "_?_:_", (test, Call(args=(_, Const())), _):
                return Macro(offset, "exists_one", over, variable, test, None)
            case "_?_:_", (test, Call(args=(_, Items(items=(result,)))), _):
                kept = isinstance(result, Name) and result.name == variable
                return Macro(
                    offset, "filter" if kept else "map", over, variable, test, None if kept else result
                )
            case _, (_, Items(items=(result,))):
                return Macro(offset, "map", over, variable, None, result)
        raise ConditionError(
            "The condition uses a macro that conditions do not have.", *position(self.text, offset)
        )
