"""Reading bills as providers and spreadsheets write them."""

from datetime import date

import pytest

from billing.bill_files import LARGEST, BillRefused, read_bill

HEAD = "date,model,input_tokens,output_tokens,cost_usd\n"


def amounts(text: str, **choices: str) -> list[int]:
    return [line.nanos for line in read_bill(text.encode(), **choices).lines]  # type: ignore[arg-type]


def test_a_bill_is_summed_up_by_day_and_model() -> None:
    text = HEAD + "2026-11-01,gpt-4o,10,2,0.10\n\n2026-11-01,gpt-4o,5,1,0.05\n2026-11-02,o3,1,1,1e-10\n"
    bill = read_bill(text.encode())
    assert bill.rows == 3
    assert bill.columns["cost"] == "cost_usd"
    first, second = bill.lines
    assert (first.day, first.model, first.input, first.output) == (date(2026, 11, 1), "gpt-4o", 15, 3)
    assert (first.nanos, second.nanos) == (150_000_000, 1)


def test_columns_are_guessed_or_said() -> None:
    text = "Usage Date (UTC);Model ID;Total Cost (USD);Currency\n20261101;a;1,5;USD\n"
    assert read_bill(text.encode()).columns == {
        "date": "Usage Date (UTC)",
        "model": "Model ID",
        "cost": "Total Cost (USD)",
        "currency": "Currency",
    }
    said = "when,what,charge\n2026-11-01,a,1.5\n"
    chosen = {"date": "when", "model": "what", "cost": "charge"}
    assert read_bill(said.encode(), columns=chosen).lines[0].nanos == 1_500_000_000


@pytest.mark.parametrize(
    ("cells", "nanos"),
    [
        (["1.234,56", "0,5"], [1_234_560_000_000, 500_000_000]),
        (["0,123", "1,234"], [123_000_000, 1_234_000_000]),
        (["$1.5", "USD 2"], [1_500_000_000, 2_000_000_000]),
        (["1'234.50", "-3.25"], [1_234_500_000_000, -3_250_000_000]),
        (["1.234.567", "2"], [1_234_567 * 10**9, 2 * 10**9]),
    ],
)
def test_amounts_are_read_as_they_were_meant(cells: list[str], nanos: list[int]) -> None:
    lines = "".join(f"2026-11-0{day};m;{cell}\n" for day, cell in enumerate(cells, 1))
    assert amounts("date;model;cost\n" + lines) == nanos


@pytest.mark.parametrize(
    ("days", "second"),
    [
        (["13/11/2026", "01/12/2026"], date(2026, 12, 1)),
        (["11/13/2026", "12/01/2026"], date(2026, 12, 1)),
        (["30.11.2026", "01.12.2026"], date(2026, 12, 1)),
        (["2026-11-30T23:00:00Z", "2026-12-01 00:00"], date(2026, 12, 1)),
        (["1764460800", "1796083200"], date(2026, 12, 1)),
    ],
)
def test_days_are_read_as_they_were_meant(days: list[str], second: date) -> None:
    text = "date,model,cost\n" + "".join(f"{day},m,1\n" for day in days)
    assert read_bill(text.encode()).lines[-1].day == second


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_of_spreadsheets_are_read(encoding: str) -> None:
    assert len(read_bill((HEAD + "2026-11-01,modèle,1,1,1\r\n").encode(encoding)).lines) == 1


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b"", "bill_empty", "no lines"),
        (HEAD.encode(), "bill_empty", "no lines"),
        (b"x" * (LARGEST + 1), "bill_too_large", "5 MB"),
        ("date,model,cost\n2026-11-01,caf\u00e9,1\n".encode("latin-1"), "bill_encoding", "UTF-8"),
        (b"date,model,cost\n2026-11-01,\0,1\n", "bill_encoding", "no text"),
        (b"date,model,cost\n2026-11-01,m\n", "bill_malformed", "Line 2 has 2 cells"),
        (b'date,model,cost\n2026-11-01,"m,1\n', "bill_malformed", "no CSV"),
        (b"date,model\n2026-11-01,m\n", "bill_column_missing", "recognized as cost"),
        (b"date,model,cost\n2026-02-30,m,1\n", "bill_date", "no day"),
        (b"date,model,cost\nTotal,m,1\n", "bill_date", "totals"),
        (b"date,model,cost\n2026-11-01,m,\n", "bill_amount", "no amount"),
        (b"date,model,cost\n2026-11-01,m,NaN\n", "bill_amount", "no amount"),
        (b"date,model,cost\n2026-11-01,m,1e30\n", "bill_amount", "more than"),
        ("date,model,cost\n2026-11-01,m,5 €\n".encode(), "bill_amount", "US dollars"),
        (b"date,model,cost,currency\n2026-11-01,m,5,EUR\n", "bill_currency", "EUR"),
        (b"date;model;cost\n2026-11-01;m;1,234\n", "bill_ambiguous_amount", "thousands"),
        (b"date,model,cost\n01/02/2026,m,1\n", "bill_ambiguous_date", "day or the month"),
        (b"date,model,cost\n2026-11-01,,1\n", "bill_model", "no model"),
        (b"date,model,cost,input_tokens\n2026-11-01,m,1,-3\n", "bill_tokens", "whole number"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(content: bytes, code: str, told: str) -> None:
    with pytest.raises(BillRefused, match=told) as refused:
        read_bill(content)
    assert refused.value.code == code


def test_what_cannot_be_told_can_be_said() -> None:
    assert amounts("date;model;cost\n2026-11-01;m;1,234\n", decimal=",") == [1_234_000_000]
    assert amounts("date;model;cost\n2026-11-01;m;1,234\n", decimal=".") == [1_234 * 10**9]
    days = read_bill(b"date,model,cost\n01/02/2026,m,1\n", day_first=True)
    assert days.lines[0].day == date(2026, 2, 1)
