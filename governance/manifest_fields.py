"""Taking the fields out of a workspace file's mappings, and noting what is wrong with them where it
stands."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from governance.manifest_file import FileProblem, Node, Place

SUGGESTIONS = 50  # of problems that get a “did you mean”; more would take long in a file that is all wrong

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DOLLARS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that the file uses, and where."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class End:
    """Until when something holds: the end of a day in a time zone yet to be said, or a time. Both empty: for
    ever."""

    day: date | None = None
    at: datetime | None = None

    def time(self, zone: tzinfo) -> datetime | None:
        """The first moment at which it no longer holds."""
        if self.day is None:
            return self.at
        return datetime.combine(self.day + timedelta(days=1), time(), zone)


class Problems:
    """What was found wrong so far."""

    def __init__(self, found: Iterable[FileProblem] = ()) -> None:
        self.found = list(found)

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, place: Place, message: str) -> None:
        self.found.append(FileProblem(place, message))

    def unknown(self, reference: Reference, known: Collection[str], what: str, remedy: str) -> None:
        """A name that means nothing, with the one that was perhaps meant."""
        close: list[str] = []
        if len(self.found) < SUGGESTIONS:
            close = difflib.get_close_matches(reference.name, sorted(known), 1)
        hint = f" Did you mean “{close[0]}”?" if close else ""
        self.add(reference.place, f"There is no {what} “{reference.name}”; {remedy}.{hint}")


class Fields:
    """One mapping of the file, read field by field. What cannot be read is noted, and its default
    returned."""

    def __init__(self, node: Node, problems: Problems, what: str, known: Collection[str]) -> None:
        self.node = node
        self.problems = problems
        self.what = what
        self.fields = node.fields or {}
        if node.fields is None:
            problems.add(node.place, f"{what} is a mapping of fields.")
        for name in self.fields:
            if name not in known:
                message = f"{what} has no field “{name}”; it has {', '.join(known)}."
                problems.add(node.keys[name], message)

    def get(self, name: str) -> Node | None:
        """The field's value; None where it is absent or empty."""
        node = self.fields.get(name)
        if node is None or (
            node.fields is None and node.items is None and node.value is None and not node.style
        ):
            return None
        return node

    def required(self, name: str, remedy: str) -> Node | None:
        """The field's value, noting where it is absent."""
        node = self.get(name)
        if node is None and self.node.fields is not None:
            self.problems.add(
                self.node.keys.get(name, self.node.place), f"{self.what} needs “{name}”: {remedy}."
            )
        return node

    def text(self, name: str) -> str:
        node = self.get(name)
        return "" if node is None else text_of(node, self.problems, f"“{name}”") or ""

    def flag(self, name: str) -> bool | None:
        node = self.get(name)
        if node is None or isinstance(node.value, bool):
            return None if node is None else bool(node.value)
        self.problems.add(node.place, f"“{name}” is true or false; {node.text or 'this'} is neither.")
        return None

    def whole(self, name: str) -> int | None:
        """A whole number of at least 1."""
        node = self.get(name)
        if node is None:
            return None
        if isinstance(node.value, bool) or not isinstance(node.value, int) or not 1 <= node.value < 2**31:
            self.problems.add(node.place, f"“{name}” is a whole number of at least 1.")
            return None
        return node.value

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        node = self.get(name)
        if node is None:
            return default
        if node.value in choices:
            return str(node.value)
        self.problems.add(
            node.place, f"“{name}” is one of {', '.join(choices)}; {node.text or 'this'} is none."
        )
        return default

    def references(self, name: str) -> list[Reference]:
        """A list of distinct texts, each with its place."""
        node = self.get(name)
        return [] if node is None else references_of(node, self.problems, f"“{name}”")

    def texts(self, name: str) -> list[str]:
        return [reference.name for reference in self.references(name)]

    def day(self, name: str) -> date | None:
        """A day, such as 2027-06-30."""
        node = self.get(name)
        if node is None:
            return None
        try:
            return date.fromisoformat(node.text if _DATE.fullmatch(node.text) else "")
        except ValueError:
            self.problems.add(node.place, f"“{name}” is a day such as 2027-06-30.")
            return None

    def end(self, name: str) -> End:
        node = self.get(name)
        return End() if node is None else end_of(node, self.problems)

    def dollars(self, name: str) -> int:
        """A decimal number of US dollars as nano-dollars, exactly as it is written."""
        node = self.required(name, 'a decimal number of US dollars, such as "5.00"')
        if node is None:
            return 0
        if not _DOLLARS.fullmatch(node.text):
            self.problems.add(
                node.place,
                f'“{name}” is a decimal number such as "5.00", with at most 9 decimals, not negative.',
            )
            return 0
        return int(Decimal(node.text).scaleb(9))


def text_of(node: Node, problems: Problems, what: str) -> str | None:
    """The text of a scalar; None, noted, for what is no text."""
    if isinstance(node.value, str):
        return node.value
    hint = "; put it in quotes" if node.fields is None and node.items is None else ""
    problems.add(node.place, f"{what} is text{hint}.")
    return None


def references_of(node: Node, problems: Problems, what: str) -> list[Reference]:
    """The texts of a list, noting what is none and what stands there twice."""
    if node.items is None:
        problems.add(node.place, f"{what} is a list: put it in [ ].")
        return []
    found: dict[str, Reference] = {}
    for item in node.items:
        text = text_of(item, problems, f"Each of {what}")
        if text is None:
            continue
        if text in found:
            problems.add(item.place, f"“{text}” is named twice in {what}; once is enough.")
        found.setdefault(text, Reference(text, item.place))
    return list(found.values())


def end_of(node: Node, problems: Problems) -> End:
    """A day, or a time with its offset from UTC."""
    try:
        if _DATE.fullmatch(node.text):
            day = date.fromisoformat(node.text)
            if not 1970 <= day.year < 9999:
                raise ValueError
            return End(day=day)
        at = datetime.fromisoformat(node.text)
        if at.tzinfo is not None and 1970 <= at.year < 9999:
            return End(at=at)
    except ValueError:
        pass
    problems.add(
        node.place,
        "“until” is a day such as 2027-06-30, or a time with its offset such as 2027-06-30T12:00:00+02:00.",
    )
    return End()


def entries_of(node: Node | None, problems: Problems, what: str) -> list[Node]:
    """The elements of a section that is a list."""
    if node is None:
        return []
    if node.items is None:
        problems.add(node.place, f"“{what}” is a list: begin each entry with a dash.")
    return node.items or []


def named_entries_of(node: Node | None, problems: Problems, what: str) -> list[tuple[Reference, Node]]:
    """The entries of a section that is a mapping of names."""
    if node is None:
        return []
    if node.fields is None:
        problems.add(node.place, f"“{what}” is a mapping of names: write name: and then the entry.")
        return []
    return [(Reference(name, node.keys[name]), child) for name, child in node.fields.items()]
