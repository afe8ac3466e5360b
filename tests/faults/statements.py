"""What a committer sends to the database, and making one of it fail: an execute wrapper on its connection, and its
COMMIT. Counts from 1; BEGIN counts where it is a statement (on PostgreSQL it is not), every executemany as one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class Statements:
    """The statements of the committer threads that begin inside ``watching``."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fail_at = 0
        self.error: Exception | None = None
        self.takes_effect = False
        self.failed = ""
        self.always = ""
        self.first = ""  # a statement that each new connection begins with

    def fail_always(self, beginning: str, error: Exception) -> None:
        """Make every statement that begins like this raise, before it had its effect."""
        self.always, self.error = beginning, error

    def expect(self, number: int, error: Exception, *, takes_effect: bool) -> None:
        """Make the ``number``-th statement from now on raise, before or after it had its effect; 0 is none."""
        self.sent.clear()
        self.fail_at, self.error, self.takes_effect, self.failed = number, error, takes_effect, ""

    def run(self, statement: str, send: Callable[[], Any]) -> Any:
        self.sent.append(statement)
        broken = bool(self.always) and statement.startswith(self.always)
        if len(self.sent) != self.fail_at and not broken:
            return send()
        assert self.error is not None
        self.failed = statement
        if self.takes_effect:
            send()
        raise self.error

    def install(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """Receiver of connection_created, which is sent in the connection's own thread."""
        if not threading.current_thread().name.startswith("committer"):
            return

        def execute(send: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            return self.run(sql, lambda: send(sql, params, many, context))

        def commit() -> Any:
            return self.run("COMMIT", lambda: type(connection)._commit(connection))  # type: ignore[attr-defined]

        if self.first:
            connection.connection.execute(self.first)
        connection.execute_wrappers[:] = [execute]
        connection._commit = commit  # type: ignore[attr-defined]


@contextmanager
def watching() -> Iterator[Statements]:
    """Watch every connection that a committer thread makes inside the block."""
    statements = Statements()
    connection_created.connect(statements.install, weak=False, dispatch_uid="statements")
    try:
        yield statements
    finally:
        connection_created.disconnect(dispatch_uid="statements")
