"""Signed notes, checkpoints, cosignatures and files of proofs, as C2SP specifies them.

Pure: text and keys in, text out. A *note* is text that ends with a newline, an empty line, and one signature line for
each key (https://c2sp.org/signed-note). A *checkpoint* is a note whose text is origin, size and root of a log
(https://c2sp.org/tlog-checkpoint). A *cosignature* is a witness's signature line on a checkpoint, with a time
(https://c2sp.org/tlog-cosignature).
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 1
COSIGNATURE = 4  # cosignature/v1
LONGEST_NOTE = 1_000_000  # bytes, as Go's note package has it
MOST_SIGNATURES = 100
LONGEST_SIZE = 19  # digits: a size is below 2**63
TLOG_PROOF = "c2sp.org/tlog-proof@v1"  # begins the file of a proof
PRIVATE = "PRIVATE+KEY"  # begins a signer key as Go's note package writes it
DASH = "— "  # em dash and space begin a signature line
# A key's name stands in lines whose parts are separated by spaces and plus signs.
NAME = re.compile(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]{1,255}")
SIZE = re.compile(r"0|[1-9][0-9]*")


class NoteError(ValueError):
    """A note, key or checkpoint is not what C2SP says it is; the message tells what is wrong with it."""


class SignatureError(NoteError):
    """A signature line that cannot be read, or a false signature of a known key."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under a name: what C2SP calls a verifier key (vkey). ``kind`` is ED25519 or COSIGNATURE."""

    name: str
    kind: int
    key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that begin a signature, by which a reader finds its key."""
        return key_id(self.name, self.kind, self.key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<name>+<hex key id>+<base64 key>``. Raises NoteError."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not NAME.fullmatch(parts[0]):
            raise NoteError("A verifier key is <name>+<key id>+<base64 of the key>.")
        name, shown, encoded = parts
        raw = decode(encoded, "A verifier key")
        if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
            raise NoteError("The key is neither of Ed25519 nor of Ed25519 cosignatures.")
        found = cls(name, raw[0], raw[1:])
        if shown != found.key_id.hex():
            raise NoteError("The key does not have the id that stands before it: it was not copied whole.")
        return found

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under a name."""

    name: str
    private: Ed25519PrivateKey
    kind: int = ED25519

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``PRIVATE+KEY+<name>+<hex key id>+<base64 key>``, the form of Go's note package. Raises NoteError."""
        parts = text.strip().split("+", 4)
        if len(parts) != 5 or "+".join(parts[:2]) != PRIVATE or not NAME.fullmatch(parts[2]):
            raise NoteError(f"A signer key is {PRIVATE}+<name>+<key id>+<base64 of the key>.")
        raw = decode(parts[4], "A signer key")
        if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
            raise NoteError("The key is neither of Ed25519 nor of Ed25519 cosignatures.")
        found = cls(parts[2], Ed25519PrivateKey.from_private_bytes(raw[1:]), raw[0])
        if parts[3] != found.verifier.key_id.hex():
            raise NoteError("The key does not have the id that stands before it: it was not copied whole.")
        return found

    @property
    def secret(self) -> str:
        """What ``parse`` reads. It is the key itself."""
        encoded = base64.b64encode(bytes([self.kind]) + self.private.private_bytes_raw()).decode()
        return f"{PRIVATE}+{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    @property
    def verifier(self) -> Verifier:
        """Its public half."""
        return Verifier(self.name, self.kind, self.private.public_key().public_bytes_raw())

    def line(self, text: str, time: int = 0) -> str:
        """The signature line of a note's text, newline included. ``time``, in seconds since 1970, is what a witness
        says of when it saw the text."""
        if self.kind == ED25519:
            signature = self.private.sign(text.encode())
        else:
            signature = time.to_bytes(8, "big") + self.private.sign(cosigned(text, time))
        encoded = base64.b64encode(self.verifier.key_id + signature).decode()
        return f"{DASH}{self.name} {encoded}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose, with which key, and the bytes behind the key id."""

    name: str
    key_id: bytes
    raw: bytes

    @property
    def line(self) -> str:
        return f"{DASH}{self.name} {base64.b64encode(self.key_id + self.raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read: nothing about its signatures has been verified."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str) -> Self:
        """Take a note apart. Raises NoteError."""
        if len(note.encode(errors="surrogatepass")) > LONGEST_NOTE:
            raise NoteError(f"A note has at most {LONGEST_NOTE:,} bytes.")
        if any((ord(each) < 0x20 and each != "\n") or 0xD800 <= ord(each) < 0xE000 for each in note):
            raise NoteError("A note is UTF-8 text without control characters.")
        text, blank, rest = note.rpartition("\n\n")
        if not blank or not rest.endswith("\n"):
            raise NoteError("A note's text is followed by an empty line and signature lines.")
        lines = rest[:-1].split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise NoteError(f"A note has at most {MOST_SIGNATURES} signatures.")
        return cls(text + "\n", tuple(map(signature_of, lines)))

    def signed_by(self, verifier: Verifier) -> int | None:
        """The time in seconds that a witness's signature says, 0 for a log's; None where the key signed nothing here.
        Raises SignatureError where a line claims to be of this key and is not: such a note is to be refused whole."""
        found = None
        for each in self.signatures:
            if (each.name, each.key_id) != (verifier.name, verifier.key_id):
                continue
            time, raw = 0, each.raw
            if verifier.kind == COSIGNATURE:
                time, raw = int.from_bytes(raw[:8], "big"), raw[8:]
            signed = cosigned(self.text, time) if verifier.kind == COSIGNATURE else self.text.encode()
            if time >= 2**63:
                raise SignatureError(f"The signature of {verifier.name} names a time that cannot be.")
            try:
                Ed25519PublicKey.from_public_bytes(verifier.key).verify(raw, signed)
            except (InvalidSignature, ValueError):
                raise SignatureError(f"The signature of {verifier.name} is false.") from None
            found = time
        return found


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says: which log (its origin), how many entries, and the root hash over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text to sign."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a note. Raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteError("A checkpoint has at least three lines: origin, size and root.")
        origin, size, root, *extensions = lines[:-1]
        if not SIZE.fullmatch(size) or len(size) > LONGEST_SIZE or int(size) >= 2**63:
            raise NoteError("A checkpoint's size is a decimal number below 2^63 without leading zeros.")
        raw = decode(root, "A checkpoint's root")
        if len(raw) != 32:
            raise NoteError("A checkpoint's root has 32 bytes.")
        return cls(origin, int(size), raw, tuple(extensions))


