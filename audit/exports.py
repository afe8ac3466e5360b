"""Files of a part of a log, each made by the worker for one person and kept for a week.

Entries are written in slices: a batch goes to the file and to the disk, and then the row says how many bytes are good.
A worker that is killed leaves more in the file than the row says; whoever goes on cuts that off and repeats the batch.
What is made in one piece (a bundle, an evidence pack) has a maker, which an app registers.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from django.conf import settings

from audit import bundles, formats, log, owed
from audit.models import Entry, Export, Log

SLICE = "audit.export"
BATCH = 1_000  # entries between two syncs of the file
SLICE_SECONDS = 5.0  # then another export gets its turn
KEPT = timedelta(days=7)
MOST_OPEN = 5  # exports that one person may have under way in a log
MOST_KEPT = 50  # files of theirs that are kept of it at a time: the database needs the disk as well
SEARCHED = ("type", "agent", "outcome")
Status = Export.Status
Kind = Export.Kind
OPEN = (Status.WAITING, Status.RUNNING)
SUFFIXES = {
    Kind.JSONL: "jsonl",
    Kind.CSV: "csv",
    Kind.OCSF: "ocsf.jsonl",
    Kind.CLOUDEVENTS: "cloudevents.jsonl",
    Kind.BUNDLE: "bundle.zip",
    Kind.PACK: "evidence.zip",
}

Progress: TypeAlias = Callable[[int, int], None]
Maker: TypeAlias = Callable[[Export, Path, Progress], None]
makers: dict[str, Maker] = {}


class ExportRefused(ValueError):
    """An export that cannot be asked for; the message says what to do."""

    code, status = "export_refused", 409


class NotReady(LookupError):
    """There is no file to download, not yet or not any more."""

    code, status = "export_not_ready", 409


class BeingMade(RuntimeError):
    """Another worker is making this export."""


def maker(kind: Kind) -> Callable[[Maker], Maker]:
    """Register the function that makes such an export in one piece: ``make(export, path, progress)`` writes the file
    and calls ``progress(done, of)`` now and then. It may be called again for what was not finished."""

    def register(function: Maker) -> Maker:
        makers[kind] = function
        return function

    return register


def start(
    log_id: int,
    *,
    kind: str,
    person: Any,
    actor: str,
    since: datetime | None = None,
    until: datetime | None = None,
    only: dict[str, str] | None = None,
) -> Export:
    """Have the worker make a file of the entries from ``since`` until before ``until``, for a person who may export
    this log. ``only``: column → text of the entries that are wanted. Raises ExportRefused."""
    only = {name: value for name, value in (only or {}).items() if value}
    if kind not in Kind.values or not set(only) <= set(SEARCHED):
        raise ExportRefused("There is no such kind of export, or no such column.")
    if since is not None and until is not None and since >= until:
        raise ExportRefused("The period ends before it begins; choose a later end.")
    if kind in makers and only:
        raise ExportRefused(
            "A bundle or an evidence pack is of all entries of a period; leave the filters out."
        )
    if kind == Kind.BUNDLE:
        since = until = None  # it proves the log as a whole
    end = log.newest(log_id) if until is None else log.index_at(log_id, until)
    first = min(log.index_at(log_id, since), end) if since is not None else 0
    with log.write(log_id) as entries:
        if Export.objects.filter(log_id=log_id, requested_by=person, status__in=OPEN).count() >= MOST_OPEN:
            raise ExportRefused(f"{MOST_OPEN} exports of yours are under way here; wait until one is ready.")
        if Export.objects.filter(log_id=log_id, requested_by=person, status=Status.DONE).count() >= MOST_KEPT:
            raise ExportRefused(
                f"{MOST_KEPT} files of yours are kept here; ask again when the oldest was deleted after its week."
            )
        export = Export.objects.create(
            log_id=log_id,
            kind=kind,
            requested_by=person,
            since=since,
            until=until,
            only=only,
            first=first,
            end=end,
            position=first,
            created=entries.now,
        )
        data = {"export": export.public_id, "kind": kind, "first": first, "end": end, "only": only}
        entries.append("audit.export.requested", actor=actor, outcome=kind, data=data)
        owed.owe(SLICE, [{"export": export.pk}], due=entries.now)
    return export


def percent(export: Export) -> int:
    """How much of it is made."""
    if export.status in (Status.DONE, Status.EXPIRED):
        return 100
    return 100 * (export.position - export.first) // max(1, export.end - export.first)


def take_along(export: Export, *, actor: str) -> BinaryIO:
    """The file, opened for reading, after the entry that says who took it. Raises NotReady."""
    if export.status != Status.DONE:
        raise NotReady(
            "This file was deleted after its seven days; ask for it again."
            if export.status == Status.EXPIRED
            else "This export is not ready; look again in a while."
        )
    try:
        file = path_of(export).open("rb")
    except OSError as error:
        raise NotReady(
            "The file is not on this machine any more; ask for the export again. (Portal and workers need the same "
            "COUNTERSIGN_DATA_DIR.)"
        ) from error
    try:
        with log.write(export.log_id) as entries:
            data = {"export": export.public_id, "bytes": export.written}
            entries.append("audit.export.downloaded", actor=actor, outcome=export.kind, data=data)
    except BaseException:
        file.close()
        raise
    return file


def name_of(export: Export) -> str:
    """What the file is called when somebody saves it."""
    return f"countersign-{export.created:%Y-%m-%d}-{export.public_id[4:12]}.{SUFFIXES[Kind(export.kind)]}"


def path_of(export: Export) -> Path:
    """Where the finished file is."""
    return folder() / f"{export.public_id}.{SUFFIXES[Kind(export.kind)]}"


def folder() -> Path:
    """Where exports are, for nobody else's eyes."""
    path = Path(settings.DATA_DIR) / "exports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def go_on(payload: dict[str, Any]) -> str | None:
    """Make the next slice of an export, or all of one that has a maker."""
    rows = Export.objects.select_related("log").filter(pk=payload["export"], status__in=OPEN)
    if not rows.exists():
        return "over already"
    try:
        with alone(payload["export"]):
            export = rows.get()  # as the last who held it left it
            return make(export, payload)
    except BeingMade:
        owed.owe(SLICE, [payload], due=log.database_time() + timedelta(seconds=15))
        return "another worker is making it"
    except Export.DoesNotExist:
        return "over already"


