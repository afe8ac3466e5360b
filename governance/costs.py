"""How long a condition can take: timed when a rule is saved, on the largest values that may reach it.

CEL has no cost limit of its own and keeps the interpreter locked, so one slow condition delays every
decision.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import cel

from governance.conditions import FUNCTIONS, MAX_BYTES, MAX_ITEMS, VALUE_BYTES
from governance.expressions import Call, Macro, Node, Select, children
from governance.notation import write
from governance.shapes import Shape

BUDGET = 0.002  # seconds of processor time for one evaluation
RUNS = 3
# Growing inputs, so that what takes minutes at full size is refused at a small one.
SIZES = (0.03, 0.2, 1.0)
MAX_RESOURCE = 8192
EPOCH = "timestamp('2026-01-01T00:00:00Z')"

# Comparisons and the like cost microseconds on any value that may reach them.
_CHEAP = frozenset(
    {"_&&_", "_||_", "!_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_[_]", "@in", "-_", "size",
     "startsWith", "endsWith", "type", "is_private", "domain"}
)  # fmt: skip


def slowest(tree: Node, roots: Mapping[str, Shape]) -> float:
    """Seconds of processor time that one evaluation takes, at worst among generated inputs; 0 where nothing
    in the condition can be slow. Stops at the first input over the budget."""
    nodes = list(_walk(tree))
    if not any(
        isinstance(node, Macro) or (isinstance(node, Call) and node.function not in _CHEAP) for node in nodes
    ):
        return 0.0
    program = cel.compile(write(tree, strict=True))
    fields = {node.field for node in nodes if isinstance(node, Select)}
    read = {name: roots[name] for name in program.variables() if name in roots}
    read_arguments = len(fields & set(_fields(roots))) or 1
    worst = 0.0
    for scale in SIZES:
        for filler in ("text", "list", "objects"):
            make = _Maker(
                int(MAX_BYTES * scale), max(1, int(MAX_ITEMS * scale)), filler, fields, read_arguments
            )
            context = cel.Context(
                {name: make.value(shape, name) for name, shape in read.items()}, dict(FUNCTIONS)
            )
            worst = max(worst, _timed(program, context))
            if worst > BUDGET:
                return worst
    return worst


def _timed(program: cel.Program, context: cel.Context) -> float:
    """The fastest of a few runs: what the condition needs, not what the machine was busy with."""
    fastest = math.inf
    for _ in range(RUNS):
        begun = time.thread_time()
        with suppress(
            Exception
        ):  # a value of another kind than the condition expects; another filler may fit
            program.execute(context)
        fastest = min(fastest, time.thread_time() - begun)
        if fastest < BUDGET or fastest > 50 * BUDGET:
            break
    return fastest


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _walk(child)


def _fields(roots: Mapping[str, Shape]) -> Mapping[str, Shape]:
    return roots["args"].fields or {} if "args" in roots else {}


class _Maker:
    """Makes values of shapes, as large as the limits allow at this scale. ``filler`` is what fills unknown
    shapes."""

    def __init__(self, size: int, items: int, filler: str, names: set[str], shares: int) -> None:
        self.size = size
        self.items = items
        self.filler = filler
        self.names = names
        self.shares = shares

    def value(self, shape: Shape, name: str) -> Any:
        if name == "now":
            return cel.evaluate(EPOCH)
        if name == "resource":
            return "https://host.test/" + "a" * min(MAX_RESOURCE - 18, self.size)
        if name == "lists":
            # Lists have the members that they have; an editor who adds more is checked again.
            fields = shape.fields or {}
            return {
                key: [value for _, value in (each.item and each.item.values) or ()]
                for key, each in fields.items()
            }
        if name == "args":
            share = self.size // self.shares
            fields = {**dict.fromkeys(self.names, shape.field("")), **(shape.fields or {})}
            return {key: self.fill(inner, share) for key, inner in fields.items()}
        return self.fill(shape, self.size)

    def fill(self, shape: Shape, size: int) -> Any:
        """The largest value of a shape in about ``size`` bytes."""
        if shape.values:
            return max((value for _, value in shape.values), key=lambda value: len(str(value)))
        kinds = shape.kinds
        if "list" in kinds and ("string" not in kinds or self.filler != "text"):
            return self._list(shape, size)
        if "string" in kinds:
            longest = size if shape.size[1] is None or "list" in kinds else min(size, shape.size[1])
            return "a" * max(longest - VALUE_BYTES, 1)
        if "map" in kinds:
            fields = shape.fields or dict.fromkeys(
                self.names, replace(shape, kinds=frozenset({"string"}), fields=None)
            )
            return (
                {name: self.fill(inner, size // len(fields)) for name, inner in fields.items()}
                if fields
                else {}
            )
        return 1.5 if "double" in kinds else "bool" not in kinds or True

    def _list(self, shape: Shape, size: int) -> list[Any]:
        count = max(1, min(self.items, size // VALUE_BYTES, shape.size[1] or self.items))
        share = size // count - VALUE_BYTES
        item = shape.item
        if item is not None and not (item.kinds == {"string"} and not item.values):
            return [self.fill(item, share) for _ in range(count)]
        if item is None and self.filler == "objects" and self.names:
            return [dict.fromkeys(self.names, "a")] * count
        length = min(share, (item and item.size[1]) or share)
        # Distinct, and alike up to their ends: what looks for one among them compares them all, to the end.
        return [f"{'a' * max(length - 4, 0)}{number:04}" for number in range(count)]
