"""Bundles: one file that holds all evidence of a log, for `audit/verify.py` to judge without us.

A zip archive, the same bytes for the same state of the log: files in the order of their names (the manifest last), all
of one time, and a checksum of the whole as the archive's comment. Whatever the length of the log, it is streamed.

A workspace's bundle is over the newest checkpoint that the installation's log vouches for (its *anchor*): what was
written since is in the next one.
"""

import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import orjson

from audit import canonical, keys, log, notes, proofs, tiles
from audit.absences import ERASED
from audit.kinds import PRUNED, PUBLISHED, ROTATED
from audit.models import Checkpoint, Entry, Log
from audit.verification import one_moment

FORMAT = "countersign-bundle/1"
EXPORTED = "audit.log.exported"
MANIFEST = "manifest.json"
BEGINNING = (1980, 1, 1, 0, 0, 0)  # what every file's time is
BATCH = 2_000  # entries read at once
TILES_AT_ONCE = 400
LATEST = 100  # checkpoints that stand in a bundle, beside the last one of each day
LATELY = 100  # checkpoints among which the best witnessed one is looked for
ANCHORS = 20  # checkpoints that are looked for in the installation's log
APART = timedelta(seconds=30)  # between a checkpoint's time and that of its entry
CHECKSUM = "sha256:"

Progress: TypeAlias = Callable[[int, int], None]
Files: TypeAlias = Iterable[tuple[str, bytes]]
contributors: list[Callable[[int], Files]] = []


class NotPublished(RuntimeError):
    """The log has no checkpoint yet, so there is nothing that a bundle could prove."""

    code, status = "not_published", 409


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the installation's log holds a checkpoint of another log: its entry, and the checkpoint over that."""

    index: int
    body: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class State:
    """What a bundle is of."""

    row: Log
    checkpoint: Checkpoint
    anchor: Anchor | None


def contributor(function: Callable[[int], Files]) -> Callable[[int], Files]:
    """Register what gives a log's bundle more files, ``(name, content)``; names are as in `audit/verify.py`."""
    contributors.append(function)
    return function


def export(
    log_id: int, path: Path, *, actor: str, wait: float = 0, progress: Progress | None = None
) -> Checkpoint:
    """Write a log's bundle to a file, after the entry that says so, and answer which checkpoint it is over.

    Waits so many seconds until that entry is in a bundle too. Raises NotPublished and OSError."""
    with log.write(log_id) as entries:
        index = entries.append(EXPORTED, actor=actor, data={"form": FORMAT}).index
    until = time.monotonic() + wait
    while time.monotonic() < until:
        with suppress(NotPublished):
            if state_of(log_id).checkpoint.size > index:
                break
        time.sleep(0.2)
    return write(log_id, path, progress=progress)


