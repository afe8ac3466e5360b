"""The last head that this process saw of each log: what notices at once that a database went back.

``check`` is called under the head's lock with what the database says, ``learn`` after a commit. A process that has
just started takes the publisher's word from ``heads.json``, where it can read it. Once refused, a log stays refused
here until it is adopted or the process starts again: growing past the old size must not help.
"""

import logging
import threading
from dataclasses import dataclass

from audit import heads
from audit.merkle import HASH_SIZE, Frontier, ProofError

logger = logging.getLogger(__name__)

MOST = 20_000  # logs remembered; the longest known is forgotten first


class Stopped(RuntimeError):
    """Nothing can be written to a log until somebody looked; ``code`` is stable, the text says what to do."""

    status = 503
    code: str


class RolledBack(Stopped):
    """The log is shorter than this process saw it, or another one."""

    code = "log_rolled_back"


class Halted(Stopped):
    """The publisher found that the log is not what it signed."""

    code = "log_halted"


@dataclass(frozen=True, slots=True)
class Mark:
    """A head that was seen. ``frontier`` is empty where only the ``root`` is known; ``refused`` is why nothing is
    written to the log any more."""

    epoch: int
    size: int
    frontier: bytes = b""
    root: bytes = b""
    refused: str = ""


marks: dict[str, Mark] = {}
changing = threading.Lock()


def check(uuid: str, epoch: int, size: int, frontier: bytes, halted: str) -> None:
    """Judge a head that is locked. Raises Halted where it says so, RolledBack unless it can have grown from what was
    seen."""
    if halted:
        raise Halted(
            f"The log was halted, and nothing can be written to it until its operators looked. {halted}"
        )
    mark = marks.get(uuid) or remembered(uuid)
    if mark is None or epoch > mark.epoch:
        return
    if mark.refused:
        raise RolledBack(mark.refused)
    if epoch == mark.epoch and size >= mark.size and agrees(mark, size, frontier):
        return
    refused = (
        f"The log {uuid} has {size} entries, and had {mark.size}{'' if size < mark.size else ' others'} when this"
        " process last saw it. Nothing is written to it: restore the newest backup and start the processes again, or"
        " see manage.py log_adopt."
    )
    logger.critical("%s", refused)
    keep(uuid, Mark(mark.epoch, mark.size, mark.frontier, mark.root, refused))
    raise RolledBack(refused)


def agrees(mark: Mark, size: int, frontier: bytes) -> bool:
    """Whether the complete subtrees that both sizes have are the same ones: all of them where the sizes are equal."""
    if mark.frontier or not mark.size:
        shared = (size >> (size ^ mark.size).bit_length()).bit_count() * HASH_SIZE
        return frontier[:shared] == mark.frontier[:shared]
    if size > mark.size:
        return True
    try:
        return Frontier.decode(size, frontier).root() == mark.root
    except ProofError:
        return False


def learn(uuid: str, epoch: int, size: int, frontier: bytes) -> None:
    """Note a head that was committed. Commits of several threads may be told in any order."""
    mark = marks.get(uuid)
    if mark is None or (epoch, size) > (mark.epoch, mark.size):
        keep(uuid, Mark(epoch, size, frontier))


def keep(uuid: str, mark: Mark) -> None:
    """Put a mark into a memory that does not grow for ever."""
    if uuid in marks:
        marks[uuid] = mark
        return
    with changing:
        while len(marks) >= MOST:
            del marks[next(iter(marks))]
        marks[uuid] = mark


def remembered(uuid: str) -> Mark | None:
    """What ``heads.json`` tells of a log, where this process can read the file and it knows the log."""
    try:
        line = heads.read().lines.get(uuid)
    except heads.BadHeadsFile:
        return None
    return None if line is None or line.lost else Mark(line.epoch, line.size, root=line.root)
