"""The few threads in which sockets read the database.

Not the thread that Django's synchronous views share: a slow page would hold up every socket, and keep one
open that lost its permission. Threads and connections end with the last socket.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4


class Readers:
    """A pool of reading threads, counted in and out by ``reading``."""

    def __init__(self) -> None:
        self.opened: list[BaseDatabaseWrapper] = []
        self.users = 0
        self.pool = ThreadPoolExecutor(THREADS, "countersign-reader", initializer=self.begin)

    def begin(self) -> None:
        """Remember a new thread's connection, so that ``close`` can close it from another thread."""
        connection = connections[DEFAULT_DB_ALIAS]
        connection.inc_thread_sharing()
        self.opened.append(connection)

    async def run(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``read`` returns, from one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, partial(fresh, read, *args, **kwargs))

    def close(self) -> None:
        """Wait for what runs, then close every connection."""
        self.pool.shutdown()
        for connection in self.opened:
            with suppress(Error):
                connection.close()


def fresh(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``read``; after a database error the thread's next call gets a new connection."""
    try:
        return read(*args, **kwargs)
    except Error:
        connections.close_all()
        raise


shared: Readers | None = None
counting = threading.Lock()


@asynccontextmanager
async def reading() -> AsyncIterator[Readers]:
    """The process's reading threads, for as long as the block runs."""
    global shared
    with counting:
        if shared is None:
            shared = Readers()
        readers = shared
        readers.users += 1
    try:
        yield readers
    finally:
        with counting:
            readers.users -= 1
            last = readers.users == 0
            if last:
                shared = None
        if last:
            await asyncio.shield(asyncio.to_thread(readers.close))
