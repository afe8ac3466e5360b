"""Verify an exported bundle of a Countersign log: on any computer, without network, database or Countersign.

    python verify.py verify BUNDLE --policy POLICY [--since OLD.checkpoint] [--receipts FILE] [--fresh 24h]
    python verify.py verify-proof FILE --policy POLICY [--entry BODY]
    python verify.py consistency OLD NEW [--policy POLICY]
    python verify.py replay BUNDLE

Exit status: 0 intact; 1 tampered with, and the first bad entry is named; 2 incomplete: something that the verdict needs
is not there; 3 not signed by a key that the policy trusts. Trust comes from the policy file alone, never from a bundle.

This is one file, and longer than others, so that it can be handed over, read and run by itself. It needs Python 3.11
and the package ``cryptography``, and shares no code with the program that wrote the bundle, on purpose: a mistake there
is not repeated here. Formats: RFC 6962 (tree), RFC 8785 (bodies), C2SP signed-note, tlog-checkpoint, tlog-cosignature,
tlog-policy, tlog-proof and tlog-tiles.

A bundle is hostile until it is verified. Everything is bounded: lines, files, numbers, findings; entries are streamed.
"""

import argparse
import base64
import binascii
import hashlib
import json
import math
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INTACT, TAMPERED, INCOMPLETE, UNTRUSTED = range(4)
VERDICTS = ("intact", "tampered", "incomplete", "untrusted")
BUNDLE_FORMAT = "countersign-bundle/1"
BODY_VERSION = 1

MOST_FINDINGS = 100
LONGEST_BODY = 32 * 2**20  # bytes
LARGEST_FILE = 32 * 2**20  # bytes of any file but the entries
TAIL = 2**16  # bytes of a file's end, by which it is told what else it may be
LARGEST_DIRECTORY = 16 * 2**20  # bytes of the archive's list of files
MOST_PACKED = 200  # how many times its packed size a file may have
PIECE = 2**20  # bytes read at once
MOST_RECEIPTS = 1_000_000
LONGEST_RECEIPT = 64 * 2**10  # bytes
WIDTH = 256  # hashes in a full tile
HASH = 32
MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64

Body = dict[str, Any]


# Findings ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What is wrong (``kind`` is an exit status), and with which entry, if it is about one."""

    kind: int
    message: str
    index: int | None = None

    def line(self) -> str:
        place = "" if self.index is None else f"entry {self.index}: "
        return printable(f"{VERDICTS[self.kind]}: {place}{self.message}")


class Stop(Exception):
    """Nothing more can be verified."""

    def __init__(self, kind: int, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(kind, message, index)


@dataclass
class Report:
    """What was found; ``told`` is what an intact verdict says, and what a program reads."""

    told: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    first_bad: int | None = None
    kinds: set[int] = field(default_factory=set)
    opened: list[BinaryIO] = field(default_factory=list)

    def add(self, kind: int, message: str, index: int | None = None) -> None:
        """Keep a finding, or count it where there are many already."""
        self.kinds.add(kind)
        if kind == TAMPERED and index is not None and (self.first_bad is None or index < self.first_bad):
            self.first_bad = index
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, message, index))
        else:
            self.more += 1

    def close(self) -> None:
        """Close the files that it was made from."""
        for each in self.opened:
            each.close()

    @property
    def status(self) -> int:
        """The exit status: tampering outweighs an unknown key, and that what is missing."""
        return next((kind for kind in (TAMPERED, UNTRUSTED, INCOMPLETE) if kind in self.kinds), INTACT)

    def lines(self) -> list[str]:
        lines = [each.line() for each in self.findings]
        if self.more:
            lines.append(f"and {self.more:,} more findings")
        lines += [printable(f"note: {each}") for each in self.notes]
        summary = ", ".join(f"{name} {value}" for name, value in self.told.items() if value not in ("", None))
        bad = f"; the first bad entry is {self.first_bad}" if self.first_bad is not None else ""
        return [
            *lines,
            printable(f"{VERDICTS[self.status].upper()}{bad}: {summary or 'nothing was verified'}"),
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "verdict": VERDICTS[self.status],
            "exit": self.status,
            "first_bad_entry": self.first_bad,
            "findings": [
                {"kind": VERDICTS[each.kind], "entry": each.index, "message": printable(each.message)}
                for each in self.findings
            ],
            "more_findings": self.more,
            "notes": [printable(each) for each in self.notes],
            **self.told,
        }


def printable(text: str) -> str:
    """Without what a terminal would obey; a message quotes what somebody may have planted."""
    return "".join(each if each.isprintable() else "�" for each in text)


def shown(value: object) -> str:
    """A foreign value for a message, never long."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


# Canonical JSON (RFC 8785) -------------------------------------------------------------------------------------------


class NotCanonical(ValueError):
    """Bytes that are not the canonical JSON of anything."""


ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
ASTRAL = re.compile(rb"[\xf0-\xf4]")


class Unusual(Exception):
    """A number of many digits, or with a fraction or an exponent: the plain encoder may write it otherwise."""


def refuse_float(text: str) -> Any:
    raise Unusual(text)


def short_integer(text: str) -> int:
    if len(text) > 15:
        raise Unusual(text)
    return int(text)


PLAIN = json.JSONDecoder(
    parse_int=short_integer, parse_float=refuse_float, parse_constant=refuse_float
).decode


def parse_canonical(raw: bytes) -> Any:
    """The value of canonical JSON. Raises NotCanonical for other bytes, also for JSON that is written otherwise."""
    try:
        text = raw.decode()
        if raw.isascii() or not ASTRAL.search(raw):
            value = PLAIN(text)
            if ENCODE(value) == text:
                return value
    except Unusual:
        pass
    except (ValueError, RecursionError):
        raise NotCanonical("It is not strict JSON.") from None
    return parse_slowly(raw)


def parse_slowly(raw: bytes) -> Any:
    """As ``parse_canonical``, step by step."""
    try:
        text = raw.decode()
        value = json.loads(text, parse_int=whole, parse_float=float, parse_constant=refuse_constant)
        if write(value, MAX_DEPTH) != text:
            raise NotCanonical("It is JSON, and not in the canonical form of RFC 8785.")
    except NotCanonical:
        raise
    except (ValueError, RecursionError, OverflowError):
        raise NotCanonical("It is not strict JSON.") from None
    return value


def whole(text: str) -> int | float:
    """A number without fraction and exponent; RFC 8785 writes doubles below 1e21 so, too."""
    if len(text) > 22:
        raise NotCanonical("It holds a number of more digits than a double has.")
    return int(text) if abs(int(text)) <= MAX_INTEGER else float(text)


def refuse_constant(text: str) -> Any:
    raise NotCanonical(f"{text} is no JSON number.")


def write(value: Any, depth: int) -> str:
    """The value as RFC 8785 writes it. Raises NotCanonical where it has no such form."""
    if isinstance(value, float):
        return write_float(value)
    if isinstance(value, dict | list):
        if depth == 0:
            raise NotCanonical(f"It is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, list):
            return f"[{','.join(write(each, depth - 1) for each in value)}]"
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return f"{{{','.join(f'{ENCODE(key)}:{write(value[key], depth - 1)}' for key in keys)}}}"
    return ENCODE(value)


def write_float(value: float) -> str:
    """ECMAScript's Number::toString: the shortest digits, plain from 1e-6 up to 1e21."""
    if not math.isfinite(value):
        raise NotCanonical("It holds a number that a double does not hold.")
    if value == 0:
        return "0"
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    point = len(text) + exponent  # the value is 0.<text> * 10**point
    text = text.rstrip("0")
    if 0 < point <= 21:
        plain = text.ljust(point, "0") if len(text) <= point else f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        plain = f"0.{'0' * -point}{text}"
    else:
        plain = f"{text[0]}{'.' + text[1:] if len(text) > 1 else ''}e{point - 1:+d}"
    return f"-{plain}" if value < 0 else plain


# Trees (RFC 6962) ----------------------------------------------------------------------------------------------------


EMPTY_ROOT = hashlib.sha256(b"").digest()


class BadProof(ValueError):
    """A proof that does not show what it claims."""


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 ‖ body)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows by complete subtrees, given by their height and root, largest first where sizes differ."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[tuple[int, bytes]] = []

    def push(self, height: int, node: bytes) -> None:
        """Add a complete subtree of 2**height leaves behind all others, none of which is smaller."""
        self.size += 1 << height
        while self.peaks and self.peaks[-1][0] == height:
            node = node_hash(self.peaks.pop()[1], node)
            height += 1
        self.peaks.append((height, node))

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            node = node_hash(left, node)
        return node


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over consecutive nodes of one height."""
    nodes, sha256 = list(hashes), hashlib.sha256
    if len(nodes) & (len(nodes) - 1) == 0 and nodes:
        while len(nodes) > 1:
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        return nodes[0]
    tree = Tree()
    for each in nodes:
        tree.push(0, each)
    return tree.root()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162, section 2.1.3.2. Raises BadProof."""
    if not 0 <= index < size:
        raise BadProof(f"There is no entry {index} in a tree of {size}.")
    check_hashes(leaf, root, *proof)
    inner = (index ^ (size - 1)).bit_length()  # levels at which the path leaves the tree's right edge behind
    needed = inner + (index >> inner).bit_count()
    if len(proof) != needed:
        raise BadProof(f"The inclusion proof has {len(proof)} hashes instead of {needed}.")
    node = leaf
    for level, sibling in enumerate(proof):
        right = level >= inner or index >> level & 1
        node = node_hash(sibling, node) if right else node_hash(node, sibling)
    if node != root:
        raise BadProof("The inclusion proof leads to another root.")


