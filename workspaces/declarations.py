"""What a tool declares of itself, as values, and the reading of its written form.

The written form is that of a workspace file: the keys `name`, `action`, `risk`, `reversible`, `labels`,
`schema`, `resource`, `default_scheme`, `sensitive`, `cost_usd`, `metered` and `trust_reports`. `parse_declaration`
reads it and `ToolDeclaration.as_dict` writes it, so that a declaration can be stored, hashed and rebuilt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from audit import canonical
from workspaces.locators import SCHEME
from workspaces.resources import RESERVED_SCHEME, Template, TemplateError, steps
from workspaces.schemas import Node, Problem, SchemaDocument, types_of, unescape

__all__ = [
    "Action",
    "DeclarationError",
    "Derived",
    "Problem",
    "ResourceTemplate",
    "Risk",
    "ToolDeclaration",
    "parse_declaration",
]

ANY_ELEMENT = "*"  # in a sensitive pointer, every element of a list
NANOS = 10**9
MAX_NANOS = 2**63 - 1

_TOOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}").fullmatch
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}").fullmatch
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+").fullmatch
_DOLLARS = re.compile(r"[0-9]+(?:\.[0-9]{1,9})?").fullmatch


Choice = TypeVar("Choice", bound=StrEnum)


class Action(StrEnum):
    """What a call does to the resources it touches."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    EXECUTE = "execute"
    SEND = "send"
    SPEND = "spend"


class Risk(StrEnum):
    """How bad the worst call could be, as its developers see it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Derived(NamedTuple):
    """A normalized resource that a call touches, and what the call does to it."""

    resource: str
    action: Action


@dataclass(frozen=True, slots=True)
class ResourceTemplate:
    """A template and the action of what it names: the tool's, unless it says otherwise."""

    template: str
    action: Action


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A tool as declared. `sensitive` are JSON pointers; `cost_nanos` is nano-US-dollars a call; a `metered` call costs
    money, and without a declared cost nobody knows before how much."""

    name: str
    action: Action
    risk: Risk = Risk.LOW
    reversible: bool = True
    labels: frozenset[str] = frozenset()
    schema: dict[str, Any] | None = None
    templates: tuple[ResourceTemplate, ...] = ()
    default_scheme: str | None = None
    sensitive: tuple[str, ...] = ()
    cost_nanos: int | None = None
    metered: bool = False
    trust_reports: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The written form with every key present, as plain JSON that is equal for equal declarations."""
        return {
            "name": self.name,
            "action": self.action.value,
            "risk": self.risk.value,
            "reversible": self.reversible,
            "labels": sorted(self.labels),
            "schema": self.schema,
            "resource": [{"template": each.template, "action": each.action.value} for each in self.templates],
            "default_scheme": self.default_scheme,
            "sensitive": list(self.sensitive),
            "cost_usd": None if self.cost_nanos is None else _dollars(self.cost_nanos),
            "metered": self.metered,
            "trust_reports": self.trust_reports,
        }


class DeclarationError(ValueError):
    """A declaration with problems, each with the path to its place in the written form."""

    code, status = "bad_declaration", 400

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, p.path)) or 'tool'}: {p.message}" for p in problems))
        self.problems = problems


def parse_declaration(raw: Mapping[str, Any]) -> ToolDeclaration:
    """Read a tool's written form; raises DeclarationError with all of its problems."""
    reading = _Reading(raw)
    declaration = reading.read()
    if reading.problems or declaration is None:
        raise DeclarationError(reading.problems)
    return declaration


_KEYS = tuple(ToolDeclaration("x", Action.READ).as_dict())


