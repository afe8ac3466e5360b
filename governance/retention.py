"""What the log keeps of decisions is pruned when the workspace's term is over.

A part at a time: one write deletes up to ``CHUNK`` entries and Details, and appends the entry that states what went
(`audit.absences` says in which form, and what stays for good). Configuration, containment and erasures stay, and so do
the tiles: the log verifies to the same root, and later entries are understood as before. Bodies go only where full
tiles under a signed checkpoint keep their hashes; Details need no tile. While a legal hold stands, nothing goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from time import monotonic
from typing import Any

import orjson
from django.db import connection
from django.db.models import Min
from django.db.models.functions import Length

from audit import log, proofs
from audit.absences import configures, stays
from audit.kinds import PRUNED
from audit.models import Checkpoint, Detail, Entry, Pruning
from audit.tiles import WIDTH
from governance.erasure import overwrite_freed
from governance.models import Approval, ApprovalProcess, Decision, Proposal
from workspaces import holds
from workspaces.models import Workspace

CHUNK = 4_096  # entries that one write prunes
LARGEST_PART = 8 * 2**20  # bytes of Details that one write deletes, for the gate waits meanwhile
EVERY = timedelta(days=1)  # for a part that is not full
PAUSE = 3600.0  # seconds between two looks at all workspaces
LONGEST_ROUND = 5.0  # seconds, then mail gets its turn
SETTLED = 200  # rows deleted at once

rounds = {"next": 0.0}


@dataclass(frozen=True, slots=True)
class Part:
    """What is pruned next: entries and Details, each from an index to the one after the last, and by which entries
    something of it stays."""

    after: int | None
    start: int
    end: int
    details_start: int
    details_end: int
    kept: tuple[int, ...]
    digest: str
    details_kept: tuple[int, ...]


def prune_due() -> int:
    """Once an hour, whatever is due in every workspace; how many entries and Details went."""
    if monotonic() < rounds["next"]:
        return 0
    until = monotonic() + LONGEST_ROUND
    pruned = 0
    for workspace in Workspace.objects.order_by("pk"):
        while gone := prune(workspace, log.database_time()):
            pruned += gone
            if monotonic() > until:
                return pruned
    rounds["next"] = monotonic() + PAUSE
    return pruned


def prune(workspace: Workspace, now: datetime) -> int:
    """Prune the next part of a workspace's log that is due at this time; how many entries and Details went."""
    before = now - timedelta(days=workspace.retention_days)
    if holds.standing(workspace.log_id).exists():
        return 0
    forget_settled(workspace, before)
    part = next_part(workspace, before, now)
    if part is None:
        return 0
    with log.write(workspace.log_id) as entries:
        if holds.standing(workspace.log_id).exists() or latest(workspace.log_id) != part.after:
            return 0
        return remove(workspace, part, before, entries)


def latest(log_id: int) -> int | None:
    """The primary key of the newest statement of a log."""
    rows = Pruning.objects.filter(log_id=log_id).order_by("-entry_index")
    return rows.values_list("pk", flat=True).first()


