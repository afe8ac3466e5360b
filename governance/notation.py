"""Conditions and shapes written out: for messages, and in a form whose evaluation skips nothing."""

import json
from collections.abc import Iterable
from difflib import get_close_matches

from governance.expressions import Call, Const, Entries, Items, Macro, Name, Node, Select
from governance.shapes import KINDS, Shape

SHORT = 60
NAMES = {
    "null": "null",
    "bool": "true or false",
    "int": "a whole number",
    "uint": "an unsigned number",
    "double": "a decimal number",
    "string": "text",
    "bytes": "bytes",
    "list": "a list",
    "map": "an object",
    "timestamp": "a time",
    "duration": "a length of time",
    "type": "a type",
}


def quoted(node: Node) -> str:
    """A part of a condition for a message, cut where it is long."""
    text = write(node)
    return f"`{text}`" if len(text) <= SHORT else f"`{text[: SHORT - 1]}…`"


def spoken(shape: Shape) -> str:
    """The kinds of a shape in words."""
    if shape.kinds >= KINDS:
        return "any value"
    return " or ".join(name for kind, name in NAMES.items() if kind in shape.kinds) or "nothing"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names one after the other, the first few of many."""
    ordered = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def suggestion(name: str, options: Iterable[str]) -> str:
    """``Did you mean “x”?`` or what there is, as the rest of a message."""
    known = list(options)
    close = closest(name, known)
    if close:
        return f" Did you mean “{close}”?"
    return f" There is {listed(known)}." if known else ""


def closest(name: str, options: Iterable[str]) -> str | None:
    """The option that a misspelled name most likely means."""
    folded = {option.lower(): option for option in options}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def write(node: Node, *, strict: bool = False) -> str:
    """CEL for a tree. ``strict`` keeps what is evaluated but not what comes out: nothing is short-circuited,
    so that the time it takes is the longest that the condition can take on the same values."""

    def part(inner: Node) -> str:
        return write(inner, strict=strict)

    match node:
        case Const():
            return _literal(node)
        case Name(name=name):
            return name
        case Select(operand=operand, field=field, test=test):
            return f"has({part(operand)}.{field})" if test else f"{part(operand)}.{field}"
        case Items(items=items):
            return f"[{', '.join(part(item) for item in items)}]"
        case Entries(entries=entries):
            return f"{{{', '.join(f'{part(key)}: {part(value)}' for key, value in entries)}}}"
        case Macro():
            return _macro(node, strict)
        case Call(function=function, target=target, args=args):
            if strict and function in ("_&&_", "_||_", "_?_:_", "!_"):
                return f"[{', '.join(part(argument) for argument in args)}]"
            return _call(function, None if target is None else part(target), [part(a) for a in args], args)
    raise AssertionError(node)


def _literal(node: Const) -> str:
    match node.kind:
        case "null":
            return "null"
        case "string":
            return json.dumps(node.value, ensure_ascii=False)
        case "bytes":
            return "b'" + "".join(f"\\x{byte:02x}" for byte in node.value) + "'"
        case "bool":
            return "true" if node.value else "false"
        case "uint":
            return f"{node.value}u"
    return repr(node.value)


def _macro(node: Macro, strict: bool) -> str:
    over, test, result = (part and write(part, strict=strict) for part in (node.over, node.test, node.result))
    if not strict:
        inner = ", ".join(part for part in (node.variable, test, result) if part)
        return f"{over}.{node.name}({inner})"
    # `[…] == 0` is false and `[…] != 0` is true, whatever was evaluated inside: no element is skipped.
    if node.name == "map":
        return f"{over}.map({node.variable}, [{', '.join(part for part in (test, result) if part)}])"
    if node.name == "filter":
        return f"{over}.filter({node.variable}, [{test}] != 0)"
    return f"{over}.exists({node.variable}, [{test}] == 0)"


def _call(function: str, target: str | None, args: list[str], nodes: tuple[Node, ...]) -> str:
    if target is not None:
        return f"{target}.{function}({', '.join(args)})"
    if function == "_[_]":
        return f"{args[0]}[{args[1]}]"
    operator = "in" if function == "@in" else function.strip("_")
    if function == "_?_:_":
        return f"({args[0]} ? {args[1]} : {args[2]})"
    if function in ("!_", "-_"):
        return f"{function[0]}({args[0]})" if " " in args[0] else f"{function[0]}{args[0]}"
    if len(args) == 2 and (function.startswith("_") or function == "@in"):
        left, right = (
            f"({text})" if isinstance(node, Call) and node.target is None and " " in text else text
            for text, node in zip(args, nodes, strict=True)
        )
        return f"{left} {operator} {right}"
    return f"{function}({', '.join(args)})"
