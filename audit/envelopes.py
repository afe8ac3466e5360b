"""Details at rest: AES-256-GCM, a key for each row, derived from its log's key, which the installation's key wraps.

An envelope is ``0x01 ‖ nonce (12) ‖ ciphertext ‖ tag (16)``; the row's place (log and index) is authenticated with it.
The row's key is HKDF-Expand (RFC 5869, one block) of the log's key over the place. Whoever has a copy of the database
and not the file of the installation's key can read nothing; a row that is deleted can be read by nobody.
"""

import hmac
import os
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import keys
from audit.models import DetailKey

VERSION = b"\x01"
LABEL = b"detail-key"
NONCE = 12
KEY = 32
KEPT = 4096  # logs whose keys stay in memory


class SealedOtherwise(RuntimeError):
    """An envelope or a wrapped key cannot be opened with the installation's key."""


def make_key(log_id: int) -> None:
    """A new log's key, wrapped. Joins the caller's transaction."""
    wrapped = wrap(os.urandom(KEY), LABEL, keys.wrapping_key())
    DetailKey.objects.create(log_id=log_id, wrapped=wrapped)


@lru_cache(KEPT)
def key_of(log_id: int, uuid: str) -> bytes:
    """A log's key. Raises SealedOtherwise. (The uuid tells logs apart whose ids are used again.)"""
    wrapped = bytes(DetailKey.objects.values_list("wrapped", flat=True).get(log_id=log_id))
    return unwrap(wrapped, LABEL, keys.wrapping_key())


def wrap(content: bytes, label: bytes, key: bytes) -> bytes:
    """A key or a secret under the installation's key, as a row has it: nonce ‖ ciphertext ‖ tag, bound to the label."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, label)


def unwrap(wrapped: bytes, label: bytes, *candidates: bytes) -> bytes:
    """A key or a secret, by the first of these keys of the installation that opens it. Raises SealedOtherwise."""
    for key in candidates:
        with suppress(InvalidTag, ValueError):
            return AESGCM(key).decrypt(wrapped[:NONCE], wrapped[NONCE:], label)
    raise SealedOtherwise(
        f"{keys.path_of(keys.INSTALLATION)} is not the key that this database's {label.decode()} is sealed under;"
        " restore the right one from your backup of keys."
    )


def seal(log_id: int, uuid: str, index: int, content: bytes) -> bytes:
    """The envelope of one Detail."""
    return seal_at(log_id, uuid, place_of(uuid, index), content)


def open_envelope(log_id: int, uuid: str, index: int, envelope: bytes) -> bytes:
    """The content of one Detail's envelope. Raises SealedOtherwise."""
    return open_at(log_id, uuid, place_of(uuid, index), envelope)


def seal_at(log_id: int, uuid: str, place: bytes, content: bytes) -> bytes:
    """The envelope of something else that is personal; ``place`` is the one row that it belongs to."""
    nonce = os.urandom(NONCE)
    return VERSION + nonce + AESGCM(row_key(key_of(log_id, uuid), place)).encrypt(nonce, content, place)


def open_at(log_id: int, uuid: str, place: bytes, envelope: bytes) -> bytes:
    """What was sealed for a place. Raises SealedOtherwise."""
    nonce, sealed = envelope[1 : 1 + NONCE], envelope[1 + NONCE :]
    try:
        if envelope[:1] != VERSION:
            raise InvalidTag
        return AESGCM(row_key(key_of(log_id, uuid), place)).decrypt(nonce, sealed, place)
    except (InvalidTag, ValueError):
        raise SealedOtherwise(f"What is sealed as {place.decode()} was changed, or moved there.") from None


def place_of(uuid: str, index: int) -> bytes:
    """Which row it is, as the key's derivation and the seal name it."""
    return f"countersign detail {uuid} {index}".encode()


def row_key(key: bytes, place: bytes) -> bytes:
    """HKDF-Expand with one block: HMAC-SHA-256(key, place ‖ 0x01)."""
    return hmac.digest(key, place + b"\x01", sha256)
