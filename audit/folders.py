"""A stream's file: lines appended, each whole or not at all, in the folder that the operator set.

The file itself says how far it is. Whoever opens it cuts off a line that a crash left half written and goes on after
the last whole one, whatever the cursor says; a file that was moved away begins anew at the cursor.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings

from audit import files, formats
from audit.models import Stream

BLOCK = 64 * 1024


class NotOurs(RuntimeError):
    """A file that this stream cannot have written; the message says what to do."""


def path_of(stream: Stream) -> Path:
    """Where a stream writes. Nothing in it was chosen by whoever set the stream up."""
    return Path(settings.STREAM_FOLDER) / f"{stream.log.uuid}-{stream.public_id}.jsonl"


def append(stream: Stream, *, otherwise: int, size: int, lines: Callable[[int], Iterable[bytes]]) -> None:
    """Append ``lines(first)`` and see them onto the disk; ``first`` is the index after the last whole line, or
    ``otherwise`` in an empty file. Raises NotOurs, OSError."""
    descriptor = opened(stream)
    with os.fdopen(descriptor, "r+b") as file:
        end = cut(descriptor)
        first = otherwise if end == 0 else index_after(stream, last_line(descriptor, end))
        if first > size:
            raise NotOurs(
                f"{path_of(stream)} has entries that the log has not. Was the database restored? Move the file away."
            )
        file.seek(end)
        file.writelines(lines(first))
        file.flush()
        os.fsync(descriptor)


def probe(stream: Stream) -> Path:
    """Open the file as a delivery does. Raises NotOurs, OSError."""
    os.close(opened(stream))
    return path_of(stream)


def opened(stream: Stream) -> int:
    """The file, made where there is none, and locked. Its group may read it: log shippers do. Raises OSError."""
    if not settings.STREAM_FOLDER:
        raise NotOurs("No folder is set for streams: COUNTERSIGN_STREAM_FOLDER.")
    path = path_of(stream)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_new:
            files.sync_folder(path.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def cut(descriptor: int) -> int:
    """Take away what follows the last line feed; the size that is left."""
    end = position = os.fstat(descriptor).st_size
    while position > 0:
        start = max(0, position - BLOCK)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            position = start + found + 1
            break
        position = start
    if position != end:
        os.ftruncate(descriptor, position)
    return position


def last_line(descriptor: int, end: int) -> bytes:
    """The line that ends at ``end``."""
    position, text = end - 1, b""
    while position > 0:
        start = max(0, position - BLOCK)
        block = os.pread(descriptor, position - start, start)
        found = block.rfind(b"\n")
        text = block[found + 1 :] + text
        if found >= 0:
            break
        position = start
    return text


def index_after(stream: Stream, line: bytes) -> int:
    """The index of the entry after that of a line. Raises NotOurs."""
    index = formats.index_in(stream.format, line)
    if index is None:
        raise NotOurs(f"{path_of(stream)} ends with something else than this stream wrote; move it away.")
    return index + 1
