"""Which resources a call touches: templates over arguments.

A template is a resource with placeholders: `invoice://{invoice}`, `file://{attachments[].path}`,
`s3://{bucket}/{key}`. `[]` goes through a list; a list at the end gives one resource an element. What
stands in an argument can never reach beyond the part of the template where its placeholder stands.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from math import prod
from typing import Any, NamedTuple

from workspaces.hosts import AmbiguousResource
from workspaces.locators import (
    DEFAULT_PORTS,
    KEPT_APART,
    PATH_CHARACTERS,
    SCHEME,
    UNRESERVED,
    Parts,
    encode,
    normalize,
    parts,
)
from workspaces.patterns import Pattern, PatternError, PatternSet

__all__ = [
    "MAX_RESOURCES",
    "AmbiguousResource",
    "Parts",
    "Pattern",
    "PatternError",
    "PatternSet",
    "Template",
    "TemplateError",
    "normalize",
    "parts",
]

MAX_RESOURCES = 1000  # that one template may name in one call
RESERVED_SCHEME = (
    "tool"  # `tool:<name>` is the resource of a tool without templates, and opens with `use` alone
)

Encoder = Callable[[str], str]
Step = str | None  # a key, or None for "each element"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\[\])?(?:\.[A-Za-z_][A-Za-z0-9_-]*(?:\[\])?)*").fullmatch
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*").fullmatch
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~!$&'(),:=@/-]*").fullmatch
_HOST_VALUE = re.compile(r"[A-Za-z0-9._\u0080-\U0010ffff-]+").fullmatch
_AUTHORITY_END = re.compile(r"[/?#]")
_ADDRESS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match
_LAST_EXACT = 2**53 - 1


class TemplateError(ValueError):
    """A template that is malformed. The message is a sentence that says how to write it."""


class Template:
    """A compiled template.

    `placeholders`: the argument paths as written, each once, in order. `expand` gives the normalized
    resources.
    """

    def __init__(
        self,
        text: str,
        literals: list[str],
        encoders: list[Encoder],
        placeholders: list[str],
        *,
        path_ends: tuple[str, str] | None = None,
    ) -> None:
        self.text = text
        self.placeholders = tuple(dict.fromkeys(placeholders))
        self._first = literals[0]
        self._rest = list(
            zip(encoders, map(self.placeholders.index, placeholders), literals[1:], strict=True)
        )
        self._branch = _Branch()
        for index, placeholder in enumerate(self.placeholders):
            self._branch.add(index, steps(placeholder), placeholder)
        # Most calls give strings at the top level; what lies deeper is found by its way, never by its name.
        self._keys = None if any(len(steps(each)) > 1 for each in placeholders) else self.placeholders
        self._path_ends = path_ends

    @classmethod
    def parse(cls, text: str, default_scheme: str | None = None) -> "Template":
        """Compile `text`. `default_scheme` completes the values of a template that is one placeholder alone.

        Raises TemplateError.
        """
        pieces = _PLACEHOLDER.split(text)
        placeholders = pieces[1::2]
        for placeholder in placeholders:
            if not _PATH(placeholder):
                raise TemplateError(
                    f"{{{placeholder}}} is not an argument, as in {{name}}, {{a.b}} or {{list[].path}}."
                )
        if any(character in "".join(pieces[::2]) for character in "{}*"):
            raise TemplateError("A template names resources, not patterns: it has no * and no single { or }.")
        if len(placeholders) == 1 and not pieces[0] and not pieces[2]:
            return cls(text, pieces[::2], [partial(_address, default_scheme=default_scheme)], placeholders)
        address = _Address.of(text)
        address.check()
        return cls(text, pieces[::2], list(address.encoders()), placeholders, path_ends=address.path_ends())

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def expand(self, arguments: Mapping[str, Any]) -> list[str]:
        """The normalized resources that `arguments` name, in their order; raises AmbiguousResource.

        An absent, null or empty argument gives none. Some placeholders of one template given and others not
        is refused: nobody could say what such a call touches.
        """
        if self._keys is not None:
            values = [arguments.get(key) for key in self._keys]
            if all(type(value) is str and value for value in values):
                return [self._fill(values)]
        order = range(len(self.placeholders))
        return [self._fill([row[index] for index in order]) for row in self._branch.rows(arguments, "")]

    def _fill(self, values: list[Any]) -> str:
        text = self._first
        for encoder, index, literal in self._rest:
            try:
                text += encoder(values[index]) + literal
            except AmbiguousResource as error:
                raise AmbiguousResource(f"argument {self.placeholders[index]}: {error.message}") from error
        try:
            resource = normalize(text)
        except AmbiguousResource as error:
            raise AmbiguousResource(f"{self._subject()}: {error.message}") from error
        if self._path_ends is not None and resource != text:
            self._check_contained(resource)
        return resource

    def _check_contained(self, resource: str) -> None:
        """Refuse dot segments that climb out of what the template itself spells."""
        assert self._path_ends is not None
        before, after = self._path_ends
        path = parts(resource).path
        if len(path) < len(before) + len(after) or not path.startswith(before) or not path.endswith(after):
            raise AmbiguousResource(
                f"{self._subject()}: the path leaves {before or '/'}, where the tool works"
            )

    def _subject(self) -> str:
        return ("argument " if len(self.placeholders) == 1 else "arguments ") + ", ".join(self.placeholders)


def steps(placeholder: str) -> list[Step]:
    """The way from the arguments to a placeholder's value: keys, and None for "each element of the list"."""
    way: list[Step] = []
    for name in placeholder.split("."):
        way += [name.removesuffix("[]"), None] if name.endswith("[]") else [name]
    return way


