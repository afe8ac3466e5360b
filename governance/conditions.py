"""Conditions of rules: CEL, compiled once per text, evaluated against one request.

``VARIABLES`` and ``FUNCTIONS`` are all that a condition can read; ``docs/concepts/conditions.md`` is their
table. A condition that cannot be evaluated raises ConditionFailed, and its rule counts as matched.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import cel

from audit import secrets
from governance import addresses
from governance.expressions import check_length, condition_error, parse
from governance.shapes import Shape, fit

MAX_BYTES = 64 * 1024  # of one value that a condition reads
MAX_ITEMS = 1_000  # of one list
VALUE_BYTES = 32  # counted for each value besides its text: converting one for CEL takes up to 0.8 µs
FEW, SHORT = 16, 500  # so many values, texts of so many characters, are within the limits unmeasured
CACHED = 65_536  # compiled conditions kept

# Name → its type, or its fields and their types, in CEL's notation. `any` is whatever JSON the agent sent.
VARIABLES: Mapping[str, str | Mapping[str, str]] = {
    "agent": {
        "id": "string",
        "name": "string",
        "labels": "list(string)",
        "risk_tier": "string",
        "purpose": "string",
    },
    "tool": {
        "name": "string",
        "action": "string",
        "risk": "string",
        "reversible": "bool",
        "labels": "list(string)",
    },
    "action": "string",
    "resource": "string",
    "resource_labels": "list(string)",
    "args": "map(string, any)",
    "session": {"tools": "list(string)", "labels": "list(string)", "calls": "int", "repeats": "int"},
    "spend": {
        f"{scope}_{window}": "double"
        for scope in ("session", "agent", "workspace")
        for window in ("day", "week", "month", "ever")
    },
    "now": "timestamp",
    "lists": "map(string, list(string))",
    "context": "any",
    "reason": "string",
    "on_behalf_of": "string",
}
CLAIMS = frozenset({"context", "reason", "on_behalf_of"})

# What an agent or an editor of lists can make large, and what therefore is measured before it is converted.
_MEASURED = frozenset({"args", "lists", "context", "reason", "on_behalf_of"})
# Held by the configuration's snapshot and never changed in place: converted once while it is the same object.
_SNAPSHOT = frozenset({"agent", "tool", "lists", "resource_labels"})
_WHOLE: frozenset[str] = frozenset({"*"})
_SMALL = frozenset({int, float, bool, type(None)})

_TEXT_OR_COMMENT = re.compile(
    r"""//[^\n]*
    |(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"]*"|'[^']*')
    |[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""",
    re.VERBOSE | re.DOTALL,
)
_READ = re.compile(rf"(?<![\w.])({'|'.join(VARIABLES)})\b(?:\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\())?")


class ConditionFailed(Exception):
    """A condition that has no boolean answer for this request. Its rule counts as matched."""


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "is_private": addresses.is_private,
    "domain": addresses.domain,
    "links": addresses.links,
    "has_secret": secrets.contains,
}


class _Engine(threading.local):
    """A thread's CEL context. Values stay converted in it until another value takes their name."""

    def __init__(self) -> None:
        self.context = cel.Context()
        self.converted: dict[str, tuple[Any, frozenset[str]]] = {}
        self.failure: Exception | None = None
        for name, function in FUNCTIONS.items():
            self.context.add_function(name, self._guarded(function))

    def _guarded(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """An exception would be printed, and absorbed by ``||``: it is kept, and fails the condition."""

        def call(value: Any) -> Any:
            try:
                return function(value)
            except Exception as error:
                self.failure = error
                return None

        return call


_ENGINE = _Engine()


class Scope:
    """What conditions read of one request. Nothing is converted for CEL before a condition reads it.

    The mappings have the fields of ``VARIABLES``. ``agent``, ``tool``, ``lists`` and ``resource_labels``
    belong to a snapshot and are never changed in place; the others are not changed while the scope is in use.
    ``shape`` is the shape of the tool's schema and makes a "number" a double and an "integer" an int, however
    JSON wrote them.
    """

    __slots__ = ("_failures", "_shape", "_token", "_values")

    def __init__(
        self,
        *,
        agent: Mapping[str, Any],
        tool: Mapping[str, Any],
        action: str,
        resource: str,
        args: Mapping[str, Any],
        session: Mapping[str, Any],
        spend: Mapping[str, Any],
        now: datetime,
        lists: Mapping[str, Sequence[str]],
        context: Any = None,
        reason: str = "",
        on_behalf_of: str = "",
        resource_labels: Sequence[str] = (),
        shape: Shape | None = None,
    ) -> None:
        self._values: dict[str, Any] = {
            "agent": agent,
            "tool": tool,
            "action": action,
            "resource": resource,
            "resource_labels": resource_labels,
            "args": args,
            "session": session,
            "spend": spend,
            "now": now,
            "lists": lists,
            "context": {} if context is None else context,
            "reason": reason,
            "on_behalf_of": on_behalf_of,
        }
        self._shape = shape
        self._token: object = object()
        self._failures: dict[tuple[str, frozenset[str]], str] = {}

    def for_resource(self, resource: str, action: str, labels: Sequence[str] = ()) -> "Scope":
        """The same request as seen for one of its derived resources; what is converted stays converted."""
        scope = Scope.__new__(Scope)
        scope._values = {**self._values, "resource": resource, "action": action, "resource_labels": labels}
        scope._shape, scope._token, scope._failures = self._shape, self._token, self._failures
        return scope

    def convert(self, name: str, fields: frozenset[str], engine: _Engine) -> None:
        """Have the engine hold these fields of a variable. ConditionFailed where they are too large."""
        value = self._values[name]
        key = value if name in _SNAPSHOT or isinstance(value, str) else self._token
        held = engine.converted.get(name)
        if held is not None and (held[0] is key or (isinstance(key, str) and held[0] == key)):
            if fields <= held[1] or "*" in held[1]:
                return
            joined = fields | held[1]
        else:
            joined = fields
        if name in _MEASURED and (failure := self._failure(name, fields)):
            raise ConditionFailed(f"{name} {failure}")
        if joined != fields and name in _MEASURED and self._failure(name, joined):
            joined = fields  # each condition reads within the limits, but all of them together do not
        engine.converted.pop(name, None)
        engine.context.add_variable(name, self._read(name, joined))
        engine.converted[name] = (key, joined)

    def _read(self, name: str, fields: frozenset[str]) -> Any:
        """The value of a variable, cut down to the fields, as the binding takes it."""
        value = self._values[name]
        if not isinstance(value, Mapping):
            return list(value) if isinstance(value, tuple | set | frozenset) else value
        chosen = value if "*" in fields else [field for field in fields if field in value]
        if name == "args" and self._shape is not None:
            return {field: fit(self._shape.field(field), value[field]) for field in chosen}
        if name in ("args", "context"):  # JSON already
            return {field: value[field] for field in chosen}
        return {
            field: list(inner) if isinstance(inner := value[field], tuple | set | frozenset) else inner
            for field in chosen
        }

    def _failure(self, name: str, fields: frozenset[str]) -> str:
        """Why these fields together are too large for a condition, or an empty text; measured once."""
        failure = self._failures.get((name, fields))
        if failure is None:
            value = self._values[name]
            if isinstance(value, Mapping) and "*" not in fields:
                value = [value[field] for field in fields if field in value]
                if len(value) <= FEW and all(type(one) in _SMALL or _is_short(one) for one in value):
                    return ""
            failure = self._failures[name, fields] = oversize(value)
        return failure


def _is_short(value: Any) -> bool:
    return type(value) is str and len(value) <= SHORT


def oversize(value: Any) -> str:
    """Why a value is too large for a condition, or an empty text. Counts UTF-8 bytes and 32 bytes a value."""
    left = MAX_BYTES
    waiting: list[Any] = [value]
    while waiting:
        current = waiting.pop()
        left -= VALUE_BYTES
        if isinstance(current, str):
            left -= len(current) if current.isascii() else len(current.encode(errors="surrogatepass"))
        elif isinstance(current, Mapping):
            left -= sum(map(len, current))
            waiting.extend(current.values())
        elif isinstance(current, list | tuple):
            if len(current) > MAX_ITEMS:
                return f"has a list of over {MAX_ITEMS:,} items"
            waiting.extend(current)
        if left + VALUE_BYTES < 0 or len(waiting) * VALUE_BYTES > MAX_BYTES * 2:
            return f"is over {MAX_BYTES // 1024} KiB"
    return ""


class Condition:
    """A compiled condition. ``names`` are the variables that it reads, claims where ``names & CLAIMS``."""

    __slots__ = ("_program", "names", "reads", "text")

    def __init__(self, text: str, program: cel.Program) -> None:
        self.text = text
        self._program = program
        self.reads = _reads(text, program)
        self.names = frozenset(self.reads)

    def evaluate(self, scope: Scope) -> bool:
        """The answer for a request. ConditionFailed where there is none, which callers treat as matched."""
        engine = _ENGINE
        engine.failure = None
        try:
            for name, fields in self.reads.items():
                scope.convert(name, fields, engine)
            result = self._program.execute(engine.context)
        except (ConditionFailed, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the Rust engine is no Exception
            raise ConditionFailed(f"{type(error).__name__}: {error}") from None
        if engine.failure is not None:
            raise ConditionFailed(str(engine.failure)) from engine.failure
        if result is not True and result is not False:
            raise ConditionFailed("the condition is neither true nor false")
        return result


@lru_cache(maxsize=CACHED)
def compile_condition(text: str) -> Condition:
    """The condition of a text. ConditionError, with line and column, where it is no CEL or over 1,000
    characters."""
    check_length(text)
    try:
        program = cel.compile(text)
    except BaseException as error:
        parse(text)  # its messages are the better ones
        raise condition_error(text, str(error)) from None
    return Condition(text, program)


def _reads(text: str, program: cel.Program) -> Mapping[str, frozenset[str]]:
    """Variable → the fields that the text reads of it, or ``{"*"}`` where it uses the variable as a whole.

    Found in the text and not in the syntax tree, because 10,000 rules are compiled when a process starts. It
    errs towards reading more: a macro's own variable of the same name counts as well.
    """
    found: dict[str, set[str]] = {}
    for match in _READ.finditer(_TEXT_OR_COMMENT.sub('""', text)):
        found.setdefault(match[1], set()).add(match[2] or "*")
    names = [name for name in program.variables() if name in VARIABLES]
    return {
        name: _WHOLE if "*" in found.get(name, _WHOLE) else frozenset(found[name]) for name in sorted(names)
    }
