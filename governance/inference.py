"""What a condition can come out as, part by part: unknown names, impossible comparisons, operations that
always fail.

An abstract interpretation: every part of the tree is given the shape of its possible values. A part is only
judged where it is reached: ``tool.name == "a" && …`` says nothing of other tools.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from governance.calls import Calls, Findings
from governance.expressions import Call, Const, Entries, Items, Macro, Name, Node, Select
from governance.facts import NONE, Facts, conjuncts, facts_when, narrow, path_of
from governance.notation import closest, listed, quoted, spoken, suggestion
from governance.operators import BOOL, EVERYTHING, truth
from governance.shapes import (
    ANY,
    FALSE,
    NOTHING,
    TRUE,
    Shape,
    join,
    list_of,
    literal,
    map_of,
    of_kind,
    texts,
)  # fmt: skip

TYPES = {"null_type": "null", **{kind: kind for kind in EVERYTHING - {"null"}}}


def judge(tree: Node, roots: Mapping[str, Shape]) -> tuple[Findings, bool | None]:
    """What is wrong with a condition over variables of these shapes, and its outcome if it has one."""
    walk = Inference(roots)
    result = walk.boolean(tree, NONE)
    outcome = result.constant
    if outcome is None and result.kinds:
        outcome = Inference(roots, narrowing=True).infer(tree, NONE).constant
    return walk.findings, {TRUE: True, FALSE: False}.get(outcome) if outcome else None


class Inference(Calls):
    """One walk over a tree. ``narrowing`` lets comparisons of one part bound the values of another."""

    def __init__(self, roots: Mapping[str, Shape], *, narrowing: bool = False) -> None:
        super().__init__()
        self.roots = roots
        self.narrowing = narrowing
        self.bound: dict[str, Shape] = {}

    def boolean(self, node: Node, facts: Facts) -> Shape:
        """The shape of something that must be true or false."""
        shape = self.infer(node, facts)
        if shape.kinds and "bool" not in shape.kinds:
            self.note(
                node.offset,
                f"{quoted(node)} is {spoken(shape)}, not true or false: compare it with something.",
            )
            return NOTHING
        return replace(shape, kinds=shape.kinds & {"bool"})

    def infer(self, node: Node, facts: Facts) -> Shape:
        self.findings.reached.add(node.offset)
        shape = self._infer(node, facts)
        path = path_of(node) if self.narrowing else None
        return narrow(shape, facts.bounds[path]) if path in facts.bounds else shape  # type: ignore[index]

    def _infer(self, node: Node, facts: Facts) -> Shape:
        match node:
            case Const(kind=kind, value=value):
                return literal(kind, value)
            case Name():
                return self._name(node)
            case Select(test=True):
                operand = self.infer(node.operand, facts)
                return self._presence(node.offset, node.operand, operand, node.field)
            case Select():
                return self._field(
                    node.offset, node.operand, self.infer(node.operand, facts), node.field, facts
                )
            case Items(items=items):
                item = reduce(join, [self.infer(part, facts) for part in items], NOTHING)
                return list_of(item, len(items), len(items))
            case Entries(entries=entries):
                return self._entries(entries, facts)
            case Macro():
                return self._macro(node, facts)
            case Call(function="_&&_" | "_||_"):
                return self._joined(node, facts)
            case Call(function="_?_:_"):
                return self._choice(node, facts)
            case Call():
                return self._call(node, facts)

    def _name(self, node: Name) -> Shape:
        if node.name in self.bound:
            return self.bound[node.name]
        if node.name in self.roots:
            return self.roots[node.name]
        if node.name in TYPES:
            return Shape(frozenset({"type"}), frozenset({("type", TYPES[node.name])}))
        known = [*self.roots, *self.bound]
        self.note(node.offset, f"Conditions have no variable “{node.name}”.{suggestion(node.name, known)}")
        return NOTHING

    def _field(self, offset: int, operand: Node, shape: Shape, name: str, facts: Facts) -> Shape:
        """``operand.name`` where it is not inside has()."""
        if not self._has_fields(offset, operand, shape, name):
            return NOTHING
        found = shape.field(name)
        way = path_of(operand)
        if way is not None and (*way, name) in facts.present:
            return found if found.kinds else ANY
        if shape.fields is None or name in shape.fields:
            if way == ("spend",) and name not in shape.required:
                message = f"Not every agent has a budget that counts this: test has(spend.{name}) first."
                self.note(offset, message)
            return found
        if shape.extra is None:
            hint = suggestion(name, shape.fields)
            self.note(offset, f"{quoted(operand)} has no field “{name}”.{hint}")
            return NOTHING
        if way == ("args",):
            close = closest(name, shape.fields)
            hint = (
                f"Did you mean “{close}”?"
                if close
                else f"Declare it in the schema, or test has(args.{name}) first."
            )
            self.note(offset, f"No schema declares the argument “{name}”. {hint}")
        elif close := closest(name, shape.fields):
            self.note(offset, f"{quoted(operand)} declares no field “{name}”. Did you mean “{close}”?")
        return found

    def _has_fields(self, offset: int, operand: Node, shape: Shape, name: str) -> bool:
        if shape.kinds and "map" not in shape.kinds:
            self.note(offset, f"{quoted(operand)} is {spoken(shape)} and has no field “{name}”.")
        return "map" in shape.kinds

    def _presence(self, offset: int, operand: Node, shape: Shape, name: str) -> Shape:
        """``has(operand.name)``, and ``"name" in operand``."""
        if not self._has_fields(offset, operand, shape, name):
            return NOTHING
        if shape.fields is None or name in shape.fields:
            return truth(True) if name in shape.required else BOOL
        close = closest(name, shape.fields)
        if shape.extra is None or close:
            hint = (
                f" Did you mean “{close}”?"
                if close
                else f" There is {listed(shape.fields)}."
                if shape.fields
                else ""
            )
            self.note(offset, f"{quoted(operand)} never has a field “{name}”.{hint}", everywhere=True)
        return truth(False) if shape.extra is None else BOOL

    def _entries(self, entries: tuple[tuple[Node, Node], ...], facts: Facts) -> Shape:
        fields: dict[str, Shape] | None = {}
        for key, value in entries:
            self.infer(key, facts)
            shape = self.infer(value, facts)
            if fields is not None and isinstance(key, Const) and key.kind == "string":
                fields[key.value] = shape
            else:
                fields = None
        return map_of(fields) if fields is not None else of_kind("map")

    def _joined(self, node: Call, facts: Facts) -> Shape:
        """``&&`` and ``||``: each part knows of the others, and counts unless one of them decides."""
        conjunction = node.function == "_&&_"
        parts = conjuncts(node, node.function)
        told = [facts_when(part, conjunction) for part in parts]
        outer, shapes, apart = self.findings, [], []
        for index, part in enumerate(parts):
            others = reduce(Facts.__or__, [*told[:index], *told[index + 1 :]], facts)
            self.findings = Findings()
            shapes.append(self.boolean(part, others))
            apart.append(self.findings)
        self.findings = outer
        decisive = FALSE if conjunction else TRUE
        for shape, findings in zip(shapes, apart, strict=True):
            if shape.constant == decisive:
                self.findings.add(findings)
                return truth(not conjunction)
        for findings in apart:
            self.findings.add(findings)
        if any(not shape.kinds for shape in shapes):
            return BOOL if any(shape.kinds for shape in shapes) else NOTHING
        return truth(conjunction) if all(shape.constant is not None for shape in shapes) else BOOL

    def _choice(self, node: Call, facts: Facts) -> Shape:
        condition, one, other = node.args
        chosen = self.boolean(condition, facts).constant
        outcomes = [
            self.infer(branch, facts | facts_when(condition, outcome))
            for branch, outcome in ((one, True), (other, False))
            if chosen in (None, ("bool", outcome))
        ]
        return reduce(join, outcomes)

    def _macro(self, node: Macro, facts: Facts) -> Shape:
        over = self.infer(node.over, facts)
        if over.kinds and not over.kinds & {"list", "map"}:
            self.note(node.offset, f"{quoted(node.over)} is {spoken(over)}; {node.name} goes through a list.")
            return NOTHING
        if node.variable in self.roots:
            self.note(
                node.offset, f"“{node.variable}” is a variable already; give the loop's own another name."
            )
        hidden = self.bound.get(node.variable)
        element = (
            over.item or ANY
            if "list" in over.kinds
            else texts(over.fields)
            if over.fields
            else of_kind("string")
        )
        self.bound[node.variable] = element
        outcome = BOOL if node.test is None else self.boolean(node.test, facts)
        inside = facts if node.test is None else facts | facts_when(node.test, True)
        result = element if node.result is None else self.infer(node.result, inside)
        if hidden is None:
            del self.bound[node.variable]
        else:
            self.bound[node.variable] = hidden
        if node.name in ("map", "filter"):
            return list_of(result, 0, over.size[1])
        return self._quantified(node.name, over, outcome)

    def _quantified(self, name: str, over: Shape, outcome: Shape) -> Shape:
        if not outcome.kinds:
            return NOTHING
        empty = over.size[1] == 0
        if name == "all":
            return truth(True) if empty or outcome.constant == TRUE else BOOL
        return truth(False) if empty or outcome.constant == FALSE else BOOL

    def _call(self, node: Call, facts: Facts) -> Shape:
        match node.function, node.args:
            case "@in", (Const(kind="string", value=name) as key, container) if self._is_map(
                container, facts
            ):
                return self._presence(key.offset, container, self.infer(container, facts), name)
            case "_[_]", (operand, Const(kind="string", value=name) as key):
                shape = self.infer(operand, facts)
                return self._field(key.offset, operand, shape, name, facts)
            case ("!_", (inner,)):
                shape = self.boolean(inner, facts)
                return truth(shape.constant == FALSE) if shape.constant else shape
        shapes = [self.infer(argument, facts) for argument in node.args]
        receiver = None if node.target is None else self.infer(node.target, facts)
        if any(not shape.kinds for shape in (*shapes, *([] if receiver is None else [receiver]))):
            return NOTHING  # noted where it went wrong
        items = None
        if node.function == "@in" and isinstance(node.args[1], Items):
            items = [self.infer(item, facts) for item in node.args[1].items]
        return self.call(node, receiver, shapes, items)

    def _is_map(self, container: Node, facts: Facts) -> bool:
        quiet, self.findings = self.findings, Findings()
        shape = self.infer(container, facts)
        self.findings = quiet
        return shape.kinds == {"map"}
