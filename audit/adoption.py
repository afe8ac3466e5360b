"""Going on with a log that is not what was signed before: in a new epoch, which names what was.

Nothing about the log is made good. Its entries are taken as they are, its tree is computed from them anew, and whoever
knew the old epoch sees another origin, which no verifier accepts that was not told of it.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from audit import heads, log, merkle, proofs, publishing, soundness, tiles
from audit.heads import Heads, Line
from audit.models import Checkpoint, Entry, Head, Log, Tile
from audit.soundness import CHUNK

ADOPTED = "audit.log.adopted"


class NotAdoptable(RuntimeError):
    """The log cannot be taken as it is: something is missing in the middle of it, or nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of a log: its new epoch and name, and the head that it goes on from."""

    epoch: int
    origin: str
    size: int
    root: bytes
    before: Line


def adopt(row: Log, *, reason: str, actor: str) -> Adopted:
    """Take a log as it is, and let it be written to again. The entry of it is the first of the new epoch.

    Raises NotAdoptable, publishing.WrongKey, heads.BadHeadsFile and OSError."""
    with heads.held() as held:
        publishing.Publisher().begin(held)
        with transaction.atomic():
            adopted = take(row, held, reason=reason, actor=actor)
        held.lines[str(row.uuid)] = Line(adopted.epoch, adopted.size, adopted.root)
        heads.save(held)
    return adopted


def take(row: Log, held: Heads, *, reason: str, actor: str) -> Adopted:
    """Everything that an adoption changes in the database. Inside a transaction."""
    both = Head.objects.filter(log_id__in=[row.pk, log.installation_log_id()])
    list(both.select_for_update(no_key=True).order_by("log_id"))
    soundness.lock_logs([row.pk])
    row.refresh_from_db()
    if is_sound(row, held):
        raise NotAdoptable(
            "The log is what was signed, and takes entries: there is nothing to adopt. A new epoch would only have"
            " every auditor ask why."
        )
    before = signed_last(row, held)
    growth = recomputed(row.pk)
    frontier = growth.frontier()
    Tile.objects.filter(log_id=row.pk).delete()
    soundness.store_tiles(row.pk, growth, 0)
    row.epoch = max(row.epoch, before.epoch) + 1
    row.save(update_fields=["epoch"])
    Head.objects.filter(log_id=row.pk).update(size=frontier.size, frontier=frontier.encode(), halted="")
    adopted = Adopted(row.epoch, log.in_epoch(row.origin, row.epoch), frontier.size, frontier.root(), before)
    tell(row, adopted, reason=reason, actor=actor)
    return adopted


def is_sound(row: Log, held: Heads) -> bool:
    """Whether the log could be signed and written to as it is."""
    seen = soundness.seen(row)
    try:
        soundness.examine(seen, held, soundness.newest_checkpoint(row.pk, row.epoch))
    except soundness.Unsound:
        return False
    return not seen.halted


def signed_last(row: Log, held: Heads) -> Line:
    """The newest head that anybody here knows to be signed: the file's, or else the newest stored checkpoint's."""
    line = held.lines.get(str(row.uuid))
    if line is not None and not line.lost:
        return line
    newest = Checkpoint.objects.filter(log=row).order_by("-epoch", "-size").first()
    return (
        Line(newest.epoch, newest.size, bytes(newest.root))
        if newest
        else Line(row.epoch, 0, merkle.EMPTY_ROOT)
    )


def recomputed(log_id: int) -> tiles.Growth:
    """The tree over the entries that are there; of pruned ones the stored tiles have the leaves.

    Raises NotAdoptable."""
    last = Entry.objects.filter(log_id=log_id).order_by("-index").values_list("index", flat=True).first()
    size = 0 if last is None else last + 1
    growth = tiles.Growth()
    while growth.size < size:
        upto = min(growth.size + CHUNK // tiles.WIDTH * tiles.WIDTH, size)
        rows = Entry.objects.filter(log_id=log_id, index__gte=growth.size, index__lt=upto)
        found = {index: merkle.leaf_hash(bytes(body)) for index, body in rows.values_list("index", "body")}
        if len(found) < upto - growth.size:
            found = proofs.leaves(log_id, growth.size, upto) | found
        missing = next((index for index in range(growth.size, upto) if index not in found), None)
        if missing is not None:
            raise NotAdoptable(
                f"Entry {missing} is missing, and there are later ones. Restore a backup that has it; a log with a"
                " hole cannot go on."
            )
        growth.extend([found[index] for index in range(growth.size, upto)])
    return growth


def tell(row: Log, adopted: Adopted, *, reason: str, actor: str) -> None:
    """An entry in the log itself, and one in the installation's where that takes any."""
    before = adopted.before
    data: dict[str, Any] = {
        "log": str(row.uuid),
        "origin": adopted.origin,
        "epoch": adopted.epoch,
        "size": adopted.size,
        "root": adopted.root.hex(),
        "before": {"epoch": before.epoch, "size": before.size, "root": before.root.hex()},
    }
    logs = [row.pk]
    if row.kind != Log.Kind.INSTALLATION and publishing.is_writable():
        logs.append(log.installation_log_id())
    with log.write(*logs) as entries:
        for log_id in logs:
            entries.append(ADOPTED, actor=actor, data=data, detail={"reason": reason}, log_id=log_id)