def make(export: Export, payload: dict[str, Any]) -> str:
    """One slice, or the whole; what is left is owed again."""
    try:
        make_whole(export) if export.kind in makers else write_slice(export)
    except ExportRefused as refused:
        close(export, Status.FAILED, error=str(refused))
        return str(refused)
    except OSError as error:
        export.error = f"{error}; it is tried again."[:500]
        export.save(update_fields=["error"])
        raise
    if export.status in OPEN:
        owed.owe(SLICE, [payload], due=log.database_time())
    return f"{export.public_id}: entry {export.position:,} of {export.end:,}"


@contextmanager
def alone(key: int) -> Iterator[None]:
    """Hold the export of this primary key against other workers; a process that dies lets go of it. Raises
    BeingMade."""
    path = folder() / f"{key}.lock"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BeingMade(str(key)) from None
        yield
        if not Export.objects.filter(pk=key, status__in=OPEN).exists():
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def write_slice(export: Export) -> None:
    """Batches of entries until the slice's time is over, or there are no more."""
    path = path_of(export)
    stop = time.monotonic() + SLICE_SECONDS
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(export.written)
        file.seek(export.written)
        while write_batch(export, file):
            if time.monotonic() >= stop:
                return
    close(export, Status.DONE)


def write_batch(export: Export, file: BinaryIO) -> bool:
    """One batch into the file and onto the disk, then into the row. False when there is no more to write."""
    if export.written == 0 and export.kind == Kind.CSV:
        file.write(formats.csv_header())
    write, until = formats.WRITERS[export.kind], min(export.position + BATCH, export.end)
    for line in lines(export.log, export.position, until, **export.only):
        file.write(write(line))
    file.flush()
    os.fsync(file.fileno())
    export.position, export.written, export.status = until, file.tell(), Status.RUNNING
    export.save(update_fields=["position", "written", "status"])
    return until < export.end


def lines(of: Log, first: int, end: int, **only: Any) -> Iterator[formats.Line]:
    """The entries of a log from ``first`` until before ``end``, those whose columns are so."""
    rows = Entry.objects.filter(log=of, index__gte=first, index__lt=end, **only).order_by("index")
    origin = log.in_epoch(of.origin, of.epoch)
    for index, body, leaf in rows.values_list("index", "body", "leaf").iterator(chunk_size=200):
        yield formats.Line(origin, index, bytes(body), bytes(leaf))


def make_whole(export: Export) -> None:
    """Make an export in one piece: under another name until it is whole."""
    partial, told = path_of(export).with_suffix(".partial"), time.monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= 0.5:
            told = time.monotonic()
            export.position = export.first + (export.end - export.first) * min(done, of) // max(1, of)
            export.save(update_fields=["position"])

    export.status = Status.RUNNING
    export.save(update_fields=["status"])
    partial.unlink(missing_ok=True)
    makers[export.kind](export, partial, progress)
    partial.chmod(0o600)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.rename(path_of(export))
    export.position, export.written = export.end, path_of(export).stat().st_size
    close(export, Status.DONE)


def make_bundle(export: Export, path: Path, progress: Progress) -> None:
    """The whole log for an auditor. Raises ExportRefused."""
    try:
        bundles.write(export.log_id, path, progress=progress)
    except bundles.NotPublished as reason:
        raise ExportRefused(str(reason)) from None


def close(export: Export, status: Status, *, error: str = "") -> None:
    """Finish an export; its file is kept for a week from now."""
    now = log.database_time()
    export.status, export.error, export.finished, export.expires = status, error[:500], now, now + KEPT
    export.save(update_fields=["status", "error", "finished", "expires", "position", "written"])


def expire_due(now: datetime | None = None) -> int:
    """Delete the files whose week is over."""
    due = Export.objects.filter(
        status__in=(Status.DONE, Status.FAILED), expires__lte=now or log.database_time()
    )
    count = 0
    for export in due.order_by("expires")[:100]:
        for path in folder().glob(f"{export.public_id}.*"):
            path.unlink(missing_ok=True)
        export.status = Status.EXPIRED if export.status == Status.DONE else export.status
        export.expires = None
        export.save(update_fields=["status", "expires"])
        count += 1
    return count
