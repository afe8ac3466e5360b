"""Canonical JSON is RFC 8785's, and what comes in is read in one way only or not at all."""

import enum
import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audit.canonical import CanonicalError, ParseError, decode, decode_canonical, encode, encode_by_the_book

VECTORS = Path(os.environ.get("COUNTERSIGN_SHARED", "../shared")) / "vectors" / "jcs-rfc8785"
NAMES = sorted(path.stem for path in (VECTORS / "input").glob("*.json"))

integers = st.integers(-(2**53) + 1, 2**53 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
# Astral characters and those above the surrogates, whose order differs between UTF-8 and UTF-16; escapes.
texts = st.text(max_size=8) | st.text(
    st.sampled_from('a"\\/\b\f\n\r\t\x1f\x7f\u0080é€\uff21\U0001f600'), max_size=5
)
values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=25,
)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def refusal(raw: bytes, **limits: int) -> str:
    with pytest.raises(ParseError) as caught:
        decode(raw, **limits)
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 200
    return caught.value.code


@pytest.mark.skipif(not NAMES, reason=f"{VECTORS} is absent")
@pytest.mark.parametrize("name", NAMES)
def test_vectors_from_outside(name: str) -> None:
    value = decode((VECTORS / "input" / f"{name}.json").read_bytes())
    expected = bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())
    assert encode(value) == expected
    assert encode_by_the_book(value) == expected


@given(values)
@example({"\uff21": 1, "\U0001f600": 2, "a": [1.0, 1e21, 0.5, -0.0]})
@example({"\ue000": 1, "é": 2, "b": {}, "c": []})
def test_the_fast_way_writes_what_the_book_says(value: Any) -> None:
    assert encode(value) == encode_by_the_book(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(120.5)
@example(1e-4)
@example(9.999e-5)
@example(1e15)
@example(999999999999999.9)
@example(2.0**53)
def test_the_fast_way_writes_floats_by_the_book(value: float) -> None:
    assert encode([value]) == encode_by_the_book([value])
    assert float(encode(value)) == value


@given(values)
def test_what_was_encoded_is_read_back_the_same(value: Any) -> None:
    # As ECMAScript reads it, where every number is a double.
    assert json.loads(encode(value), parse_int=float) == value


@given(st.dictionaries(texts, integers, max_size=8))
def test_keys_are_in_the_order_of_utf_16(value: dict[str, int]) -> None:
    assert list(json.loads(encode(value))) == sorted(value, key=lambda key: key.encode("utf-16-be"))


# RFC 8785, appendix B: IEEE 754 bits and the number as written.
@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_ecmascript_does(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode(value) == text.encode()


class Color(enum.StrEnum):
    RED = "red"


def test_subclasses_stand_for_what_they_extend() -> None:
    class Label(str):
        __slots__ = ()

    class Level(enum.IntEnum):
        HIGH = 3

    value = {Label("b"): Color.RED, "a": (Level.HIGH, True), Color.RED: Label("x")}
    assert encode(value) == b'{"a":[3,true],"b":"red","red":"x"}'


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {"a": [-math.inf]},
        2**53,
        [-(2**53)],
        10**400,
        "\ud800",
        {"a": "\udc00"},
        {"\ud800": 1},
        {1: 2},
        {None: 1},
        {"a": {1: 2}},
        b"bytes",
        {"a": object()},
        {1, 2},
        nested(65),
        nested(400),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(CanonicalError, match=r"\.$"):
        encode(value)
    with pytest.raises(CanonicalError):
        encode_by_the_book(value)


def test_the_limits_themselves_are_fine() -> None:
    value = {"n": [2**53 - 1, -(2**53) + 1], "d": nested(63)}
    assert decode(encode(value)) == value


@given(values)
def test_decode_reads_what_json_reads(value: Any) -> None:
    for raw in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False, indent=1).encode()):
        assert decode(raw) == value


@given(values, st.data())
def test_no_duplicate_key_is_overlooked(value: Any, data: st.DataObject) -> None:
    # Whatever surrounds it and however its quotation marks are escaped.
    key = data.draw(texts)
    plain = json.dumps(key)
    spelled = '"' + "".join(f"\\u{unit:04x}" for unit in utf16_units(key)) + '"'
    for name in (plain, spelled):
        inner = f"{{{plain}:{json.dumps(value)},{name}:1}}"
        assert refusal(f"[{inner},{json.dumps(value)}]".encode()) == "duplicate_key"


