"""Waiting for approvals: however many agents wait, one thread looks for all of them, twenty times a second.

On SQLite it first asks whether any other connection committed since (``PRAGMA data_version``, 3 µs), and mostly none
did. On PostgreSQL it is one look-up by index; where so many wait that it takes long, it is done less often. Four times
a second it also looks whether the logs of open streams got another configuration, and if so, whether the streams' keys
are still good: a lost message or a step from the command line leaves no stream open.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import Error, connection
from django.utils import timezone

from audit.models import Head
from governance.models import Approval
from governance.requests import Caller
from workspaces.models import AgentKey, Standing

INTERVAL = 0.05
REST = 10  # a look is followed by a pause of so many times what it took, if that is longer
STREAMS = 0.25
CHUNK = 500


@dataclass(eq=False, slots=True)
class Waiter:
    """One agent's wait for something newer than ``version``; of a stream with the ``caller`` whose key holds it
    open."""

    version: int
    caller: Caller | None = None
    event: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """How an approval stood at the last look. ``void``: a step of its agent's ladder came after it was asked for."""

    version: int
    pending: bool
    expires_at: datetime
    void: bool

    def newer(self, version: int, now: datetime) -> bool:
        """Whether there is something to tell who knows this version."""
        return self.version > version or not self.pending or self.expires_at <= now


class Watch:
    """The approvals that agents of this process wait for."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[Waiter]] = {}
        self.task: asyncio.Task[None] | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self.looker = Looker()

    async def newer(
        self, approval: str, version: int, seconds: float, *, caller: Caller | None = None
    ) -> bool:
        """Return when the approval is newer than this version or waits no more, or when the time is over. True where
        the stream of this caller must end: its key is good no more, or its agent was contained."""
        waiter = Waiter(version, caller)
        self.waiting.setdefault(approval, set()).add(waiter)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.look())
        try:
            await asyncio.wait_for(waiter.event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            waiters = self.waiting.get(approval, set())
            waiters.discard(waiter)
            if not waiters:
                self.waiting.pop(approval, None)
        return waiter.cut

    async def look(self) -> None:
        """Look until nobody waits any more."""
        loop = asyncio.get_running_loop()
        while self.waiting:
            began = time.perf_counter()
            callers = {each.caller for each in self.waiters() if each.caller is not None}
            seen, refused = await loop.run_in_executor(
                self.thread, self.looker.look, list(self.waiting), callers
            )
            now = timezone.now()
            for approval, waiters in self.waiting.items():
                row = seen.get(approval)
                for waiter in waiters if approval in seen else ():
                    stream = waiter.caller is not None
                    waiter.cut = stream and (waiter.caller in refused or (row is not None and row.void))
                    if waiter.cut or row is None or row.newer(waiter.version, now):
                        waiter.event.set()
            await asyncio.sleep(max(INTERVAL, REST * (time.perf_counter() - began)))

    def waiters(self) -> Iterable[Waiter]:
        """Everybody who waits."""
        return (waiter for waiters in self.waiting.values() for waiter in waiters)


class Looker:
    """What the watch's thread knows of the database: used in that thread alone."""

    def __init__(self) -> None:
        self.commits: int | None = None
        self.seen: dict[str, Seen | None] = {}
        self.revisions: dict[int, int] = {}
        self.keys: dict[Caller, AgentKey | None] = {}
        self.next_streams = 0.0

    def forget(self) -> None:
        """Know nothing, as after a broken connection."""
        connection.close()
        self.commits = None
        self.seen.clear()
        self.revisions.clear()
        self.keys.clear()

    def look(
        self, approvals: Sequence[str], callers: set[Caller]
    ) -> tuple[dict[str, Seen | None], set[Caller]]:
        """How the approvals stand (None: gone), and which callers hold no stream open any more. Those that were not
        looked at are missing: a database that is away is asked again at the next look."""
        try:
            if not self.unchanged():
                self.seen.clear()
            self.seen = {key: self.seen[key] for key in approvals if key in self.seen}
            self.read([approval for approval in approvals if approval not in self.seen])
            if time.monotonic() >= self.next_streams:
                self.next_streams = time.monotonic() + STREAMS
                self.read_keys(callers)
        except Error:
            self.forget()
            return {}, set()
        return self.seen, {caller for caller in callers if caller in self.keys and not self.is_good(caller)}

    def unchanged(self) -> bool:
        """Whether surely nobody committed anything since the last look."""
        if connection.vendor != "sqlite":
            return False
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            before, self.commits = self.commits, cursor.fetchone()[0]
        return before == self.commits

    def read(self, approvals: Sequence[str]) -> None:
        """Read approvals by their ids."""
        columns = (
            "public_id",
            "version",
            "status",
            "expires_at",
            "epoch",
            "agent__epoch",
            "workspace__epoch",
        )
        for start in range(0, len(approvals), CHUNK):
            chunk = approvals[start : start + CHUNK]
            self.seen.update(dict.fromkeys(chunk))
            rows = Approval.objects.filter(public_id__in=chunk)
            for public_id, version, status, expires_at, epoch, agent, workspace in rows.values_list(*columns):
                pending = status == Approval.Status.PENDING
                void = pending and epoch != agent + workspace
                self.seen[public_id] = Seen(version, pending, expires_at, void)

    def read_keys(self, callers: set[Caller]) -> None:
        """Read the keys of open streams, of the logs whose configuration changed since."""
        self.keys = {caller: self.keys[caller] for caller in callers if caller in self.keys}
        if not callers:
            self.revisions.clear()
            return
        heads = Head.objects.filter(log_id__in={caller.log_id for caller in callers})
        revisions = dict(heads.values_list("log_id", "revision"))
        stale = {
            caller.prefix: caller
            for caller in callers
            if caller not in self.keys or self.revisions.get(caller.log_id) != revisions.get(caller.log_id)
        }
        self.revisions = revisions
        self.keys.update(dict.fromkeys(stale.values()))
        for key in AgentKey.objects.filter(prefix__in=stale).select_related("agent") if stale else ():
            self.keys[stale[key.prefix]] = key

    def is_good(self, caller: Caller) -> bool:
        """Whether the caller's key is neither revoked nor over."""
        key = self.keys[caller]
        if key is None or key.revoked_at is not None or key.agent.standing == Standing.REVOKED:
            return False
        return key.expires_at is None or key.expires_at > timezone.now()


watch = Watch()
