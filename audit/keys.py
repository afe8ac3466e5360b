"""Keys that stand in files outside the database, each made once, for its owner's eyes alone.

``installation.key`` wraps the keys of Details, ``receipt.key`` signs receipts in the gate, ``checkpoint.key`` signs
checkpoints in the publisher. Whoever has the database and not these files can neither read Details nor sign.
"""

import os
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings

from audit.files import create

INSTALLATION = "installation.key"
RECEIPT = "receipt.key"
CHECKPOINT = "checkpoint.key"
WRAPPING_BYTES = 32


class BadKeyFile(RuntimeError):
    """A key file that cannot be used: others may read it, or it does not hold what it should."""


@lru_cache
def signing_key(name: str) -> Ed25519PrivateKey:
    """The Ed25519 key of this file, made where there is none. Raises BadKeyFile."""
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        key = load_pem_private_key(read_or_make(name, made), None)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKeyFile(f"{path_of(name)} holds no Ed25519 key in PEM; restore it from your backup of keys.")
    return key


@lru_cache
def wrapping_key() -> bytes:
    """The installation's 32 bytes under which the keys of Details are wrapped, made where there are none."""
    key = read_or_make(INSTALLATION, os.urandom(WRAPPING_BYTES).hex().encode() + b"\n")
    try:
        raw = bytes.fromhex(key.decode().strip())
    except ValueError:
        raw = b""
    if len(raw) != WRAPPING_BYTES:
        raise BadKeyFile(f"{path_of(INSTALLATION)} holds no key in hex; restore it from your backup of keys.")
    return raw


def forget() -> None:
    """Read the files again when they are next needed."""
    signing_key.cache_clear()
    wrapping_key.cache_clear()


def path_of(name: str) -> Path:
    """Where a key's file is."""
    return Path(settings.KEYS_DIR) / name


def read_or_make(name: str, made: bytes) -> bytes:
    """The file's content; ``made``, written for its owner alone, where there is no file. Raises BadKeyFile."""
    path = path_of(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            create(path, made)
        if path.stat().st_mode & 0o077:
            raise BadKeyFile(f"Others may read {path}; make it its owner's alone: chmod 600.")
        return path.read_bytes()
    except OSError as error:
        raise BadKeyFile(f"The key file cannot be read or made: {error}.") from error
