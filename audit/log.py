"""The workspace log: the serialization point of everything that matters.

``write(log_id)`` opens one transaction whose first statement locks the log's head row; rows and entries
commit together, and the live feed hears of it after the commit. Entries are stored exactly as hashed
(RFC 8785 bytes, RFC 6962 leaf hashes) and the head keeps the tree's compact range.
"""

import hmac
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import orjson
from asgiref.local import Local
from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from audit import canonical, envelopes, live, merkle, registry, watermarks
from audit.models import Change, Detail, Entry, Head, Log

BODY_VERSION = 1
PATHS = {Log.Kind.WORKSPACE: "ws", Log.Kind.INSTALLATION: "installation"}  # where a log is served

current = Local()


class OutOfOrder(RuntimeError):
    """An inner write asked for a log that the outer one did not lock."""


class NoSuchLog(LookupError):
    """The log has no head row; nothing can be recorded in it, so nothing may happen in it."""


@dataclass(slots=True)
class Appended:
    """One entry on its way into the log; ``leaf`` and ``body`` are there once it was flushed."""

    log_id: int
    index: int
    body: dict[str, Any]
    detail: dict[str, Any]
    encoded: bytes = b""
    leaf: bytes = b""


@dataclass(slots=True)
class HeadState:
    """One locked head: what the database said, and what this transaction adds to it."""

    log_id: int
    uuid: str
    origin: str
    epoch: int
    size: int
    frontier: bytes
    revision: int
    entries: list[Appended] = field(default_factory=list)
    changes: list[tuple[str, int]] = field(default_factory=list)
    grown: merkle.Frontier | None = None

    def seal(self) -> None:
        """Encode and hash what was appended, so that receipts can be written in the same transaction."""
        random = os.urandom(16 * len(self.entries))
        for number, entry in enumerate(self.entries):
            if not entry.leaf:
                entry.body["rand"] = random[16 * number : 16 * number + 16].hex()
                entry.encoded = canonical.encode(entry.body)
                entry.leaf = merkle.leaf_hash(entry.encoded)

    def tree(self) -> merkle.Frontier:
        """The tree with what was appended and sealed. Made once, by the flush: nothing is appended after it."""
        if self.grown is None:
            self.grown = merkle.Frontier.decode(self.size, self.frontier)
            self.grown.extend(entry.leaf for entry in self.entries)
        return self.grown

    @property
    def next_revision(self) -> int:
        return self.revision + 1 if self.changes else self.revision


class Writer:
    """What ``write`` yields: the time of this transaction, and the ways to append to its logs."""

    def __init__(self, heads: dict[int, HeadState], now: datetime) -> None:
        self.heads = heads
        self.now = now
        self.stamp = stamp(now)

    def head(self, log_id: int | None = None) -> HeadState:
        """The locked head of a log; without an id, that of the only one."""
        if log_id is None:
            (state,) = self.heads.values()
            return state
        return self.heads[log_id]

    def append(
        self,
        type: str,
        *,
        actor: str,
        agent: str = "",
        tool: str = "",
        resource: str = "",
        outcome: str = "",
        session: str = "",
        data: dict[str, Any] | None = None,
        detail: dict[str, Any] | None = None,
        log_id: int | None = None,
    ) -> Appended:
        """Add one entry. ``data`` holds nothing personal; ``detail`` maps field names to values that enter the
        body only as salted commitments. Raises UnknownType for a type that no app registered."""
        if type not in registry.entry_types:
            raise registry.UnknownType(f"Entry type {type!r} is not registered.")
        head = self.head(log_id)
        body: dict[str, Any] = {
            "v": BODY_VERSION,
            "log": head.uuid,
            "index": head.size + len(head.entries),
            "time": self.stamp,
            "type": type,
            "actor": actor,
            "agent": agent,
            "tool": tool,
            "resource": resource,
            "outcome": outcome,
            "session": session,
            "data": data or {},
        }
        entry = Appended(head.log_id, body["index"], body, seal(body, detail) if detail else {})
        head.entries.append(entry)
        return entry

    def record(
        self,
        type: str,
        *,
        actor: str,
        saved: Sequence[models.Model] = (),
        removed: Sequence[models.Model] = (),
        data: dict[str, Any] | None = None,
        detail: dict[str, Any] | None = None,
        agent: str = "",
        tool: str = "",
        resource: str = "",
        outcome: str = "",
        log_id: int | None = None,
    ) -> Appended:
        """Add the entry of a configuration change: the state of each saved row, the key of each removed one.
        Bumps the log's revision, and tells processes that are behind which rows to read again. Call it after
        the rows were saved and before they are deleted."""
        head = self.head(log_id)
        rows: list[dict[str, Any]] = []
        private: dict[str, Any] = dict(detail or {})
        for row in saved:
            kind = registry.kind_of(row)
            for column, value in kind.private_state(row).items():
                private[f"{kind.name}:{row.pk}:{column}"] = value
            rows.append({"kind": kind.name, "key": row.pk, "state": kind.state(row)})
        rows += [{"kind": registry.kind_of(row).name, "key": row.pk, "state": None} for row in removed]
        head.changes += dict.fromkeys(registry.kind_of(row).touches(row) for row in [*saved, *removed])
        return self.append(
            type,
            actor=actor,
            agent=agent,
            tool=tool,
            resource=resource,
            outcome=outcome,
            data={**(data or {}), "rows": rows, "revision": head.next_revision},
            detail=private or None,
            log_id=head.log_id,
        )