def sign(text: str, signers: Iterable[Signer]) -> str:
    """The note of a text with a line of each signer."""
    return f"{text}\n{''.join(signer.line(text) for signer in signers)}"


def key_id(name: str, kind: int, key: bytes) -> bytes:
    """First four bytes of SHA-256(name ‖ newline ‖ kind ‖ key)."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


def cosigned(text: str, time: int) -> bytes:
    """What a witness signs: that at this time it had seen this checkpoint, and no other that contradicts it."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def signature_of(line: str) -> Signature:
    """Read one signature line. Raises SignatureError."""
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space or not NAME.fullmatch(name):
        raise SignatureError("A signature line is an em dash, a name and base64, with single spaces between.")
    try:
        raw = decode(encoded, "A signature")
    except NoteError as error:
        raise SignatureError(str(error)) from None
    if len(raw) < 5:
        raise SignatureError("A signature has four bytes of key id, and then at least one.")
    return Signature(name, raw[:4], raw[4:])


def tlog_proof(index: int, hashes: Sequence[bytes], note: str) -> str:
    """A proof that an entry is in the log of a checkpoint, as a file (https://c2sp.org/tlog-proof)."""
    return f"{TLOG_PROOF}\nindex {index}\n{hash_lines(hashes)}\n{note}"


def hash_lines(hashes: Iterable[bytes]) -> str:
    """A proof's hashes in base64, a line each."""
    return "".join(f"{base64.b64encode(each).decode()}\n" for each in hashes)


def decode(text: str, what: str) -> bytes:
    """Strict standard base64. Raises NoteError."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NoteError(f"{what} is not standard base64.") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError(f"{what} is not canonical base64.")
    return raw
