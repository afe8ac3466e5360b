"""Group commit: waiting requests of one workspace are judged and committed together, then all are answered.

Committer threads take turns over the workspaces that have something waiting; a workspace is in one batch at a time,
so one whose head is held elsewhere delays nobody else where there are several committers.
"""

import asyncio
import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import DataError, Error, IntegrityError, ProgrammingError, connection

from audit import log
from audit.envelopes import SealedOtherwise
from audit.keys import BadKeyFile
from audit.watermarks import Stopped
from governance import checks
from governance.requests import Answer, Problem, Request

logger = logging.getLogger(__name__)

UNAVAILABLE = Problem(
    503, "log_unavailable", "The decision could not be recorded, so none was made; ask again in a moment."
)
STOPPED = (
    "The log was found changed or shortened, and nothing is recorded in it until the operators of this installation"
    " looked; do not act, and tell them."
)
TOO_LATE = checks.TOO_LATE
CULPRIT = Problem(
    500,
    "internal_error",
    "This call could not be judged; it was not allowed. Tell the operators of this installation.",
)
FULL = Problem(503, "overloaded", "Too many calls are waiting; ask again in a moment.")
MOST_WAITING = 20_000
# What one request's values can bring about; every other error of a database concerns everybody.
OF_ONE_REQUEST = (DataError, IntegrityError, ProgrammingError)


@dataclass(slots=True)
class Member:
    """One request that waits for its batch, and whom to tell."""

    request: Request
    future: "asyncio.Future[Answer]"
    loop: asyncio.AbstractEventLoop
    deadline: float

    def gone(self) -> bool:
        """Whether the caller has been refused already, or is about to be."""
        return self.future.done() or time.monotonic() >= self.deadline


class Admission:
    """The queue and its committer threads. Threads start with the first request and end with ``stop``."""

    def __init__(self, committers: int, batch: int, deadline: float) -> None:
        self.committers = committers
        self.batch = batch
        self.seconds = deadline
        self.turn = threading.Condition()
        self.waiting: dict[int, deque[Member]] = {}
        self.ready: deque[int] = deque()
        self.busy: set[int] = set()
        self.threads: list[threading.Thread] = []
        self.stopping = False
        self.count = 0

    def submit(self, log_id: int, request: Request) -> "asyncio.Future[Answer]":
        """Queue a request of the running event loop; the future is answered after its batch was committed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        member = Member(request, future, loop, time.monotonic() + self.seconds)
        with self.turn:
            if self.count >= MOST_WAITING or self.stopping:
                future.set_result(FULL)
                return future
            self.count += 1
            queue = self.waiting.get(log_id)
            if queue is None:
                queue = self.waiting[log_id] = deque()
            queue.append(member)
            if len(queue) == 1 and log_id not in self.busy:
                self.ready.append(log_id)
                self.turn.notify()
            if len(self.threads) < self.committers:
                self.start()
        return future

    def start(self) -> None:
        """Start the committer threads. Called with the lock held."""
        for number in range(self.committers - len(self.threads)):
            thread = threading.Thread(target=self.commit_forever, name=f"committer-{number}", daemon=True)
            self.threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Let the committers finish what they have begun, and end. Whoever still waits is refused."""
        with self.turn:
            self.stopping = True
            self.turn.notify_all()
        for thread in self.threads:
            thread.join()
        with self.turn:
            left = [member for queue in self.waiting.values() for member in queue]
            self.waiting.clear()
            self.ready.clear()
            self.threads.clear()
            self.count, self.stopping = 0, False
        deliver(left, [UNAVAILABLE] * len(left))

    def commit_forever(self) -> None:
        """One committer's life: take a batch, commit it, answer it."""
        try:
            while (taken := self.take()) is not None:
                log_id, members = taken
                answers = self.answers(log_id, members)
                deliver(members, answers)
                self.finish(log_id)
        finally:
            connection.close()

    def take(self) -> tuple[int, list[Member]] | None:
        """Wait for a workspace with something waiting; None when stopping."""
        with self.turn:
            while not self.ready and not self.stopping:
                self.turn.wait()
            if self.stopping:
                return None
            log_id = self.ready.popleft()
            self.busy.add(log_id)
            queue = self.waiting[log_id]
            members = [queue.popleft() for _ in range(min(len(queue), self.batch))]
            self.count -= len(members)
            return log_id, members

    def finish(self, log_id: int) -> None:
        """The workspace's batch is over; queue it again behind the others when more of it came in."""
        with self.turn:
            self.busy.discard(log_id)
            if self.waiting.get(log_id):
                self.ready.append(log_id)
                self.turn.notify()
            else:
                self.waiting.pop(log_id, None)

    def answers(self, log_id: int, members: Sequence[Member]) -> list[Answer]:
        """Judge those who still wait; callers whose time is over are not judged at all."""
        if all(member.gone() for member in members):  # no need to wait for the lock
            return [TOO_LATE] * len(members)
        return judge(log_id, members)


def spare_collections() -> None:
    """Have Python's cycle collector look at what a batch leaves behind, and seldom at everything: a full collection
    walks all configuration in memory and would make every caller of that moment wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def judge(log_id: int, members: Sequence[Member], *, again: bool = True) -> list[Answer]:
    """Answers of one batch. A database that fails refuses everybody; another error is narrowed down to its culprit."""
    try:
        return checks.admit(
            log_id, [member.request for member in members], gone=lambda place: members[place].gone()
        )
    except Exception as error:
        drop_connection()
        if again and is_conflict(error):
            return judge(log_id, members, again=False)
        if isinstance(error, Stopped):
            logger.error("log %s takes nothing: %s", log_id, error)
            return [Problem(error.status, error.code, STOPPED)] * len(members)
        if is_everybodys(error):
            logger.warning("batch of log %s was not recorded: %s", log_id, error)
            return [UNAVAILABLE] * len(members)
        if len(members) == 1:
            logger.exception("a request could not be judged")
            return [CULPRIT]
        middle = len(members) // 2
        return [*judge(log_id, members[:middle]), *judge(log_id, members[middle:])]


def is_everybodys(error: Exception) -> bool:
    """Whether judging the requests one by one would only fail again: the database is away, full, read-only, broken."""
    if isinstance(error, Error):
        return not isinstance(error, OF_ONE_REQUEST)
    return isinstance(error, log.NoSuchLog | checks.Overtaken | BadKeyFile | SealedOtherwise)


def is_conflict(error: Exception) -> bool:
    """A deadlock or serialization error of PostgreSQL, after which the whole write may be done again."""
    return getattr(error.__cause__, "sqlstate", "") in ("40001", "40P01")


def drop_connection() -> None:
    """Begin afresh after a database error; a broken connection must not refuse the next batch too."""
    try:
        connection.close()
    except Exception:  # whatever a broken connection still raises
        logger.exception("closing a broken connection")


def deliver(members: Sequence[Member], answers: Sequence[Answer]) -> None:
    """Answer on each member's own loop, one wake-up a loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer]]] = {}
    for member, answer in zip(members, answers, strict=True):
        loops.setdefault(member.loop, []).append((member.future, answer))
    for loop, pairs in loops.items():
        try:
            loop.call_soon_threadsafe(resolve, pairs)
        except RuntimeError:  # the loop has closed; nobody is there to be told
            logger.info("answers of a closed loop were dropped")


def resolve(pairs: Sequence[tuple["asyncio.Future[Answer]", Answer]]) -> None:
    for future, answer in pairs:
        if not future.done():
            future.set_result(answer)


admission = Admission(settings.GATE_COMMITTERS, settings.GATE_BATCH, settings.GATE_DEADLINE)