def seal(body: dict[str, Any], detail: dict[str, Any]) -> dict[str, Any]:
    """Put a commitment to each detail value into the body; return the salted values to store beside it, as
    JSON that is encoded already. A value may be ``canonical.Encoded``."""
    salts = os.urandom(32 * len(detail))
    sealed, commitments = {}, {}
    for number, (name, value) in enumerate(detail.items()):
        salt = salts[32 * number : 32 * number + 32]
        encoded = value.json if type(value) is canonical.Encoded else canonical.encode(value)
        commitments[name] = hmac.digest(salt, encoded, "sha256").hex()
        sealed[name] = {"salt": salt.hex(), "value": orjson.Fragment(encoded)}
    body["detail"] = commitments
    return sealed


def commitment(salt: bytes, value: Any) -> str:
    """HMAC-SHA-256 under the salt (32 bytes) over the canonical JSON of the value, in hex."""
    return hmac.digest(salt, canonical.encode(value), "sha256").hex()


@contextmanager
def write(*log_ids: int) -> Iterator[Writer]:
    """One transaction on these logs, their heads locked in id order by its first statement.

    Re-entrant: an inner call joins the outer one when its logs are among the outer one's, and raises OutOfOrder
    otherwise. An exception undoes everything of this block, entries included. Raises NoSuchLog, watermarks.Stopped.
    """
    outer: Writer | None = getattr(current, "writer", None)
    if outer is not None:
        with joined(outer, log_ids) as writer:
            yield writer
        return
    with transaction.atomic():
        writer = Writer(*lock(log_ids))
        current.writer = writer
        try:
            yield writer
        finally:
            current.writer = None
        flush(writer)


@contextmanager
def joined(outer: Writer, log_ids: Sequence[int]) -> Iterator[Writer]:
    """The outer write, narrowed to these logs; what the block added is taken back when it raises."""
    if not set(log_ids) <= outer.heads.keys():
        raise OutOfOrder(
            f"Logs {log_ids} must be locked by the outermost write, which holds {list(outer.heads)}."
        )
    own = {log_id: outer.heads[log_id] for log_id in log_ids}
    marks = [(head, len(head.entries), len(head.changes)) for head in own.values()]
    try:
        with transaction.atomic():
            yield Writer(own, outer.now)
    except BaseException:
        for head, entries, changes in marks:
            del head.entries[entries:]
            del head.changes[changes:]
        raise


def lock(log_ids: Sequence[int]) -> tuple[dict[int, HeadState], datetime]:
    """Lock the heads in id order and read the database's clock, never earlier than the last entry's time.

    Raises NoSuchLog, and watermarks.Stopped for a log that is halted or went back."""
    marks = ", ".join(["%s"] * len(log_ids))
    sql = (
        "SELECT h.log_id, l.uuid, l.origin, l.epoch, h.size, h.frontier, h.revision, h.time, h.halted"
        f" FROM audit_head h JOIN audit_log l ON l.id = h.log_id WHERE h.log_id IN ({marks}) ORDER BY h.log_id"
    )
    if connection.vendor == "postgresql":
        sql += " FOR NO KEY UPDATE OF h"
    with connection.cursor() as cursor:
        cursor.execute(sql, log_ids)
        rows = cursor.fetchall()
        if len(rows) != len(set(log_ids)):
            raise NoSuchLog(f"No head for one of the logs {list(log_ids)}; run manage.py migrate.")
    now = database_time()
    heads = {}
    for log_id, uuid, origin, epoch, size, frontier, revision, time, halted in rows:
        if isinstance(time, str):
            time = datetime.fromisoformat(time)
        now = max(now, time if time.tzinfo else time.replace(tzinfo=UTC))
        name = in_epoch(origin, epoch)
        head = HeadState(log_id, dashed(uuid), name, epoch, size, bytes(frontier), revision)
        watermarks.check(head.uuid, epoch, size, head.frontier, halted)
        heads[log_id] = head
    return heads, now


