"""Canonical JSON (RFC 8785, JCS) out, and strict JSON in.

What is hashed is `encode(value)`. Requests are read with `decode`, which refuses what two parsers could read
differently: duplicate keys, numbers that a double does not hold, lone surrogates, deep nesting.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

# What orjson writes as RFC 8785 demands, provided that keys sort alike (see `_sorts_alike`).
SCALARS = frozenset((str, int, bool, type(None)))
SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
UNLIKE: Any = object()
ASTRAL = re.compile(rb"[\xf0-\xf4]")


class CanonicalError(ValueError):
    """The value has no canonical JSON form."""


class ParseError(ValueError):
    """The bytes are not JSON that we accept; `code` is stable and part of the wire format:

    malformed_json, duplicate_key, too_deep, number_out_of_range, invalid_unicode.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value whose canonical JSON was made earlier: where it is large, before anything was locked."""

    json: bytes


def encode(value: Any) -> bytes:
    """Encode as RFC 8785. Tuples count as lists; subclasses of str, int, list, dict as what they extend.

    Raises CanonicalError on other types, on keys that are no strings, on NaN and infinities, on integers
    beyond ±(2**53 - 1), on lone surrogates and beyond 64 levels.
    """
    plain = value if _is_plain(value, MAX_DEPTH) else _with_whole_numbers(value, MAX_DEPTH)
    if plain is not UNLIKE:
        try:
            encoded = orjson.dumps(plain, option=SORTED)
        except TypeError:  # an integer, a string or a key that `encode_by_the_book` will name
            return encode_by_the_book(value)
        if encoded.isascii() or not ASTRAL.search(encoded):
            return encoded
    return encode_by_the_book(value)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether orjson writes the value as RFC 8785 does, as far as types, floats and depth tell."""
    kind = type(value)
    if kind is dict:
        values = value.values()
    elif kind is list:
        values = value
    else:
        return kind in SCALARS or (kind is float and _is_plain_float(value))
    if depth == 0:
        return False
    if SCALARS.issuperset(map(type, values)):
        return True
    for each in values:
        kind = type(each)
        if kind not in SCALARS and not (
            _is_plain_float(each) if kind is float else _is_plain(each, depth - 1)
        ):
            return False
    return True


def _with_whole_numbers(value: Any, depth: int) -> Any:
    """A copy in which a float without a fraction is an integer, as which RFC 8785 writes it; UNLIKE where orjson
    would still write something otherwise."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is float:
        if _is_plain_float(value):
            return value
        return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else UNLIKE
    if (kind is not dict and kind is not list) or depth == 0:
        return UNLIKE
    values = value.values() if kind is dict else value
    copied = [_with_whole_numbers(each, depth - 1) for each in values]
    if any(each is UNLIKE for each in copied):
        return UNLIKE
    return dict(zip(value, copied, strict=True)) if kind is dict else copied


def _is_plain_float(value: float) -> bool:
    """Neither an exponent nor a trailing ".0": there all shortest forms agree."""
    return 1e-4 <= abs(value) < 1e15 and not value.is_integer()


def encode_by_the_book(value: Any) -> bytes:
    """`encode` as RFC 8785 says it, step by step: for values that the compiled encoder writes otherwise."""
    parts: list[bytes] = []
    _write(value, parts, MAX_DEPTH)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes], depth: int) -> None:
    if value is None or value is True or value is False:
        parts.append(b"null" if value is None else b"true" if value else b"false")
    elif isinstance(value, str):
        parts.append(_write_string(value))
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise CanonicalError(f"The integer {_shorten(value)} is beyond ±(2**53 - 1).")
        parts.append(b"%d" % value)
    elif isinstance(value, float):
        parts.append(_write_float(value))
    elif isinstance(value, dict | list | tuple):
        if depth == 0:
            raise CanonicalError(f"The value is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, dict):
            _write_object(value, parts, depth - 1)
        else:
            _write_array(value, parts, depth - 1)
    else:
        raise CanonicalError(f"A value of type {type(value).__name__} has no JSON form.")


def _write_object(value: dict[Any, Any], parts: list[bytes], depth: int) -> None:
    if not all(isinstance(key, str) for key in value):
        raise CanonicalError("A key of an object is not a string.")
    separator = b"{"
    for key in sorted(value, key=_utf16):
        parts += (separator, _write_string(key), b":")
        _write(value[key], parts, depth)
        separator = b","
    parts.append(b"}" if value else b"{}")


def _write_array(value: Any, parts: list[bytes], depth: int) -> None:
    separator = b"["
    for each in value:
        parts.append(separator)
        _write(each, parts, depth)
        separator = b","
    parts.append(b"]" if value else b"[]")


def _write_string(value: str) -> bytes:
    try:
        # An enumeration's member is its text.
        return orjson.dumps(str.__str__(value))
    except TypeError as error:
        raise CanonicalError("A string holds a lone surrogate.") from error


def _utf16(key: str) -> bytes:
    """The order of section 3.2.3: by UTF-16 code units."""
    return key.encode("utf-16-be", "surrogatepass")


def _write_float(value: float) -> bytes:
    """ECMAScript's Number::toString (section 3.2.2.3): the shortest digits, plain from 1e-6 up to 1e21."""
    if not math.isfinite(value):
        raise CanonicalError(f"The number {value} has no JSON form.")
    if value == 0:
        return b"0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    # The value is 0.<digits> * 10**point.
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).rstrip("0")
    point -= len(digits) - len(digits := digits.lstrip("0"))
    if -6 < point <= 0:
        text = "0." + "0" * -point + digits
    elif 0 < point <= 21:
        text = digits.ljust(point, "0") if len(digits) <= point else f"{digits[:point]}.{digits[point:]}"
    else:
        text = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "") + f"e{point - 1:+d}"
    return (sign + text).encode()


