"""Reading a provider's bill: CSV of whatever provider, as sums a day and model. Pure: bytes in, lines out.

Nothing is passed over: a line that cannot be read refuses the file, and says which line and why.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from io import StringIO

LARGEST = 5 * 2**20  # bytes
MOST_LINES = 100_000
MOST_COLUMNS = 200
NANOS = 10**9
# What columns are called, in the order in which they are preferred. Compared without case, blanks and signs.
NAMES = {
    name: tuple(calls.split())
    for name, calls in {
        "date": "date day usagedate usagedateutc datum bucketstart starttime starttimeiso timestamp",
        "model": "model modelid modelname modelversion modell snapshotid lineitem deployment",
        "input": "inputtokens prompttokens ncontexttokenstotal tokensin usageinputtokens uncachedinputtokens",
        "output": "outputtokens completiontokens ngeneratedtokenstotal tokensout usageoutputtokens",
        "cost": "costusd cost totalcost totalcostusd amountusd amount amountvalue costinusd usd kosten",
        "currency": "currency amountcurrency currencycode",
    }.items()
}
REQUIRED = ("date", "model", "cost")
DOLLARS = {"usd", "us$", "$", "us dollar", "us dollars", "dollar", "dollars"}
AMOUNT = re.compile(r"([+-]?)([0-9]{1,15})(?:\.([0-9]{1,18}))?(?:[eE]([+-]?[0-9]{1,2}))?")
GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")
SLASHED = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4})(?:[ T].*)?")
ISO = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[ T].*)?")
UNIX = re.compile(r"[0-9]{9,10}(?:\.0+)?")
HIGHEST = 10**18  # nano-dollars of a line, and of all together: a billion dollars
LONGEST_MODEL = 200


class BillRefused(ValueError):
    """A file that cannot be read as a bill. ``code`` says why to programs, the message to people."""

    status = 400

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Billed:
    """What a bill says of one model on one day: tokens, and nano-US-dollars."""

    day: date
    model: str
    input: int
    output: int
    nanos: int


@dataclass(frozen=True, slots=True)
class BillFile:
    """A bill as it was read. ``columns`` says which column was read as what; ``rows`` counts lines of the file."""

    columns: Mapping[str, str]
    rows: int
    lines: Sequence[Billed]


def read_bill(
    content: bytes,
    *,
    columns: Mapping[str, str] | None = None,
    decimal: str = "",
    day_first: bool | None = None,
) -> BillFile:
    """A bill's sums by day and model. ``columns`` names columns that are not guessed right, by what they hold (date,
    model, input, output, cost, currency); ``decimal`` is . or , where that cannot be told from the file, and
    ``day_first`` whether 01/02/2026 is in February. Raises BillRefused."""
    text = decoded(content)
    separator = separator_of(text)
    rows = parsed(text, separator)
    header = [name.strip() for name in rows[0]] if rows else []
    if len(rows) < 2:
        raise BillRefused("bill_empty", "The file has no lines below its header; export the bill again.")
    places = find_columns(header, columns or {})
    values = {
        name: [(number, row[place].strip()) for number, row in enumerate(rows[1:], 2)]
        for name, place in places.items()
    }
    check_currency(values.get("currency", []))
    days = read_days(values["date"], day_first)
    costs = read_costs(values["cost"], decimal, separator)
    counts = {name: read_counts(values.get(name, [])) or [0] * len(days) for name in ("input", "output")}
    models = read_models(values["model"])
    sums: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for day, model, *amounts in zip(days, models, counts["input"], counts["output"], costs, strict=True):
        here = sums[day, model]
        for place, amount in enumerate(amounts):
            here[place] += amount
    lines = [Billed(day, model, *amounts) for (day, model), amounts in sorted(sums.items())]
    return BillFile({name: header[place] for name, place in places.items()}, len(days), lines)


def decoded(content: bytes) -> str:
    """The file's text. Raises BillRefused."""
    if len(content) > LARGEST:
        raise BillRefused("bill_too_large", "A bill has at most 5 MB; split the file by month or by day.")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BillRefused(
            "bill_encoding",
            f"The file is not UTF-8 (byte {error.start}). Save it as “CSV UTF-8” and upload it again.",
        ) from error
    if "\0" in text:
        raise BillRefused("bill_encoding", "The file holds bytes that no text has. Upload the bill as CSV.")
    return text


def separator_of(text: str) -> str:
    """What separates cells, as the header has it."""
    header = text.lstrip("\r\n").partition("\n")[0]
    return max((",", ";", "\t", "|"), key=header.count)


def parsed(text: str, separator: str) -> list[list[str]]:
    """The lines that hold something, each as wide as the header. Raises BillRefused."""
    rows: list[list[str]] = []
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if rows and len(row) != len(rows[0]):
                raise BillRefused(
                    "bill_malformed",
                    f"Line {reader.line_num} has {len(row)} cells and the header {len(rows[0])}.",
                )
            rows.append(row)
            if len(rows) > MOST_LINES + 1 or len(row) > MOST_COLUMNS:
                raise BillRefused(
                    "bill_too_large",
                    f"A bill has at most {MOST_LINES:,} lines and {MOST_COLUMNS} columns; split the file.",
                )
    except csv.Error as error:
        raise BillRefused("bill_malformed", f"Line {reader.line_num} is no CSV: {error}.") from error
    return rows


