"""Trust policies: which logs and witnesses a reader believes, and how many witnesses it takes.

Pure. The text is C2SP's (https://c2sp.org/tlog-policy): lines ``log``, ``witness``, ``group`` and ``quorum``. Ours
besides, each of which C2SP leaves to the application:

- ``receipts <vkey>``: the key by which the gate signs receipts.
- ``previous <vkey>``: an older key of a log, whose checkpoints were signed before the key was changed.
- ``epoch <origin> <n>``: the log of this origin was adopted in its epoch n, under the name ``<origin>/<n>``.
- ``origin <key name> <text>``: the key also signs under this origin, which is not its name.
- ``tsa <path>``: certificates in PEM by which RFC 3161 time stamps are judged; the path is relative to the policy file.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Self

from audit.notes import COSIGNATURE, ED25519, NoteError, Verifier

LARGEST = 1_000_000  # bytes
MOST_LINES = 10_000
NONE = "none"
ORIGIN = re.compile(
    r"(?P<host>.+)/(?:ws|installation)/[0-9a-f-]{36}"
)  # of one of our logs, in its first epoch
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class PolicyError(ValueError):
    """A policy that cannot be used. ``line`` counts from 1; 0 where it is no single line's fault."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Trusted:
    """A log or witness: by which name the policy calls it, its key, and where it can be reached, if that is said."""

    name: str
    verifier: Verifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Names of witnesses and groups, of which ``threshold`` are needed."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(slots=True)