class _Reading:
    """One written declaration and the problems found so far."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.problems: list[Problem] = []

    def read(self) -> ToolDeclaration | None:
        if not isinstance(self.raw, Mapping):
            self._problem((), "A tool is an object with at least a name and an action.")
            return None
        for key in self.raw:
            if key not in _KEYS:
                self._problem((key,), f"Unknown field; a tool has {', '.join(_KEYS)}.")
        action = self._choice("action", Action, None)
        document = self._schema()
        default_scheme = self._default_scheme()
        templates = self._templates(action, default_scheme, document)
        declaration = ToolDeclaration(
            name=self._name(),
            action=action or Action.READ,
            risk=self._choice("risk", Risk, Risk.LOW) or Risk.LOW,
            reversible=self._boolean("reversible", default=True),
            labels=frozenset(self._labels()),
            schema=document.root if document else None,
            templates=templates,
            default_scheme=default_scheme,
            sensitive=self._sensitive(document),
            cost_nanos=self._cost(),
            metered=self._boolean("metered", default=False),
            trust_reports=self._boolean("trust_reports", default=False),
        )
        return None if self.problems else declaration

    def _problem(self, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(path, message))

    def _name(self) -> str:
        name = self.raw.get("name")
        if isinstance(name, str) and _TOOL_NAME(name):
            return name
        self._problem(
            ("name",), "A tool's name has 1 to 128 letters, digits and _ . : - and begins with none of . : -."
        )
        return ""

    def _choice(self, key: str, of: type[Choice], default: Choice | None) -> Choice | None:
        value = self.raw.get(key)
        return default if value is None and default is not None else self._member((key,), value, of)

    def _member(self, path: tuple[str | int, ...], value: Any, of: type[Choice]) -> Choice | None:
        if isinstance(value, str) and value in list(of):
            return of(value)
        self._problem(path, f"One of {', '.join(of)}.")
        return None

    def _boolean(self, key: str, *, default: bool) -> bool:
        value = self.raw.get(key)
        if value is not None and not isinstance(value, bool):
            self._problem((key,), "true or false.")
        return default if value is None else bool(value)

    def _strings(self, key: str) -> list[str]:
        value = self.raw.get(key)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(element, str) for element in value):
            return value
        self._problem((key,), "A list of strings.")
        return []

    def _labels(self) -> list[str]:
        labels = self._strings("labels")
        for index, label in enumerate(labels):
            if not _LABEL(label):
                self._problem(("labels", index), "A label has 1 to 64 letters, digits and _ . -.")
        return labels

    def _schema(self) -> SchemaDocument | None:
        schema = self.raw.get("schema")
        if schema is None:
            return None
        try:
            canonical.encode(schema)
        except canonical.CanonicalError as error:
            self._problem(("schema",), f"A schema is plain JSON: {error}")
            return None
        document = SchemaDocument(schema)
        for problem in document.problems:
            self._problem(("schema", *problem.path), problem.message)
        return None if document.problems else document

    def _default_scheme(self) -> str | None:
        scheme = self.raw.get("default_scheme")
        if scheme is None:
            return None
        if not isinstance(scheme, str) or not SCHEME(scheme) or scheme in (RESERVED_SCHEME, "mailto"):
            self._problem(("default_scheme",), "A scheme of addresses in lower case, such as https.")
            return None
        return scheme

    def _templates(
        self, action: Action | None, default_scheme: str | None, document: SchemaDocument | None
    ) -> tuple[ResourceTemplate, ...]:
        raw = self.raw.get("resource")
        written = raw if isinstance(raw, list) else [] if raw is None else [raw]
        templates = []
        for index, one in enumerate(written):
            path: tuple[str | int, ...] = ("resource", index) if isinstance(raw, list) else ("resource",)
            own = action
            if isinstance(one, Mapping):
                for key in one:
                    if key not in ("template", "action"):
                        self._problem((*path, key), "Unknown field; a template has template and action.")
                if one.get("action") is not None:
                    own = self._member((*path, "action"), one["action"], Action)
                path, one = (*path, "template"), one.get("template")
            if not isinstance(one, str):
                self._problem(path, "A template is a string such as file://{path}.")
            elif self._check_template(path, one, default_scheme, document) and own is not None:
                templates.append(ResourceTemplate(one, own))
        if default_scheme and written and not any(_is_one_placeholder(each.template) for each in templates):
            self._problem(("default_scheme",), "Only a template that is one placeholder alone takes it.")
        return tuple(templates)

    def _check_template(
        self,
        path: tuple[str | int, ...],
        text: str,
        default_scheme: str | None,
        document: SchemaDocument | None,
    ) -> bool:
        try:
            template = Template.parse(text, default_scheme)
        except TemplateError as error:
            self._problem(path, str(error))
            return False
        for placeholder in template.placeholders if document else ():
            assert document is not None
            message = _unknown(document, steps(placeholder))
            if message:
                self._problem(path, f"{{{placeholder}}}: {message}")
        return True

    def _sensitive(self, document: SchemaDocument | None) -> tuple[str, ...]:
        pointers = self._strings("sensitive")
        for index, pointer in enumerate(pointers):
            path = ("sensitive", index)
            if not _POINTER(pointer):
                self._problem(
                    path, "A JSON pointer into the arguments, such as /card_number or /items/*/secret."
                )
            elif document is not None:
                keys = [unescape(key) for key in pointer[1:].split("/")]
                way = [None if key == ANY_ELEMENT or key.isdigit() else key for key in keys]
                message = _unknown(document, way, names_resource=False)
                if message:
                    self._problem(path, message)
        return tuple(dict.fromkeys(pointers))

    def _cost(self) -> int | None:
        cost = self.raw.get("cost_usd")
        if cost is None:
            return None
        if isinstance(cost, str) and _DOLLARS(cost) and int(Decimal(cost) * NANOS) <= MAX_NANOS:
            return int(Decimal(cost) * NANOS)
        self._problem(("cost_usd",), 'Dollars as a string with at most nine decimals, such as "0.02".')
        return None


def _is_one_placeholder(template: str) -> bool:
    return template[:1] == "{" and template.find("}") == len(template) - 1


def _dollars(nanos: int) -> str:
    whole, fraction = divmod(nanos, NANOS)
    return f"{whole}.{fraction:09}".rstrip("0").rstrip(".")


def _unknown(document: SchemaDocument, way: list[str | None], *, names_resource: bool = True) -> str | None:
    """Why a schema knows nothing at the end of `way`; None where it does, or leaves the place open."""
    nodes = document.spread([document.root])
    for step in way:
        schemas = _elements(nodes) if step is None else _members(nodes, step)
        if isinstance(schemas, str):
            return schemas
        nodes = document.spread(schemas)
        if not nodes:
            return None
    kinds = {kind for node in nodes for kind in types_of(node)}
    if names_resource and all(types_of(node) for node in nodes) and kinds <= {"object", "boolean", "null"}:
        return "The schema allows no string, number or list here, so that this names no resource."
    return None


def _members(nodes: list[Node], name: str) -> list[Any] | str:
    found = [node["properties"][name] for node in nodes if name in node.get("properties", ())]
    opened = [node for node in nodes if node.get("additionalProperties") or "patternProperties" in node]
    if found or opened or not any("properties" in node or "additionalProperties" in node for node in nodes):
        return found
    return f"The schema does not know {name!r}."


def _elements(nodes: list[Node]) -> list[Any] | str:
    lists = [node for node in nodes if not types_of(node) or "array" in types_of(node)]
    if not lists:
        return "The schema allows no list here."
    return [
        schema
        for node in lists
        for schema in [*node.get("prefixItems", ()), *([node["items"]] if "items" in node else [])]
    ]
