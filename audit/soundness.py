"""Whether a log's head may be signed: it is computed anew from the bodies, and compared with what was signed before.

What was signed before is told by ``heads.json``, which is not in the database, and by the stored checkpoints.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, models, transaction

from audit import log, merkle, proofs, tiles
from audit.heads import Heads, Line
from audit.models import Checkpoint, Entry, Head, Log, Tile

CHUNK = 2000  # bodies in memory at a time
MOST_TILES = 4096  # changed tiles in memory; a log that is far behind is stored in steps


class Unsound(Exception):
    """A log is not what was signed before, or not what its head says; the message tells which, in a sentence."""


class Overtaken(Exception):
    """Another publisher stored tiles of the log meanwhile."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One log as a round's query saw it."""

    log_id: int
    uuid: str
    kind: str
    origin: str
    epoch: int
    size: int
    halted: str

    @property
    def name(self) -> str:
        """Its name in checkpoints."""
        return log.in_epoch(self.origin, self.epoch)


@dataclass(slots=True)
class Sound:
    """A head that may be signed, the tiles that it adds to the stored ones, and what it was compared with."""

    seen: Seen
    size: int
    root: bytes
    growth: tiles.Growth
    stored: int  # entries under the stored tiles
    signed: int  # entries of the newest stored checkpoint

    @property
    def line(self) -> Line:
        """What to remember of it."""
        return Line(self.seen.epoch, self.size, self.root)


def look(kind: str = "") -> list[Seen]:
    """Every log with a head, by one query; with a kind, those of it."""
    sql = (
        "SELECT l.id, l.uuid, l.kind, l.origin, l.epoch, h.size, h.halted FROM audit_log l"
        " JOIN audit_head h ON h.log_id = l.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} WHERE l.kind = %s" if kind else sql, [kind] if kind else [])
        return [Seen(row[0], log.dashed(row[1]), *row[2:]) for row in cursor.fetchall()]


def seen(row: Log) -> Seen:
    """One log as it is now."""
    head = Head.objects.get(log_id=row.pk)
    return Seen(row.pk, str(row.uuid), row.kind, row.origin, row.epoch, head.size, head.halted)


def examine(seen: Seen, heads: Heads, newest: Checkpoint | None) -> Sound:
    """Hash what the log's head covers, and compare; ``newest`` is its newest stored checkpoint.

    Raises Unsound, and Overtaken where another publisher is at it."""
    head = Head.objects.get(log_id=seen.log_id)
    expected = signed_before(seen, heads.lines.get(seen.uuid), newest)
    most = max(expected, default=0)
    if head.size < most:
        raise Unsound(f"It has {head.size} entries, and {most} were signed.")
    try:
        growth = proofs.stored(seen.log_id)
        stored = growth.size
        for size in [each for each in expected if each <= stored]:
            compare(size, proofs.root(seen.log_id, size), expected)
        for size in sorted({*(each for each in expected if each > stored), head.size}):
            if size < growth.size:
                raise Unsound(f"It has {head.size} entries, and its tiles {growth.size}.")
            stored = extend(growth, seen.log_id, size, stored)
            compare(size, growth.frontier().root(), expected)
        frontier = growth.frontier()
    except merkle.ProofError as error:
        raise Unsound(str(error)) from error
    if frontier.encode() != bytes(head.frontier):
        raise Unsound(f"Its {head.size} entries do not lead to its head's tree.")
    return Sound(seen, head.size, frontier.root(), growth, stored, newest.size if newest else 0)


def signed_before(seen: Seen, line: Line | None, newest: Checkpoint | None) -> dict[int, bytes]:
    """Size → root of what was signed of this epoch. Raises Unsound where the two that tell it contradict each other."""
    expected: dict[int, bytes] = {newest.size: bytes(newest.root)} if newest else {}
    if line is None:
        return expected
    if line.lost:
        raise Unsound("What was signed of it is not known here any more: heads.json was lost.")
    if line.epoch != seen.epoch:
        raise Unsound(f"It is in epoch {seen.epoch}, and was in epoch {line.epoch} when it was signed.")
    if expected.setdefault(line.size, line.root) != line.root:
        raise Unsound(f"Its stored checkpoint over {line.size} entries is not the one that was signed.")
    return expected


def compare(size: int, root: bytes, expected: dict[int, bytes]) -> None:
    """Raise Unsound where another root was signed for this size."""
    if expected.get(size, root) != root:
        raise Unsound(f"Its first {size} entries are not those that were signed.")


def extend(growth: tiles.Growth, log_id: int, size: int, stored: int) -> int:
    """Hash the bodies up to a size into the tree; how many entries have stored tiles then.

    Raises Unsound, Overtaken."""
    while growth.size < size:
        upto = min(growth.size + CHUNK, size)
        rows = Entry.objects.filter(log_id=log_id, index__gte=growth.size, index__lt=upto).order_by("index")
        leaves = [merkle.leaf_hash(bytes(body)) for body in rows.values_list("body", flat=True)]
        if len(leaves) != upto - growth.size:
            raise Unsound(f"Entries between {growth.size} and {upto - 1} are missing.")
        growth.extend(leaves)
        if len(growth.changed) > MOST_TILES:
            with transaction.atomic():
                lock_logs([log_id])
                store_tiles(log_id, growth, stored)
            stored = growth.size
    return stored


def store_tiles(log_id: int, growth: tiles.Growth, stored: int) -> None:
    """Write what changed, where the stored tiles are still those that it grew from. Raises Overtaken.

    Inside a transaction that locked the log's row."""
    if proofs.size(log_id) != stored:
        raise Overtaken
    rows = [
        Tile(log_id=log_id, level=place.level, index=place.number, hashes=hashes)
        for place, hashes in growth.changed.items()
    ]
    Tile.objects.bulk_create(
        rows, 500, update_conflicts=True, unique_fields=["log", "level", "index"], update_fields=["hashes"]
    )
    growth.changed.clear()


def lock_logs(log_ids: list[int]) -> None:
    """Let no other publisher store anything of these logs until the transaction ends. Their writers go on."""
    rows = Log.objects.filter(pk__in=log_ids).order_by("pk").select_for_update(no_key=True)
    list(rows.values_list("pk", flat=True))


def newest_checkpoint(log_id: int, epoch: int) -> Checkpoint | None:
    """The log's newest stored checkpoint of an epoch."""
    return Checkpoint.objects.filter(log_id=log_id, epoch=epoch).order_by("-size").first()


def newest_sizes() -> dict[int, tuple[int, int]]:
    """(epoch, size) of every log's newest stored checkpoint, by the logs' ids."""
    newest = Checkpoint.objects.filter(log=models.OuterRef("pk")).order_by("-epoch", "-size")
    rows = Log.objects.annotate(
        signed_epoch=models.Subquery(newest.values("epoch")[:1]),
        signed=models.Subquery(newest.values("size")[:1]),
    )
    found = rows.exclude(signed=None).values_list("pk", "signed_epoch", "signed")
    return {log_id: (epoch, size) for log_id, epoch, size in found}


def missing(heads: Heads, logs: list[Seen]) -> Iterator[str]:
    """The uuids of logs that were signed and are gone."""
    there = {each.uuid for each in logs}
    return (uuid for uuid, line in heads.lines.items() if uuid not in there and not line.missing)
