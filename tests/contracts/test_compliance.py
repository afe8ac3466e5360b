"""docs/compliance.md names pages, entry types and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve

from audit.registry import entry_types

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/compliance.md").read_text()
CLAUSES = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in TEXT.splitlines()
    if re.match(r"\| (Art\. |CC\d|A\.|V16)", line)
]
# What the issue that asked for this page names.
WANTED = ["Art. 12", "Art. 14", "Art. 19", "Art. 26", "CC6", "CC7", "CC8", "A.6.2.8", "V16"]


def code(cell: str) -> list[str]:
    """What stands in code in a cell; there must be something."""
    found = re.findall(r"`([^`]+)`", cell)
    assert found, cell
    return found


@cache
def defined_in(path: str) -> set[str]:
    """The tests that a file defines."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_rule_that_was_asked_for_is_there() -> None:
    assert [each for each in WANTED if not any(row[0].startswith(each) for row in CLAUSES)] == []
    assert "2 December 2027" in TEXT


@pytest.mark.parametrize("row", CLAUSES, ids=lambda row: row[0])
def test_a_clause_names_a_page_an_entry_and_a_test(row: list[str]) -> None:
    _, asked, pages, entries, tests = row
    assert asked
    for page in code(pages):
        assert page.startswith("/admin/"), page
        try:
            found = resolve(page.replace("{slug}", "acme"))
        except Resolver404:
            pytest.fail(f"There is no page at {page}.")
        assert "url" not in found.kwargs, f"{page} is the admin's own not-found page."
    assert [each for each in code(entries) if each not in entry_types] == []
    for test in code(tests):
        path, name = test.split("::")
        assert name in defined_in(path), test
