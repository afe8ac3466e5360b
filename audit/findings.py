"""What is wrong with a log: where, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from audit import merkle

MOST_FINDINGS = 100  # of one log; more are counted

COMPARE = "Stop the writers and compare with a backup, or with receipts that agents kept."
RESTORE = "Compare with a backup and restore it."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an honest log cannot hold: where, and what to do. ``index`` is an entry's, ``row``
    (kind, primary key) a configuration row's; with neither it is about the head."""

    code: str
    message: str
    index: int | None = None
    row: tuple[str, Any] | None = None

    @property
    def place(self) -> str:
        if self.row is not None:
            return f"{self.row[0]} {self.row[1]}"
        return "head" if self.index is None else f"entry {self.index}"


@dataclass(slots=True)
class Report:
    """What became of one log. ``erased`` counts entries whose Detail, or a field of it, is gone, ``pruned`` those that
    went whole when their time was over."""

    entries: int = 0
    root: bytes = merkle.EMPTY_ROOT
    revision: int = 0
    details: int = 0
    erased: int = 0
    pruned: int = 0
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    first_bad: int | None = None

    @property
    def intact(self) -> bool:
        return not self.findings

    def add(self, findings: Iterable[Finding]) -> None:
        """Keep the first findings, count the others, and remember the first bad index of them all."""
        for finding in findings:
            if finding.index is not None and (self.first_bad is None or finding.index < self.first_bad):
                self.first_bad = finding.index
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)
            else:
                self.more_findings += 1


def short(value: Any) -> str:
    """A value for a message: never long, and nothing in it that a terminal would obey."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