def decode(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse JSON (RFC 8259, UTF-8 without a byte order mark) and raise ParseError on what is ambiguous.

    A number with a fraction or an exponent is a double; others are integers within ±(2**53 - 1).
    """
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _reason(raw, max_depth) from None
    # Only with enough brackets (some may stand in strings) is a look at each level needed.
    if raw.count(b"[") + raw.count(b"{") > max_depth and _depth_exceeds(value, max_depth):
        raise _too_deep(max_depth)
    try:
        again = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        raise _reason(raw, max_depth) from None
    # A key that was there twice is there once now, and so are its quotation marks.
    if _count_quotes(raw) != again.count(b'"'):
        raise _reason(raw, max_depth)
    return value


def decode_canonical(raw: bytes) -> tuple[Any, bool]:
    """What `decode` answers, and whether the bytes are the canonical form of it. Raises ParseError.

    Bytes that the value is written as again are strict by that, so most need one look only."""
    try:
        value = WITHOUT_FLOATS.decode(raw)
        plain = raw.isascii() or not ASTRAL.search(raw)
        if (
            plain
            and raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH
            and orjson.dumps(value, option=SORTED) == raw
        ):
            return value, True
    except (msgspec.MsgspecError, _HasFloat, UnicodeDecodeError, RecursionError, TypeError):
        pass  # what is wrong with it, if anything, the slow way says
    value = decode(raw)
    return value, encode(value) == raw


class _HasFloat(Exception):
    """The bytes hold a number with a fraction or an exponent."""


def _refuse_float(text: str) -> Any:
    raise _HasFloat(text)


WITHOUT_FLOATS = msgspec.json.Decoder(float_hook=_refuse_float)


def _count_quotes(raw: bytes) -> int:
    """How many quotation marks valid JSON has, however those inside of strings are escaped."""
    count = raw.count(b'"')
    if b"\\u0022" in raw:
        count += raw.replace(b"\\\\", b"").count(b"\\u0022")
    return count


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            each
            for container in level
            for each in (container.values() if type(container) is dict else container)
            if type(each) is dict or type(each) is list
        ]
    return bool(level)


def _reason(raw: bytes, max_depth: int) -> ParseError:
    """Why bytes that are known to be unacceptable are: a second, slower parse that looks at everything."""
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_unique,
            parse_int=_checked_integer,
            parse_float=_checked_float,
            parse_constant=_refuse_constant,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except ParseError as error:
        return error
    except RecursionError:
        return _too_deep(max_depth)
    except UnicodeDecodeError:
        return ParseError("invalid_unicode", "The body is not valid UTF-8.")
    except UnicodeEncodeError:
        return ParseError("invalid_unicode", "A string holds half of a surrogate pair.")
    except json.JSONDecodeError as error:
        return ParseError(
            "malformed_json",
            f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.",
        )
    return ParseError("malformed_json", "The body is not JSON.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ParseError("duplicate_key", f"The key {_shorten(name)} stands twice in one object.")
    return found


def _checked_integer(text: str) -> int:
    # 17 characters: a sign and the 16 digits of 2**53.
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise ParseError(
            "number_out_of_range", f"The integer {_shorten(text)} is beyond ±(2^53 - 1); send it as a string."
        )
    return int(text)


def _checked_float(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ParseError("number_out_of_range", f"The number {_shorten(text)} is too large for a double.")
    return value


def _refuse_constant(text: str) -> Any:
    raise ParseError("number_out_of_range", f"{text} is not a JSON number.")


def _too_deep(limit: int) -> ParseError:
    return ParseError("too_deep", f"The body is nested deeper than {limit} levels.")


def _shorten(value: object) -> str:
    """A value for a message: never long, and nothing in it that a terminal or a log would obey."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
