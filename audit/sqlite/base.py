"""Django's SQLite backend with a turnstile before every write, and with full durability.

Django asks for a module of this name (`<engine>.base`). Every transaction is BEGIN IMMEDIATE, which SQLite
grants to one connection at a time; `audit.turnstile` decides whose turn it is. The connection holds its turn
from before BEGIN until COMMIT, ROLLBACK or close, whatever happens; a writing statement outside a transaction
holds it while it runs. Reading never waits.
"""

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3 import base as django_sqlite
from django.db.backends.sqlite3.creation import DatabaseCreation as DjangoDatabaseCreation
from django.db.backends.utils import CursorWrapper

from audit.sqlite.mounts import network_file_system
from audit.turnstile import Turn, Turnstile, TurnstileError, turnstile_of

PRAGMAS = (
    "PRAGMA synchronous = FULL",  # a commit is on the disk before it is answered
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8000",  # KiB
    "PRAGMA mmap_size = 16777216",  # bytes of the file that reads may map, which count as resident memory
)
FULL = 2  # of PRAGMA synchronous: 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA
PATIENCE = 20.0  # seconds, unless OPTIONS says another `timeout`
READS = re.compile(
    r"\s*(?:SELECT|EXPLAIN|VALUES|ATTACH|DETACH|COMMIT|END|ROLLBACK|RELEASE|PRAGMA|WITH)\b", re.I
)
# What writes although its first word may read.
WRITES = re.compile(
    r"\s*(?:WITH\b.*\b(?:INSERT|UPDATE|DELETE|REPLACE)\b"
    r"|PRAGMA\s+(?:\w+\.)?(?:(?:user_version|application_id|journal_mode)\s*[=(]|optimize|incremental_vacuum))",
    re.I | re.S,
)


def is_write(query: str) -> bool:
    """Whether a statement may take SQLite's write lock; in doubt, yes."""
    if query.startswith("SELECT"):
        return False
    return READS.match(query) is None or WRITES.match(query) is not None


class Cursor(django_sqlite.SQLiteCursorWrapper):
    """A cursor whose writes pass the turnstile of its connection."""

    wrapper: "DatabaseWrapper"
    fetched: Iterator[Any] | None = None  # the rows of INSERT … RETURNING outside a transaction

    def execute(self, query: str, params: Any = None) -> Any:
        alone = self.wrapper.before(query)
        try:
            super().execute(query, params)
            self.fetched = self._finish() if alone else None
        finally:
            self.wrapper.after()
        return self

    def executemany(self, query: str, param_list: Any) -> Any:
        self.wrapper.before(query)
        try:
            self.fetched = None
            return super().executemany(query, param_list)
        finally:
            self.wrapper.after()

    def executescript(self, script: str) -> Any:
        self.wrapper.before("BEGIN")
        try:
            return super().executescript(script)
        finally:
            self.wrapper.after()

    def _finish(self) -> Iterator[Any] | None:
        """Fetch what a lone statement returns: SQLite commits it, and unlocks, after the last row."""
        return iter(super().fetchall()) if self.description is not None else None

    def __iter__(self) -> Any:
        return super().__iter__() if self.fetched is None else self.fetched

    def __next__(self) -> Any:
        return super().__next__() if self.fetched is None else next(self.fetched)

    def fetchone(self) -> Any:
        return super().fetchone() if self.fetched is None else next(self.fetched, None)

    def fetchmany(self, size: int | None = None) -> Any:
        size = self.arraysize if size is None else size
        if self.fetched is None:
            return super().fetchmany(size)
        return [row for _, row in zip(range(size), self.fetched, strict=False)]

    def fetchall(self) -> Any:
        return super().fetchall() if self.fetched is None else list(self.fetched)


class DatabaseCreation(DjangoDatabaseCreation):
    """Test databases, with the files that lie beside them."""

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        name: str = super()._create_test_db(verbosity, autoclobber, keepdb)  # type: ignore[misc]
        if not keepdb:
            remove_companions(name)
        return name

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> None:
        # The clone is a copy of the file: what the WAL still holds must be in it.
        with self.connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        super()._clone_test_db(suffix, verbosity, keepdb)  # type: ignore[misc]  # absent from the stubs

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        super()._destroy_test_db(test_database_name, verbosity)  # type: ignore[misc]
        remove_companions(test_database_name)


