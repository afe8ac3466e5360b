"""A call's values as HTML for who decides: every character there, colored by what it is, cut only with its size.

What is shown is text that ``presentation`` has made visible. Color comes as classes and changes nothing: with the tags
taken off, the text is the same again.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from pygments.lexer import Lexer
from pygments.lexers.data import JsonLexer
from pygments.lexers.shell import BashLexer
from pygments.lexers.sql import SqlLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from governance import lookalikes
from governance.presentation import Question, pretty, visible
from governance.withholding import MARK
from workspaces.arguments import WITHHELD

BRIEF = 200  # characters of an argument that is read at a glance
SHOWN = 4_000  # characters of a value before it is cut
MOST = 100  # arguments that are shown one by one
NAME = 200  # characters of an argument's name
COLORED = 20_000  # characters up to which a text is colored
SPELLED = re.compile(r"⟨U\+([0-9A-F]{4,6})(?: × \d+)?⟩")
COLORS = [(Comment, "c"), (Keyword, "k"), (Name.Tag, "t"), (Name.Builtin, "b"), (Name.Variable, "v"),
          (Number, "n"), (String, "s"), (Operator, "o")]  # fmt: skip
SQL_NAMES = re.compile(r"(?:^|[_.-])(?:sql|query|statement|queries|statements)$", re.I)
SHELL_NAMES = re.compile(r"(?:^|[_.-])(?:cmd|command|commands|shell|script|bash|sh)$", re.I)
SQL_BEGINS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.{0,500}?\*/\s*)*(?:select|insert|update|delete|with|create|alter|drop|grant|truncate|merge)\s",
    re.I | re.S,
)
KINDS = {dict: "object", list: "list", bool: "true or false", int: "number", float: "number", str: "text"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One argument as it is shown. ``size`` counts the characters of the whole value."""

    name: str
    kind: str
    html: SafeString
    size: int
    lines: int
    cut: bool
    note: str

    @property
    def about(self) -> str:
        """What the value is, and how much of it is shown."""
        lines = f", {self.lines:,} lines" if self.lines > 1 else ""
        if self.cut:
            return f"{self.kind}, {self.size:,} characters{lines}, first {SHOWN:,} shown"
        return f"{self.kind}, {self.size:,} characters{lines}" if self.kind == "text" else self.kind


def shown(question: Question, *, labels: Iterable[str] = (), whole: bool = False) -> list[Shown]:
    """The arguments of a call, each as it is; ``whole`` cuts nothing. Brief ones stand first, so that no long text
    pushes an addressee out of sight; then they are in the order of their names.

    ``labels`` are the tool's: one named ``sql`` or ``shell`` says what its texts are."""
    values = question.values or {}
    names = sorted(values, key=lambda name: (not is_brief(values[name]), name))
    return [
        argument(name, values[name], question.withheld, frozenset(labels), whole=whole)
        for name in (names if whole else names[:MOST])
    ]


def is_brief(value: Any) -> bool:
    """Whether a value takes a line or two."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text) <= BRIEF and "\n" not in text


def argument(
    name: str, value: Any, withheld: tuple[str, ...], labels: frozenset[str], *, whole: bool
) -> Shown:
    """One argument."""
    kind = "nothing" if value is None else KINDS[type(value)]
    if value == WITHHELD and type(value) is dict:
        note = "The tool declares it sensitive: it is never stored, so nobody can see it here."
        return Shown(visible(name), "withheld", mark_safe("<em>withheld</em>"), 0, 1, False, note)
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    part = text if whole else text[:SHOWN]
    language = language_of(name, value, labels)
    return Shown(
        name=visible(name)
        if len(name) <= NAME or whole
        else f"{visible(name[:NAME])}… ({len(name):,} characters)",
        kind=kind,
        html=rendered(part, language, withheld=withheld),
        size=len(text),
        lines=text.count("\n") + 1,
        cut=len(part) < len(text),
        note=note_of(text, withheld),
    )


def note_of(text: str, withheld: tuple[str, ...]) -> str:
    """What is to be said about a value in which something is withheld, or looks as if it were."""
    kinds = set(MARK.findall(text))
    if not kinds:
        return ""
    if kinds <= set(withheld):
        return f"A secret was taken out before anything was stored ({', '.join(sorted(kinds))})."
    return "The agent wrote “[withheld: …]” itself: nothing was taken out there."


def language_of(name: str, value: Any, labels: frozenset[str]) -> str:
    """What a value is written in: ``json``, ``sql``, ``shell``, or empty."""
    if not isinstance(value, str):
        return "json"
    if "sql" in labels or SQL_NAMES.search(name) or SQL_BEGINS.match(value[:2000]):
        return "sql"
    if "shell" in labels or SHELL_NAMES.search(name) or value.startswith("#!"):
        return "shell"
    return ""


def rendered(value: Any, kind: str = "", *, withheld: Iterable[str] = ()) -> SafeString:
    """A text, or any JSON value, as HTML. With its tags taken off it is ``visible(text)``, line breaks kept.

    ``kind``: see ``language_of``. ``withheld``: kinds of secrets whose marks in the text are ours."""
    text = visible(value, keep=" \n") if isinstance(value, str) else pretty(value)
    classes = colors(text, kind) if kind and len(text) <= COLORED else [""] * len(text)
    for number, match in enumerate(SPELLED.finditer(text)):
        classes[match.start() : match.end()] = [f"u{number}:{match[1]}"] * len(match[0])
    for number, match in enumerate(MARK.finditer(text)):
        if match[1] in withheld:
            classes[match.start() : match.end()] = [f"w{number}:"] * len(match[0])
    return mark_safe("".join(pieces(text, classes)))  # noqa: S308 - every piece is escaped


def pieces(text: str, classes: list[str]) -> Iterator[str]:
    """Runs of one class as elements."""
    at = 0
    for name, run in groupby(classes):
        part = text[at : (at := at + sum(1 for _ in run))]
        if not name:
            yield conditional_escape(part)
        elif name[0] == "u":
            title = unicodedata.name(chr(int(name.partition(":")[2], 16)), "a character without a name")
            yield format_html('<mark class="spelled" title="{}">{}</mark>', title.lower(), part)
        elif name[0] == "w":
            yield format_html('<mark class="withheld">{}</mark>', part)
        else:
            yield format_html('<span class="hl-{}">{}</span>', name, part)


def colors(text: str, kind: str) -> list[str]:
    """The class of each character of a text."""
    classes = [""] * len(text)
    for at, token, part in lexer(kind).get_tokens_unprocessed(f"{text}\n"):
        name = next((name for parent, name in COLORS if token in parent), "")
        classes[at : at + len(part)] = [name] * len(part)
    return classes[: len(text)]


@cache
def lexer(kind: str) -> Lexer:
    """The reader of a language."""
    return {"json": JsonLexer, "sql": SqlLexer, "shell": BashLexer}[kind]()


def hints(question: Question) -> list[str]:
    """What looks like something else in the call: in its resources, the names of its arguments and their texts."""
    texts = [("Resource", each) for each in question.raw]
    names = sorted(question.values or {})
    odd = [hint for name in names for hint in lookalikes.odd_name("Name of an argument", name[:NAME])]
    for name in names[:MOST]:
        texts += [(name[:NAME], text) for text in strings((question.values or {})[name])]
    return [visible(hint) for hint in [*odd, *lookalikes.hints(texts)][: lookalikes.MOST]]


def strings(value: Any) -> Iterator[str]:
    """The texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
