"""YAML as workspace files are written: read safely, every value with its place, all problems at once.

The form is YAML 1.2's JSON-like core, without what surprises or harms: no tags, anchors, aliases, merge keys
or duplicate keys. Only ``true``, ``false``, numbers and ``null`` are more than text, so ``on``, ``yes`` and
dates stay what was written.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import yaml

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 64
LAST_EXACT = 2**53 - 1  # beyond it, programs do not agree on an integer

_NULL = re.compile(r"|~|null|Null|NULL")
_BOOLEANS = {text: text.lower() == "true" for text in ("true", "True", "TRUE", "false", "False", "FALSE")}
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what libyaml counts as the end of a line
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column in the file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """One thing wrong with a file: where, and a sentence that says what to do."""

    place: Place
    message: str

    def at(self, name: str) -> str:
        """As people read it, ``file:line:column: message``, which editors can jump to."""
        return f"{name}:{self.place.line}:{self.place.column}: {self.message}"


class FileRefused(Exception):
    """A file that cannot be applied; ``problems`` are all that was found, in the file's order."""

    def __init__(self, problems: list[FileProblem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(problem.at("") for problem in self.problems))


@dataclass(slots=True)
class Node:
    """One value of the file. Exactly one of ``fields`` and ``items`` is there, or neither for a scalar.

    ``text`` is a scalar as written, its quotes and escapes resolved; ``style`` is ``'``, ``"``, ``|``, ``>``
    or empty. ``keys`` says where each key stands.
    """

    place: Place
    value: Scalar = None
    text: str = ""
    style: str = ""
    fields: "dict[str, Node] | None" = None
    items: "list[Node] | None" = None
    keys: dict[str, Place] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value as JSON has it."""
        if self.fields is not None:
            return {key: node.plain() for key, node in self.fields.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value

    def find(self, path: tuple[str | int, ...]) -> Place:
        """The place of what a path of keys and positions leads to, or of the nearest thing around it."""
        place, node = self.place, self
        for step in path:
            child: Node | None = None
            if isinstance(step, str) and node.fields is not None and (child := node.fields.get(step)):
                place = node.keys[step]
            elif isinstance(step, int) and node.items is not None and step < len(node.items):
                child = node.items[step]
                place = child.place
            if child is None:
                return place
            node = child
        return place

    def node_at(self, path: tuple[str | int, ...]) -> "Node | None":
        """The value that the path leads to, if there is one."""
        node: Node | None = self
        for step in path:
            if isinstance(step, str):
                node = node.fields.get(step) if node and node.fields is not None else None
            else:
                node = (
                    node.items[step] if node and node.items is not None and step < len(node.items) else None
                )
        return node


@dataclass(slots=True)
class Document:
    """A file that was read: its text in lines, and its one value."""

    lines: list[str]
    root: Node
    problems: list[FileProblem] = field(default_factory=list)

    def locate(self, path: tuple[str | int, ...], line: int | None, column: int | None) -> Place:
        """Where what a path leads to stands: inside of it, where ``line`` and ``column`` (from 1) say so."""
        node = self.root.node_at(path)
        if node is not None and column is not None:
            return self.inside(node, line or 1, column)
        return self.root.find(path)

    def inside(self, node: Node, line: int, column: int) -> Place:
        """Where a character of a scalar's text stands in the file; ``line`` and ``column`` from 1, of the
        text.

        Exact for what is written plainly, in quotes without escapes, or as a literal block; for others, such
        as folded text, it is where the scalar begins.
        """
        if node.style == "|":
            number = node.place.line + line
            written = self.lines[number - 1] if number <= len(self.lines) else ""
            own = node.text.split("\n")
            if line <= len(own) and own[line - 1] and written.endswith(own[line - 1]):
                return Place(number, len(written) - len(own[line - 1]) + column)
        elif node.style in ("", "'", '"') and line == 1:
            begin = node.place.column - 1 + len(node.style)
            if self.lines[node.place.line - 1].startswith(node.text, begin):
                return Place(node.place.line, begin + column)
        return node.place


def read(raw: bytes) -> Document:
    """The one value of a file. Raises FileRefused for what is no such YAML; duplicate keys are noted in
    ``problems``, so that they can be told together with whatever else is wrong."""
    if len(raw) > MAX_BYTES:
        refuse(
            Place(1, 1),
            f"A workspace file has at most {MAX_BYTES >> 20} MiB; this one has {len(raw):,} bytes.",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        refuse(Place(line, column), "This byte is no UTF-8; save the file as UTF-8.")
    document = Document(_LINE_BREAK.split(text), Node(Place(1, 1)))
    try:
        document.root = _Composer(text, document.problems).document()
    except yaml.reader.ReaderError as error:
        before = _LINE_BREAK.split(text[: error.position])
        refuse(Place(len(before), len(before[-1]) + 1), "This character may not stand in YAML; take it out.")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        refuse(place, f"This is not YAML: {error.problem or error.context}.")
    return document


def refuse(place: Place, message: str) -> NoReturn:
    """Give the file up because of one problem."""
    raise FileRefused([FileProblem(place, message)])


class _Composer:
    """Nodes out of libyaml's events, one at a time, so that a file that is too deep is never read to its
    end."""

    def __init__(self, text: str, problems: list[FileProblem]) -> None:
        self.events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self.problems = problems

    def document(self) -> Node:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            refuse(Place(1, 1), "The file is empty; begin with workspace: and the workspace's slug.")
        root = self.node(next(self.events), 0)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            refuse(
                place_of(after), "A file describes one workspace; put the second document into its own file."
            )
        return root

    def node(self, event: yaml.Event, depth: int) -> Node:
        place = place_of(event)
        if depth > MAX_DEPTH:
            refuse(place, f"This is nested more than {MAX_DEPTH} deep.")
        if isinstance(event, yaml.AliasEvent):
            refuse(place, "Aliases are not read here; write the value out.")
        if getattr(event, "anchor", None) is not None:
            refuse(place, "Anchors are not read here; take the & and its name away.")
        if getattr(event, "tag", None) is not None:
            refuse(place, "Tags are not read here; take the ! and its name away.")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(place, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(event, depth + 1))
            return Node(place, items=items)
        assert isinstance(event, yaml.ScalarEvent)
        return self.scalar(event, place)

    def mapping(self, place: Place, depth: int) -> Node:
        fields: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            if key.fields is not None or key.items is not None:
                refuse(key.place, "A key is text; a list or a mapping cannot be one.")
            if key.text == "<<" and not key.style:
                refuse(key.place, "Merge keys are not read here; write the fields out.")
            value = self.node(next(self.events), depth + 1)
            if key.text in fields:
                first = keys[key.text].line
                self.problems.append(
                    FileProblem(
                        key.place, f"“{key.text}” stands here twice, first in line {first}; keep one."
                    )
                )
                continue
            fields[key.text], keys[key.text] = value, key.place
        return Node(place, fields=fields, keys=keys)

    def scalar(self, event: yaml.ScalarEvent, place: Place) -> Node:
        text: str = event.value
        style: str = event.style or ""
        try:
            value = text if style else resolve(text)
        except ValueError as error:
            self.problems.append(FileProblem(place, str(error)))
            value = None
        return Node(place, value=value, text=text, style=style)


def place_of(event: yaml.Event) -> Place:
    """Where an event begins."""
    mark: Any = event.start_mark
    return Place(mark.line + 1, mark.column + 1)


def resolve(text: str) -> Scalar:
    """What a plain scalar means in YAML 1.2's core, less the notations that 1.1 reads otherwise. Raises
    ValueError for a number that programs do not agree on."""
    if _NULL.fullmatch(text):
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if not _FRACTION.fullmatch(text):
        return text
    if _WHOLE.fullmatch(text):
        if len(text) > 20 or abs(int(text)) > LAST_EXACT:
            raise ValueError(f"{text[:20]} is beyond what a number can say exactly; put it in quotes.")
        return int(text)
    if text.lstrip("+-").isdigit():
        raise ValueError(f"{text} begins with a zero; write it without, or in quotes if it is text.")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond what a number can say; put it in quotes.")
    return number
