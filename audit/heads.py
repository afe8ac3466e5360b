"""What the publisher remembers of every log outside the database: ``heads.json`` beside its key.

A line a log: epoch, size and root of the last head that it was about to sign. The file is written whole, to another
name first, and is on the disk before anything is signed, so that a crash leaves it as it was or ahead by one head
that is then signed after all. One publisher at a time holds it, by a lock of the file system.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from audit import files, keys

NAME = "heads.json"
LOCK = "heads.lock"
FORMAT = 1


class BadHeadsFile(RuntimeError):
    """The file is there and cannot be understood; nothing may be signed by it."""


class Busy(RuntimeError):
    """Another process publishes just now."""


@dataclass(frozen=True, slots=True)
class Line:
    """The last head of one log; ``missing`` once the database had no such log any more, ``lost`` where the file itself
    was lost and the line tells nothing."""

    epoch: int
    size: int
    root: bytes
    missing: bool = False
    lost: bool = False


@dataclass(slots=True)
class Heads:
    """The file's content. ``key`` is the public key, in hex, that signs; ``lines`` are by the logs' uuids."""

    key: str = ""
    lines: dict[str, Line] = field(default_factory=dict)
    found: bool = False  # whether there was a file

    def encode(self) -> bytes:
        """The file's bytes."""
        logs: dict[str, dict[str, Any]] = {
            uuid: {"epoch": line.epoch, "size": line.size, "root": line.root.hex()}
            | {name: True for name in ("missing", "lost") if getattr(line, name)}
            for uuid, line in self.lines.items()
        }
        return orjson.dumps({"format": FORMAT, "key": self.key, "logs": logs}) + b"\n"


@dataclass(slots=True)
class Cache:
    """What was read last, and of which file: reading it again costs a look at its status."""

    stamp: tuple[str, int, int, int] | None = None
    heads: Heads = field(default_factory=Heads)


cache = Cache()


def path() -> Path:
    """Where the file is."""
    return keys.path_of(NAME)


def read() -> Heads:
    """The file as it is now, empty where there is none; not to be changed. Raises BadHeadsFile."""
    try:
        status = path().stat()
    except FileNotFoundError:
        return Heads()
    except OSError as error:
        raise BadHeadsFile(f"{path()} cannot be read: {error}.") from error
    stamp = (str(path()), status.st_ino, status.st_mtime_ns, status.st_size)
    if cache.stamp != stamp:
        try:
            cache.heads = decode(path().read_bytes())
        except OSError as error:
            raise BadHeadsFile(f"{path()} cannot be read: {error}.") from error
        cache.stamp = stamp
    return cache.heads


def decode(content: bytes) -> Heads:
    """Read what ``encode`` wrote. Raises BadHeadsFile."""
    try:
        document = orjson.loads(content)
        if document["format"] != FORMAT:
            raise ValueError
        lines = {
            uuid: Line(
                int(line["epoch"]),
                int(line["size"]),
                bytes.fromhex(line["root"]),
                "missing" in line,
                "lost" in line,
            )
            for uuid, line in document["logs"].items()
        }
        return Heads(str(document["key"]), lines, found=True)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadHeadsFile(f"{path()} is not what the publisher wrote; restore it from its backup.") from None


def save(heads: Heads) -> None:
    """Put the file on the disk, whole or not at all. Only for who holds it."""
    files.replace(path(), heads.encode())


@contextmanager
def held(*, wait: bool = True) -> Iterator[Heads]:
    """The file for one publisher alone, to be changed and saved. Raises Busy, BadHeadsFile and OSError."""
    folder = path().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Busy("Another process publishes just now.") from None
        heads = read()
        yield Heads(heads.key, dict(heads.lines), heads.found)
    finally:
        os.close(descriptor)
