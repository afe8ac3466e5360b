"""Whether what was published of a log is what its entries lead to: checkpoints, tiles, and the line of ``heads.json``.

`audit.verification` hands over the leaves in order. Checkpoints of epochs that are over are no longer compared: the
entry of the adoption says what they said.
"""

from collections.abc import Iterable, Iterator, Sequence

import orjson

from audit import heads, log, merkle, notes, proofs, tiles
from audit.findings import COMPARE, RESTORE, Finding
from audit.kinds import ROTATED
from audit.models import Checkpoint, Entry, Log

FULL = tiles.WIDTH * merkle.HASH_SIZE


class Published:
    """One pass over one log, beside that over its entries. ``line`` and ``problem`` are what was remembered."""

    def __init__(self, row: Log, line: heads.Line | None, problem: list[Finding]) -> None:
        self.row = row
        self.name = log.in_epoch(row.origin, row.epoch)
        self.growth = tiles.Growth()
        self.signed = 0
        self.keys = frozenset(public_keys())
        rows = Checkpoint.objects.filter(log=row, epoch=row.epoch).order_by("size")
        self.checkpoints = iter(rows.iterator(chunk_size=1000))
        self.next = next(self.checkpoints, None)
        self.line, self.problem = line, problem
        self.newest = rows.values_list("size", flat=True).last() or 0

    def take(self, leaves: Sequence[bytes]) -> Iterator[Finding]:
        """Go on with these leaves, and compare what was signed and stored over them."""
        start = 0
        while start < len(leaves):
            stops = [self.next.size if self.next else 0, self.line.size if self.line else 0]
            room = min(
                (stop - self.growth.size for stop in stops if stop > self.growth.size), default=len(leaves)
            )
            self.growth.extend(leaves[start : start + room])
            start += room
            yield from self.judge_signed()
        full = {place: hashes for place, hashes in self.growth.changed.items() if len(hashes) == FULL}
        for place in full:
            del self.growth.changed[place]
        yield from self.judge_tiles(full)

    def judge_signed(self) -> Iterator[Finding]:
        """Whether what was signed at the size that was reached has this root."""
        size = self.growth.size
        if self.line is not None and self.line.size == size:
            if self.line.root != self.growth.frontier().root():
                message = (
                    f"The first {size} entries are not those of which heads.json holds the root. {COMPARE}"
                )
                yield Finding("heads_file", message)
            self.line = None
        while self.next is not None and self.next.size <= size:
            if self.next.size == size:
                yield from self.judge_checkpoint(self.next)
            self.signed = self.next.size
            self.next = next(self.checkpoints, None)

    def judge_checkpoint(self, checkpoint: Checkpoint) -> Iterator[Finding]:
        """Whether a stored checkpoint says what the entries say, and is signed."""
        about = f"The checkpoint over {checkpoint.size} entries"
        root = self.growth.frontier().root()
        if bytes(checkpoint.root) != root:
            yield Finding("checkpoint", f"{about} has another root than these entries. {COMPARE}")
        try:
            note = notes.Note.parse(checkpoint.note)
            said = notes.Checkpoint.parse(note.text)
            signed = [note.signed_by(notes.Verifier(self.name, notes.ED25519, key)) for key in self.keys]
        except notes.NoteError as error:
            yield Finding("checkpoint", f"{about} cannot be read: {error} {RESTORE}")
            return
        if (said.origin, said.size, said.root) != (self.name, checkpoint.size, bytes(checkpoint.root)):
            yield Finding(
                "checkpoint", f"The note of {about[0].lower()}{about[1:]} says something else. {RESTORE}"
            )
        if signed and all(time is None for time in signed):
            yield Finding("checkpoint", f"{about} is not signed by a key of this installation. {COMPARE}")

    def judge_tiles(self, expected: dict[tiles.Place, bytes]) -> Iterator[Finding]:
        """Whether the stored tiles hold these hashes, as far as they were signed, and nothing else."""
        stored = proofs.read(self.row.pk, expected)
        for place, hashes in expected.items():
            found = stored.get(place, b"")
            least = tiles.width_of(place, self.newest) * merkle.HASH_SIZE
            if not hashes.startswith(found):
                message = f"The tile {tiles.path_of(place)} is not what the entries lead to. {COMPARE}"
                yield Finding("tile", message)
            elif len(found) < least:
                yield Finding("tile", f"The tile {tiles.path_of(place)} is missing, or cut. {RESTORE}")

    def conclude(self) -> Iterable[Finding]:
        """What is left once all entries were read."""
        yield from self.problem
        yield from self.judge_tiles(self.growth.changed)
        size = self.growth.size
        over = max(self.next.size if self.next else 0, self.line.size if self.line else 0)
        if over:
            yield Finding("signed", f"The log has {size} entries, and {over} were signed. {COMPARE}", size)


def remembered(row: Log) -> tuple[heads.Line | None, list[Finding]]:
    """What ``heads.json`` says of the log, where it can be read here, and what is wrong with that."""
    try:
        line = heads.read().lines.get(str(row.uuid))
    except heads.BadHeadsFile as error:
        return None, [Finding("heads_file", str(error))]
    if line is None:
        return None, []
    if line.lost:
        message = "heads.json was lost, and the log was not adopted since. See manage.py log_adopt."
        return None, [Finding("heads_file", message)]
    if line.epoch != row.epoch:
        message = f"The log is in epoch {row.epoch}, and heads.json knows {line.epoch}. {COMPARE}"
        return None, [Finding("heads_file", message)]
    return (line if line.size else None), []


def public_keys() -> Iterator[bytes]:
    """The keys that sign or signed checkpoints here: of ``heads.json``, and of entries of rotations."""
    try:
        known = heads.read()
    except heads.BadHeadsFile:
        return
    if not known.found:
        return
    yield bytes.fromhex(known.key)
    rows = Entry.objects.filter(log__kind=Log.Kind.INSTALLATION, type=ROTATED).values_list("body", flat=True)
    for body in rows:
        for name in ("old", "new"):
            try:
                yield notes.Verifier.parse(orjson.loads(bytes(body))["data"][name]).key
            except (orjson.JSONDecodeError, notes.NoteError, KeyError, TypeError, AttributeError):
                continue