class _Branch:
    """A template's placeholders, merged by their beginnings, so that an element's fields stay together."""

    __slots__ = ("each", "index", "keys")

    def __init__(self) -> None:
        self.index: int | None = None
        self.each: _Branch | None = None
        self.keys: dict[str, _Branch] = {}

    def add(self, index: int, way: list[Step], placeholder: str) -> None:
        here = self
        for step in way:
            if step is None:
                here.each = child = here.each or _Branch()
            else:
                child = here.keys.setdefault(step, _Branch())
            here._check_one_kind(placeholder)
            here = child
        here.index = index
        here._check_one_kind(placeholder)

    def _check_one_kind(self, placeholder: str) -> None:
        if (self.index is not None) + (self.each is not None) + bool(self.keys) > 1:
            raise TemplateError(
                f"{{{placeholder}}} takes for an object or a list what another placeholder does not."
            )

    def rows(self, value: Any, where: str) -> list[dict[int, str]]:
        """One row of texts, by placeholder, for each resource that `value`, found at `where`, names."""
        if value is None or value == "" or value == [] or value == {}:
            return []
        if self.index is not None:
            return [{self.index: text} for text in _texts(value, where)]
        if self.each is not None:
            if not isinstance(value, list):
                raise AmbiguousResource(f"argument {where}: a list is expected here")
            _check_count(len(value), where)
            rows = [row for element in value for row in self.each.rows(element, f"{where}[]")]
            _check_count(len(rows), where)
            return rows
        if not isinstance(value, dict):
            raise AmbiguousResource(f"argument {where}: an object is expected here")
        return self._combinations(
            {key: child.rows(value.get(key), _join(where, key)) for key, child in self.keys.items()}, where
        )

    def _combinations(self, found: dict[str, list[dict[int, str]]], where: str) -> list[dict[int, str]]:
        missing = [key for key, rows in found.items() if not rows]
        if len(missing) == len(found):
            return []
        if missing:
            given = next(key for key, rows in found.items() if rows)
            given, missing_one = _join(where, given), _join(where, missing[0])
            raise AmbiguousResource(
                f"argument {given} is given without {missing_one}; together they name a resource"
            )
        _check_count(prod(map(len, found.values())), where)
        return [
            {index: text for row in rows for index, text in row.items()} for rows in product(*found.values())
        ]


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _check_count(count: int, where: str) -> None:
    if count > MAX_RESOURCES:
        raise AmbiguousResource(
            f"argument {where or 'list'}: one call names at most {MAX_RESOURCES:,} resources; split it"
        )


def _texts(value: Any, where: str) -> list[str]:
    if isinstance(value, list):
        _check_count(len(value), where)
        return [
            _text(element, f"{where}[{index}]")
            for index, element in enumerate(value)
            if element not in (None, "")
        ]
    return [_text(value, where)]