def write(log_id: int, path: Path, *, progress: Progress | None = None) -> Checkpoint:
    """Write a log's bundle to a file, and answer which checkpoint it is over. ``progress`` is told how many entries are
    written, of how many. Raises NotPublished and OSError."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with one_moment():
            state = state_of(log_id)
            with partial.open("w+b") as file:
                Writing(file, state, progress or (lambda done, of: None)).run()
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return state.checkpoint


def state_of(log_id: int) -> State:
    """The newest state of a log that a bundle can be of. Raises NotPublished."""
    row = Log.objects.get(pk=log_id)
    own = Checkpoint.objects.filter(log=row, epoch=row.epoch).order_by("-size")
    newest = own.first()
    if newest is None:
        raise NotPublished(
            "This log has no checkpoint yet. Start the worker (manage.py work), which signs one."
        )
    if row.kind == Log.Kind.INSTALLATION:
        return State(row, best_witnessed(own), None)
    installation = Log.objects.get(kind=Log.Kind.INSTALLATION)
    over = Checkpoint.objects.filter(log=installation, epoch=installation.epoch).order_by("-size")
    if not over.exists():
        return State(row, newest, None)
    witnessed = best_witnessed(over)
    for each in own.filter(time__lte=witnessed.time)[:ANCHORS]:
        if anchor := anchor_of(each, row, witnessed):
            return State(row, each, anchor)
    return State(row, newest, None)


def best_witnessed(checkpoints: Any) -> Checkpoint:
    """The newest checkpoint that as many witnesses cosigned as any of late."""
    counted = [
        (each.cosignatures.count(), each) for each in checkpoints.prefetch_related("cosignatures")[:LATELY]
    ]
    most = max(count for count, _ in counted)
    best: Checkpoint = next(each for count, each in counted if count == most)
    return best


def anchor_of(checkpoint: Checkpoint, row: Log, over: Checkpoint) -> Anchor | None:
    """The entry of the installation's log that tells of a checkpoint, if it is under that log's checkpoint."""
    first = log.index_at(over.log_id, checkpoint.time - APART)
    last = log.index_at(over.log_id, checkpoint.time + APART)
    rows = Entry.objects.filter(
        log_id=over.log_id, index__gte=first, index__lt=min(last, over.size), type=PUBLISHED
    )
    for index, body in rows.order_by("-index").values_list("index", "body"):
        data = orjson.loads(bytes(body))["data"]
        if (data["log"], data["epoch"], data["size"]) == (str(row.uuid), checkpoint.epoch, checkpoint.size):
            return Anchor(index, bytes(body), over)
    return None


class Writing:
    """One bundle on its way into a file."""

    def __init__(self, file: BinaryIO, state: State, progress: Progress) -> None:
        self.file, self.state, self.progress = file, state, progress
        self.size = state.checkpoint.size
        self.digests: dict[str, str] = {}
        self.archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self.pruned: list[dict[str, Any]] = []
        self.erased: list[int] = []

    def run(self) -> None:
        """Write every file in the order of names, the manifest, and the checksum."""
        small = {
            "README.md": read_beside("bundle_readme.md"),
            "verify.py": read_beside("verify.py"),
            "checkpoint": self.state.checkpoint.cosigned.encode(),
            "keys.json": canonical.encode(public_keys()),
            **self.anchor_files(),
            **{name: note.encode() for name, note in earlier(self.state)},
        }
        small |= {name: content for each in contributors for name, content in each(self.state.row.pk)}
        places = dict(tile_paths(self.size))
        names = sorted([*small, *places, "entries.jsonl", "retention.json"])
        waiting: list[str] = []
        for name in names:
            if name in places:
                waiting.append(name)
                if len(waiting) < TILES_AT_ONCE:
                    continue
            self.put_tiles(waiting, places)
            waiting = []
            if name == "entries.jsonl":
                self.put_entries()
            elif name == "retention.json":
                self.put(name, canonical.encode({"erased": self.erased, "pruned": self.pruned}))
            elif name not in places:
                self.put(name, small[name])
        self.put_tiles(waiting, places)
        self.put(MANIFEST, canonical.encode(self.manifest()))
        self.archive.comment = f"{CHECKSUM}{'0' * 64}".encode()
        self.archive.close()
        self.put_checksum()

    def put(self, name: str, content: bytes) -> None:
        self.digests[name] = hashlib.sha256(content).hexdigest()
        with self.archive.open(plain(name), "w") as member:
            member.write(content)

    def put_entries(self) -> None:
        """Every body that is still there, a line each."""
        digest = hashlib.sha256()
        rows = Entry.objects.filter(log_id=self.state.row.pk, index__lt=self.size).order_by("index")
        columns = rows.values_list("index", "type", "body").iterator(chunk_size=BATCH)
        with self.archive.open(plain("entries.jsonl"), "w", force_zip64=True) as member:
            for index, kind, body in columns:
                line = bytes(body) + b"\n"
                digest.update(line)
                member.write(line)
                if kind == ERASED:
                    self.erased.append(index)
                elif kind == PRUNED:
                    told = orjson.loads(line)["data"].get("entries", {})
                    self.pruned.append({**told, "entry": index})
                if index % BATCH == 0:
                    self.progress(index, self.size)
        self.progress(self.size, self.size)
        self.digests["entries.jsonl"] = digest.hexdigest()

    def put_tiles(self, names: Sequence[str], places: dict[str, tiles.Place]) -> None:
        """Tiles as they were at the checkpoint's size; one that is not stored is left out, and found missing."""
        stored = proofs.read(self.state.row.pk, [places[name] for name in names])
        for name in names:
            place = places[name]
            width = tiles.width_of(place, self.size) * 32
            hashes = stored.get(place, b"")
            if len(hashes) >= width:
                self.put(name, hashes[:width])

    def anchor_files(self) -> dict[str, bytes]:
        """The installation's checkpoint with its witnesses and time stamps, and the proof that it covers this log's."""
        anchor = self.state.anchor
        over = anchor.checkpoint if anchor else self.state.checkpoint
        found: dict[str, bytes] = {}
        if anchor is None and self.state.row.kind != Log.Kind.INSTALLATION:
            return {}
        note = over.cosigned
        found |= stamped_before(over) | rotations(over, note)
        if anchor is None:
            return found
        hashes = proofs.inclusion(over.log_id, anchor.index, over.size)
        return found | {
            "anchor/checkpoint": note.encode(),
            "anchor/entry.json": anchor.body,
            "anchor/proof": notes.tlog_proof(anchor.index, hashes, note).encode(),
        }

    def manifest(self) -> dict[str, Any]:
        row, checkpoint = self.state.row, self.state.checkpoint
        return {
            "format": FORMAT,
            "log": {
                "origin": row.origin,
                "uuid": str(row.uuid),
                "kind": row.kind,
                "epoch": checkpoint.epoch,
                "size": checkpoint.size,
                "root": bytes(checkpoint.root).hex(),
            },
            "files": self.digests,
            "exported": {"signed": log.stamp(checkpoint.time)},
        }

    def put_checksum(self) -> None:
        """Put the SHA-256 of all before it into the archive's comment, which is its end."""
        length = len(CHECKSUM) + 64
        left = self.file.seek(0, os.SEEK_END) - length
        self.file.seek(0)
        digest = hashlib.sha256()
        while left:
            piece = self.file.read(min(left, 2**20))
            digest.update(piece)
            left -= len(piece)
        self.file.seek(-length, os.SEEK_END)
        self.file.write(f"{CHECKSUM}{digest.hexdigest()}".encode())


