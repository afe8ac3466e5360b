"""Operators and functions of a condition, judged by the shapes of what they are given."""

from dataclasses import dataclass, field

import cel

from governance.conditions import FUNCTIONS
from governance.expressions import Call, Const, Items, Node
from governance.notation import closest, quoted, spoken, suggestion, write
from governance.operators import (
    ARITHMETIC,
    BOOL,
    NUMERIC,
    SIGNATURES,
    Signature,
    always_equal,
    calculate,
    can_equal,
    compare,
    negate,
    test_text,
    truth,
)  # fmt: skip
from governance.shapes import ANY, FALSE, NOTHING, Shape


@dataclass(frozen=True, slots=True)
class Note:
    """Something wrong at an offset. ``everywhere``: only if it is wrong for every tool that the rule can
    match."""

    offset: int
    message: str
    everywhere: bool = False


@dataclass(slots=True)
class Findings:
    notes: list[Note] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)

    def add(self, other: "Findings") -> None:
        self.notes += other.notes
        self.reached |= other.reached


class Calls:
    """Gives calls their shapes and notes those that always fail or always come out the same."""

    def __init__(self) -> None:
        self.findings = Findings()

    def note(self, offset: int, message: str, *, everywhere: bool = False) -> None:
        self.findings.notes.append(Note(offset, message, everywhere))

    def call(
        self, node: Call, receiver: Shape | None, shapes: list[Shape], items: list[Shape] | None
    ) -> Shape:
        """The shape of a call of receiver and arguments; ``items`` of a list literal behind ``in``."""
        match node.function, shapes:
            case ("_==_" | "_!=_", [one, other]):
                return self._equality(node, one, other)
            case ("@in", [one, other]):
                return self._membership(node, one, other, items)
            case ("_[_]", [one, other]):
                return self._element(node, one, other)
            case "-_", [one]:
                return self._or_fails(
                    node, negate(one), f"{quoted(node.args[0])} is {spoken(one)}, not a number"
                )
            case operator, [one, other] if operator in ARITHMETIC:
                return self._arithmetic(node, one, other)
            case ("_<_" | "_<=_" | "_>_" | "_>=_" as operator, [one, other]):
                return self._comparison(node, operator, one, other)
        return self._function(node, receiver, shapes)

    def _or_fails(self, node: Call, shape: Shape | None, why: str) -> Shape:
        if shape is None:
            self.note(node.offset, f"{why}: the condition would fail, and so match, on every call.")
            return NOTHING
        return shape

    def _equality(self, node: Call, one: Shape, other: Shape) -> Shape:
        wanted = node.function == "_==_"
        if always_equal(one, other):
            return truth(wanted)
        if can_equal(one, other):
            return BOOL
        left, right = node.args
        self._never(node, left, right, one, other, "never" if wanted else "always")
        return truth(not wanted)

    def _never(self, node: Call, left: Node, right: Node, one: Shape, other: Shape, adverb: str) -> None:
        """Note that two things are never equal (or always different), where the odd one of them stands."""
        offset = node.offset
        for mine, theirs in ((left, right), (right, left)):
            if isinstance(mine, Const) and not isinstance(theirs, Const):
                offset = mine.offset
        crossing = one.kinds & NUMERIC and other.kinds & NUMERIC
        outcome = "they are never equal" if adverb == "never" else "they always differ"
        if "null" in (*one.kinds, *other.kinds):
            known = right if one.kinds == {"null"} else left
            message = f"Nulls are dropped before conditions see them: write has({write(known)}) instead."
        elif not one.kinds & other.kinds and not crossing:
            message = f"{quoted(left)} is {spoken(one)} and {quoted(right)} is {spoken(other)}: {outcome}."
        else:
            message = (
                f"{quoted(left)} and {quoted(right)}: {outcome}.{self._instead(left, right, one, other)}"
            )
        self.note(offset, message, everywhere=True)

    def _instead(self, left: Node, right: Node, one: Shape, other: Shape) -> str:
        """What a compared value could have been."""
        for known, wrong in ((one, other), (other, one)):
            value = wrong.constant
            if value and value[0] == "string" and known.values:
                options = [text for tag, text in known.values if tag == "string"]
                # The values of one tool among several would mislead; a close one is what was meant.
                return suggestion(value[1], options) if len(options) > 1 or closest(value[1], options) else ""
        return ""

    def _membership(self, node: Call, one: Shape, container: Shape, items: list[Shape] | None) -> Shape:
        left, right = node.args
        if not container.kinds & {"list", "map"}:
            hint = f" Write {write(right)}.contains({write(left)})." if container.kinds == {"string"} else ""
            self.note(node.offset, f"{quoted(right)} is {spoken(container)}; “in” needs a list.{hint}")
            return NOTHING
        if "map" in container.kinds:
            return BOOL
        if container.size[1] == 0:
            odd = left if isinstance(left, Const) else right
            self.note(odd.offset, f"{quoted(right)} is empty: nothing is ever in it.", everywhere=True)
            return truth(False)
        if isinstance(right, Items) and items is not None:
            return self._listed(node, one, right, items)
        item = container.item or ANY
        if can_equal(one, item):
            return truth(True) if self._always_in(one, container) else BOOL
        if one.kinds == {"list"} and "list" not in item.kinds:
            message = f"{quoted(left)} is a list; test its items: {write(left)}.all(x, x in {write(right)})."
            self.note(node.offset, message, everywhere=True)
        elif not one.kinds & item.kinds:
            sides = f"{quoted(left)} is {spoken(one)} and {quoted(right)} holds {spoken(item)}"
            message = f"{sides}: it is never in it."
            self.note(node.offset, message, everywhere=True)
        else:
            hint = self._instead(left, right, one, item)
            self.note(left.offset, f"{quoted(left)} is never in {quoted(right)}.{hint}", everywhere=True)
        return truth(False)

    def _listed(self, node: Call, one: Shape, right: Items, items: list[Shape]) -> Shape:
        """``left in [a, b]``: every item of the list is judged by itself."""
        for part, item in zip(right.items, items, strict=True):
            if not can_equal(one, item):
                self._never(node, node.args[0], part, one, item, "never")
        return BOOL if any(can_equal(one, item) for item in items) else truth(False)

    def _always_in(self, one: Shape, container: Shape) -> bool:
        """Whether a constant is surely in a list whose only possible item it is."""
        item = container.item
        return container.size[0] > 0 and item is not None and always_equal(one, item)

    def _element(self, node: Call, one: Shape, index: Shape) -> Shape:
        if "list" in one.kinds and index.kinds & {"int", "uint"}:
            return one.item or ANY
        if "map" in one.kinds:
            return ANY
        return self._or_fails(
            node, None, f"{quoted(node.args[0])} is {spoken(one)} and cannot be indexed like this"
        )

    def _arithmetic(self, node: Call, one: Shape, other: Shape) -> Shape:
        left, right = node.args
        result = calculate(node.function, one, other)
        if result is None and one.kinds | other.kinds == {"int", "double"}:
            whole = left if one.kinds == {"int"} else right
            fix = f"{write(whole)}.0" if isinstance(whole, Const) else f"double({write(whole)})"
            what = f"Arithmetic does not mix whole and decimal numbers (write {fix})"
            return self._or_fails(node, None, what)
        if node.function in ("_/_", "_%_") and other.constant == ("number", 0) and "int" in other.kinds:
            return self._or_fails(node, None, "This divides by zero")
        sides = f"{quoted(left)} is {spoken(one)} and {quoted(right)} is {spoken(other)}"
        return self._or_fails(node, result, f"{sides}, which {node.function.strip('_')} does not take")

    def _comparison(self, node: Call, operator: str, one: Shape, other: Shape) -> Shape:
        left, right = node.args
        result = compare(operator, one, other)
        sides = f"{quoted(left)} is {spoken(one)} and {quoted(right)} is {spoken(other)}"
        shape = self._or_fails(node, result, f"{sides}, which cannot be compared")
        if shape.constant == FALSE:
            self.note(
                node.offset,
                f"{quoted(node)} is never true: no accepted value is in that range.",
                everywhere=True,
            )
        return shape

    def _function(self, node: Call, receiver: Shape | None, shapes: list[Shape]) -> Shape:
        signatures = SIGNATURES.get(node.function)
        if signatures is None:
            hint = suggestion(node.function, SIGNATURES)
            self.note(node.offset, f"Conditions have no function “{node.function}”.{hint}")
            return NOTHING
        called = [
            s
            for s in signatures
            if (s.receiver is None) == (receiver is None) and len(s.arguments) == len(shapes)
        ]
        if not called:
            self.note(node.offset, f"{quoted(node)}: {_usage(node.function, signatures[0])}")
            return NOTHING
        signature = called[0]
        taken = (
            [*signature.arguments]
            if signature.receiver is None
            else [signature.receiver, *signature.arguments]
        )
        given = shapes if receiver is None else [receiver, *shapes]
        parts = node.args if node.target is None else (node.target, *node.args)
        for part, shape, kinds in zip(parts, given, taken, strict=True):
            if not shape.kinds & kinds:
                what = f"{quoted(part)} is {spoken(shape)}, and {node.function} takes {spoken(Shape(kinds))}"
                return self._or_fails(node, None, what)
        if node.function in ("contains", "startsWith", "endsWith", "matches") and receiver is not None:
            return self._text_test(node, receiver, shapes[0])
        return self._checked_literals(node, signature.result(given[0]))

    def _text_test(self, node: Call, receiver: Shape, argument: Shape) -> Shape:
        if node.function == "matches" and not isinstance(node.args[0], Const):
            self.note(
                node.args[0].offset,
                "The pattern of matches is written out as text, so that it can be checked.",
            )
            return NOTHING
        result = test_text(node.function, receiver, argument)
        if result.constant == FALSE:
            self.note(node.args[0].offset, f"{quoted(node)} is never true.", everywhere=True)
        return self._checked_literals(node, result)

    def _checked_literals(self, node: Call, result: Shape) -> Shape:
        """A call whose arguments are all literals is tried out: ``duration("1x")`` always fails."""
        if not node.args or not all(isinstance(argument, Const) for argument in node.args):
            return result
        text = f'"".matches({write(node.args[0])})' if node.function == "matches" else write(node)
        if node.target is None or node.function == "matches":
            if node.function in FUNCTIONS:
                return result
            try:
                cel.evaluate(text)
            except Exception:
                return self._or_fails(node, None, f"{quoted(node)} is not valid")
        return result


def _usage(name: str, signature: Signature) -> str:
    arguments = ", ".join(spoken(Shape(kinds)) for kinds in signature.arguments)
    if signature.receiver is None:
        return f"write {name}({arguments})."
    return f"it belongs behind {spoken(Shape(signature.receiver))}, as in x.{name}({arguments})."