class DatabaseWrapper(django_sqlite.DatabaseWrapper):
    """A connection; `turnstile` is the line before its writes (None for a private database in memory)."""

    creation_class = DatabaseCreation
    turnstile: Turnstile | None = None
    transaction_mode: str | None
    init_commands: list[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turn: Turn | None = None
        self.path = ""
        self.patience = PATIENCE

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if self.transaction_mode not in (None, "IMMEDIATE"):
            raise ImproperlyConfigured(
                f"The transaction_mode of database {self.alias!r} is {self.transaction_mode}; only IMMEDIATE "
                "works with audit.sqlite, because other transactions fail when they begin to write."
            )
        self.transaction_mode = "IMMEDIATE"
        self.patience = params.setdefault("timeout", PATIENCE)
        self.init_commands = [*PRAGMAS, *self.init_commands]
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        self.leave()
        connection = super().get_new_connection(conn_params)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Any) -> None:
        """Refuse what would not be durable, find the turnstile, put the database into WAL mode."""
        self.path = connection.execute("PRAGMA database_list").fetchone()[2]
        if self.path and (file_system := network_file_system(self.path)):
            raise ImproperlyConfigured(_on_network(self.path, file_system))
        if (level := connection.execute("PRAGMA synchronous").fetchone()[0]) < FULL:
            raise ImproperlyConfigured(_weak(level))
        name = str(self.settings_dict["NAME"])
        if self.path:
            self.turnstile = turnstile_of(self.path)
        else:
            self.turnstile = turnstile_of(name, in_memory=True) if "cache=shared" in name else None
        if self.path and connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            self.enter()
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            finally:
                self.leave()

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.wrapper = self
        return cursor

    def before(self, query: str) -> bool:
        """Take the turn if this statement writes and the connection has none yet.

        Returns whether the statement is a transaction of its own. Raises sqlite3's OperationalError if the
        turn does not come in time, or if SQLite rolled the surrounding transaction back by itself.
        """
        if self.in_atomic_block and self.commit_on_exit and not self.connection.in_transaction:
            # After a full disk, say. Going on would commit each further statement on its own.
            raise sqlite3.OperationalError(
                "SQLite rolled this transaction back after an error; nothing of it was written. End the "
                "block and try again."
            )
        if self.turn is None or not self.turn.held:
            if not is_write(query):
                return False
            self.enter()
        return not self.connection.in_transaction

    def after(self) -> None:
        """Give the turn back, unless a transaction is open."""
        if self.turn is not None and (self.connection is None or not self.connection.in_transaction):
            self.leave()

    def enter(self) -> None:
        """Wait in line for the turn to write, at most `timeout` seconds of OPTIONS."""
        if self.turnstile is not None:
            try:
                self.turn = self.turnstile.enter(self, self.patience)
            except (TurnstileError, OSError) as error:
                raise sqlite3.OperationalError(f"{error}") from error

    def leave(self) -> None:
        """Give the turn back, if this connection has it."""
        if self.turn is not None:
            self.turn.leave()
            self.turn = None

    def _commit(self) -> None:
        # A COMMIT that fails may leave the transaction open; then the rollback or close that follows gives
        # the turn back.
        try:
            super()._commit()  # type: ignore[misc]
        finally:
            self.after()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.after()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self.leave()


def durability_problems(connection: BaseDatabaseWrapper) -> list[str]:
    """Why a committed transaction of this connection could be lost, in sentences; empty if it is safe.

    Reads the settings that are in force, which a PRAGMA may have changed since the connection was made.
    """
    problems = []
    with connection.cursor() as cursor:
        path = str(_ask(cursor, "PRAGMA database_list", column=2))
        level = int(_ask(cursor, "PRAGMA synchronous"))
        journal = str(_ask(cursor, "PRAGMA journal_mode"))
    if not path:
        problems.append("The database is in memory; it ends with the process. Name a file.")
    elif file_system := network_file_system(path):
        problems.append(_on_network(path, file_system))
    if level < FULL:
        problems.append(_weak(level))
    if path and journal != "wal":
        problems.append(
            f"The journal mode is {journal.upper()}; it must be WAL. Remove the PRAGMA that changes it."
        )
    return problems


def remove_companions(path: str) -> None:
    """Remove what lies beside a test database: its WAL, shared memory and lock files."""
    for suffix in ("-wal", "-shm", ".queue", ".turnstile"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{path}{suffix}")


def _ask(cursor: CursorWrapper, pragma: str, column: int = 0) -> Any:
    cursor.execute(pragma)
    row = cursor.fetchone()
    assert row is not None
    return row[column]


def _weak(level: int) -> str:
    name = ("OFF", "NORMAL")[level]
    return (
        f"PRAGMA synchronous is {name}; it must be FULL or EXTRA, or a decision that was answered can be "
        "lost with the power. Remove the PRAGMA that changes it."
    )


def _on_network(path: str, file_system: str) -> str:
    return (
        f"The database {path} lies on a network file system ({file_system}), where SQLite's locks and syncs "
        "cannot be relied on. Put it on a local disk, or use PostgreSQL."
    )