def verify_consistency(first: int, second: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> None:
    """That the tree (second, root2) only added to (first, root1): RFC 9162, section 2.1.4.2. Raises BadProof."""
    if not 0 < first <= second:
        raise BadProof(f"A tree of {second} entries cannot extend one of {first}.")
    if first == second:
        if proof or root1 != root2:
            raise BadProof("Two trees of one size have different roots.")
        return
    check_hashes(root1, root2, *proof)
    shift = (first & -first).bit_length() - 1  # height of the first tree's last complete subtree
    path = list(proof)
    start = root1 if first == 1 << shift else path.pop(0) if path else b""
    if not start:
        raise BadProof("The consistency proof is empty.")
    index, inner = (first - 1) >> shift, ((first - 1) ^ (second - 1)).bit_length() - shift
    needed = inner + (index >> inner).bit_count()
    if len(path) != needed:
        raise BadProof("The consistency proof does not have the number of hashes that it needs.")
    old = new = start
    for level, sibling in enumerate(path):
        if level >= inner or index >> level & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if (old, new) != (root1, root2):
        raise BadProof("The consistency proof leads to other roots.")


def check_hashes(*hashes: bytes) -> None:
    if any(len(each) != HASH for each in hashes):
        raise BadProof(f"Every hash of a proof has {HASH} bytes.")


# Notes, checkpoints and the policy (C2SP) ----------------------------------------------------------------------------


ED25519, COSIGNATURE = 1, 4
LONGEST_NOTE = 1_000_000
MOST_SIGNATURES = 100
ORIGIN = re.compile(
    r"(?P<base>(?P<host>[^\s+]{1,160})/(?P<kind>ws|installation)/(?P<uuid>[0-9a-f-]{36}))"
    r"(/(?P<epoch>[1-9][0-9]{0,8}))?"
)
KEY_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
POLICY_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class BadNote(ValueError):
    """A note, checkpoint or key that is not what C2SP says."""


class BadPolicy(ValueError):
    """A policy file that cannot be used."""


def unbase64(text: str) -> bytes:
    """Strict, canonical base64. Raises BadNote."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadNote("It holds text that is not base64.") from None
    if base64.b64encode(raw).decode() != text:
        raise BadNote("It holds base64 that is not canonical.")
    return raw


@dataclass(frozen=True)
class Key:
    """A public key under a name; ``kind`` is that of a log's note or of a witness's cosignature."""

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(
            self.name.encode(errors="surrogateescape") + b"\n" + bytes([self.kind]) + self.raw
        ).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> "Key":
        """``<name>+<hex id>+<base64>``. Raises BadNote."""
        name, _, rest = text.partition("+")
        shown_id, _, encoded = rest.partition("+")
        raw = unbase64(encoded)
        if not KEY_NAME.fullmatch(name) or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
            raise BadNote(f"{shown(text)} is no verifier key.")
        key = cls(name, raw[0], raw[1:])
        if key.id.hex() != shown_id:
            raise BadNote(f"The key {shown(name)} was not copied whole: its id does not fit.")
        return key

    def under(self, name: str) -> "Key":
        return Key(name, self.kind, self.raw)

    def signs(self, signature: bytes, text: str) -> int | None:
        """The time in seconds of a good cosignature, 0 of a good log's signature, None of a bad one."""
        time, signed = 0, text.encode()
        if self.kind == COSIGNATURE:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signed = f"cosignature/v1\ntime {time}\n{text}".encode()
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return None
        return time


@dataclass(frozen=True)
class Note:
    """A signed text, taken apart; its signatures are (name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Raises BadNote."""
        if len(raw) > LONGEST_NOTE:
            raise BadNote("It is longer than a note may be.")
        try:
            note = raw.decode()
        except UnicodeDecodeError:
            raise BadNote("It is not UTF-8.") from None
        if any(ord(each) < 32 and each != "\n" for each in note):
            raise BadNote("It holds control characters.")
        text, blank, rest = note.rpartition("\n\n")
        if not blank or not rest.endswith("\n"):
            raise BadNote("It has no signature lines behind an empty line.")
        lines = rest[:-1].split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise BadNote(f"It has more than {MOST_SIGNATURES} signatures.")
        return cls(f"{text}\n", tuple(map(signature_of, lines)))

    def signed_by(self, key: Key) -> int | None:
        """The time that a cosignature says, 0 for a log's signature; None where this key signed nothing here.
        Raises BadNote for a line that claims to be this key's and is not."""
        found = None
        for name, key_id, signature in self.signatures:
            if (name, key_id) == (key.name, key.id):
                found = key.signs(signature, self.text)
                if found is None:
                    raise BadNote(f"The signature of {shown(key.name)} is false.")
        return found


def signature_of(line: str) -> tuple[str, bytes, bytes]:
    """(name, key id, signature) of a line. Raises BadNote."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    raw = unbase64(encoded)
    if dash != "—" or not KEY_NAME.fullmatch(name) or len(raw) < 5:
        raise BadNote("It has a line that is no signature line.")
    return name, raw[:4], raw[4:]


@dataclass(frozen=True)
class Checkpoint:
    """A note that says: this log has this many entries, with this root over them."""

    note: Note
    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Checkpoint":
        """Raises BadNote."""
        note = Note.parse(raw)
        lines = note.text.split("\n")
        if len(lines) < 4 or not all(lines[:-1]) or not NUMBER.fullmatch(lines[1]) or int(lines[1]) >= 2**63:
            raise BadNote("It is no checkpoint: origin, size and root, a line each.")
        root = unbase64(lines[2])
        if len(root) != HASH:
            raise BadNote("Its root is no SHA-256 hash.")
        return cls(note, lines[0], int(lines[1]), root)

    @property
    def place(self) -> "Place":
        return Place.parse(self.origin)


@dataclass(frozen=True)
class Place:
    """An origin of ours: which host, which log, in which epoch."""

    base: str
    host: str
    kind: str
    uuid: str
    epoch: int

    @classmethod
    def parse(cls, origin: str) -> "Place":
        """Raises BadNote."""
        match = ORIGIN.fullmatch(origin)
        if match is None:
            raise BadNote(f"{shown(origin)} is no origin of a Countersign log.")
        return cls(match["base"], match["host"], match["kind"], match["uuid"], int(match["epoch"] or 0))


@dataclass
class Policy:
    """Whom the reader trusts: keys of logs, witnesses, how many of those, and which epochs."""

    logs: list[Key] = field(default_factory=list)
    previous: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = ""
    epochs: set[tuple[str, int]] = field(default_factory=set)
    authorities: list[str] = field(default_factory=list)
    receipts: list[Key] = field(default_factory=list)
    successors: list[Key] = field(default_factory=list)  # of trusted keys, as a bundle shows
    retired: list[Key] = field(default_factory=list)  # which a trusted key succeeded
    folder: Path = field(default_factory=Path)

    @classmethod
    def read(cls, path: str) -> "Policy":
        """Raises BadPolicy."""
        try:
            raw = read_bounded(path, LONGEST_NOTE)
        except OSError as error:
            raise BadPolicy(f"It cannot be read: {error.strerror}.") from None
        policy = cls(folder=Path(path).parent)
        for number, line in enumerate(raw.decode(errors="surrogateescape").split("\n"), 1):
            try:
                policy.take(line)
            except (BadNote, BadPolicy, ValueError, IndexError) as error:
                raise BadPolicy(f"line {number}: {error}") from None
        if not policy.quorum:
            raise BadPolicy("It has no line `quorum`; write `quorum none` to need no witness.")
        return policy

    def take(self, line: str) -> None:
        if POLICY_CONTROL.search(line):
            raise BadPolicy("a control character")
        words = [each for each in re.split("[ \t]+", line) if each]
        if not words or words[0].startswith("#"):
            return
        keyword, *items = words
        least, most = FORMS.get(keyword, (-1, -1))
        if not least <= len(items) <= most:
            raise BadPolicy(f"{shown(line)} is no line of a policy.")
        if keyword in ("log", "previous"):
            (self.logs if keyword == "log" else self.previous).append(self.fresh(items[0], ED25519))
        elif keyword == "witness":
            self.define(items[0])
            self.witnesses[items[0]] = self.fresh(items[1], COSIGNATURE)
        elif keyword == "group":
            self.take_group(*items)
        elif keyword == "quorum":
            if self.quorum or (items[0] != "none" and not self.defined(items[0])):
                raise BadPolicy(
                    "There is one quorum, and it names a witness or group of an earlier line, or none."
                )
            self.quorum = items[0]
        elif keyword == "epoch":
            self.epochs.add((items[0], int(items[1])))
        elif keyword == "tsa":
            self.authorities.append(items[0])
        elif keyword == "receipts":
            self.receipts.append(Key.parse(items[0]))

    def fresh(self, text: str, kind: int) -> Key:
        """A key of this kind that no line named before. Raises BadPolicy."""
        key = Key.parse(text)
        known = self.witnesses.values() if kind == COSIGNATURE else [*self.logs, *self.previous]
        if key.kind != kind or any(each.raw == key.raw for each in known):
            raise BadPolicy(f"The key {shown(key.name)} is of another kind, or stands here twice.")
        return key

    def define(self, name: str) -> None:
        if name == "none" or self.defined(name):
            raise BadPolicy(f"The name {shown(name)} is taken.")

    def defined(self, name: str) -> bool:
        return name in self.witnesses or name in self.groups

    def take_group(self, name: str, count: str, *members: str) -> None:
        self.define(name)
        taken = [each for _, others in self.groups.values() for each in others] + list(members)
        if not all(map(self.defined, members)) or len(set(taken)) != len(taken):
            raise BadPolicy("A member of a group is defined before, and in one group once.")
        number = int({"any": "1", "all": str(len(members))}.get(count, count))
        if not 1 <= number <= len(members):
            raise BadPolicy(f"A group of {len(members)} cannot need {shown(count)}.")
        self.groups[name] = (number, list(members))

    def keys_of(self, place: Place, origin: str, *, earlier: bool = False) -> list[Key]:
        """The keys that may sign for a log: its own, and its installation's, which signs all logs of its host. A key
        that was exchanged signs what is ``earlier`` only."""
        found = []
        for key in [*self.logs, *self.previous, *self.successors, *(self.retired if earlier else ())]:
            match = ORIGIN.fullmatch(key.name)
            if key.name == place.base or (match is not None and match["host"] == place.host):
                found.append(key.under(origin))
        return found

    def follow(self, rotations: Sequence[tuple[Key, Key]]) -> None:
        """Trust what a trusted key endorsed: the key after it, and for earlier checkpoints the one before it."""
        trusted = {key.raw for key in (*self.logs, *self.previous)}
        for old, new in rotations:
            if old.raw in trusted:
                trusted.add(new.raw)
                self.successors.append(new)
        for old, new in reversed(rotations):
            if new.raw in trusted and old.raw not in trusted:
                trusted.add(old.raw)
                self.retired.append(old)

    def satisfied_by(self, names: Iterable[str]) -> bool:
        """Whether these witnesses are the quorum."""
        met = set(names)
        for name, (number, members) in self.groups.items():
            if len(met.intersection(members)) >= number:
                met.add(name)
        return self.quorum == "none" or self.quorum in met


# Keyword → least and most words behind it.
FORMS = {
    "log": (1, 2),
    "previous": (1, 1),
    "witness": (2, 3),
    "group": (3, 1000),
    "quorum": (1, 1),
    "receipts": (1, 1),
    "epoch": (2, 2),
    "origin": (2, 1000),
    "tsa": (1, 1),
}


def judge_signature(
    report: Report, checkpoint: Checkpoint, policy: Policy, what: str, *, earlier: bool = False
) -> str:
    """Whether a key of the policy signed; the name of the key, "" where none did, which becomes a finding."""
    try:
        for key in policy.keys_of(checkpoint.place, checkpoint.origin, earlier=earlier):
            if checkpoint.note.signed_by(key) is not None:
                return f"{key.name}+{key.id.hex()}"
    except BadNote as error:
        report.add(TAMPERED, f"{what}: {error}")
        return ""
    message = f"{what} is signed by no key of the policy. Compare the policy's key with the one that you were given."
    report.add(UNTRUSTED, message)
    return ""


def judge_witnesses(report: Report, checkpoint: Checkpoint, policy: Policy, what: str) -> dict[str, int]:
    """The policy's witnesses that cosigned, with the time in seconds that each says; too few are a finding."""
    times: dict[str, int] = {}
    try:
        for name, key in policy.witnesses.items():
            time = checkpoint.note.signed_by(key)
            if time is not None:
                times[name] = time
    except BadNote as error:
        report.add(TAMPERED, f"{what}: {error}")
        return {}
    if not policy.satisfied_by(times):
        cosigned = ", ".join(times) or "none"
        report.add(INCOMPLETE, f"{what} lacks the policy's quorum of witnesses; cosigned by: {cosigned}.")
    return times


def cosigners(times: dict[str, int]) -> str:
    """The witnesses with the time that each says."""
    return "; ".join(f"{name} at {said(time)}" for name, time in times.items())


def said(time: int) -> str:
    """Seconds since 1970 as people write a time."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an impossible time"


def judge_epoch(report: Report, place: Place, policy: Policy) -> None:
    """An epoch beyond the first means that entries were lost; only the reader can accept that."""
    missing = [
        each for each in range(1, min(place.epoch, 1000) + 1) if (place.base, each) not in policy.epochs
    ]
    if missing or place.epoch > 1000:
        message = (
            f"This log was adopted anew after it had lost entries (epoch {place.epoch}), and the policy does not name "
            f"that. Ask why; if you accept it, add the line: epoch {place.base} "
            f"{missing[0] if missing else place.epoch}"
        )
        report.add(INCOMPLETE, message)


def read_bounded(path: str, limit: int) -> bytes:
    """A file's content. Raises Stop where it is larger, and OSError."""
    with open(path, "rb") as file:
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise Stop(INCOMPLETE, f"{path} is larger than such a file can be.")
    return raw


# Bundles -------------------------------------------------------------------------------------------------------------


COMMENT = len("sha256:") + 64
END = struct.Struct("<4s4H2LH")  # the archive's last record
FAR_END = struct.Struct("<4sQ2H2L4Q")
FAR_PLACE = struct.Struct("<4sLQL")
ENTRIES = "entries.jsonl"
MANIFEST = "manifest.json"
LEVEL_0 = re.compile(r"tile/0/(?:x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?")
NAME = re.compile(
    r"README\.md|verify\.py|manifest\.json|checkpoint|keys\.json|retention\.json|entries\.jsonl"
    r"|checkpoints/[0-9]{1,9}-[0-9]{1,19}|tile/[0-7]/(x[0-9]{3}/){0,5}[0-9]{3}(\.p/[1-9][0-9]{0,2})?"
    r"|anchor/(checkpoint|entry\.json|proof|stamped|stamped-proof|rotation-[0-9]{1,19}\.(json|proof)|timestamp-[0-9]{1,4}\.tsr)"
    r"|policies/pol_[0-9a-f]{64}\.json"
)
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, OverflowError, RuntimeError, struct.error,
)  # fmt: skip