def _text(value: Any, where: str) -> str:
    """A string as it is, a whole number plainly; whatever programs write in more than one way is refused."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and 0 < abs(value) <= _LAST_EXACT:
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind = {bool: "true or false", float: "a fraction", dict: "an object", list: "a list in a list"}.get(
        type(value)
    )
    raise AmbiguousResource(
        f"argument {where}: {kind or 'this kind of value'} names no resource; a string does"
    )


class _Address(NamedTuple):
    """A template's text in the parts of a resource, placeholders still inside."""

    scheme: str
    slashes: str
    user: str
    host: str
    port: str
    path: str
    query: str

    @classmethod
    def of(cls, text: str) -> "_Address":
        scheme, colon, rest = text.partition(":")
        if not colon or not SCHEME(scheme):
            raise TemplateError("A template begins with a scheme in lower case, or is one placeholder alone.")
        if scheme == RESERVED_SCHEME:
            raise TemplateError("The scheme tool: is kept for tools themselves; choose another.")
        rest, _, query = rest.partition("?")
        if scheme == "mailto" or rest[:2] != "//":
            return cls(scheme, "", "", "", "", rest, query)
        if scheme == "file":
            return cls(scheme, "//", "", "", "", rest[2:], query)
        authority, slash, path = rest[2:].partition("/")
        user, _, host = authority.rpartition("@")
        host, _, port = (host, "", "") if host[-1:] == "]" else host.partition(":")
        return cls(scheme, "//", user, host, port, slash + path, query)

    def check(self) -> None:
        """Refuse a template whose own text is not as `normalize` would write it, by way of a sample."""
        sample = self._sample()
        try:
            normal = normalize(sample)
        except AmbiguousResource as error:
            raise TemplateError(f"No resource looks like this template: {error.message}.") from error
        if normal not in (sample, sample + "/"):
            raise TemplateError(f"The template's own text has another normal form: with x put in, {normal}")

    def _sample(self) -> str:
        scheme, slashes, user, host, port, path, query = self
        if scheme == "mailto":
            path = _PLACEHOLDER.sub("x" if "@" in path else "x@x", path) + ("?" + query if query else "")
            return f"mailto:{path}"
        if scheme == "file" and path[:1] == "{":
            path = "/" + path
        text = f"{user}@{host}" if user else host
        text += f":{_PLACEHOLDER.sub('1', port)}" if port else ""
        return _PLACEHOLDER.sub("x", f"{scheme}:{slashes}{text}{path}" + (f"?{query}" if query else ""))

    def encoders(self) -> Iterator[Encoder]:
        """How the value of each placeholder is put in, in the order of the text."""
        scheme, _, user, host, port, path, query = self
        if scheme == "mailto":
            yield from [_as_written] * path.count("{")
            return
        web = scheme in DEFAULT_PORTS
        yield from [_name] * user.count("{")
        yield from [_host_name if web else _name] * host.count("{")
        yield from [_port] * port.count("{")
        characters = (
            PATH_CHARACTERS.translate({ord(kept): None for kept in KEPT_APART}) if web else PATH_CHARACTERS
        )
        count = path.count("{")
        for number in range(count):
            begins = number == 0 and path[0] == "{" and scheme == "file"
            last = number == count - 1
            yield partial(_path_text, characters=characters + "/", slashes=last or begins, begins=begins)
        yield from [_name] * query.count("{")

    def path_ends(self) -> tuple[str, str] | None:
        """What the path begins and ends with, where dot segments are resolved; None elsewhere."""
        if self.scheme not in DEFAULT_PORTS and self.scheme != "file":
            return None
        before, brace, _ = self.path.partition("{")
        return before, self.path.rpartition("}")[2] if brace else ""


def _as_written(value: str) -> str:
    return value


def _name(value: str) -> str:
    return value if _PLAIN_VALUE(value) else encode(value, UNRESERVED)


def _host_name(value: str) -> str:
    if not _HOST_VALUE(value):
        raise AmbiguousResource("the value is not a part of a host name")
    return value


def _port(value: str) -> str:
    if not value.isdigit():
        raise AmbiguousResource("the value is not a port")
    return value


def _path_text(value: str, *, characters: str, slashes: bool, begins: bool) -> str:
    if not slashes and ("/" in value or value in (".", "..")):
        raise AmbiguousResource(
            "the value stands for one segment of a path and has a slash or a dot segment in it"
        )
    if value[0] == "/" and not begins:
        raise AmbiguousResource("the value is an absolute path where a relative one belongs")
    return value if _PLAIN_PATH(value) else encode(value, characters)


def _address(value: str, *, default_scheme: str | None) -> str:
    """An argument that is an address by itself, completed by `default_scheme` where it has no scheme."""
    scheme = _ADDRESS_SCHEME(value)
    if scheme is None:
        if default_scheme is None:
            raise AmbiguousResource("the value is not an absolute address (scheme://host/path)")
        if value[:2] == "//" or (value[0] == "/") != (default_scheme == "file"):
            raise AmbiguousResource(
                "the value is neither an absolute address nor one that lacks just its scheme"
            )
        value = f"{default_scheme}://{value}"
    elif scheme[0].lower() == RESERVED_SCHEME + ":":
        raise AmbiguousResource("the scheme tool: is kept for tools themselves")
    elif default_scheme is not None and value[scheme.end() : scheme.end() + 2] != "//":
        raise AmbiguousResource("the value can be read as scheme:path and as host:port")
    _, slashes, rest = value.partition("//")
    if slashes and "@" in _AUTHORITY_END.split(rest, 1)[0]:
        raise AmbiguousResource("the address has a user name in it")
    return value