def find_columns(header: Sequence[str], chosen: Mapping[str, str]) -> dict[str, int]:
    """The place of each column that is there. Raises BillRefused."""
    plain = [re.sub(r"[^a-z0-9$]", "", name.lower()) for name in header]
    found: dict[str, int] = {}
    for name, wanted in chosen.items():
        if name not in NAMES or wanted not in header:
            raise BillRefused(
                "bill_column_missing", f"The file has no column {wanted[:80]!r} to read as {name}."
            )
        found[name] = header.index(wanted)
    for name, calls in NAMES.items():
        place = next((plain.index(call) for call in calls if call in plain), None)
        if name not in found and place is not None:
            found[name] = place
    if missing := [name for name in REQUIRED if name not in found]:
        raise BillRefused(
            "bill_column_missing",
            f"No column was recognized as {' or '.join(missing)}. Its columns are:"
            f" {', '.join(name[:40] for name in header[:20])}. Say which one it is.",
        )
    return found


def read_days(values: Sequence[tuple[int, str]], day_first: bool | None) -> list[date]:
    """The days. Raises BillRefused."""
    split = [SLASHED.fullmatch(text) for _, text in values]
    if day_first is None:
        day_first = order_of([(int(each[1]), int(each[3]), each[2]) for each in split if each])
    days = []
    for (number, text), parts in zip(values, split, strict=True):
        try:
            if parts:
                one, other, year = int(parts[1]), int(parts[3]), int(parts[4])
                days.append(date(year, other, one) if day_first else date(year, one, other))
            elif iso := ISO.fullmatch(text):
                days.append(date(int(iso[1]), int(iso[2]), int(iso[3])))
            elif UNIX.fullmatch(text):
                days.append(datetime.fromtimestamp(int(text.partition(".")[0]), UTC).date())
            else:
                raise ValueError(text)
        except ValueError as error:
            raise BillRefused(
                "bill_date",
                f"Line {number}: {text[:40]!r} is no day. Take lines with totals out of the file.",
            ) from error
    return days


def order_of(pairs: Sequence[tuple[int, int, str]]) -> bool:
    """Whether the day comes before the month. Raises BillRefused where that cannot be told."""
    first = any(one > 12 for one, _, _ in pairs) or any(sign == "." for _, _, sign in pairs)
    second = any(other > 12 for _, other, _ in pairs)
    if first == second and pairs:
        raise BillRefused(
            "bill_ambiguous_date",
            "Whether the day or the month comes first cannot be told from the dates; say which, or use 2026-01-31.",
        )
    return first


def read_costs(values: Sequence[tuple[int, str]], decimal: str, separator: str) -> list[int]:
    """Nano-US-dollars, rounded up. Raises BillRefused."""
    plain = [(number, re.sub(r"(?i)usd|us\$|\$|[\s\u00a0\u202f']", "", text)) for number, text in values]
    sign = decimal or decimal_sign([text for _, text in plain], separator)
    grouping = "." if sign == "," else ","
    costs = []
    for number, text in plain:
        parts = AMOUNT.fullmatch(text.replace(grouping, "").replace(sign, "."))
        if parts is None or (grouping in text and not is_grouped(text, grouping, sign)):
            raise BillRefused("bill_amount", f"Line {number}: {text[:40]!r} is no amount of US dollars.")
        nanos = int((Decimal(parts[0]) * NANOS).to_integral_value(ROUND_CEILING))
        if abs(nanos) > HIGHEST:
            raise BillRefused("bill_amount", f"Line {number}: {text[:40]!r} is more than a bill can say.")
        costs.append(nanos)
    if sum(map(abs, costs)) > HIGHEST:
        raise BillRefused("bill_amount", "All lines together are more than a bill can say; split the file.")
    return costs


def is_grouped(text: str, grouping: str, sign: str) -> bool:
    """Whether thousands are set apart where they should be."""
    return GROUPED.fullmatch(text.partition(sign)[0]) is not None


def decimal_sign(texts: Sequence[str], separator: str) -> str:
    """``.`` or ``,``. Raises BillRefused where 1,234 could be either."""
    for text in texts:
        if "," in text and "." in text:
            return max(",.", key=text.rfind)
    commas = [text for text in texts if "," in text]
    points = [text for text in texts if "." in text]
    if any(text.count(",") > 1 for text in commas):
        return "."
    if any(text.count(".") > 1 for text in points):
        return ","
    if commas and any(not GROUPED.fullmatch(text) for text in commas):
        return ","
    if points and any(not GROUPED.fullmatch(text) for text in points):
        return "."
    if commas or (points and separator == ";"):
        raise BillRefused(
            "bill_ambiguous_amount",
            f"Whether {(commas or points)[0][:20]} has thousands or decimals cannot be told; say which sign separates"
            " decimals.",
        )
    return "."


def read_counts(values: Sequence[tuple[int, str]]) -> list[int]:
    """Tokens; an empty cell is none. Raises BillRefused."""
    counts = []
    for number, text in values:
        plain = re.sub(r"[\s\u00a0\u202f']", "", text)
        if GROUPED.fullmatch(plain):
            plain = plain.replace(",", "").replace(".", "")
        plain = re.sub(r"\.0+$", "", plain)
        if plain and not re.fullmatch(r"[0-9]{1,15}", plain):
            raise BillRefused("bill_tokens", f"Line {number}: {text[:40]!r} is no whole number of tokens.")
        counts.append(int(plain or 0))
    return counts


def read_models(values: Sequence[tuple[int, str]]) -> list[str]:
    """The models' names. Raises BillRefused."""
    for number, text in values:
        if not text or len(text) > LONGEST_MODEL or not text.isprintable():
            raise BillRefused(
                "bill_model", f"Line {number} names no model. Take lines with totals out of the file."
            )
    return [text for _, text in values]


def check_currency(values: Sequence[tuple[int, str]]) -> None:
    """Raises BillRefused for a bill in another currency."""
    for number, text in values:
        if text and text.lower() not in DOLLARS:
            raise BillRefused(
                "bill_currency", f"Line {number} is in {text[:20]}; only US dollars are compared."
            )
