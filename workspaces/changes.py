"""What change functions share: their answer, comparing before writing, and how things may be named."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

Row = TypeVar("Row", bound=models.Model, covariant=True)

# Selectors in policies read * ? [ ] as globs and "label:" as a prefix, so names carry neither.
NAME = re.compile(r"\w[\w .:/@+-]*")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Change(StrEnum):
    """What became of a row that somebody asked for."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied(Generic[Row]):
    """A row as it now is, and whether that took a change. UNCHANGED wrote neither row nor entry."""

    row: Row
    change: Change

    @property
    def unchanged(self) -> bool:
        return self.change is Change.UNCHANGED


class OtherWorkspace(ValueError):
    """Two things that belong to different workspaces were to be joined."""

    code, status = "other_workspace", 400


class Guarded(Exception):
    """A rule rests on this as it is, and who asks may not change that alone."""

    code, status = "needs_second_person", 409


def assign(row: models.Model, values: Mapping[str, object]) -> bool:
    """Set the columns; True when any of them differed. Nothing is saved."""
    different = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in different.items():
        setattr(row, name, value)
    return bool(different)


def check_name(name: str, *, what: str) -> str:
    """The name again. Raises ValidationError for one that a selector could not mean literally."""
    if not NAME.fullmatch(name) or name != name.strip() or name.startswith("label:"):
        raise ValidationError(
            {
                "name": f"{what} cannot be called {name!r}: begin with a letter or digit, and use letters, "
                "digits, spaces and . : / @ + - _ only, not 'label:' in front."
            }
        )
    return name


def check_identifier(name: str, *, what: str) -> str:
    """The name again. Raises ValidationError for one that a condition could not read as a field."""
    if not IDENTIFIER.fullmatch(name):
        raise ValidationError(
            {
                "name": f"{what} cannot be called {name!r}: conditions read it as a field, so use letters, "
                "digits and _ only, and a letter in front."
            }
        )
    return name
