"""manage.py reconcile_bill: what it prints, what it keeps, and its exit codes."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.bill_files import LARGEST
from billing.models import BillCheck
from tests.billing.charges import NOON, charge
from tests.portal import body_of, latest
from workspaces.models import Agent, Workspace

BILL = b"date,model,cost\n2026-11-23,gpt-4o,0.30\n"


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    file = tmp_path / "bill.csv"
    file.write_bytes(BILL)
    return file


def run(file: Path, *options: str, workspace: str = "acme") -> tuple[int, list[dict[str, str]], str]:
    """Exit code, the lines that were printed, and what was complained of."""
    printed, said = StringIO(), StringIO()
    try:
        call_command("reconcile_bill", workspace, str(file), *options, stdout=printed, stderr=said)
    except CommandError as error:
        return error.returncode, list(csv.DictReader(StringIO(printed.getvalue()))), str(error)
    return 0, list(csv.DictReader(StringIO(printed.getvalue()))), said.getvalue()


def test_a_bill_that_agrees(acme: Workspace, support_bot: Agent, bill: Path) -> None:
    charge(support_bot, 30, model="gpt-4o")
    code, lines, said = run(bill)
    assert code == 0
    kept = BillCheck.objects.get(workspace=acme)
    assert said == f"{kept.public_id}: billed $0.30, charged $0.30\n"
    assert [(line["day"], line["model"], line["what"]) for line in lines] == [
        ("2026-11-23", "gpt-4o", "agrees")
    ]
    entry = latest(acme)
    assert (entry.type, body_of(entry)["data"]["bill"]) == ("billing.bill.checked", kept.public_id)


def test_a_bill_that_differs_is_kept_too(acme: Workspace, support_bot: Agent, bill: Path) -> None:
    charge(support_bot, 29, model="gpt-4o")
    code, lines, said = run(bill)
    assert (code, said) == (1, "The bill and the charges differ.")
    assert (lines[0]["difference_usd"], lines[0]["what"]) == ("0.01", "more was billed")
    assert BillCheck.objects.count() == 1


def test_calls_of_unknown_price_do_not_agree(acme: Workspace, support_bot: Agent, bill: Path) -> None:
    charge(support_bot, 30, model="gpt-4o")
    charge(support_bot, None, model="gpt-4o")
    code, lines, _ = run(bill)
    assert (code, lines[0]["what"]) == (1, "calls of unknown price")


def test_what_cannot_be_told_is_said(acme: Workspace, support_bot: Agent, bill: Path) -> None:
    charge(support_bot, 30, model="gpt-4o", at=NOON.replace(hour=23, minute=30))
    bill.write_bytes(b"when;model;cost\n24/11/2026;gpt-4o;0,30\n")
    said = ("--column", "date=when", "--zone", "Europe/Berlin", "--decimal", ",", "--day-first")
    assert run(bill, *said)[0] == 0
    assert run(bill, *said[2:])[0] == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "bill_empty"),
        (b"date,model\n2026-11-23,m\n", "bill_column_missing"),
        (b"date,model,cost\n2026-11-23,m,1 EUR\n", "bill_amount"),
        (b"date,model,cost\nTotal,m,1\n", "bill_date"),
        (b"date,model,cost\n2026-11-23,caf\xe9,1\n", "bill_encoding"),
        (b"\x89PNG\r\n\x1a\n\0\0", "bill_encoding"),
        (b'date,model,cost\n"2026-11-23,m,1\n', "bill_malformed"),
        (b"date,model,cost\n2026-01-01,m,1\n2026-11-01,m,1\n", "bill_too_long"),
        (b"x" * (LARGEST + 1), "bill_too_large"),
    ],
)
def test_what_cannot_be_read_says_why_and_leaves_nothing(
    acme: Workspace, bill: Path, content: bytes, code: str
) -> None:
    bill.write_bytes(content)
    exit_code, lines, said = run(bill)
    assert (exit_code, lines) == (2, [])
    assert said.startswith(f"{code}: ")
    assert not BillCheck.objects.exists()


def test_what_is_not_there_is_said(acme: Workspace, bill: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "nowhere.csv", tmp_path):
        code, _, said = run(file)
        assert (code, said.partition(":")[0]) == (2, "bill_unreadable")
    for options, place, what in (
        ((), "nowhere", "workspace 'nowhere'"),
        (("--zone", "Mars/Olympus"), "acme", "time zone 'Mars/Olympus'"),
        (("--column", "date"), "acme", "WHAT=NAME"),
    ):
        code, _, said = run(bill, *options, workspace=place)
        assert code == 2
        assert what in said
    assert not BillCheck.objects.exists()
