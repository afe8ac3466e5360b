"""Verifying a stored log: every entry, every hash, the head, and the details beside the entries.

``verify`` streams a log in index order, so its memory does not grow with the log. It knows what an entry is,
and not what it means: readers are handed each sound body for that (`audit.rebuild`, `governance.conduct`).
What is found is a Finding and never an exception; whoever could write the database could put anything there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any, Protocol, TypeAlias

from django.db import connection, transaction

from audit import canonical, envelopes, merkle
from audit.absences import Absences
from audit.findings import COMPARE, RESTORE, Finding, Report, short
from audit.log import BODY_VERSION, commitment, stamp
from audit.models import Detail, Entry, Head, Log
from audit.published import Published, remembered

BATCH = 1000
SALT_BYTES = 32

# The order of `Stored`, which is that of the columns as they are read.
COLUMNS = (
    *("index", "type", "time", "actor", "agent", "tool"),
    *("resource", "outcome", "session", "body", "leaf"),
)
SEARCHED = ("type", "actor", "agent", "tool", "resource", "outcome", "session")
SHORTENED = {"tool": 200, "resource": 200}
TEXTS = itemgetter("log", "time", "rand", *SEARCHED)
FIELDS = frozenset({"v", "log", "index", "time", "data", "rand", *SEARCHED})
WITH_DETAIL = FIELDS | {"detail"}

Body: TypeAlias = dict[str, Any]
Sealed: TypeAlias = dict[str, Any]
Stored: TypeAlias = tuple[int, str, datetime, str, str, str, str, str, str, bytes, bytes]
Progress: TypeAlias = Callable[[int, int], None]


class Reader(Protocol):
    """Judges what the entries mean. It is handed the body of each sound entry in the log's order, with those
    fields of its Detail that open its commitments, each ``{"salt": hex, "value": …}``."""

    def read(self, body: Body, detail: Sealed) -> Iterable[Finding]: ...

    def skip(self) -> None:
        """Entries that were pruned in their time are not there; the next one follows them."""

    def conclude(self) -> Iterable[Finding]: ...


def verify(log: Log, readers: Sequence[Reader] = (), progress: Progress | None = None) -> Report:
    """Read the whole log as it was at one moment, and tell all that is wrong with it. Locks nothing.

    ``progress`` is told now and then how many entries were read, of how many."""
    line = remembered(log)  # first: what is signed later is in no file yet
    with one_moment():
        return Verification(log, readers, progress, Published(log, *line)).run()


@contextmanager
def one_moment() -> Iterator[None]:
    """All reads of the block see the database as it was at the first one, and keep no writer waiting.

    Inside a transaction they see what it sees."""
    connection.ensure_connection()
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        # Django begins every transaction as one that writes; a deferred one reads and waits for nobody.
        raw = connection.connection
        raw.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            raw.execute("ROLLBACK")


class Verification:
    """One pass over one log."""

    def __init__(
        self, log: Log, readers: Sequence[Reader], progress: Progress | None, published: Published
    ) -> None:
        self.log = log
        self.uuid = str(log.uuid)
        self.readers = readers
        self.absences = Absences(log.pk, self.uuid)
        self.published = published
        self.progress = progress
        self.report = Report()
        self.head = Head.objects.filter(log_id=log.pk).first()
        self.size = self.head.size if self.head else 0
        self.frontier = merkle.Frontier()
        self.leaves: list[bytes] = []
        self.expected = 0
        self.whole = True
        self.time = ""
        self.stamps: tuple[datetime | None, str] = (None, "")
        self.changed_at = ""

    def run(self) -> Report:
        """Read every entry, then judge the head and let the readers conclude."""
        details = DetailStream(self.log.pk, self.report)
        for stored in stream(Entry, self.log.pk, *COLUMNS):
            self.read(stored, details)
        details.finish()
        self.flush()
        self.report.add(self.judge_head())
        self.report.add(self.published.conclude())
        self.report.add(self.absences.conclude())
        for reader in self.readers:
            self.report.add(reader.conclude())
        return self.report

    def read(self, stored: Stored, details: "DetailStream") -> None:
        """Judge one entry, and hand it to the readers when it can be understood."""
        index, content, leaf = stored[0], bytes(stored[9]), bytes(stored[10])
        findings = self.judge_index(index)
        report = self.report
        report.entries += 1
        self.leaves.append(leaf)
        if len(self.leaves) >= BATCH:
            self.flush()
        if merkle.leaf_hash(content) != leaf:
            message = f"The body does not hash to its leaf: one of the two was changed. {COMPARE}"
            findings.append(Finding("leaf", message, index))
        body, problem = read_body(content)
        if problem:
            findings.append(Finding("body", problem, index))
        opened: Sealed = {}
        if body is not None:
            if wrong := self.disagreements(body, stored):
                findings.append(Finding("columns", wrong, index))
            findings += self.judge_order(body, index)
            findings += self.absences.meet(index, leaf, body)
        if detail := details.take(index):
            report.details += 1
        if body is not None and (detail or "detail" in body):
            opened = self.open(body, detail, findings)
        if findings:
            report.add(findings)
        if body is not None:
            for reader in self.readers:
                if found := reader.read(body, opened):
                    report.add(found)

    def judge_index(self, index: int) -> list[Finding]:
        """Whether the entry is the next one."""
        findings: list[Finding] = []
        if index > self.expected:
            findings += self.judge_gap(self.expected, index)
        elif index < self.expected:
            self.whole = False
            findings.append(
                Finding("index", f"There is no place for an entry of this index. {COMPARE}", index)
            )
        if index >= self.size >= self.expected:
            message = (
                f"The head counts {self.size} entries and knows nothing of this one and later ones. {COMPARE}"
            )
            findings.append(Finding("beyond_head", message, index))
        self.expected = max(self.expected, index + 1)
        return findings

    def judge_gap(self, start: int, end: int) -> Iterator[Finding]:
        """Entries that are not there: pruned, as the log says itself, or missing."""
        for first, stop, stated in self.absences.split(start, end):
            leaves = self.absences.leaves(first, stop) if stated else None
            if leaves is not None:
                self.leaves += leaves
                self.report.pruned += stop - first
                for reader in self.readers:
                    reader.skip()
                continue
            self.whole = False
            gap = f"Entries {first} to {stop - 1} are" if stop - first > 1 else "The entry is"
            message = f"{gap} missing; the log goes on with entry {end}. {COMPARE}"
            if stated:
                message = f"{gap} pruned, and the tiles with their hashes are gone. {RESTORE}"
            yield Finding("missing", message, first)

    def flush(self) -> None:
        """Add the leaves read so far to the tree, up to the head's size, and tell how far it went."""
        room = self.size - self.frontier.size
        leaves = self.leaves[: max(0, room)]
        self.frontier.extend(leaves)
        self.report.add(self.published.take(leaves))
        self.leaves.clear()
        if self.progress is not None:
            self.progress(self.report.entries, self.size)

    def disagreements(self, body: Body, stored: Stored) -> str:
        """Which columns, by which people search, say something else than the body; "" for none."""
        index, type, time, actor, agent, tool, resource, outcome, session = stored[:9]
        if time is not self.stamps[0]:
            self.stamps = (time, stamp(time))
        if (
            (body["log"], body["index"], body["time"]) == (self.uuid, index, self.stamps[1])
            and (body["type"], body["actor"], body["agent"], body["tool"], body["resource"], body["outcome"])
            == (type, actor, agent, tool, resource, outcome)
            and body["session"] == session
        ):
            return ""
        columns: dict[str, Any] = {"log": self.uuid, "index": index, "time": self.stamps[1]}
        columns |= zip(SEARCHED, (type, actor, agent, tool, resource, outcome, session), strict=True)
        wrong = [
            name
            for name, value in columns.items()
            if (body[name][: SHORTENED[name]] if name in SHORTENED else body[name]) != value
        ]
        if not wrong:
            return ""
        if "index" in wrong or "log" in wrong:
            return f"The body says that it is entry {body['index']} of log {body['log']}. {COMPARE}"
        return (
            f"Its columns disagree with its body on {', '.join(wrong)}. The body was hashed; set them by it."
        )

    def judge_order(self, body: Body, index: int) -> Iterator[Finding]:
        """Time never goes back, and the configuration's revision counts the transactions that change it."""
        time = body["time"]
        if time < self.time:
            yield Finding("time", f"Its time, {time}, is before that of an earlier entry. {COMPARE}", index)
        else:
            self.time = time
        rows = body["data"].get("rows")
        if rows is None:
            return
        revision = body["data"].get("revision")
        before = self.report.revision
        # Entries of one transaction, and so of one time, may share a revision.
        joined = revision == before and (not rows or time == self.changed_at)
        if not joined and not (rows and revision == before + 1):
            message = f"It gives the configuration the revision {revision!r}; it follows {before}. {COMPARE}"
            yield Finding("revision", message, index)
        if rows and type(revision) is int:
            self.report.revision, self.changed_at = revision, time

    def open(self, body: Body, content: bytes | None, findings: list[Finding]) -> Sealed:
        """The fields of the Detail that open the body's commitments; the others become findings."""
        commitments: dict[str, str] = body.get("detail", {})
        index = body["index"]
        if content is None:
            self.report.erased += 1
            if not self.absences.is_pruned(body):
                self.absences.miss(index, commitments)
            return {}
        try:
            opened_content = envelopes.open_envelope(self.log.pk, self.uuid, index, content)
            fields, _ = canonical.decode_canonical(opened_content)
        except (envelopes.SealedOtherwise, canonical.ParseError):
            fields = None
        if type(fields) is not dict:
            findings.append(Finding("detail", f"Its Detail cannot be read. {RESTORE}", index))
            return {}
        opened = {}
        for name, sealed in fields.items():
            if name not in commitments:
                message = f"The Detail holds {short(name)}, of which the body knows nothing. {RESTORE}"
                findings.append(Finding("detail_uncommitted", message, index))
            elif opens(sealed, commitments[name]):
                opened[name] = sealed
            else:
                message = f"{short(name)} in the Detail is not what the body commits to. {RESTORE}"
                findings.append(Finding("detail", message, index))
        if gone := commitments.keys() - fields.keys():
            self.report.erased += 1
            self.absences.miss(index, gone)
        return opened

    def judge_head(self) -> Iterator[Finding]:
        """Whether the head describes the entries that were read."""
        report, head = self.report, self.head
        if head is None:
            yield Finding("head", f"The log has no head, so nothing can be recorded in it. {RESTORE}")
            return
        report.root = self.frontier.root()
        if self.expected < self.size:
            self.whole = False
            message = f"The log ends here, and its head counts {self.size} entries. {COMPARE}"
            yield Finding("missing", message, self.expected)
        if self.whole:
            yield from self.judge_tree(bytes(head.frontier))
        if head.revision != report.revision:
            message = (
                f"The head's revision is {head.revision}, the entries lead to {report.revision}. {RESTORE}"
            )
            yield Finding("head_revision", message)
        if self.time and self.whole and self.expected == self.size and stamp(head.time) != self.time:
            message = f"The head's time is {stamp(head.time)}, the last entry's {self.time}. {RESTORE}"
            yield Finding("head_time", message)

    def judge_tree(self, frontier: bytes) -> Iterator[Finding]:
        """Whether the leaves lead to the head's tree; else where in it the first ones are that do not."""
        if frontier == self.frontier.encode():
            return
        try:
            stored = merkle.Frontier.decode(self.size, frontier).hashes
        except merkle.ProofError:
            yield Finding("head_tree", f"The head's hashes do not fit its size, {self.size}. {COMPARE}")
            return
        start = 0
        for ours, theirs in zip(self.frontier.hashes, stored, strict=True):
            width = 1 << ((self.size - start).bit_length() - 1)
            if ours != theirs:
                message = (
                    "The leaves do not lead to the head's tree: one of the entries "
                    f"{start} to {start + width - 1} was changed, or the head was. {COMPARE}"
                )
                yield Finding("head_tree", message)
                return
            start += width