def in_epoch(origin: str, epoch: int) -> str:
    """A log's name in checkpoints and receipts. A later epoch is another log to a witness, which would rightly refuse
    one that became shorter."""
    return f"{origin}/{epoch}" if epoch else origin


def database_time() -> datetime:
    """The database's clock, by which times of several machines can be compared. SQLite's is this process's."""
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now.astimezone(UTC)


def stamp(time: datetime) -> str:
    """A time as bodies and answers write it: RFC 3339, UTC, microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def dashed(uuid: Any) -> str:
    """A UUID as text, from either database's raw form."""
    text = str(uuid)
    return text if "-" in text else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def flush(writer: Writer) -> None:
    """Write what was appended: entries, details, changes, heads. The last statements of the transaction."""
    entries, details, changes, heads = [], [], [], []
    now = adapt(writer.now)
    for head in writer.heads.values():
        if not head.entries:
            continue
        head.seal()
        frontier = head.tree()
        for entry in head.entries:
            body = entry.body
            entries.append((head.log_id, body["index"], body["type"], now, body["actor"], body["agent"],
                            body["tool"][:200], body["resource"][:200], body["outcome"], body["session"],
                            entry.encoded, entry.leaf))  # fmt: skip
            if entry.detail:
                content = orjson.dumps(entry.detail)
                sealed = envelopes.seal(head.log_id, head.uuid, body["index"], content)
                details.append((head.log_id, body["index"], sealed))
        changes += [(head.log_id, head.next_revision, kind, key) for kind, key in head.changes]
        heads.append((frontier.size, frontier.encode(), head.next_revision, now, head.log_id))
        transaction.on_commit(partial(watermarks.learn, head.uuid, head.epoch, *heads[-1][:2]))
    if not heads:
        return
    with connection.cursor() as cursor:
        insert(
            cursor,
            Entry,
            "log_id index type time actor agent tool resource outcome session body leaf",
            entries,
        )
        insert(cursor, Detail, "log_id index content", details)
        insert(cursor, Change, "log_id revision kind key", changes)
        cursor.executemany(
            "UPDATE audit_head SET size = %s, frontier = %s, revision = %s, time = %s WHERE log_id = %s",
            heads,
        )
    for *_, log_id in heads:
        live.announce(log_id)


def insert(cursor: Any, model: type[models.Model], columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows with one statement; ``columns`` in the rows' order, times as ``adapt`` gives them.

    Hand-written because ``bulk_create`` costs three times as much, and this is every decision's path."""
    if rows:
        cursor.executemany(insert_statement(model, columns, connection.vendor), rows)


@lru_cache
def insert_statement(model: type[models.Model], columns: str, vendor: str) -> str:
    """The INSERT of a table, made once for each database product."""
    names = [connection.ops.quote_name(name) for name in columns.split()]
    marks = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({marks})"


def adapt(time: datetime) -> Any:
    """A time as the database's driver wants it."""
    return connection.ops.adapt_datetimefield_value(time)


def create_log(kind: Log.Kind) -> Log:
    """A new, empty log with its head and its Details' key. Joins the caller's transaction."""
    row = Log(kind=kind)
    row.origin = f"{urlsplit(settings.PUBLIC_URL).netloc}/{PATHS[kind]}/{row.uuid}"
    row.save()
    Head.objects.create(log_id=row.pk, time=database_time())
    envelopes.make_key(row.pk)
    return row


def ensure_installation_log(**_: Any) -> Log:
    """The installation's log, made by the first migrate. (A data migration's row would be gone after a
    transactional test's flush.)"""
    row = Log.objects.filter(kind=Log.Kind.INSTALLATION).first()
    return row or create_log(Log.Kind.INSTALLATION)


def installation_log_id() -> int:
    """Id of the installation's log."""
    return Log.objects.only("pk").get(kind=Log.Kind.INSTALLATION).pk


def newest(log_id: int) -> int:
    """How many entries the log has now."""
    return Head.objects.values_list("size", flat=True).get(log_id=log_id)


def index_at(log_id: int, time: datetime) -> int:
    """The index of the log's first entry that is not earlier, by bisection: times never go back in a log."""
    low, high = 0, newest(log_id)
    while low < high:
        middle = (low + high) // 2
        # The next one that is there stands for those that were pruned.
        at = Entry.objects.filter(log_id=log_id, index__gte=middle).order_by("index")
        if at.values_list("time", flat=True)[0] >= time:
            high = middle
        else:
            low = middle + 1
    return low
