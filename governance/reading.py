"""Taking the fields of rules as people wrote them, and noting what is wrong with each, all at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a rule: where (rule index, field, …), a sentence that says what to do, and the
    place inside the condition (line and column from 1) where that applies."""

    path: tuple[str | int, ...]
    message: str
    column: int | None = None
    line: int | None = None


def parse_duration(text: object) -> int:
    """Seconds of ``90s``, ``30m``, ``1h``, ``1d`` or of a whole number of seconds. ValueError otherwise."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a number and s, m, h or d, such as 90s, 30m, 1h or 1d."
        )
    return int(match[1]) * UNITS[match[2]]


class Reading:
    """Takes the fields of one mapping and notes what is wrong with them."""

    def __init__(self, path: tuple[str | int, ...], problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems

    def refuse(self, message: str, *where: str | int) -> None:
        self.problems.append(Problem((*self.path, *where), message))

    def inside(self, field: str | int) -> "Reading":
        return Reading((*self.path, field), self.problems)

    def known(self, entry: object, fields: Sequence[str], what: str) -> Mapping[str, Any] | None:
        """The mapping, after refusing the fields that it should not have; None when it is no mapping."""
        if not isinstance(entry, Mapping):
            self.refuse(f"{what} is a mapping of fields.")
            return None
        for field in entry:
            if field not in fields:
                self.refuse(f"{what} has no field “{field}”; it has {', '.join(fields)}.", str(field))
        return entry

    def text(self, entry: Mapping[str, Any], field: str, limit: int) -> str:
        value = entry.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(f"“{field}” is text; put it in quotes.", field)
            return ""
        if len(value) > limit:
            self.refuse(f"“{field}” has at most {limit} characters; this one has {len(value)}.", field)
        return value.strip()

    def texts(self, entry: Mapping[str, Any], field: str) -> tuple[str, ...]:
        """A list of distinct texts. An empty list is refused: it reads as none and would mean all."""
        value = entry.get(field)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not value:
            self.refuse(f"“{field}” is a list of at least one name; leave it out to mean all.", field)
            return ()
        good = [text for text in value if isinstance(text, str) and text and text == text.strip()]
        for position, text in enumerate(value):
            if not (isinstance(text, str) and text and text == text.strip()):
                self.refuse(f"“{field}” holds names; {text!r} is none.", field, position)
            elif text in value[:position]:
                self.refuse(f"“{text}” is named twice; once is enough.", field, position)
        return tuple(good)

    def choice(self, entry: Mapping[str, Any], field: str, choices: Sequence[str], default: str) -> str:
        value = entry.get(field, default)
        if value not in choices:
            self.refuse(f"“{field}” is one of {', '.join(choices)}; {value!r} is none of them.", field)
            return default
        return str(value)

    def whole(self, entry: Mapping[str, Any], field: str, default: int | None) -> int | None:
        value = entry.get(field, default)
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**31
        ):
            self.refuse(f"“{field}” is a whole number of at least 1.", field)
            return default
        return value

    def duration(self, entry: Mapping[str, Any], field: str, low: int, high: int, default: int | None) -> int:
        value = entry.get(field, default)
        if value is None:
            self.refuse(f"“{field}” is missing: say how long, such as 1h.", field)
            return low
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.refuse(str(error), field)
            return low
        if not low <= seconds <= high:
            self.refuse(
                f"“{field}” lies between {low} s and {high // 86400} days; {value!r} does not.", field
            )
        return seconds
