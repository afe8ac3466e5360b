"""CSV that no spreadsheet calculates, whoever named what stands in it."""

import csv
import unicodedata
from collections.abc import Iterable, Sequence
from io import StringIO

FORMULA = ("=", "+", "-", "@")


def written(rows: Iterable[Sequence[str]]) -> str:
    """Lines of CSV (RFC 4180) in which no cell is a formula. All are quoted: where a semicolon separates, one in a
    name would otherwise begin another cell."""
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        ["'" + cell if is_formula(cell) else cell for cell in row] for row in rows
    )
    return text.getvalue()


def is_formula(cell: str) -> bool:
    """Whether some spreadsheet would calculate a cell; some pass over blanks, and some take full-width signs."""
    return unicodedata.normalize("NFKC", cell).lstrip().startswith(FORMULA) or cell.startswith(
        ("\t", "\r", "\n")
    )
