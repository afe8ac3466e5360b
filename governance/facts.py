"""What the rest of a condition may take for granted where one part of it has been true, or false."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce

from governance.expressions import Call, Const, Items, Name, Node, Select
from governance.operators import bounded
from governance.shapes import NOTHING, NUMBERS, Shape, join, literal

Path = tuple[str, ...]
MIRRORED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
NEGATED = {"_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_"}


@dataclass(frozen=True, slots=True)
class Facts:
    """``present``: paths that are there. ``bounds``: what a path was compared with, as a shape to narrow it
    by."""

    present: frozenset[Path] = frozenset()
    bounds: Mapping[Path, Shape] = field(default_factory=dict)

    def __or__(self, other: "Facts") -> "Facts":
        bounds = dict(self.bounds)
        for path, shape in other.bounds.items():
            bounds[path] = narrow(bounds[path], shape) if path in bounds else shape
        return Facts(self.present | other.present, bounds)


NONE = Facts()


def path_of(node: Node) -> Path | None:
    """``("args", "amount")`` of ``args.amount`` and of ``args["amount"]``."""
    match node:
        case Name(name=name):
            return (name,)
        case Select(operand=operand, field=name, test=False):
            before = path_of(operand)
            return None if before is None else (*before, name)
        case Call(function="_[_]", args=(operand, Const(kind="string", value=name))):
            before = path_of(operand)
            return None if before is None else (*before, name)
    return None


def narrow(shape: Shape, bounds: Shape) -> Shape:
    """The shape within bounds. Its kinds stay: a double compared with a whole number is a double."""
    values = bounds.values if shape.values is None else shape.values
    if shape.values is not None and bounds.values is not None:
        values = shape.values & bounds.values
    return replace(shape, values=values, interval=shape.interval.meet(bounds.interval))


def facts_when(node: Node, outcome: bool) -> Facts:
    """What holds where ``node`` has this outcome, read from its text alone."""
    match node:
        case Select(test=True, operand=operand, field=name):
            before = path_of(operand)
            return Facts(frozenset({(*before, name)})) if outcome and before is not None else NONE
        case Call(function="!_", args=(inner,)):
            return facts_when(inner, not outcome)
        case Call(function="_&&_", args=parts) if outcome:
            return reduce(Facts.__or__, [facts_when(part, True) for part in parts])
        case Call(function="_||_", args=parts) if not outcome:
            return reduce(Facts.__or__, [facts_when(part, False) for part in parts])
        case Call(function="@in", args=(Const(kind="string", value=name), container)) if outcome:
            before = path_of(container)
            return Facts(frozenset({(*before, name)})) if before is not None else NONE
        case Call(function="@in", args=(inner, Items(items=items))) if outcome:
            if all(isinstance(item, Const) for item in items):
                options = [literal(item.kind, item.value) for item in items if isinstance(item, Const)]
                return _about(inner, reduce(join, options, NOTHING))
        case Call(function="_==_" | "_!=_" as operator, args=(one, other)):
            if outcome == (operator == "_==_"):
                return _equal(one, other)
        case Call(function=operator, args=(one, other)) if operator in MIRRORED:
            operator = operator if outcome else NEGATED[operator]
            return _compared(operator, one, other) | _compared(MIRRORED[operator], other, one)
    return NONE


def _about(node: Node, bounds: Shape) -> Facts:
    path = path_of(node)
    return NONE if path is None else Facts(bounds={path: bounds})


def _equal(one: Node, other: Node) -> Facts:
    facts = NONE
    for mine, theirs in ((one, other), (other, one)):
        if isinstance(theirs, Const) and theirs.kind in ("string", "bool", "int", "double"):
            facts |= _about(mine, literal(theirs.kind, theirs.value))
    return facts


def _compared(operator: str, one: Node, other: Node) -> Facts:
    if isinstance(other, Const) and other.kind in NUMBERS:
        return _about(one, Shape(NUMBERS, interval=bounded(operator, Decimal(str(other.value)))))
    return NONE


def conjuncts(node: Node, function: str) -> list[Node]:
    """The parts of ``a && b && c`` (or of ``||``), however they are grouped."""
    if isinstance(node, Call) and node.function == function:
        return [part for argument in node.args for part in conjuncts(argument, function)]
    return [node]
