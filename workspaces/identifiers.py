"""Public ids and agent keys: prefixed, unguessable, readable in a log."""

import hashlib
import secrets
import string
import zlib

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_LENGTH = 4 + 8 + 32 + 6


def random_text(length: int) -> str:
    """``length`` base62 characters, 5.95 random bits each."""
    return "".join(secrets.choice(BASE62) for _ in range(length))


def public_id(prefix: str) -> str:
    """Such as ``agt_4fGh…``: 22 base62 characters, 130 random bits."""
    return f"{prefix}_{random_text(22)}"


def base62(number: int, width: int) -> str:
    """A number in base62, padded with zeros to ``width``."""
    digits = ""
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits = BASE62[rest] + digits
    return digits


def new_key() -> tuple[str, str]:
    """An agent's key ``csk_<8 prefix><32 secret><6 CRC-32>`` and its prefix."""
    body = random_text(40)
    return f"csk_{body}{checksum(body)}", body[:8]


def checksum(body: str) -> str:
    """CRC-32 of prefix and secret, six base62 digits: tells a mistyped key from an unknown one, offline."""
    return base62(zlib.crc32(body.encode()), 6)


def key_digest(key: str) -> bytes:
    """SHA-256 of the whole key: the only form in which it is stored (190 random bits need no salt)."""
    return hashlib.sha256(key.encode()).digest()


def key_prefix(key: str) -> str | None:
    """The prefix of a well-formed key, or None."""
    if len(key) != KEY_LENGTH or not key.startswith("csk_") or not key.isascii():
        return None
    body = key[4:-6]
    return body[:8] if checksum(body) == key[-6:] else None
