"""A line in which the writers of one SQLite database stand: first come, first served, in every process.

SQLite lets one connection write at a time, and its busy handler is no queue: it sleeps and tries again, so
that a busy committer can keep another writer out for seconds. A turnstile puts the threads of a process in a
FIFO line, and the first of the line takes two file locks (`flock`) beside the database: `<db>.queue`, which
only one waiting process holds at a time, then `<db>.turnstile`, held as long as the turn lasts. A writer that
has just finished must pass the queue again, where it finds the process that waited meanwhile.

The kernel frees the locks of a process that dies. A child made by fork starts without a turn.
"""

import fcntl
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

# How long a process sleeps between two looks at a lock that another one holds: seconds, first and longest.
FIRST_NAP = 0.000_05
LONGEST_NAP = 0.000_5
# How often a waiting thread looks whether the holder still exists: seconds.
INSPECTION = 1.0


class TurnstileError(Exception):
    """The line could not be passed; nothing was written."""


class TurnTimeout(TurnstileError):
    """The turn did not come within the time that the caller would wait."""


class SelfDeadlock(TurnstileError):
    """The thread that waits is the one that holds the turn, with another connection."""


class Turn:
    """One passage through a turnstile. `owner` is the connection that writes; its end gives the turn back."""

    __slots__ = ("called", "owner", "thread", "turnstile")

    def __init__(self, turnstile: "Turnstile", owner: Any, when_gone: Callable[[Any], None]) -> None:
        self.turnstile = turnstile
        self.owner = weakref.ref(owner, when_gone)
        self.thread = threading.get_ident()
        self.called: Any = None  # the lock that this turn's thread sleeps on while it stands in line

    @property
    def held(self) -> bool:
        """Whether this turn is the one that may write now (false after `leave`, and in a forked child)."""
        return self.turnstile.current is self

    def leave(self) -> None:
        """Let the next one through; a turn that is over already is left alone."""
        self.turnstile.leave(self)


class Turnstile:
    """The line before one database file; without a path, of one database in memory."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.reset()

    def reset(self) -> None:
        """Forget everyone in line: how a turnstile starts, and starts again in a forked child."""
        self.mutex = threading.Lock()
        self.line: deque[Turn] = deque()
        self.current: Turn | None = None
        self.at_files = False
        self.files = FileLocks(self.path) if self.path else None

    @property
    def waiting(self) -> int:
        """How many threads of this process stand in line, including one that waits for another process."""
        return len(self.line) + self.at_files

    def enter(self, owner: Any, timeout: float) -> Turn:
        """Stand in line for at most `timeout` seconds and return the turn.

        Raises TurnTimeout, SelfDeadlock if this thread's own other connection is inside, and OSError if the
        lock files cannot be opened.
        """
        deadline = time.monotonic() + timeout
        turn = Turn(self, owner, self._owner_gone)
        with self.mutex:
            if self.current is None:
                self.current = turn
            else:
                turn.called = threading.Lock()
                turn.called.acquire()
                self.line.append(turn)
        try:
            if turn.called is not None:
                self._stand_in_line(turn, deadline, timeout)
            if self.files is not None and not self.files.try_take():
                self._wait_for_files(deadline, timeout)
        except BaseException:
            self.leave(turn)
            raise
        return turn

    def leave(self, turn: Turn) -> None:
        """End a turn, or a place in line, and call the next one."""
        with self.mutex:
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        if self.current is not turn:
            if turn in self.line:
                self.line.remove(turn)
            return
        try:
            if self.files is not None:
                self.files.release()
        finally:
            self.current = self.line.popleft() if self.line else None
            if self.current is not None:
                self.current.called.release()

    def _stand_in_line(self, turn: Turn, deadline: float, timeout: float) -> None:
        while True:
            self._inspect(turn)
            left = deadline - time.monotonic()
            if turn.called.acquire(timeout=max(0.0, min(left, INSPECTION))):
                return
            if left <= INSPECTION:
                with self.mutex:
                    if self.current is turn:  # it was called in this very moment
                        return
                    ahead = self.line.index(turn) + 1
                raise self._timeout(timeout, f"{ahead} writer(s) of this process were still ahead in line")

    def _inspect(self, turn: Turn) -> None:
        """Call the next one if the holder's connection is gone; refuse to wait for this thread itself."""
        with self.mutex:
            holder = self.current
            if holder is None or holder is turn:
                return
            if holder.owner() is None:
                self._leave(holder)
            elif holder.thread == turn.thread:
                raise SelfDeadlock(
                    f"This thread already writes to {self.path or 'this database'} through another "
                    "connection, so that it would wait for itself. Use one connection, or end the other "
                    "transaction first."
                )

    def _owner_gone(self, _: Any) -> None:
        # Called from the garbage collector, perhaps inside the mutex: then the next inspection finds it.
        if self.mutex.acquire(blocking=False):
            try:
                if self.current is not None and self.current.owner() is None:
                    self._leave(self.current)
            finally:
                self.mutex.release()

    def _wait_for_files(self, deadline: float, timeout: float) -> None:
        assert self.files is not None
        nap = FIRST_NAP
        self.at_files = True
        try:
            while not self.files.try_take():
                if time.monotonic() >= deadline:
                    raise self._timeout(timeout, "another process was writing")
                time.sleep(nap)
                nap = min(nap * 1.5, LONGEST_NAP)
        finally:
            self.at_files = False

    def _timeout(self, timeout: float, why: str) -> TurnTimeout:
        return TurnTimeout(
            f"The turn to write to {self.path or 'the database in memory'} did not come within "
            f"{timeout:g} s, as {why}. Nothing was written; try again, and look for a transaction that stays "
            "open."
        )


