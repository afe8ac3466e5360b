"""What somebody called an agent or a tool runs in nobody's spreadsheet, whichever program and country it is from."""

import csv
from io import StringIO

import pytest

from audit.spreadsheets import written


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\u00a0="]
)
def test_no_cell_begins_with_what_is_calculated(sign: str) -> None:
    ((cell, plain),) = csv.reader(StringIO(written([[f"{sign}HYPERLINK(1)", "plain"]])))
    assert (cell, plain) == (f"'{sign}HYPERLINK(1)", "plain")


def test_no_semicolon_begins_a_cell_where_those_separate() -> None:
    line = written([["a;=HYPERLINK(1)", "b"]])
    ((cell,),) = csv.reader(StringIO(line.replace(",", "")), delimiter=";")
    assert cell.startswith("a;=HYPERLINK(1)")