def next_part(workspace: Workspace, before: datetime, now: datetime) -> Part | None:
    """What comes next, if it is worth an entry of its own."""
    log_id = workspace.log_id
    last = Pruning.objects.filter(log_id=log_id).order_by("-entry_index").first()
    start, details_start = (last.end, last.details_end) if last else (0, 0)
    due = min([log.index_at(log_id, before), *still_needed(workspace)])
    # A longer term than before may end before what went already.
    details_end = max(details_start, min(due, details_start + CHUNK, light_until(log_id, details_start)))
    end = max(start, min(details_end, start + CHUNK, vouched_for(log_id, start)) // WIDTH * WIDTH)
    if details_end == details_start and end == start:
        return None
    full = max(details_end - details_start, end - start) == CHUNK or details_end < due
    if last is not None and not full and pruned_at(log_id, last.entry_index) > now - EVERY:
        return None
    return part_of(log_id, last, (start, end), (details_start, details_end))


def still_needed(workspace: Workspace) -> list[int]:
    """The first entries that something unfinished refers to."""
    waiting = Approval.objects.filter(workspace=workspace, status=Approval.Status.PENDING)
    running = Decision.objects.filter(
        workspace=workspace, outcome__in=[Decision.Outcome.OPEN, Decision.Outcome.RUNNING]
    )
    firsts = (rows.aggregate(first=Min("entry_index"))["first"] for rows in (waiting, running))
    return [first for first in firsts if first is not None]


def light_until(log_id: int, start: int) -> int:
    """Up to which index the Details of a part are few enough bytes to be deleted at once; never none of them."""
    rows = Detail.objects.filter(log_id=log_id, index__gte=start, index__lt=start + CHUNK).order_by("index")
    total = 0
    for index, size in rows.annotate(size=Length("content")).values_list("index", "size"):
        total += size
        if total > LARGEST_PART and index > start:
            return int(index)
    return start + CHUNK


def vouched_for(log_id: int, start: int) -> int:
    """Up to which index full tiles under a signed checkpoint keep what the next entries hash to."""
    signed = Checkpoint.objects.filter(log_id=log_id).order_by("-epoch", "-size").first()
    end = min(signed.size if signed else 0, start + CHUNK) // WIDTH * WIDTH
    kept = proofs.leaves(log_id, start, end)
    rows = Entry.objects.filter(log_id=log_id, index__gte=start, index__lt=end)
    leaves = dict(rows.values_list("index", "leaf").iterator())
    for index in range(start, end):
        if index not in kept or index not in leaves or bytes(leaves[index]) != kept[index]:
            return index // WIDTH * WIDTH
    return end


def pruned_at(log_id: int, index: int) -> datetime:
    """When a statement was made."""
    time: datetime = Entry.objects.values_list("time", flat=True).get(log_id=log_id, index=index)
    return time


def part_of(log_id: int, last: Pruning | None, entries: tuple[int, int], details: tuple[int, int]) -> Part:
    """What stays of a part, read before anything is locked: bodies never change."""
    kept, digest, details_kept = [], sha256(), []
    rows = Entry.objects.filter(log_id=log_id, index__gte=entries[0], index__lt=details[1])
    for index, body, leaf in rows.order_by("index").values_list("index", "body", "leaf").iterator():
        told = orjson.loads(bytes(body))
        if index < entries[1] and stays(told):
            kept.append(index)
            digest.update(bytes(leaf))
        if index >= details[0] and configures(told):
            details_kept.append(index)
    return Part(
        last.pk if last else None, *entries, *details, tuple(kept), digest.hexdigest(), tuple(details_kept)
    )


def remove(workspace: Workspace, part: Part, before: datetime, entries: log.Writer) -> int:
    """Delete a part, and state it."""
    overwrite_freed()
    bodies = delete(Entry, workspace.log_id, part.start, part.end, part.kept)
    details = delete(Detail, workspace.log_id, part.details_start, part.details_end, part.details_kept)
    data: dict[str, Any] = {
        "term_days": workspace.retention_days,
        "before": log.stamp(before),
        "revision": entries.head(workspace.log_id).revision,
        "entries": {
            "from": part.start,
            "to": part.end,
            "pruned": bodies,
            "kept": len(part.kept),
            "digest": part.digest,
        },
        "details": {"from": part.details_start, "to": part.details_end, "pruned": details},
    }
    stated = entries.append(PRUNED, actor="system", data=data, log_id=workspace.log_id)
    Pruning.objects.create(
        log_id=workspace.log_id,
        start=part.start,
        end=part.end,
        details_start=part.details_start,
        details_end=part.details_end,
        entry_index=stated.index,
    )
    return bodies + details


def delete(model: Any, log_id: int, start: int, end: int, kept: Sequence[int]) -> int:
    """Delete the rows of a part of a log but for those that are kept; how many. Nothing points at them."""
    rows = model.objects.filter(log_id=log_id, index__gte=start, index__lt=end).exclude(index__in=kept)
    return int(rows._raw_delete(connection.alias))


def forget_settled(workspace: Workspace, before: datetime) -> None:
    """Delete the rows of approvals and proposals that were settled before this time, with votes, links and processes.
    The log has its own copy of what they say, which goes with the rest."""
    models: tuple[type[Approval | Proposal], ...] = (Approval, Proposal)
    for model in models:
        rows = model._default_manager.filter(workspace=workspace, settled_at__lt=before)
        old = rows.exclude(status=model.Status.PENDING).order_by("pk")
        found = list(old.values_list("pk", "process_id")[:SETTLED])
        if not found:
            continue
        with log.write(workspace.log_id):
            if not holds.standing(workspace.log_id).exists():
                model._default_manager.filter(pk__in=[pk for pk, _ in found]).delete()
                # A process is the same row whatever its flow; the proxy only names it.
                ApprovalProcess.objects.filter(pk__in=[process for _, process in found if process]).delete()