class FileLocks:
    """The two `flock`s that one process takes for its turn. Used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.queue = self.turnstile = -1
        self.queued = False

    def try_take(self) -> bool:
        """Take what can be taken now; true once the turnstile's lock is held. The place in the queue is kept
        until then, so that nobody overtakes."""
        if self.turnstile < 0:
            self._open()
        if not self.queued and not _try_lock(self.queue):
            return False
        self.queued = True
        if not _try_lock(self.turnstile):
            return False
        if not self._still_the_file():
            self.close()
            return False
        self._unqueue()
        return True

    def release(self) -> None:
        """Give back whatever is held."""
        if self.queued:
            self._unqueue()
        if self.turnstile >= 0:
            fcntl.flock(self.turnstile, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both files. In a forked child this leaves the parent's locks alone."""
        for descriptor in (self.queue, self.turnstile):
            if descriptor >= 0:
                os.close(descriptor)
        self.queue = self.turnstile = -1
        self.queued = False

    def _open(self) -> None:
        # Whoever may write the database may stand in line for it.
        mode = os.stat(self.path).st_mode & 0o666 if os.path.exists(self.path) else 0o600
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.queue = os.open(f"{self.path}.queue", flags, mode)
        self.turnstile = os.open(f"{self.path}.turnstile", flags, mode)

    def _unqueue(self) -> None:
        fcntl.flock(self.queue, fcntl.LOCK_UN)
        self.queued = False

    def _still_the_file(self) -> bool:
        """Whether other processes would open what is locked here: a removed file locks nobody out."""
        try:
            found = os.stat(f"{self.path}.turnstile")
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self.turnstile))


_turnstiles: dict[str, Turnstile] = {}
_turnstiles_mutex = threading.Lock()


def turnstile_of(name: str, *, in_memory: bool = False) -> Turnstile:
    """The one turnstile that this process has for a database file, or for a name in memory."""
    key = name if in_memory else os.path.realpath(name)
    with _turnstiles_mutex:
        if key not in _turnstiles:
            _turnstiles[key] = Turnstile(None if in_memory else key)
        return _turnstiles[key]


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _after_fork_in_child() -> None:
    global _turnstiles_mutex
    _turnstiles_mutex = threading.Lock()
    for each in _turnstiles.values():
        if each.files is not None:
            each.files.close()
        each.reset()


os.register_at_fork(after_in_child=_after_fork_in_child)