class Policy:
    """What a policy's text says. A witness or group is known by its name within the policy."""

    logs: list[Trusted] = field(default_factory=list)
    previous: list[Verifier] = field(default_factory=list)
    witnesses: dict[str, Trusted] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None  # a name, "none", or None where no line tells it
    receipts: list[Verifier] = field(default_factory=list)
    epochs: set[tuple[str, int]] = field(default_factory=set)
    origins: dict[str, set[str]] = field(default_factory=dict)
    authorities: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: bytes, *, quorum: bool = True) -> Self:
        """Read a policy; ``quorum=False`` for a file that lists logs only. Raises PolicyError."""
        if len(text) > LARGEST or text.count(b"\n") >= MOST_LINES:
            raise PolicyError(0, f"A policy has at most {LARGEST:,} bytes and {MOST_LINES:,} lines.")
        policy = cls()
        for number, line in enumerate(text.decode(errors="surrogateescape").split("\n"), 1):
            try:
                policy.read(line)
            except (NoteError, Wrong) as error:
                raise PolicyError(number, str(error)) from None
        if quorum and policy.quorum is None:
            raise PolicyError(0, "The policy has no line `quorum`; write `quorum none` to need no witness.")
        return policy

    def read(self, line: str) -> None:
        """Take in one line. Raises NoteError or Wrong."""
        if CONTROL.search(line):
            raise Wrong("It holds a control character; lines end with a newline alone.")
        words = [each for each in re.split("[ \t]+", line) if each]
        if not words or words[0].startswith("#"):
            return
        keyword, *items = words
        if keyword not in LINES:
            raise Wrong(f"A line begins with one of {', '.join(LINES)}; not with {shown(keyword)}.")
        least, most, form, take = LINES[keyword]
        if not least <= len(items) <= most:
            raise Wrong(f"The line is `{keyword} {form}`.")
        take(self, *items)

    def take_log(self, key: str, url: str = "") -> None:
        verifier = self.unknown(Verifier.parse(key), ED25519)
        self.logs.append(Trusted(verifier.name, verifier, url))

    def take_previous(self, key: str) -> None:
        self.previous.append(self.unknown(Verifier.parse(key), ED25519))

    def unknown(self, verifier: Verifier, kind: int) -> Verifier:
        """A key of this kind that no line before named. Raises Wrong."""
        if verifier.kind != kind:
            wanted = "a log's (type 1)" if kind == ED25519 else "a witness's (type 4)"
            raise Wrong(f"The key of {verifier.name} is not {wanted}.")
        witnesses = [each.verifier for each in self.witnesses.values()]
        logs = [*(each.verifier for each in self.logs), *self.previous]
        if any(each.key == verifier.key for each in (witnesses if kind == COSIGNATURE else logs)):
            raise Wrong(f"The key of {verifier.name} stands in an earlier line already.")
        return verifier

    def take_witness(self, name: str, key: str, url: str = "") -> None:
        self.check_new(name)
        self.witnesses[name] = Trusted(name, self.unknown(Verifier.parse(key), COSIGNATURE), url)

    def take_group(self, name: str, threshold: str, *members: str) -> None:
        self.check_new(name)
        taken = {each for group in self.groups.values() for each in group.members}
        for member in members:
            self.check_defined(member)
            if member in taken:
                raise Wrong(f"{shown(member)} is a member already; a name counts in one group, once.")
            taken.add(member)
        count = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not NUMBER.fullmatch(count) or int(count) > len(members):
            raise Wrong(f"A group needs any, all, or a number from 1 to its {len(members)} members.")
        self.groups[name] = Group(name, int(count), members)

    def take_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise Wrong("There is a quorum already.")
        if name != NONE:
            self.check_defined(name)
        self.quorum = name

    def take_receipts(self, key: str) -> None:
        verifier = Verifier.parse(key)
        if verifier.kind != ED25519:
            raise Wrong("Receipts are signed by a key of type 1.")
        self.receipts.append(verifier)

    def take_epoch(self, origin: str, number: str) -> None:
        if not NUMBER.fullmatch(number):
            raise Wrong("An epoch is a number from 1.")
        self.epochs.add((origin, int(number)))

    def take_origin(self, name: str, *words: str) -> None:
        self.origins.setdefault(" ".join(words), set()).add(name)

    def take_authority(self, path: str) -> None:
        self.authorities.append(path)

    def check_new(self, name: str) -> None:
        """Raises Wrong for a name that a witness or group has."""
        if name == NONE or name in self.witnesses or name in self.groups:
            raise Wrong(f"The name {shown(name)} is taken.")

    def check_defined(self, name: str) -> None:
        """Raises Wrong for a name that no line before defined."""
        if name not in self.witnesses and name not in self.groups:
            raise Wrong(f"No line before defines {shown(name)}.")

    @property
    def keys(self) -> list[Verifier]:
        """Keys of logs, the present ones first."""
        return [*(each.verifier for each in self.logs), *self.previous]

    def keys_of(self, origin: str) -> list[Verifier]:
        """The keys that may sign a checkpoint of this origin, under the names that they sign by. A later epoch's origin
        is believed where an ``epoch`` line names it."""
        first, _, number = origin.rpartition("/")
        if NUMBER.fullmatch(number) and (first, int(number)) in self.epochs:
            return [Verifier(origin, each.kind, each.key) for each in self.keys if each.name == first]
        names = {origin, *self.origins.get(origin, ())}
        return [each for each in self.keys if each.name in names]

    def keys_beside(self, origin: str) -> list[Verifier]:
        """As ``keys_of``, and besides the keys of a log of the same installation: one key signs all its logs, each
        under its own name."""
        first, _, number = origin.rpartition("/")
        if not (NUMBER.fullmatch(number) and (first, int(number)) in self.epochs):
            first = origin
        own, host = self.keys_of(origin), host_of(first)
        beside = [each for each in self.keys if host and host_of(each.name) == host]
        named = [Verifier(origin, each.kind, each.key) for each in beside]
        return [*own, *(each for each in named if each not in own)]

    def satisfied_by(self, names: Collection[str]) -> bool:
        """Whether these witnesses, by the policy's own names for them, are the quorum."""
        if self.quorum in (None, NONE):
            return True
        met = {each for each in names if each in self.witnesses}
        for group in self.groups.values():  # a group's members stand in lines before it
            if sum(each in met for each in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met


class Wrong(ValueError):
    """What is wrong with a line."""


def host_of(origin: str) -> str:
    """The installation's part of an origin of ours; empty for others."""
    match = ORIGIN.fullmatch(origin)
    return match["host"] if match else ""


def shown(name: str) -> str:
    """A name that may hold any bytes, as it can be printed."""
    return repr(name[:80].encode(errors="surrogateescape").decode(errors="backslashreplace"))


# Keyword → least and most items behind it, their form, and what takes them in.
LINES: dict[str, tuple[int, int, str, Callable[..., None]]] = {
    "log": (1, 2, "<vkey> [<url>]", Policy.take_log),
    "witness": (2, 3, "<name> <vkey> [<url>]", Policy.take_witness),
    "group": (3, MOST_LINES, "<name> all|any|<k> <name>…", Policy.take_group),
    "quorum": (1, 1, "<name>|none", Policy.take_quorum),
    "receipts": (1, 1, "<vkey>", Policy.take_receipts),
    "previous": (1, 1, "<vkey>", Policy.take_previous),
    "epoch": (2, 2, "<origin> <n>", Policy.take_epoch),
    "origin": (2, MOST_LINES, "<key name> <text>", Policy.take_origin),
    "tsa": (1, 1, "<path>", Policy.take_authority),
}