def stamped_before(over: Checkpoint) -> dict[str, bytes]:
    """The newest time stamps of the installation's log up to a checkpoint; where they are of an earlier one, that one
    and the proof that the later one extends it."""
    earlier = Checkpoint.objects.filter(log=over.log_id, epoch=over.epoch, size__lte=over.size)
    stamped = earlier.filter(timestamps__isnull=False).order_by("-size").first()
    if stamped is None:
        return {}
    found = {
        f"anchor/timestamp-{number}.tsr": bytes(each.token)
        for number, each in enumerate(stamped.timestamps.order_by("authority"), 1)
    }
    if stamped.size < over.size:
        hashes = proofs.consistency(over.log_id, stamped.size, over.size)
        proof = notes.hash_lines(hashes)
        found |= {"anchor/stamped": stamped.note.encode(), "anchor/stamped-proof": proof.encode()}
    return found


def rotations(over: Checkpoint, note: str) -> dict[str, bytes]:
    """The entries by which the installation exchanged its key, each with the proof that a checkpoint covers it."""
    found = {}
    rows = Entry.objects.filter(log_id=over.log_id, index__lt=over.size, type=ROTATED)
    for index, body in rows.order_by("index").values_list("index", "body"):
        proof = notes.tlog_proof(index, proofs.inclusion(over.log_id, index, over.size), note)
        found[f"anchor/rotation-{index}.json"] = bytes(body)
        found[f"anchor/rotation-{index}.proof"] = proof.encode()
    return found


def plain(name: str) -> zipfile.ZipInfo:
    """A file's header, which tells nothing of when and where it was made."""
    info = zipfile.ZipInfo(name, BEGINNING)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def tile_paths(size: int) -> Iterator[tuple[str, tiles.Place]]:
    """The files of a tree's tiles, and the place of each."""
    for place in tiles.places(size):
        yield f"tile/{tiles.path_of(place, tiles.width_of(place, size))}", place


def earlier(state: State) -> Iterator[tuple[str, str]]:
    """The last checkpoint of each day and the latest ones: (file, note)."""
    rows = Checkpoint.objects.filter(log=state.row).order_by("epoch", "size")
    days: dict[tuple[int, Any], int] = {}
    latest: list[int] = []
    for key, epoch, size, at in rows.values_list("pk", "epoch", "size", "time").iterator(chunk_size=BATCH):
        if epoch == state.checkpoint.epoch and size > state.checkpoint.size:
            continue
        days[epoch, at.date()] = key
        latest = [*latest[1 - LATEST :], key]
    for each in rows.filter(pk__in={*days.values(), *latest}):
        yield f"checkpoints/{each.epoch}-{each.size}", each.note


def public_keys() -> dict[str, Any]:
    """The keys by which this installation signs, to compare with: as verifier keys, and their fingerprints."""
    installation = Log.objects.get(kind=Log.Kind.INSTALLATION)
    found = {}
    for name in (keys.CHECKPOINT, keys.RECEIPT):
        if keys.path_of(name).exists():
            public = keys.signing_key(name).public_key().public_bytes_raw()
            verifier = notes.Verifier(installation.origin, notes.ED25519, public)
            fingerprint = hashlib.sha256(public).hexdigest()
            found[name.removesuffix(".key")] = {"key": str(verifier), "sha256": fingerprint}
    return found


def read_beside(name: str) -> bytes:
    """A file of this app."""
    return (Path(__file__).parent / name).read_bytes()