class DetailStream:
    """The Details of a log, taken in step with its entries. What no entry asks for is a finding."""

    def __init__(self, log_id: int, report: Report) -> None:
        self.rows = stream(Detail, log_id, "index", "content")
        self.report = report
        self.next = next(self.rows, None)

    def take(self, index: int) -> bytes | None:
        """The content of this entry's Detail, or None."""
        while self.next is not None and self.next[0] < index:
            self.skip(self.next[0])
        if self.next is None or self.next[0] != index:
            return None
        content = bytes(self.next[1])
        self.next = next(self.rows, None)
        return content

    def skip(self, index: int) -> None:
        message = f"There is a Detail of this entry, and no such entry. {RESTORE}"
        self.report.add([Finding("detail_orphan", message, index)])
        self.next = next(self.rows, None)

    def finish(self) -> None:
        """Skip what is left."""
        while self.next is not None:
            self.skip(self.next[0])


def stream(model: Any, log_id: int, *columns: str) -> Iterator[Any]:
    """A log's rows in index order, as tuples, a batch of them in memory at a time."""
    rows = model.objects.filter(log_id=log_id).order_by("index", "pk").values_list(*columns)
    return iter(rows.iterator(chunk_size=BATCH))


def read_body(content: bytes) -> tuple[Body | None, str]:
    """The body, unless it is not one that can be understood, and what is wrong with it, or ""."""
    try:
        body, is_canonical = canonical.decode_canonical(content)
    except canonical.ParseError as error:
        return None, f"The body is not strict JSON ({error.code}). {COMPARE}"
    if type(body) is not dict or body.get("v") != BODY_VERSION:
        return None, f"The body is not of version {BODY_VERSION}; verify with the Countersign that wrote it."
    if not is_well_formed(body):
        return None, f"The body does not have the fields of an entry. {COMPARE}"
    if not is_canonical:
        return body, f"The body is not canonical JSON (RFC 8785). {COMPARE}"
    return body, ""


def is_well_formed(body: Body) -> bool:
    """Whether a body has the fields of an entry, each of its type."""
    names = body.keys()
    if names != FIELDS and names != WITH_DETAIL:
        return False
    detail = body.get("detail", {})
    return (
        type(body["v"]) is type(body["index"]) is int
        and type(body["data"]) is dict
        and type(detail) is dict
        and {str}.issuperset(map(type, detail.values()))
        and {str}.issuperset(map(type, TEXTS(body)))
        and type(body["data"].get("rows", [])) is list
    )


def opens(sealed: Any, committed: str) -> bool:
    """Whether a salted value is what a body commits to."""
    if type(sealed) is not dict or sealed.keys() != {"salt", "value"}:
        return False
    try:
        salt = bytes.fromhex(sealed["salt"])
    except (TypeError, ValueError):
        return False
    # HMAC pads short keys with zeros: only one length, or two salts would open one commitment.
    return len(salt) == SALT_BYTES and commitment(salt, sealed["value"]) == committed
