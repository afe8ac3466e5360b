"""Watching logs grow, whichever thread or process writes them.

A write in this process wakes its watchers directly. What other processes write is seen by one thread, which
looks at the heads of the watched logs every 50 ms as long as anybody watches: on SQLite ``PRAGMA
data_version`` (3 µs) tells whether another connection committed at all, on PostgreSQL it is one look-up by
primary key. There is no broker that could be down, and no writer pays for being watched; docs/decisions
says why.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

INTERVAL = 0.05  # seconds between two looks, and between two wakings of one watcher
RECOVERY = 1.0  # seconds until a database that failed is asked again


class Watch:
    """One watcher of one log. It belongs to the event loop that made it; any thread may wake it."""

    def __init__(self, log_id: int) -> None:
        self.log_id = log_id
        self.loop = asyncio.get_running_loop()
        self.grew = asyncio.Event()
        self.woken = False
        self.last = float("-inf")

    def wake(self) -> None:
        """Make ``grown`` return soon. However often it is called, the loop hears of it once."""
        if not self.woken:
            self.woken = True
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self.loop.call_soon_threadsafe(self.grew.set)

    async def grown(self, within: float) -> None:
        """Wait until the log grew, at most ``within`` seconds, and at least 50 ms since the last time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.grew.wait(), within)
        await asyncio.sleep(max(0.0, self.last + INTERVAL - self.loop.time()))
        self.last = self.loop.time()
        # In this order: what is committed from here on wakes again, what was before is read after this.
        self.grew.clear()
        self.woken = False


# Sets are replaced, never changed: ``wake`` reads them in other threads without a lock.
watched: dict[int, frozenset[Watch]] = {}
changing = threading.Lock()
looker: "Looker | None" = None


@contextmanager
def watching(log_id: int) -> Iterator[Watch]:
    """A watch on a log for as long as the block runs. Call it in an event loop."""
    watch = Watch(log_id)
    add(watch)
    try:
        yield watch
    finally:
        remove(watch)


def add(watch: Watch) -> None:
    """Begin a watch; the first one starts the thread that looks."""
    global looker
    with changing:
        watched[watch.log_id] = watched.get(watch.log_id, frozenset()) | {watch}
        if looker is None:
            looker = Looker()
            looker.start()


def remove(watch: Watch) -> None:
    """End a watch; after the last one the thread ends too."""
    with changing:
        if rest := watched.get(watch.log_id, frozenset()) - {watch}:
            watched[watch.log_id] = rest
        else:
            watched.pop(watch.log_id, None)


def wake(log_id: int) -> None:
    """Wake every watch on a log."""
    for watch in watched.get(log_id, ()):
        watch.wake()


class Looker(threading.Thread):
    """Looks at the heads of the watched logs, on a connection of its own, until nobody watches."""

    def __init__(self) -> None:
        super().__init__(name="countersign-looker", daemon=True)
        self.connection: BaseDatabaseWrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        self.connection.inc_thread_sharing()  # made here, used in the thread alone
        self.version = -1
        self.sizes: dict[int, int] = {}

    def run(self) -> None:
        global looker
        while True:
            with changing:
                if not watched:
                    looker = None
                    break
            try:
                self.look()
                time.sleep(INTERVAL)
            except Error:
                # Watchers look for themselves as well, if slowly: see Feed.
                logger.warning("The heads of watched logs cannot be read; trying again.", exc_info=True)
                self.forget()
                time.sleep(RECOVERY)
        self.forget()

    def look(self) -> None:
        """Wake the watchers of each log that grew since the last look."""
        with self.connection.cursor() as cursor:
            log_ids = list(watched)
            if self.connection.vendor == "sqlite":
                cursor.execute("PRAGMA data_version")
                (version,) = cursor.fetchone()
                if version == self.version and self.sizes.keys() >= set(log_ids):
                    return
                self.version = version
            marks = ", ".join(["%s"] * len(log_ids))
            cursor.execute(
                f"SELECT log_id, size FROM audit_head WHERE log_id IN ({marks or 'NULL'})",  # noqa: S608
                log_ids,
            )
            sizes = dict(cursor.fetchall())
        for log_id, size in sizes.items():
            if self.sizes.get(log_id) != size:
                wake(log_id)
        self.sizes = sizes

    def forget(self) -> None:
        """Close the connection; the next look opens another."""
        self.version = -1
        with suppress(Error):
            self.connection.close()
