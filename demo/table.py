"""The table that the demonstration prints, a row as each step ends."""

import os
from typing import TextIO

COLUMNS = {"#": -2, "who": 5, "does": 34, "expected": 19, "got": 31, "ms": -6}  # negative: to the right
GREEN, RED, BOLD, DIM = "32", "31", "1", "2"


class Table:
    """Rows on a stream; colored on a terminal only, and never where NO_COLOR is set."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.colored = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def say(self, text: str = "", style: str = "") -> None:
        """One line, or a few."""
        print(self._styled(text, style), file=self.out, flush=True)

    def head(self) -> None:
        """The names of the columns."""
        self.say("  ".join(self._cell(name, name) for name in COLUMNS), BOLD)

    def row(
        self, number: int, who: str, does: str, expected: str, got: str, seconds: float, *, ok: bool
    ) -> None:
        """One step."""
        texts = (str(number), who, does, expected, got, f"{seconds * 1000:.1f}")
        cells = [self._cell(name, text) for name, text in zip(COLUMNS, texts, strict=True)]
        style = GREEN if ok else RED
        cells[4] = self._styled(cells[4], style)
        self.say("  ".join([*cells, self._styled("ok" if ok else "FAILED", style)]))

    def _cell(self, name: str, text: str) -> str:
        width = COLUMNS[name]
        return text.ljust(width) if width > 0 else text.rjust(-width)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self.colored else text