class Bundle:
    """An exported file, opened. Raises Stop for one that nothing can be said of."""

    def __init__(self, path: str, report: Report) -> None:
        self.report = report
        try:
            self.file: BinaryIO = open(path, "rb")  # noqa: SIM115 - it stays open as long as the bundle is read
            report.opened.append(self.file)
            self.length = self.file.seek(0, 2)
            self.judge_end()
            self.archive = zipfile.ZipFile(self.file)
            self.members = {each.filename: each for each in self.archive.infolist()}
            self.judge_members()
        except UNREADABLE as error:
            told = (isinstance(error, OSError) and error.strerror) or error
            raise Stop(INCOMPLETE, f"This is no bundle, or only a part of one: {told}.") from None

    def judge_end(self) -> None:
        """The last record is where a bundle has it, the list of files is bounded, and the file's own checksum fits."""
        start = self.length - COMMENT - END.size
        if start < 0:
            raise Stop(INCOMPLETE, "This is no bundle, or only a part of one: it is too short.")
        self.file.seek(start)
        end = END.unpack(self.file.read(END.size))
        comment = self.file.read(COMMENT)
        self.counted = end[1:5]
        if end[0] != b"PK\x05\x06" or end[7] != COMMENT or not comment.startswith(b"sha256:"):
            raise Stop(INCOMPLETE, f"This is no bundle as it was exported: {self.otherwise()}.")
        if max(end[5], self.far_size(start)) > LARGEST_DIRECTORY:
            raise Stop(INCOMPLETE, "The archive lists more files than a bundle can have.")
        digest = hashlib.sha256()
        self.file.seek(0)
        left = self.length - COMMENT
        while left:
            piece = self.file.read(min(PIECE, left))
            if not piece:
                break
            digest.update(piece)
            left -= len(piece)
        if comment != b"sha256:" + digest.hexdigest().encode():
            self.report.add(TAMPERED, "The file is not as it was exported: its own checksum does not fit.")

    def otherwise(self) -> str:
        """What it may be, where the checksum at a bundle's end is not there."""
        self.file.seek(max(0, self.length - TAIL))
        tail = self.file.read(TAIL)
        if b"PK\x05\x06" not in tail:
            return "it is no archive, or only a part of one"
        if b"bundle.zip" in tail:
            return "it is an evidence pack; verify the bundle.zip that is in it"
        return "it was packed again, or is another archive; take the file as it was handed out"

    def far_size(self, end: int) -> int:
        """How large a large archive's list of files is; 0 for others."""
        self.file.seek(max(0, end - FAR_PLACE.size))
        raw = self.file.read(FAR_PLACE.size)
        if len(raw) < FAR_PLACE.size or raw[:4] != b"PK\x06\x07":
            return 0
        self.file.seek(min(FAR_PLACE.unpack(raw)[2], self.length))
        raw = self.file.read(FAR_END.size)
        return int(FAR_END.unpack(raw)[8]) if len(raw) == FAR_END.size else LARGEST_DIRECTORY + 1

    def judge_members(self) -> None:
        """Each file is one that a bundle has, once, in order, behind the one before, and not packed too well."""
        infos = self.archive.infolist()
        if self.counted != (0, 0, *[min(len(infos), 0xFFFF)] * 2):
            raise Stop(TAMPERED, "The archive does not say how many files it has.")
        if [each.filename for each in infos] != [*sorted(self.members.keys() - {MANIFEST}), MANIFEST]:
            raise Stop(TAMPERED, "The archive has files twice, or in another order than a bundle.")
        expected = 0
        for each in infos:
            if not NAME.fullmatch(each.filename) or each.flag_bits & 1 or each.compress_type not in (0, 8):
                raise Stop(TAMPERED, f"A bundle has no file {shown(each.filename)}.")
            largest = each.compress_size * MOST_PACKED + 4096
            if each.file_size > largest or (each.filename != ENTRIES and each.file_size > LARGEST_FILE):
                raise Stop(TAMPERED, f"{each.filename} would unpack to {each.file_size:,} bytes.")
            self.file.seek(each.header_offset)
            head = self.file.read(30)
            if each.header_offset != expected or len(head) != 30:
                raise Stop(TAMPERED, f"{each.filename} does not begin where the file before it ends.")
            expected += 30 + sum(struct.unpack("<2H", head[26:])) + each.compress_size

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def names(self, folder: str) -> list[str]:
        return [name for name in self.members if name.startswith(folder)]

    def read(self, name: str) -> bytes:
        """A file's content. Raises Stop where it is missing or damaged."""
        if name not in self.members:
            raise Stop(INCOMPLETE, f"The bundle has no {name}.")
        try:
            return self.archive.read(name)
        except UNREADABLE as error:
            raise Stop(TAMPERED, f"{name} is damaged: {error}.") from None

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file's content, piece by piece. Raises Stop where it is damaged."""
        try:
            with self.archive.open(name) as file:
                while piece := file.read(PIECE):
                    yield piece
        except UNREADABLE as error:
            raise Stop(TAMPERED, f"{name} is damaged: {error}.") from None

    def lines(self, name: str, digest: Any) -> Iterator[bytes]:
        """A file's lines without their ends. Raises Stop for a line that is too long, or has no end."""
        rest = b""
        for piece in self.pieces(name):
            digest.update(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
            if len(rest) > LONGEST_BODY:
                raise Stop(TAMPERED, f"{name} has a line of more than {LONGEST_BODY:,} bytes.")
        if rest:
            raise Stop(TAMPERED, f"{name} ends within a line.")

    def json(self, name: str) -> dict[str, Any]:
        """A file that is one JSON object in canonical form. Raises Stop."""
        try:
            value = parse_canonical(self.read(name))
        except NotCanonical as error:
            raise Stop(TAMPERED, f"{name}: {error}") from None
        if not isinstance(value, dict):
            raise Stop(TAMPERED, f"{name} is no JSON object.")
        return value

    def checkpoint(self, name: str) -> Checkpoint:
        """A file that is a checkpoint. Raises Stop."""
        try:
            return Checkpoint.parse(self.read(name))
        except BadNote as error:
            raise Stop(TAMPERED, f"{name}: {error}") from None


def tile_path(level: int, index: int, width: int) -> str:
    """Where a tile of this width stands (C2SP tlog-tiles)."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.insert(0, f"x{index % 1000:03d}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{level}/{'/'.join(parts)}{partial}"


class Tiles:
    """A bundle's tiles for a size. ``sound`` tells whether those above the lowest level lead to the root."""

    def __init__(self, bundle: Bundle, size: int, root: bytes) -> None:
        self.bundle, self.size, self.root = bundle, size, root
        self.missing = 0
        tiles = -(-size // WIDTH)
        if tiles > 2 * len(bundle.members) + WIDTH:
            raise Stop(
                INCOMPLETE, f"The bundle lacks most of the {tiles:,} tiles that {size:,} entries have."
            )
        self.levels: dict[int, bytes | None] = {}
        level = 1
        while size >> 8 * level:
            self.levels[level] = self.whole_level(level, size >> 8 * level)
            level += 1
        self.sound = self.judge()

    def tile(self, level: int, index: int) -> bytes | None:
        """One tile's hashes; None, and a finding, where it is not there or of another length."""
        width = min(WIDTH, (self.size >> 8 * level) - index * WIDTH)
        path = tile_path(level, index, width)
        first = index * WIDTH << 8 * level
        if path not in self.bundle:
            self.missing += 1
            self.bundle.report.add(INCOMPLETE, f"The bundle has no {path}, of the entries from {first} on.")
            return None
        raw = self.bundle.read(path)
        if len(raw) != width * HASH:
            self.bundle.report.add(TAMPERED, f"{path} does not hold {width} hashes.", first)
            return None
        return raw

    def whole_level(self, level: int, count: int) -> bytes | None:
        found = [self.tile(level, index) for index in range(-(-count // WIDTH))]
        return None if any(each is None for each in found) else b"".join(each for each in found if each)

    def partial(self, level: int) -> bytes | None:
        """The hashes of a level that no higher level covers."""
        count = self.size >> 8 * level
        if not count % WIDTH:
            return b""
        if level == 0:
            return self.tile(0, count // WIDTH)
        whole = self.levels[level]
        return None if whole is None else whole[(count - count % WIDTH) * HASH :]

    def judge(self) -> bool:
        """Whether the levels above the lowest fit each other and the root, from the top down."""
        tree = Tree()
        for level in (*sorted(self.levels, reverse=True), 0):
            hashes = self.partial(level)
            if hashes is None:
                return False
            for each in split(hashes):
                tree.push(8 * level, each)
        if tree.root() != self.root:
            self.bundle.report.add(TAMPERED, "The tiles do not lead to the checkpoint's root.")
            return False
        sound = True
        for level in sorted(self.levels)[1:]:
            parents, hashes = self.levels[level], self.levels[level - 1]
            assert parents is not None
            assert hashes is not None
            for index, parent in enumerate(split(parents)):
                if root_of(split(hashes[index * WIDTH * HASH : (index + 1) * WIDTH * HASH])) != parent:
                    path = tile_path(level - 1, index, WIDTH)
                    first = index * WIDTH << 8 * (level - 1)
                    self.bundle.report.add(TAMPERED, f"{path} is not the tile that was signed.", first)
                    sound = False
        return sound

    def leaves(self, index: int) -> list[bytes] | None:
        """The leaf hashes of a lowest tile, where it is there."""
        raw = self.tile(0, index)
        return None if raw is None else split(raw)

    def vouches_for(self, index: int, hashes: list[bytes]) -> bool:
        """Whether these are the signed leaf hashes of a lowest tile."""
        upper = self.levels.get(1)
        if len(hashes) < WIDTH:  # `judge` led the partial tile to the root
            return self.sound
        return (
            self.sound and upper is not None and root_of(hashes) == upper[index * HASH : (index + 1) * HASH]
        )


def split(raw: bytes) -> list[bytes]:
    return [raw[start : start + HASH] for start in range(0, len(raw), HASH)]


# Entries -------------------------------------------------------------------------------------------------------------


FIELDS = frozenset(
    (
        "v",
        "log",
        "index",
        "time",
        "type",
        "actor",
        "agent",
        "tool",
        "resource",
        "outcome",
        "session",
        "data",
        "rand",
    )
)
WITH_DETAIL = FIELDS | {"detail"}
TEXTS = ("log", "time", "type", "actor", "agent", "tool", "resource", "outcome", "session", "rand")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
PRUNED = "audit.retention.pruned"
ADOPTED = "audit.log.adopted"
MOST_GAPS = 1_000_000
Reader = Callable[[Body], Iterable[str]]


def problem_of(body: Any, uuid: str) -> str:
    """What makes a value no entry of this log; "" for one that is."""
    if type(body) is not dict or body.get("v") != BODY_VERSION:
        return f"It is no entry of version {BODY_VERSION}."
    names = body.keys()
    if names != FIELDS and names != WITH_DETAIL:
        return "It does not have the fields of an entry."
    detail = body.get("detail", {})
    if not (
        type(body["index"]) is int
        and type(body["data"]) is dict
        and type(detail) is dict
        and {str}.issuperset(map(type, detail.values()))
        and {str}.issuperset([type(body[name]) for name in TEXTS])
        and type(body["data"].get("rows", [])) is list
    ):
        return "It has a field of another type than entries have."
    if body["log"] != uuid:
        return f"It says that it is an entry of the log {shown(body['log'])}."
    if not TIME.fullmatch(body["time"]):
        return f"Its time, {shown(body['time'])}, is not written as times are."
    return ""


class Entries:
    """Reads a bundle's entries in order, a tile at a time, and judges each by itself, by its place and by the tiles.

    ``roots`` maps the sizes that are asked for to the root that the log had at that size, None where it is unknown.
    ``readers`` are handed each sound body."""

    def __init__(
        self, bundle: Bundle, checkpoint: Checkpoint, sizes: Iterable[int], readers: Sequence[Reader]
    ) -> None:
        self.bundle, self.report, self.readers = bundle, bundle.report, readers
        self.size, self.uuid = checkpoint.size, checkpoint.place.uuid
        self.tiles = Tiles(bundle, checkpoint.size, checkpoint.root)
        self.roots: dict[int, bytes | None] = dict.fromkeys(each for each in sizes if 0 <= each <= self.size)
        self.waiting = sorted(self.roots, reverse=True)
        self.leaves: dict[int, bytes | None] = {}  # of the indexes that are asked for
        self.tree: Tree | None = Tree()
        self.fresh: list[bytes | None] = []
        self.expected = self.read = 0
        self.time = self.changed_at = ""
        self.revision = 0
        self.gaps: list[tuple[int, int]] = []
        self.stated: list[tuple[int, int, int]] = []
        self.adopted: list[int] = []
        self.digest = hashlib.sha256()

    def run(self) -> None:
        """Read all. Raises Stop where the file of entries cannot be read on."""
        self.note_roots()
        for raw in self.bundle.lines(ENTRIES, self.digest):
            self.take(raw)
        if self.expected < self.size:
            message = f"The entries {self.expected} to {self.size - 1} are not in the bundle."
            self.report.add(INCOMPLETE, message)
            self.skip_to(self.size)
        self.judge_gaps()

    def take(self, raw: bytes) -> None:
        """Judge one line, and hand its body to the readers."""
        self.read += 1
        body: Body = {}
        try:
            body = parse_canonical(raw)
            problem = problem_of(body, self.uuid)
        except NotCanonical as error:
            problem = str(error)
        index = self.expected if problem else body["index"]
        if index > self.expected and index < self.size:
            self.gap(index)
        if index != self.expected or index >= self.size:
            self.report.add(
                TAMPERED, f"There is no place for an entry that says to be {index}.", self.expected
            )
            if self.expected >= self.size:
                raise Stop(TAMPERED, f"There are more entries than the checkpoint counts, {self.size}.")
            problem = "of another index"
        elif problem:
            self.report.add(TAMPERED, problem, index)
        self.append(leaf_hash(raw))
        if not problem:
            self.follow(body)

    def gap(self, index: int) -> None:
        """Note that entries are not there; whether they may be, later entries say."""
        if len(self.gaps) >= MOST_GAPS:
            raise Stop(INCOMPLETE, "There are more gaps between the entries than can be followed.")
        self.gaps.append((self.expected, index))
        self.skip_to(index)

    def skip_to(self, index: int) -> None:
        while self.expected < index:
            self.append(None)

    def append(self, leaf: bytes | None) -> None:
        self.fresh.append(leaf)
        self.expected += 1
        if len(self.fresh) == WIDTH or self.expected == self.size:
            self.close_tile()

    def close_tile(self) -> None:
        """Compare the leaves with their tile, and add them to the tree."""
        number, first = (self.expected - 1) // WIDTH, self.expected - len(self.fresh)
        stored, fresh = self.tiles.leaves(number), self.fresh
        self.fresh = []
        vouched = stored is not None and self.tiles.vouches_for(number, stored)
        if stored is not None and fresh != stored:
            for place, (ours, theirs) in enumerate(zip(fresh, stored, strict=True)):
                if ours is not None and ours != theirs:
                    message = (
                        "Its body is not the one that was signed."
                        if vouched
                        else "Its body does not fit its tile."
                    )
                    self.report.add(TAMPERED, message, first + place)
        if stored is not None and not vouched and self.tiles.sound:
            self.report.add(TAMPERED, f"tile {number} of the leaves is not the one that was signed.", first)
        leaves: list[bytes] = []
        for place, leaf in enumerate(fresh):
            if leaf is None and vouched and stored is not None:
                leaf = stored[place]
            if first + place in self.leaves:
                self.leaves[first + place] = leaf
            if leaf is None:
                self.tree = None  # from here on the roots are unknown
            else:
                leaves.append(leaf)
        self.grow(leaves)

    def grow(self, leaves: list[bytes]) -> None:
        """Add leaves to the tree, stopping at the sizes whose root is asked for."""
        if self.tree is None:
            return
        if len(leaves) == WIDTH and not (self.waiting and self.waiting[-1] < self.expected):
            self.tree.push(8, root_of(leaves))
            self.note_roots()
            return
        for leaf in leaves:
            self.tree.push(0, leaf)
            self.note_roots()

    def note_roots(self) -> None:
        while self.tree is not None and self.waiting and self.waiting[-1] == self.tree.size:
            self.roots[self.waiting.pop()] = self.tree.root()

    def follow(self, body: Body) -> None:
        """What an entry must be after those before it, and what it means."""
        time, data, index = body["time"], body["data"], body["index"]
        if time < self.time:
            self.report.add(TAMPERED, f"Its time, {time}, is before that of an earlier entry.", index)
        self.time = max(time, self.time)
        if "rows" in data:
            self.follow_revision(data, time, index)
        if body["type"] == PRUNED:
            self.stated += pruned_by(data)
        elif body["type"] == ADOPTED:
            self.adopted.append(index)
        for reader in self.readers:
            for message in reader(body):
                self.report.add(TAMPERED, message, index)

    def follow_revision(self, data: Body, time: str, index: int) -> None:
        """The configuration's revision counts the transactions that changed it, so none of them can be left out."""
        rows, revision = data["rows"], data.get("revision")
        joined = revision == self.revision and (not rows or time == self.changed_at)
        if not joined and not (rows and revision == self.revision + 1):
            message = (
                f"It gives the configuration the revision {shown(revision)}; it follows {self.revision}."
            )
            self.report.add(TAMPERED, message, index)
        if rows and type(revision) is int:
            self.revision, self.changed_at = revision, time

    def judge_gaps(self) -> None:
        """Entries may be missing only where a later entry says that they were pruned, and no more than it says."""
        self.stated.sort()
        place = 0
        gone = [0] * len(self.stated)
        for first, end in self.gaps:
            while first < end:
                while place < len(self.stated) and self.stated[place][1] <= first:
                    place += 1
                if place == len(self.stated) or first < self.stated[place][0]:
                    message = f"The entries {first} to {end - 1} are not in the bundle"
                    self.report.add(INCOMPLETE, f"{message}, and no entry says that they were pruned.")
                    break
                stop = min(end, self.stated[place][1])
                gone[place] += stop - first
                first = stop
        for (first, end, kept), missing in zip(self.stated, gone, strict=True):
            if end - first - missing != kept:
                here = end - first - missing
                message = f"Of the entries {first} to {end - 1} {kept} were kept when the others were pruned"
                self.report.add(INCOMPLETE, f"{message}, and {here} are here.")

    @property
    def pruned(self) -> int:
        return sum(end - first for first, end in self.gaps)


def pruned_by(data: Body) -> list[tuple[int, int, int]]:
    """The range of indexes (first, end) that an entry says was pruned, and how many entries of it were kept."""
    told = data.get("entries")
    if type(told) is not dict:
        return []
    first, end, kept = told.get("from"), told.get("to"), told.get("kept")
    if {type(first), type(end), type(kept)} != {int} or not 0 <= first < end:  # type: ignore[operator]
        return []
    return [(first, end, kept)]  # type: ignore[list-item]


# Conduct: what a log must not tell of its agents ---------------------------------------------------------------------


AGENT, KEY, WORKSPACE, INSTALLATION = (
    "workspaces.agent", "workspaces.agentkey", "workspaces.workspace", "workspaces.installation",
)  # fmt: skip
POLICY_VERSION, STANDING_APPROVAL = "governance.policyversion", "governance.standingapproval"
# From the loosest to the strictest.
LADDER = {name: place for place, name in enumerate(
    ("observe", "active", "supervised", "read_only", "suspended", "revoked"))}  # fmt: skip
ALLOWED, SIMULATED = "governance.check.allowed", "governance.check.simulated"
VERDICT_OF = {ALLOWED: "allow", "governance.check.denied": "deny", "governance.check.pending": "pending"}
APPROVAL_USE = timedelta(minutes=15)


class Conduct:
    """Follows agents, keys and approvals through a log, and names decisions that contradict what was before them."""

    def __init__(self, pruned: Callable[[], bool] = lambda: False) -> None:
        self.agents: dict[str, Body] = {}
        self.workspace: Body = {}
        self.installation: Body = {}
        self.keys: dict[str, Body] = {}
        self.sequence: dict[str, int] = {}
        self.revision = 0
        self.approved: dict[str, tuple[datetime, str]] = {}
        self.ahead: dict[str, Body] = {}
        self.pruned = pruned

    def read(self, body: Body) -> list[str]:
        """Problems of one entry, judged by those before it."""
        kind = body["type"]
        try:
            if rows := body["data"].get("rows"):
                self.configure(rows, body["data"].get("revision"))
            if kind in VERDICT_OF:
                return list(self.judge(body))
            if kind == "governance.containment.changed":
                return list(self.contain(body))
            if kind == "governance.approval.settled":
                self.settle(body)
            if kind == "governance.approval.edited":
                return list(self.judge_revision(body))
            if kind == "governance.standing_approval.given":
                self.give(body)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return [f"Its data lacks what a {kind} tells."]
        return []

    def configure(self, rows: list[Any], revision: Any) -> None:
        """Take over what the rows of an entry say of agents, keys, workspace and installation."""
        if type(revision) is int:
            self.revision = revision
        for row in rows:
            kind, state = row.get("kind"), row.get("state")
            if type(state) is not dict:
                continue
            if kind == KEY:
                self.keys[state["prefix"]] = state
            elif kind == AGENT:
                self.agents[state["public_id"]] = state
            elif kind == WORKSPACE:
                self.workspace = state
            elif kind == INSTALLATION:
                self.installation = state
            elif kind == POLICY_VERSION and state["status"] == "in_force":
                self.ahead.clear()
            elif kind == STANDING_APPROVAL and state["revoked_at"] is not None:
                self.ahead.pop(state["public_id"], None)

    def standing(self, agent: str, time: str) -> str:
        """The strictest standing of agent, workspace and installation; an observation that has ended is none."""
        now, found = datetime.fromisoformat(time), []
        for scope in (self.agents.get(agent, {}), self.workspace, self.installation):
            standing, until = scope.get("standing", "active"), scope.get("observe_until")
            over = standing == "observe" and not (until and datetime.fromisoformat(until) > now)
            found.append("active" if over else standing)
        strictest = max(found, key=LADDER.__getitem__)
        return "observe" if strictest == "active" and "observe" in found else str(strictest)

    def judge(self, body: Body) -> Iterator[str]:
        """A decision: numbered without gaps, at the present revision, and allowed only to whom it may be."""
        agent, data = body["agent"], body["data"]
        yield from self.judge_revision(body)
        last, number = self.sequence.get(agent), int(data["seq"])
        self.sequence[agent] = number
        if number != (last or 0) + 1 and not (self.pruned() and number > (last or 0)):
            yield f"It is decision {number} of {shown(agent)}, and the next one is {(last or 0) + 1}."
        if body["type"] != ALLOWED:
            return
        if agent not in self.agents:
            yield f"It allows an agent that the log does not know, {shown(agent)}."
            return
        yield from self.judge_standing(body, self.standing(agent, body["time"]))
        yield from self.judge_key(body)
        if "standing_approval" in data:
            yield from self.judge_ahead(body)
        elif data.get("lifted") or data.get("facts", {}).get("lifted"):
            yield from self.judge_approval(body)

    def judge_revision(self, body: Body) -> Iterator[str]:
        judged_at = body["data"]["revision"]
        if judged_at != self.revision:
            yield f"It was judged at revision {judged_at}, and the configuration was at {self.revision}."

    def judge_standing(self, body: Body, standing: str) -> Iterator[str]:
        data, who = body["data"], shown(body["agent"])
        writes = data["action"] != "read" or bool(data.get("writes"))
        if standing in ("suspended", "revoked") or (standing == "read_only" and writes):
            yield f"It allows {who}, which is {standing} since an earlier entry, to {shown(data['action'])}."
        elif standing == "supervised" and writes and "supervised" not in data.get("lifted", ()):
            yield f"It allows {who}, which is supervised, to {shown(data['action'])} without an approval."
        elif data.get("would") and standing != "observe" and self.installation.get("standing") != "observe":
            yield f"It lets pass what would be {shown(data['would'])}, and {who} is not observed."

    def judge_key(self, body: Body) -> Iterator[str]:
        key = self.keys.get(body["data"]["key"])
        if key is None:
            yield f"It was asked with a key that the log does not know, {shown(body['data']['key'])}."
        elif key.get("revoked_at") is not None:
            yield "It was asked with a key that was revoked before."
        elif key.get("expires_at") and datetime.fromisoformat(key["expires_at"]) <= datetime.fromisoformat(
            body["time"]
        ):
            yield "It was asked with a key that had expired."

    def judge_approval(self, body: Body) -> Iterator[str]:
        """What was lifted was lifted by an approval of this agent, of the last minutes, that was not used before."""
        used = body["data"]["used_approval"]
        settled, agent = self.approved.pop(used, (None, ""))
        if settled is None and self.pruned():
            return
        if (
            settled is None
            or agent != body["agent"]
            or settled + APPROVAL_USE <= datetime.fromisoformat(body["time"])
        ):
            yield f"It uses the approval {shown(used)}, not given to this agent lately, or used up, or void."

    def give(self, body: Body) -> None:
        """Remember what was approved in advance."""
        for row in body["data"]["rows"]:
            if row["kind"] == STANDING_APPROVAL:
                self.ahead[row["state"]["public_id"]] = {**row["state"], "agent": body["agent"], "uses": 0}

    def judge_ahead(self, body: Body) -> Iterator[str]:
        """What was lifted in advance was lifted by an approval that the log gave and did not end."""
        data, used = body["data"], body["data"]["standing_approval"]
        given = self.ahead.get(used)
        if given is None:
            if not self.pruned():
                yield f"It uses the standing approval {shown(used)}, which was never given, or has ended."
            return
        given["uses"] += 1
        named = given["agent"], given["tool"], given["declaration"], given["policy"]
        problem = ""
        if (body["agent"], body["tool"], data["declaration"], data["policy"]) != named:
            problem = "is for another agent or tool, or rests on another policy"
        elif not given["any_session"] and body["session"] != given["session"]:
            problem = "is for another session"
        elif not set(data["facts"]["lifted"]) <= set(given["lifts"]):
            problem = "does not lift all of that"
        elif datetime.fromisoformat(body["time"]) >= datetime.fromisoformat(given["expires_at"]):
            problem = "had ended"
        elif given["uses"] > given["max_uses"]:
            problem = "was used up"
        if problem:
            yield f"It uses the standing approval {shown(used)}, which {problem}."

    def settle(self, body: Body) -> None:
        now = datetime.fromisoformat(body["time"])
        for approval, (settled, _) in list(self.approved.items()):
            if settled + APPROVAL_USE > now:
                break
            del self.approved[approval]
        if body["outcome"] == "approved":
            self.approved[body["data"]["approval"]] = now, body["agent"]

    def contain(self, body: Body) -> Iterator[str]:
        """A step on the ladder voids the approvals of those whom it concerns."""
        scope, standing = body["data"]["scope"], body["data"]["to"]
        if standing not in LADDER:
            yield f"It knows no standing {shown(standing)}."
            return
        if scope == "agent":
            self.approved = {key: each for key, each in self.approved.items() if each[1] != body["agent"]}
            self.ahead = {key: each for key, each in self.ahead.items() if each["agent"] != body["agent"]}
        else:
            self.approved.clear()
            self.ahead.clear()
        if scope == "installation" and self.installation.get("standing") != standing:
            self.installation = {"standing": standing}
        row = {"agent": self.agents.get(body["agent"]), "workspace": self.workspace}.get(scope)
        if row and row.get("standing") != standing:
            yield f"It says that the standing became {standing}, and its rows say otherwise."


# The whole bundle ----------------------------------------------------------------------------------------------------


def verify(
    path: str,
    policy: Policy,
    since: Sequence[str] = (),
    *,
    receipts: str | None = None,
    fresh: timedelta | None = None,
) -> Report:
    """All that a bundle must be. Never raises for what is in a file.

    ``since`` are older checkpoints and ``receipts`` a file of receipts that the reader kept; ``fresh`` is how long ago
    the last sign of life may be."""
    report = Report()
    try:
        verification = Verification(path, policy, since, report)
        if receipts is not None:
            verification.receipts = list(read_receipts(receipts, verification.checkpoint, policy, report))
        verification.run()
        if fresh is not None:
            verification.judge_freshness(fresh)
    except Stop as stop:
        report.add(stop.finding.kind, str(stop), stop.finding.index)
    finally:
        report.close()
    return report


class Verification:
    """One bundle, judged by a policy."""

    def __init__(self, path: str, policy: Policy, since: Sequence[str], report: Report) -> None:
        self.policy, self.report = policy, report
        self.older = [read_checkpoint(each) for each in since]
        self.bundle = Bundle(path, report)
        self.checkpoint = self.bundle.checkpoint("checkpoint")
        self.place = place_of(self.checkpoint)
        self.manifest = self.bundle.json(MANIFEST)
        self.receipts: list[Receipt] = []
        self.seen = 0  # seconds since 1970 at which a witness last saw the log

    def run(self) -> None:
        report, checkpoint, place = self.report, self.checkpoint, self.place
        report.told = {"log": checkpoint.origin, "entries": checkpoint.size, "root": checkpoint.root.hex()}
        self.judge_manifest()
        self.judge_policies()
        self.policy.follow(list(self.rotations()))
        key = judge_signature(report, checkpoint, self.policy, "checkpoint")
        judge_epoch(report, place, self.policy)
        stored = [self.bundle.checkpoint(name) for name in self.bundle.names("checkpoints/")]
        anchored = self.judge_anchor()
        sizes = {each.size for each in [checkpoint, *stored, *self.older]} | {anchored[0]}
        entries = self.read_entries(sizes | {each.size for each in self.receipts})
        self.judge_roots(entries, stored, anchored)
        self.judge_receipts(entries)
        report.told |= {"until": entries.time, "key": key}
        if entries.pruned:
            report.told["pruned"] = entries.pruned
        if report.status == INTACT and self.policy.quorum == "none":
            report.notes.append(
                "The policy asks for no witness: who holds the key could show others another history."
            )

    def judge_manifest(self) -> None:
        """The manifest is of this log and lists exactly the files that are here, each with its hash."""
        manifest, bundle = self.manifest, self.bundle
        checkpoint, place = self.checkpoint, self.place
        expected = {
            "origin": place.base,
            "uuid": place.uuid,
            "kind": "workspace" if place.kind == "ws" else "installation",
            "epoch": place.epoch,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
        }
        files = manifest.get("files")
        if manifest.keys() != {"format", "log", "files", "exported"} or type(files) is not dict:
            raise Stop(TAMPERED, "manifest.json does not have the fields of a manifest.")
        if manifest["format"] != BUNDLE_FORMAT:
            raise Stop(
                INCOMPLETE,
                f"This verifier reads {BUNDLE_FORMAT}; take the one that was exported with the bundle.",
            )
        if manifest["log"] != expected:
            self.report.add(TAMPERED, "manifest.json is of another log, size or root than the checkpoint.")
        for name in sorted(files.keys() - bundle.members.keys())[:10]:
            self.report.add(INCOMPLETE, f"The bundle has no {shown(name)}, which its manifest lists.")
        for name in sorted(bundle.members.keys() - files.keys() - {MANIFEST})[:10]:
            self.report.add(TAMPERED, f"The manifest does not list {name}.")
        for name in bundle.members.keys() & files.keys() - {ENTRIES}:
            if hashlib.sha256(bundle.read(name)).hexdigest() != files[name]:
                self.report.add(TAMPERED, f"{name} is not the file that the manifest lists.")

    def judge_policies(self) -> None:
        """Every version of the workspace's policy is named by its hash."""
        for name in self.bundle.names("policies/"):
            if policy_digest(self.bundle.read(name)) != name[len("policies/") : -len(".json")]:
                self.report.add(TAMPERED, f"{name} is not the version that it is named after.")

    def rotations(self) -> Iterator[tuple[Key, Key]]:
        """(old, new) of each exchange of the installation's key, in order: both signed that, and the installation's log
        holds it."""
        names = self.bundle.names("anchor/rotation-")
        found = sorted(int(name[16:-5]) for name in names if name.endswith(".json"))
        own = self.place.kind == "installation"
        over = self.checkpoint if own else self.bundle.checkpoint("anchor/checkpoint") if found else None
        for index in found:
            assert over is not None
            raw = self.bundle.read(f"anchor/rotation-{index}.json")
            try:
                proof = Proof.parse(self.bundle.read(f"anchor/rotation-{index}.proof"))
                verify_inclusion(leaf_hash(raw), index, over.size, proof.hashes, over.root)
                yield rotation_of(parse_canonical(raw), place_of(over).uuid)
            except (BadProof, BadNote, NotCanonical) as error:
                raise Stop(TAMPERED, f"anchor/rotation-{index}.json does not hold: {error}") from None

    def read_entries(self, sizes: Iterable[int]) -> Entries:
        conduct = Conduct()
        entries = Entries(self.bundle, self.checkpoint, sizes, [conduct.read])
        entries.leaves = {each.index: None for each in self.receipts}
        conduct.pruned = lambda: bool(entries.gaps)
        entries.run()
        listed = self.manifest["files"].get(ENTRIES)
        if listed is not None and entries.digest.hexdigest() != listed:
            self.report.add(TAMPERED, f"{ENTRIES} is not the file that the manifest lists.")
        return entries

    def judge_roots(self, entries: Entries, stored: list[Checkpoint], anchored: tuple[int, bytes]) -> None:
        """Every root that was signed for a size is the root that the entries have there."""
        report, checkpoint = self.report, self.checkpoint
        root = entries.roots.get(checkpoint.size)
        if root is not None and root != checkpoint.root:
            report.add(TAMPERED, "The entries do not lead to the root that the checkpoint signs.")
        for name, each in zip(self.bundle.names("checkpoints/"), stored, strict=True):
            if name != f"checkpoints/{place_of(each).epoch}-{each.size}":
                report.add(TAMPERED, f"{name} is the checkpoint of another epoch or size.")
            judge_signature(report, each, self.policy, name, earlier=True)
            self.judge_earlier(entries, each, name)
        for each in self.older:
            judge_signature(report, each, self.policy, "--since", earlier=True)
            self.judge_earlier(entries, each, "--since")
        size, signed = anchored
        if entries.roots.get(size, signed) not in (signed, None):
            report.add(
                TAMPERED, f"The installation's log was told another root for the first {size} entries."
            )

    def judge_earlier(self, entries: Entries, earlier: Checkpoint, what: str) -> None:
        """That this log only added to an earlier state of it."""
        report, place, then = self.report, self.place, place_of(earlier)
        if then.base != place.base:
            report.add(
                INCOMPLETE,
                f"{what} is a checkpoint of another log, {shown(earlier.origin)}: it compares nothing.",
            )
            return
        if then.epoch > place.epoch:
            report.add(
                TAMPERED, f"{what} is of epoch {then.epoch}, and this log is in epoch {place.epoch} only."
            )
            return
        if earlier.size <= self.checkpoint.size:
            root = entries.roots.get(earlier.size)
            if root == earlier.root:
                return
            message = (
                f"{what}: the first {earlier.size} entries are not those of which this checkpoint was signed."
            )
        else:
            message = f"{what} counts {earlier.size} entries, and this bundle {self.checkpoint.size}: "
            message += "the log was cut, or the bundle is older."
            root = b""
        if root is None:
            report.add(INCOMPLETE, f"{what} cannot be compared, for want of tiles.")
        elif then.epoch == place.epoch:
            report.add(TAMPERED, message)
        else:
            report.notes.append(
                f"{message} That was before epoch {place.epoch}, in which the log was adopted."
            )

    def judge_receipts(self, entries: Entries) -> None:
        """That the log still holds every entry of which somebody holds a receipt, under the root that was signed."""
        report = self.report
        if self.receipts:
            report.told["receipts"] = len(self.receipts)
        for each in self.receipts:
            root, leaf = entries.roots.get(each.size), entries.leaves.get(each.index)
            if each.size > self.checkpoint.size:
                message = (
                    f"A receipt is over {each.size} entries, and this bundle over {self.checkpoint.size}: "
                )
                report.add(INCOMPLETE, message + "the log was cut, or the bundle is older.", each.index)
            elif leaf is not None and leaf != each.leaf:
                report.add(TAMPERED, "It is not the entry of which there is a receipt.", each.index)
            elif root is not None and root != each.root:
                message = f"The first {each.size} entries are not those of which there is a receipt."
                report.add(TAMPERED, message)
            elif root is None or leaf is None:
                report.add(INCOMPLETE, "Its receipt cannot be compared, for want of tiles.", each.index)

    def judge_freshness(self, most: timedelta) -> None:
        """That there was a sign of life lately: by the witnesses' clocks where there are any, else by the log's own."""
        told = self.report.told.get("until") or ""
        try:
            own = datetime.fromisoformat(str(told).replace("Z", "+00:00"))
            last = datetime.fromtimestamp(self.seen, UTC) if self.seen else own
            age = datetime.now(UTC) - last
        except (ValueError, TypeError, OverflowError, OSError):
            self.report.add(INCOMPLETE, "Nothing tells how old this bundle is.")
            return
        if age > most:
            message = (
                f"The last sign of life is of {last:%Y-%m-%d %H:%M:%S} UTC, and what was done since is in no"
            )
            self.report.add(
                INCOMPLETE, f"{message} checkpoint: ask for a newer bundle, and why there is none."
            )

    def judge_anchor(self) -> tuple[int, bytes]:
        """That the installation's log, whose checkpoint witnesses saw, holds this log's checkpoint: (size, root).

        The installation's own log is witnessed itself."""
        report, checkpoint, bundle = self.report, self.checkpoint, self.bundle
        nothing = checkpoint.size, checkpoint.root
        if self.place.kind == "installation":
            self.tell_witnesses(checkpoint, "checkpoint", bundle.names("anchor/timestamp-"))
            return nothing
        missing = [
            name for name in ("anchor/checkpoint", "anchor/entry.json", "anchor/proof") if name not in bundle
        ]
        if missing:
            report.add(
                INCOMPLETE,
                f"The bundle has no {missing[0]}: nothing shows that this checkpoint reached the installation's log.",
            )
            return nothing
        anchor, body = bundle.checkpoint("anchor/checkpoint"), bundle.read("anchor/entry.json")
        place = place_of(anchor)
        if place.kind != "installation" or place.host != self.place.host:
            report.add(TAMPERED, "anchor/checkpoint is of another installation.")
        judge_signature(report, anchor, self.policy, "anchor/checkpoint")
        judge_epoch(report, place, self.policy)
        self.tell_witnesses(anchor, "anchor/checkpoint", bundle.names("anchor/timestamp-"))
        try:
            proof = Proof.parse(bundle.read("anchor/proof"))
            if proof.checkpoint.note.text != anchor.note.text:
                raise BadProof("It is about another checkpoint.")
            verify_inclusion(leaf_hash(body), proof.index, anchor.size, proof.hashes, anchor.root)
        except (BadProof, BadNote) as error:
            report.add(TAMPERED, f"anchor/proof: {error}")
            return nothing
        return self.judge_anchor_entry(body, proof.index, place)

    def judge_anchor_entry(self, raw: bytes, index: int, place: Place) -> tuple[int, bytes]:
        """The size and root that the installation's entry tells of this log."""
        checkpoint = self.checkpoint
        try:
            body = parse_canonical(raw)
            problem = problem_of(body, place.uuid)
            if problem or body["index"] != index or body["type"] != "audit.checkpoint.published":
                raise Stop(TAMPERED, f"anchor/entry.json is not the entry {index} of a checkpoint. {problem}")
            data = body["data"]
            told, size, root = data["origin"], data["size"], bytes.fromhex(data["root"])
        except (NotCanonical, KeyError, TypeError, ValueError):
            raise Stop(TAMPERED, "anchor/entry.json is not an entry of a checkpoint.") from None
        if told != checkpoint.origin or type(size) is not int:
            raise Stop(TAMPERED, f"anchor/entry.json is about another log, {shown(told)}.")
        self.report.told["anchored"] = body["time"]
        if size < checkpoint.size:
            message = f"The installation's log holds this log's checkpoint over {size} entries only"
            self.report.add(
                INCOMPLETE, f"{message}; the later ones are signed, and no witness has seen them."
            )
        return size, root

    def tell_witnesses(self, checkpoint: Checkpoint, what: str, tokens: list[str]) -> None:
        """The quorum of witnesses, and time stamps where the policy names an authority."""
        times = judge_witnesses(self.report, checkpoint, self.policy, what)
        self.report.told["witnesses"] = cosigners(times)
        self.seen = max(times.values(), default=0)
        if self.policy.authorities:
            self.report.told["stamped"] = judge_timestamps(
                self.report, self.bundle, checkpoint, self.policy, tokens
            )


def rotation_of(body: Any, uuid: str) -> tuple[Key, Key]:
    """The old and the new key of an entry that exchanges them. Raises BadProof and BadNote."""
    problem = problem_of(body, uuid)
    if problem or body["type"] != "audit.key.rotated":
        raise BadProof(problem or "It is another entry.")
    try:
        keys = Key.parse(body["data"]["old"]), Key.parse(body["data"]["new"])
        signatures = [bytes.fromhex(body["data"]["signatures"][name]) for name in ("old", "new")]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadProof("It lacks keys or signatures.") from None
    statement = f"countersign key rotation\n{body['data']['old']}\n{body['data']['new']}\n"
    for key, signature in zip(keys, signatures, strict=True):
        if key.kind != ED25519 or key.signs(signature, statement) is None:
            raise BadProof("It is not signed by both keys.")
    return keys


@dataclass
class Receipt:
    """What somebody was answered: that the entry with this leaf is in the log, whose first ``size`` entries have this
    root."""

    index: int
    leaf: bytes
    size: int
    root: bytes


def read_receipts(path: str, checkpoint: Checkpoint, policy: Policy, report: Report) -> Iterator[Receipt]:
    """The receipts of this log in a file of JSON lines, as agents' clients keep them. Raises Stop."""
    others = 0
    try:
        with open(path, "rb") as file:
            for number in range(1, MOST_RECEIPTS + 1):
                raw = file.readline(LONGEST_RECEIPT)
                if not raw:
                    break
                try:
                    found = receipt_of(raw, checkpoint.origin, policy)
                except (BadNote, BadProof, ValueError, KeyError, TypeError, RecursionError) as error:
                    raise Stop(INCOMPLETE, f"{path}, line {number} is no receipt: {error}") from None
                if found is None:
                    others += 1
                else:
                    yield found
            else:
                raise Stop(
                    INCOMPLETE, f"{path} holds more than {MOST_RECEIPTS:,} receipts; give them in parts."
                )
    except OSError as error:
        raise Stop(INCOMPLETE, f"{path} cannot be read: {error.strerror}.") from None
    if others:
        report.notes.append(f"{others:,} receipts are of other logs, or of another epoch of this one.")


def receipt_of(raw: bytes, origin: str, policy: Policy) -> Receipt | None:
    """One line's receipt; None where it is of another log. Raises BadNote, ValueError, KeyError, TypeError and Stop."""
    plain = json.loads(raw)["receipt"]
    if plain["log"] != origin:
        return None
    signed = Checkpoint.parse(plain["checkpoint"].encode())
    index, leaf = plain["index"], bytes.fromhex(plain["leaf"])
    if type(index) is not int or not 0 <= index < signed.size or len(leaf) != HASH or signed.origin != origin:
        raise ValueError("its parts do not fit each other.")
    if all(signed.note.signed_by(key) is None for key in policy.receipts):
        raise Stop(UNTRUSTED, f"The receipt of entry {index} is signed by no `receipts` key of the policy.")
    return Receipt(index, leaf, signed.size, signed.root)


def read_checkpoint(path: str) -> Checkpoint:
    """A checkpoint from a file. Raises Stop."""
    try:
        return Checkpoint.parse(read_bounded(path, LONGEST_NOTE))
    except BadNote as error:
        raise Stop(INCOMPLETE, f"{path}: {error}") from None
    except OSError as error:
        raise Stop(INCOMPLETE, f"{path} cannot be read: {error.strerror}.") from None


def place_of(checkpoint: Checkpoint) -> Place:
    """Which log a checkpoint is of. Raises Stop."""
    try:
        return checkpoint.place
    except BadNote as error:
        raise Stop(UNTRUSTED, str(error)) from None


def policy_digest(content: bytes) -> str:
    """The name of a version of a policy."""
    return f"pol_{hashlib.sha256(content).hexdigest()}"


# Proofs, and two states of one log -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proof:
    """That an entry is in a log (C2SP tlog-proof); ``extra`` may hold the entry's body."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint
    extra: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Proof":
        """Raises BadProof and BadNote."""
        head, _, note = raw.partition(b"\n\n")
        try:
            lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise BadProof("It is not UTF-8.") from None
        if lines.pop(0) != "c2sp.org/tlog-proof@v1":
            raise BadProof("It does not begin as a C2SP tlog-proof does.")
        extra = unbase64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else b""
        index = lines.pop(0)[6:] if lines and lines[0].startswith("index ") else ""
        if not NUMBER.fullmatch(index) or len(lines) > 63:
            raise BadProof("It has no index, or more hashes than a proof can have.")
        return cls(int(index), tuple(map(unbase64, lines)), Checkpoint.parse(note), extra)

    @classmethod
    def parse_json(cls, raw: bytes) -> "Proof":
        """As the API answers it, or as an entry's page has it. Raises BadProof and BadNote."""
        try:
            found = json.loads(raw)
            note = found["checkpoint"]
            if isinstance(note, dict):
                note = note["note"] + "".join(f"{each['line'].rstrip()}\n" for each in note["cosignatures"])
            index, checkpoint = found["index"], Checkpoint.parse(note.encode())
            if "hashes" in found:
                hashes = tuple(bytes.fromhex(each) for each in found["hashes"])
            else:
                hashes = tuple(map(unbase64, found["path"]))
            extra = unbase64(found["body"]) if "body" in found else b""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadProof("It is neither a C2SP tlog-proof nor a proof as the API answers it.") from None
        if type(index) is not int or len(hashes) > 63:
            raise BadProof("It has no index, or more hashes than a proof can have.")
        return cls(index, hashes, checkpoint, extra)


def verify_proof(path: str, policy: Policy, entry: str | None = None) -> Report:
    """That one entry is in a log that the policy trusts. Never raises for what is in a file."""
    report = Report()
    try:
        raw = read_bounded(path, LARGEST_FILE)
        proof = Proof.parse_json(raw) if raw.lstrip()[:1] == b"{" else Proof.parse(raw)
        body = read_bounded(entry, LONGEST_BODY) if entry else proof.extra
        place = place_of(proof.checkpoint)
        checkpoint = proof.checkpoint
        key = judge_signature(report, checkpoint, policy, "The proof's checkpoint")
        judge_epoch(report, place, policy)
        witnesses = judge_witnesses(report, checkpoint, policy, "The proof's checkpoint")
        if not body:
            raise Stop(INCOMPLETE, "The proof brings no entry along; give its body with --entry FILE.")
        verify_inclusion(leaf_hash(body), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        report.told = {"log": checkpoint.origin, "entry": proof.index, "of": checkpoint.size, "key": key}
        report.told["witnesses"] = cosigners(witnesses)
        found = parse_canonical(body)
        if problem := problem_of(found, place.uuid):
            raise Stop(TAMPERED, problem, proof.index)
        if found["index"] != proof.index:
            raise Stop(
                TAMPERED,
                f"It is proved at {proof.index} and says that it is entry {found['index']}.",
                proof.index,
            )
        report.told |= {"time": found["time"], "type": found["type"]}
    except Stop as stop:
        report.add(stop.finding.kind, str(stop), stop.finding.index)
    except (BadProof, BadNote, NotCanonical) as error:
        report.add(TAMPERED, str(error))
    except OSError as error:
        report.add(INCOMPLETE, f"A file cannot be read: {error.strerror}.")
    return report


def consistency(older: str, newer: str, policy: Policy | None = None) -> Report:
    """That the newer bundle only added to the older bundle or checkpoint. Never raises for what is in a file."""
    report = Report()
    try:
        first, second = state_of(older, report), Bundle(newer, report)
        last = second.checkpoint("checkpoint")
        report.told = {"log": last.origin, "from": first.size, "to": last.size}
        if policy is None:
            report.notes.append("Without --policy nobody's signature was looked at.")
        else:
            judge_signature(report, first, policy, older)
            judge_signature(report, last, policy, newer)
        if place_of(first).base != place_of(last).base:
            raise Stop(TAMPERED, f"They are of two logs, {shown(first.origin)} and {shown(last.origin)}.")
        if first.size > last.size:
            raise Stop(
                TAMPERED,
                f"The first has {first.size} entries and the second {last.size}: it was cut, or they are swapped.",
            )
        entries = Entries(second, last, {first.size, last.size}, [])
        entries.run()
        if place_of(first).epoch != place_of(last).epoch and policy is not None:
            judge_epoch(report, place_of(last), policy)
        for checkpoint in (last, first):
            root = entries.roots.get(checkpoint.size)
            if root is not None and root != checkpoint.root:
                raise Stop(
                    TAMPERED,
                    f"There are two histories: the first {checkpoint.size} entries have two different roots.",
                )
    except Stop as stop:
        report.add(stop.finding.kind, str(stop), stop.finding.index)
    finally:
        report.close()
    return report


def state_of(path: str, report: Report) -> Checkpoint:
    """The checkpoint of a bundle, or in a file of its own. Raises Stop."""
    try:
        with open(path, "rb") as file:
            is_bundle = file.read(2) == b"PK"
    except OSError as error:
        raise Stop(INCOMPLETE, f"{path} cannot be read: {error.strerror}.") from None
    return Bundle(path, report).checkpoint("checkpoint") if is_bundle else read_checkpoint(path)


# Time stamps (RFC 3161) ----------------------------------------------------------------------------------------------


class BadToken(ValueError):
    """A time stamp that does not show what it should."""


SIGNED_DATA, TST_INFO, MESSAGE_DIGEST = (
    bytes.fromhex(each) for each in ("2a864886f70d010702", "2a864886f70d0109100104", "2a864886f70d010904")
)
DIGESTS = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
LONGEST_CHAIN = 5
LONGEST_TOKEN = 64 * 2**10  # bytes; they have some 5,000


@dataclass(frozen=True)
class Der:
    """One ASN.1 value: its tag, its content, and all of it."""

    tag: int
    content: bytes
    whole: bytes

    @classmethod
    def read(cls, raw: bytes) -> "Der":
        """The first value of some bytes. Raises BadToken."""
        if len(raw) < 2:
            raise BadToken("It ends early.")
        size, head = raw[1], 2
        if size & 0x80:
            head = 2 + (size & 0x7F)
            if not 3 <= head <= 6:
                raise BadToken("It has a length that DER does not have.")
            size = int.from_bytes(raw[2:head], "big")
        if len(raw) < head + size:
            raise BadToken("It ends early.")
        return cls(raw[0], raw[head : head + size], raw[: head + size])

    def parts(self) -> list["Der"]:
        """The values inside. Raises BadToken."""
        found, rest = [], self.content
        while rest:
            found.append(Der.read(rest))
            rest = rest[len(found[-1].whole) :]
        return found


def judge_timestamps(
    report: Report, bundle: Bundle, checkpoint: Checkpoint, policy: Policy, names: list[str]
) -> str:
    """The time that an authority of the policy says; without one the bundle is incomplete.

    Stamped may be an earlier checkpoint (``anchor/stamped``), which this one is shown to extend."""
    if "anchor/stamped" in bundle:
        later, checkpoint = checkpoint, bundle.checkpoint("anchor/stamped")
        try:
            lines = bundle.read("anchor/stamped-proof").decode("ascii", "replace").split()
            proof = [unbase64(line) for line in lines[:64]]
            verify_consistency(checkpoint.size, later.size, checkpoint.root, later.root, proof)
        except (BadProof, BadNote) as error:
            raise Stop(TAMPERED, f"anchor/stamped is not of the same history: {error}") from None
    note = checkpoint.note
    signatures = [
        f"— {name} {base64.b64encode(key_id + signature).decode()}\n"
        for name, key_id, signature in note.signatures
        if name == checkpoint.origin
    ]
    stamped = f"{note.text}\n{''.join(signatures)}".encode()
    try:
        trusted = [each for path in policy.authorities for each in certificates(policy.folder / path)]
        times = [stamped_at(bundle.read(name), stamped, trusted) for name in names]
    except (BadToken, ValueError, OSError) as error:
        report.add(TAMPERED, f"A time stamp does not hold: {error}")
        return ""
    if not times:
        report.add(
            INCOMPLETE, "There is no time stamp of this checkpoint, and the policy names who makes them."
        )
    return min(times, default="")


def certificates(path: Path) -> list[Any]:
    """The certificates of a PEM file. Raises OSError and ValueError."""
    from cryptography import x509

    return x509.load_pem_x509_certificates(read_bounded(str(path), LONGEST_NOTE))


def stamped_at(raw: bytes, stamped: bytes, trusted: list[Any]) -> str:
    """The time that a token says it was made, once all of it holds. Raises BadToken and ValueError."""
    from cryptography import x509

    if len(raw) > LONGEST_TOKEN:
        raise BadToken("It is longer than a time stamp is.")
    parts = Der.read(raw).parts()
    token = parts[0].parts() if parts and parts[0].tag == 0x30 and parts[0].content[:1] == b"\x06" else None
    content = parts if token is None and parts and parts[0].content == SIGNED_DATA else None
    try:
        if content is None:
            content = parts[1].parts()
        if content[0].content != SIGNED_DATA:
            raise BadToken("It is no signed data.")
        _, _, inner, *rest = content[1].parts()[0].parts()
        kind, octets = inner.parts()
        info = octets.parts()[0].content
        made = Der.read(info).parts()
        algorithm, imprint = made[2].parts()
        attributes, signature, digest = signer_of(rest[-1].parts()[0])
        embedded = [each for part in rest if part.tag == 0xA0 for each in part.parts()]
        hashed = hashlib.new(DIGESTS[algorithm.parts()[0].content], stamped).digest()
        said = re.sub(r"\.[0-9]+Z$", "Z", made[4].content.decode())  # fractions of a second are allowed
        time = datetime.strptime(said, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (IndexError, KeyError, ValueError) as error:
        raise BadToken("It is not laid out as RFC 3161 has it.") from error
    if kind.content != TST_INFO or imprint.content != hashed:
        raise BadToken("It was made of something else than this checkpoint.")
    values = [each.parts() for each in Der.read(attributes).parts()]
    claimed = [
        value[1].parts()[0].content
        for value in values
        if len(value) > 1 and value[0].content == MESSAGE_DIGEST
    ]
    if claimed != [hashlib.new(digest, info).digest()]:
        raise BadToken("Its signature is not about its content.")
    known = [*trusted, *(x509.load_der_x509_certificate(each.whole) for each in embedded[:10])]
    for each in known:
        if has_signed(each, attributes, signature, digest) and leads_to(
            each, trusted, known, time, LONGEST_CHAIN
        ):
            return time.strftime("%Y-%m-%d %H:%M:%S UTC")
    raise BadToken("It is signed by nobody whom the policy's certificates vouch for.")


def signer_of(info: Der) -> tuple[bytes, bytes, str]:
    """Signed attributes (as they are signed), signature and digest of a token's signer. Raises BadToken, KeyError."""
    parts = info.parts()
    attributes = next((each for each in parts if each.tag == 0xA0 and each is not parts[1]), None)
    signature = next((each for each in parts[3:] if each.tag == 0x04), None)
    if attributes is None or signature is None:
        raise BadToken("It has no signed attributes.")
    return b"\x31" + attributes.whole[1:], signature.content, DIGESTS[parts[2].parts()[0].content]


def has_signed(certificate: Any, signed: bytes, signature: bytes, digest: str) -> bool:
    """Whether a certificate's key signed these bytes, and may sign time stamps."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    algorithm = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[digest]
    key = certificate.public_key()
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if x509.ObjectIdentifier("1.3.6.1.5.5.7.3.8") not in usage:
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(algorithm))
        else:
            return False
    except (InvalidSignature, x509.ExtensionNotFound, ValueError):
        return False
    return True


def leads_to(certificate: Any, trusted: list[Any], known: list[Any], time: datetime, left: int) -> bool:
    """Whether a certificate, valid then, is one that is trusted or was issued by one that leads there."""
    if not left or not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        return False
    if certificate in trusted:
        return True
    for issuer in known:
        if issuer not in trusted and not is_authority(issuer):
            continue
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            continue
        if issuer != certificate and leads_to(issuer, trusted, known, time, left - 1):
            return True
    return False


def is_authority(certificate: Any) -> bool:
    """Whether who holds a certificate may issue others: whom a root vouches for is no authority by that alone."""
    from cryptography import x509

    try:
        found = {each.oid: each.value for each in certificate.extensions}
    except (ValueError, x509.DuplicateExtension):
        return False
    constraints, usage = found.get(x509.BasicConstraints.oid), found.get(x509.KeyUsage.oid)
    return bool(constraints and constraints.ca and (usage is None or usage.key_cert_sign))


# Replay: every verdict once more -------------------------------------------------------------------------------------


REFUSED_BEFORE_RULES = ("unknown_tool", "invalid_arguments", "ambiguous_resource", "no_permission")
MOST_WAITING = 20  # calls of an agent, where its row says nothing else
MICRO = 10**6
SUPERVISION = "standing:supervised"
EDITED, ASK = "governance.approval.edited", "require_approval"


@dataclass
class Asked:
    """What people were asked about: the tool as it was declared, and digests of the rules that asked,
    ``budget:<public id>`` of each budget that was short, ``loop``."""

    tool: str
    declaration: str
    lifts: set[str]
    most: Body = field(default_factory=dict)  # by how much each budget may be raised


@dataclass
class Rule:
    """One rule of a policy, as far as a verdict rests on it. ``ceiling`` is a limit's, in calls or millionths."""

    name: str
    effect: str
    then: str
    ceiling: int
    window: int
    sums: bool
    condition: bool
    unconditional: bool
    digest: str
    tools: list[str]
    agents: list[str]

    @classmethod
    def of(cls, plain: Body) -> "Rule":
        """Raises ValueError, KeyError, TypeError and InvalidOperation."""
        limit = plain.get("limit") or {}
        ceiling = int(Decimal(limit["max"]) * MICRO) if "sum" in limit else int(limit.get("calls", 0))
        filters = ("when", "actions", "resources", "except_resources")
        return cls(
            name=str(plain["name"]),
            effect=str(plain["effect"]),
            then=str(limit.get("then", "deny")),
            ceiling=ceiling,
            window=int(limit.get("per", 0)),
            sums="sum" in limit,
            condition="when" in plain,
            unconditional=not any(name in plain for name in filters),
            digest=hashlib.sha256(write(plain, MAX_DEPTH).encode()).hexdigest()[:32],
            tools=[str(each) for each in plain.get("tools", ())],
            agents=[str(each) for each in plain.get("agents", ())],
        )

    def is_about(self, tool: str, agent: str, labels: list[str]) -> bool:
        """Whether the rule speaks of this tool and this agent."""
        named = [each for each in self.agents if not each.startswith("label:")]
        labelled = any(
            each.removeprefix("label:") in labels for each in self.agents if each.startswith("label:")
        )
        return (not self.tools or any(fits(each, tool) for each in self.tools)) and (
            not self.agents or labelled or any(fits(each, agent) for each in named)
        )


def fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern in which each ``*`` stands for any characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    *middle, last = rest
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class Unknown(Exception):
    """Something that a verdict rests on is not in the bundle."""


def replay(path: str) -> Report:
    """Derive every verdict of a bundle anew. Never raises for what is in a file."""
    report = Report()
    try:
        bundle = Bundle(path, report)
        checkpoint = bundle.checkpoint("checkpoint")
        replayed = Replay(bundle)
        entries = Entries(bundle, checkpoint, (), [replayed.read])
        replayed.conduct.pruned = lambda: bool(entries.gaps)
        entries.run()
        report.told = {
            "log": checkpoint.origin,
            "verdicts": replayed.derived,
            "conditions": replayed.taken,
            "underivable": replayed.unknown,
        }
        report.notes.append(
            f"{replayed.derived:,} verdicts were derived anew. {replayed.taken:,} results of conditions were taken as"
            " recorded: what they read stands in Details, which a bundle does not hold (manage.py replay reads them)."
        )
        report.notes.append("This says nothing of whether the entries are genuine: for that, run verify.")
    except Stop as stop:
        report.add(stop.finding.kind, str(stop), stop.finding.index)
    finally:
        report.close()
    return report


class Replay:
    """Follows a log and derives each decision's verdict from the facts that its entry holds."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.conduct = Conduct()
        self.policies: dict[str, list[Rule] | None] = {"": []}
        self.candidates: dict[tuple[str, str, str, str], list[tuple[int, Rule]]] = {}
        self.asked: dict[str, Asked] = {}
        self.derived = self.taken = self.unknown = 0

    def read(self, body: Body) -> list[str]:
        """How a decision's verdict differs from the derived one; nothing for other entries."""
        kind = body["type"]
        if kind not in VERDICT_OF and kind != SIMULATED:
            self.conduct.read(body)
            try:
                if kind == EDITED:
                    self.edit(body)
            except Unknown as error:
                self.bundle.report.add(INCOMPLETE, str(error), body["index"])
            except (KeyError, TypeError, ValueError):
                return ["It lacks what an edit's entry holds."]
            return []
        try:
            problems = list(self.judge(body))
            self.derived += 1
        except Unknown as error:
            self.unknown += 1
            self.bundle.report.add(INCOMPLETE, str(error), body["index"])
            return []
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation, OverflowError):
            return ["It lacks what a decision's entry holds."]
        return problems

    def judge(self, body: Body) -> Iterator[str]:
        data = body["data"]
        standing = data.get("standing", "active")
        known = self.conduct.standing(body["agent"], body["time"])
        # When an observation of the whole installation ends stands in the installation's log only.
        if standing != known and self.conduct.installation.get("standing") != "observe":
            yield f"It was judged for an agent that is {shown(standing)}; by the log it is {known}."
        decision, code, would, objecting = self.derive(body, standing)
        recorded = data["verdict"], data["code"], data.get("would", "")
        if recorded != (decision, code, would):
            derived = f"{decision} ({code}{', would ' + would if would else ''})"
            yield f"It was {shown(recorded[0])} ({shown(recorded[1])}), and what it rests on leads to {derived}."
        elif VERDICT_OF.get(body["type"], decision) != decision or body["outcome"] != code:
            yield "Its type or outcome is not that of its verdict."
        if body["type"] == ALLOWED and "standing_approval" in data:
            yield from self.conduct.judge_ahead(body)
        elif body["type"] == ALLOWED:
            yield from self.judge_approval(body)
        elif decision == "pending" and data.get("approval"):
            self.ask(body, standing)
        named = {reason["rule"] for reason in data["reasons"] if "rule" in reason}
        if not named <= objecting:
            yield f"It names a rule that does not object to it, {shown(sorted(named - objecting)[0])}."

    def ask(self, body: Body, standing: str) -> None:
        """Remember what people are asked about, the first time that they are."""
        data = body["data"]
        lifts = self.asking(body) | set(data.get("asks", ()))
        if standing == "supervised" and (data["action"] != "read" or data.get("writes")):
            lifts.add(SUPERVISION)
        asked = Asked(body["tool"], data["declaration"], lifts, dict(data.get("asks", ())))
        self.asked.setdefault(data["approval"], asked)

    def edit(self, body: Body) -> None:
        """A reviewer put another call in the place of the one that people are asked about."""
        data = body["data"]
        asked = self.asked.get(data["approval"])
        if asked is not None:
            # Under supervision an edited call is asked about as well, whatever it does.
            lifts = asked.lifts | self.asking(body)
            if self.conduct.standing(body["agent"], body["time"]) == "supervised":
                lifts.add(SUPERVISION)
            self.asked[data["approval"]] = Asked(body["tool"], data["declaration"], lifts, asked.most)

    def asking(self, body: Body) -> set[str]:
        """Digests of the rules that matched and may ask people. Raises Unknown."""
        letters = body["data"]["rules"]
        return {
            rule.digest
            for (_, rule), letter in zip(self.rules_for(body), letters, strict=True)
            if letter != "." and ASK in (rule.effect, rule.then)
        }

    def judge_approval(self, body: Body) -> Iterator[str]:
        """What an approval lifted is what people were asked about, for this very tool."""
        data = body["data"]
        lifted = set(data["facts"].get("lifted", ()))
        if not {f"budget:{budget}" for budget in data.get("raised", ())} <= lifted:
            yield "It raises a budget, and no approval lifted that."
        if not lifted and "used_approval" not in data:
            return
        used = data.get("used_approval", "")
        asked = self.asked.pop(used, None)
        if asked is None:
            if not self.conduct.pruned():
                yield f"It lifts rules by the approval {shown(used)}, for which no call asked, or which was used."
        elif (body["tool"], data["declaration"]) != (asked.tool, asked.declaration):
            yield f"It uses the approval {shown(used)}, which is for another tool."
        elif not lifted <= asked.lifts:
            yield f"It lifts a rule by the approval {shown(used)} about which it asked nobody."
        else:
            for budget, amount in data.get("raised", {}).items():
                if not 0 < int(amount) <= int(asked.most.get(f"budget:{budget}", 0)):
                    yield f"It raises the budget {shown(budget)} by more than the approval {shown(used)} says."

    def derive(self, body: Body, standing: str) -> tuple[str, str, str, set[str]]:
        """Decision, code, what an observation let pass, and the names of the rules that object."""
        data = body["data"]
        objecting: set[str] = set()
        decision, code = self.judge_call(body, standing, objecting)
        would = ""
        if standing == "observe" and decision != "allow":
            would, decision, code = decision, "allow", "observed"
        if decision == "allow" and "short" in data:
            decision, code = "pending" if data.get("asks") else "deny", str(data["short"])
        most = self.conduct.agents.get(body["agent"], {}).get("most_waiting") or MOST_WAITING
        if decision == "pending" and data["facts"].get("waiting", 0) >= most:
            decision, code = "deny", "too_many_pending"
        return decision, code, would, objecting

    def judge_call(self, body: Body, standing: str, objecting: set[str]) -> tuple[str, str]:
        """The verdict as if nothing were observed, before money is held."""
        data = body["data"]
        reads = data["action"] == "read" and not data.get("writes")
        if standing in ("suspended", "revoked"):
            return "deny", "contained"
        refused = [reason["code"] for reason in data["reasons"] if reason["code"] in REFUSED_BEFORE_RULES]
        if (not data["declaration"]) != (refused == ["unknown_tool"]):
            return "deny", "unknown_tool" if not data["declaration"] else "another code than unknown_tool"
        if refused:
            return "deny", refused[0]
        if standing == "read_only" and not reads:
            return "deny", "contained"
        lifted = set(data["facts"].get("lifted", ()))
        objections = list(self.objections(body, lifted, objecting))
        denials = [code for effect, code in objections if effect == "deny"]
        if denials:
            return "deny", denials[0]
        asks = [code for _, code in objections]
        if standing == "supervised" and not reads and SUPERVISION not in lifted:
            asks.append("contained")
        if not asks:
            return "allow", "granted"
        refusal = data["facts"].get("refused")
        return ("deny", str(refusal)) if refusal else ("pending", asks[0])

    def objections(self, body: Body, lifted: set[str], objecting: set[str]) -> Iterator[tuple[str, str]]:
        """(effect, code) of each rule that matched and objects, in the policy's order."""
        data, letters = body["data"], body["data"]["rules"]
        used, amounts = (data["facts"].get(name, {}) for name in ("used", "amounts"))
        rules = self.rules_for(body)
        if len(rules) != len(letters):
            objecting.clear()
            yield "deny", f"a verdict of {len(rules)} rules, and it has the results of {len(letters)}"
            return
        for (number, rule), letter in zip(rules, letters, strict=True):
            self.taken += rule.condition
            if letter not in "m.e" or (rule.unconditional and letter != "m"):
                yield "deny", f"a rule that always matches, {shown(rule.name)}"
            if letter == ".":
                continue
            effect, code = rule.effect, "rule"
            if effect == "limit":
                amount = int(amounts[str(number)]) if rule.sums else 1
                if int(used.get(str(number), 0)) + amount <= rule.ceiling:
                    continue
                effect, code = rule.then, "rate_limited"
            objecting.add(rule.name)
            if effect != "require_approval" or rule.digest not in lifted:
                yield effect, code

    def rules_for(self, body: Body) -> list[tuple[int, Rule]]:
        """The rules of the policy that judged which speak of this tool and agent, by their number. Raises Unknown."""
        agent = self.conduct.agents.get(body["agent"])
        digest = body["data"]["policy"]
        if agent is None:
            raise Unknown(f"The log does not say what agent {shown(body['agent'])} is.")
        rules = self.policy(digest)
        key = digest, body["tool"], agent["name"], ",".join(agent["labels"])
        if key not in self.candidates:
            if len(self.candidates) > 100_000:
                self.candidates.clear()
            found = enumerate(rules)
            about = [each for each in found if each[1].is_about(body["tool"], agent["name"], agent["labels"])]
            self.candidates[key] = about
        return self.candidates[key]

    def policy(self, digest: str) -> list[Rule]:
        """The rules of a version. Raises Unknown."""
        if digest not in self.policies:
            name = f"policies/{digest}.json"
            rules = None
            if (
                NAME.fullmatch(name)
                and name in self.bundle
                and policy_digest(self.bundle.read(name)) == digest
            ):
                try:
                    rules = [Rule.of(each) for each in parse_canonical(self.bundle.read(name))]
                except (NotCanonical, KeyError, TypeError, ValueError, AttributeError, InvalidOperation):
                    raise Stop(TAMPERED, f"{name} is no policy.") from None
            self.policies[digest] = rules
        found = self.policies[digest]
        if found is None:
            raise Unknown(f"The bundle has no version {shown(digest)} of the policy.")
        return found


# The command line ----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    options = parser().parse_args(arguments)
    try:
        report = COMMANDS[options.command](options)
    except BadPolicy as error:
        report = Report()
        report.add(UNTRUSTED, f"The policy cannot be used: {error}")
    except Stop as stop:
        report = Report()
        report.add(stop.finding.kind, str(stop), stop.finding.index)
    except (Exception, RecursionError, MemoryError) as error:  # whatever a hostile file found that we did not
        report = Report()
        report.add(TAMPERED, f"It cannot be read: {type(error).__name__}: {error}")
    text = json.dumps(report.as_dict(), indent=2) if options.json else "\n".join(report.lines())
    sys.stdout.write(text + "\n")
    return report.status


COMMANDS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "verify": lambda options: verify(
        options.bundle,
        Policy.read(options.policy),
        options.since,
        receipts=options.receipts,
        fresh=options.fresh,
    ),
    "verify-proof": lambda options: verify_proof(options.file, Policy.read(options.policy), options.entry),
    "consistency": lambda options: consistency(
        options.older, options.newer, Policy.read(options.policy) if options.policy else None
    ),
    "replay": lambda options: replay(options.bundle),
}


def span(text: str) -> timedelta:
    """A number of seconds, minutes, hours or days."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if not re.fullmatch("[0-9]{1,6}[smhd]", text):
        raise argparse.ArgumentTypeError("write a whole number and s, m, h or d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are no verdict: exit status 64, as sysexits.h has it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    found = Parser(
        prog="verify.py",
        description="Verify what a Countersign log exported. Exit status: 0 intact, 1 tampered, 2 incomplete, 3 not "
        "signed by a trusted key.",
    )
    commands = found.add_subparsers(dest="command", required=True)
    policy: dict[str, Any] = {
        "metavar": "FILE",
        "help": "Whom you trust: keys and witnesses, as the policy file names them.",
    }
    one = commands.add_parser("verify", help="verify a whole bundle")
    one.add_argument("bundle")
    one.add_argument("--policy", required=True, **policy)
    one.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="CHECKPOINT",
        help="An older checkpoint that you kept.",
    )
    one.add_argument("--receipts", metavar="FILE", help="Receipts that agents kept, as JSON lines.")
    one.add_argument(
        "--fresh",
        type=span,
        metavar="SPAN",
        help="How old the last sign of life may be, such as 90s, 15m, 24h or 7d.",
    )
    two = commands.add_parser("verify-proof", help="verify that one entry is in a log")
    two.add_argument("file", help="A C2SP tlog-proof, or a proof as the API answers it.")
    two.add_argument("--policy", required=True, **policy)
    two.add_argument(
        "--entry", metavar="FILE", help="The entry's body, where the proof does not bring it along."
    )
    three = commands.add_parser("consistency", help="verify that a log only grew")
    three.add_argument("older", help="A bundle or a checkpoint.")
    three.add_argument("newer", help="A bundle.")
    three.add_argument("--policy", **policy)
    four = commands.add_parser("replay", help="derive every verdict anew")
    four.add_argument("bundle")
    for each in (one, two, three, four):
        each.add_argument("--json", action="store_true", help="One JSON document instead of lines.")
    return found


if __name__ == "__main__":
    sys.exit(main())