def utf16_units(text: str) -> tuple[int, ...]:
    encoded = text.encode("utf-16-be")
    return struct.unpack(f">{len(encoded) // 2}H", encoded)


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"a\u0022":1,"b":"\\u0022"}',
        rb'{"a":"\"","b":"\\\"\\"}',
        rb'{"\u0061":"\\\u0022"}',
        b'{"":""}',
        b"[]",
        b"-0",
    ],
)
def test_escaped_quotation_marks_are_no_duplicates(raw: bytes) -> None:
    assert decode(raw) == json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"a":1}x', "malformed_json"),
        (b'{"a":1} {}', "malformed_json"),
        (b"[1,]", "malformed_json"),
        (b"{'a':1}", "malformed_json"),
        (b"01", "malformed_json"),
        (b"1.", "malformed_json"),
        (b'"\x01"', "malformed_json"),
        (b'"\\x41"', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"nul", "malformed_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":1,"\\u0061":1}', "duplicate_key"),
        (b'[{"a":{"b":1,"c":2,"b":3}}]', "duplicate_key"),
        (b'{"a":"\\u0022","a":1}', "duplicate_key"),
        (b'{"a":"\\u0022\\u0022","a":1}', "duplicate_key"),
        (b"NaN", "number_out_of_range"),
        (b"[-Infinity]", "number_out_of_range"),
        (b"1e400", "number_out_of_range"),
        (b"-1E999", "number_out_of_range"),
        (b"1e99999999999999999999", "number_out_of_range"),
        (b"9007199254740992", "number_out_of_range"),
        (b"[-9007199254740992]", "number_out_of_range"),
        (b"18446744073709551616", "number_out_of_range"),
        (b'{"a":' + b"9" * 100_000 + b"}", "number_out_of_range"),
        (b'"\xff"', "invalid_unicode"),
        (b'{"\xc3":1}', "invalid_unicode"),
        (b'"\xed\xa0\x80"', "invalid_unicode"),
        (b'"\\ud800"', "invalid_unicode"),
        (b'"\\udc00\\ud800"', "invalid_unicode"),
        (b'{"\\ud800x":1}', "invalid_unicode"),
        ("{}".encode("utf-16"), "invalid_unicode"),
    ],
    ids=lambda each: repr(each)[:30],
)
def test_what_is_refused_and_why(raw: bytes, code: str) -> None:
    assert refusal(raw) == code


@pytest.mark.parametrize("levels", [65, 100, 255, 1_000, 100_000])
def test_deep_nesting_is_refused_whatever_follows(levels: int) -> None:
    assert refusal(b"[" * levels + b"]" * levels) == "too_deep"
    assert refusal(b'{"a":' * levels + b"1" + b"}" * levels) == "too_deep"
    assert refusal(b'{"a":[' * levels + b"]}" * levels) == "too_deep"


def test_a_hundred_thousand_open_brackets_do_not_crash() -> None:
    assert refusal(b"[" * 100_000) == "too_deep"


def test_depth_is_counted_exactly_and_not_in_strings() -> None:
    assert decode(b"[" * 64 + b"]" * 64)
    assert refusal(b"[" * 3 + b"]" * 3, max_depth=2) == "too_deep"
    assert decode(b'{"a":"' + b"[" * 200 + b'"}') == {"a": "[" * 200}
    assert decode(b"[" + b",".join([b"[]"] * 200) + b"]", max_depth=2) == [[]] * 200
    assert refusal(b"[" + b",".join([b"[]"] * 200) + b"]", max_depth=1) == "too_deep"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1.5}', b'{"a":1e400}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":-0}', b'"\\ud800"', b"[1 ]",
        '["\U0001f600"]'.encode(), b"9007199254740993", b"[" * 64 + b"]" * 64, b"[" * 65 + b"]" * 65, b"NaN",
        b'{"a":"\\u0041"}', b'{"a":1.0}', b"\xff", b'{"a":[1,"x",null,true]}',
        '{"\U0001f600":1,"\ufb33":2}'.encode(), '{"\ufb33":2,"\U0001f600":1}'.encode(),
    ],
)  # fmt: skip
def test_reading_the_canonical_form_is_reading_and_writing_again(raw: bytes) -> None:
    def write_again(raw: bytes) -> tuple[Any, bool]:
        value = decode(raw)
        return value, encode(value) == raw

    assert outcome(decode_canonical, raw) == outcome(write_again, raw)


def outcome(read: Callable[[bytes], Any], raw: bytes) -> Any:
    """What reading answers, or the code with which it refuses."""
    try:
        return read(raw)
    except ParseError as refusal:
        return refusal.code
