"""Erasing personal values: found, shown as counts and indexes, confirmed, and erased in batches, each with its entry.

An erasure is a row that says how far it is. Each step reads it anew, does a batch, and stores where it stands in the
same transaction: a worker that dies repeats nothing, and two workers do nothing twice. What is erased is gone with its
salt; the commitment in the entry's body stays, and so every hash. While a legal hold stands a confirmed erasure waits.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Length

from audit import envelopes, log, owed
from audit.absences import ERASED, Ranges
from audit.models import Detail, Erasure, ErasureItem
from governance import mentions, remains
from workspaces import holds
from workspaces.models import Workspace

SLICE, MAILS = "governance.erasure", "governance.erasure.mails"
SLICE_SECONDS = 10.0
SEARCHED = 1_000  # entries that one step looks at
BATCH = 200  # entries that one write erases from
LARGEST_BATCH = 4 * 2**20  # bytes of Details that one write opens, for the gate waits meanwhile
LATER = timedelta(minutes=1)  # until what a worker that died left undone is done
LONGEST_BASIS = 200
LONGEST_REASON = 500
Status = Erasure.Status
UNDER_WAY = (Status.SEARCHING, Status.WAITING, Status.HELD, Status.ERASING)
TO_BE_ERASED = (Status.WAITING, Status.HELD, Status.ERASING)
OPEN = (Status.FOUND, *UNDER_WAY)


class ErasureRefused(ValueError):
    """An erasure that cannot be started or changed so; the message says what to do."""

    code, status = "erasure_refused", 409


def start(
    workspace: Workspace,
    *,
    basis: str,
    reason: str,
    actor: str,
    text: str = "",
    first: int | None = None,
    last: int | None = None,
    field: str = "",
) -> Erasure:
    """Begin to look for what is to be erased: what mentions a ``text``, or the entries ``first`` to ``last`` (one
    ``field`` of them where given). Nothing is erased before ``confirm``.

    ``basis`` is the legal basis and stands in the log for good; ``reason`` is kept beside it. Raises
    ValidationError."""
    text, basis, reason = text.strip(), basis.strip(), reason.strip()
    check(text=text, basis=basis, reason=reason, first=first, last=last)
    with log.write(workspace.log_id) as entries:
        size = entries.head(workspace.log_id).size
        end = size if last is None else min(last + 1, size)
        if first is not None and first >= end:
            raise ValidationError({"first": f"The log has {size} entries; choose from those."})
        erasure = Erasure(
            log_id=workspace.log_id,
            actor=actor,
            basis=basis,
            field=field,
            first=first or 0,
            position=first or 0,
            end=end,
            created=entries.now,
        )
        erasure.query = seal(erasure, text) if text else b""
        erasure.save()
        data: dict[str, Any] = {
            "erasure": erasure.public_id,
            "basis": basis,
            "by": "text" if text else "index",
        }
        if not text:
            data |= {"first": erasure.first, "last": end - 1} | ({"field": field} if field else {})
        entries.append(
            "governance.erasure.requested",
            actor=actor,
            data=data,
            detail={"reason": reason},
            log_id=workspace.log_id,
        )
        owed.owe(SLICE, [{"erasure": erasure.public_id}], due=entries.now)
    return erasure


def check(*, text: str, basis: str, reason: str, first: int | None, last: int | None) -> None:
    """Raise ValidationError for what cannot be looked for, or is not accounted for."""
    problems = {}
    if bool(text) == (first is not None):
        problems["text"] = "Give a text to look for, or the entries; not both."
    elif text and len(text) < mentions.SHORTEST:
        problems["text"] = (
            f"Give at least {mentions.SHORTEST} characters; a shorter text is in nearly everything."
        )
    if first is not None and not 0 <= first <= (first if last is None else last):
        problems["first"] = "The first entry comes before the last."
    for name, value, longest in (("basis", basis, LONGEST_BASIS), ("reason", reason, LONGEST_REASON)):
        if not 0 < len(value) <= longest:
            problems[name] = f"Say the {name}, in at most {longest} characters."
    if text and text.casefold() in basis.casefold():
        problems["basis"] = "The basis stands in the log for good: keep what is to be erased out of it."
    if problems:
        raise ValidationError(problems)


def confirm(erasure: Erasure, *, actor: str) -> None:
    """Have what was found erased; whoever confirms is who erases. Raises ErasureRefused."""
    with log.write(erasure.log_id) as entries:
        found = Erasure.objects.filter(pk=erasure.pk, status=Status.FOUND)
        if not found.update(status=Status.WAITING, actor=actor):
            erasure.refresh_from_db()
            raise ErasureRefused(f"It cannot be confirmed now: {erasure.get_status_display().lower()}.")
        erasure.refresh_from_db()
        entries.append(
            "governance.erasure.confirmed",
            actor=actor,
            data={"erasure": erasure.public_id, "basis": erasure.basis, "entries": erasure.found},
            log_id=erasure.log_id,
        )
        owed.owe(SLICE, [{"erasure": erasure.public_id}], due=entries.now)


def cancel(erasure: Erasure, *, actor: str) -> None:
    """Erase no more of it; what is erased stays erased. Raises ErasureRefused."""
    with log.write(erasure.log_id) as entries:
        rows = Erasure.objects.filter(pk=erasure.pk, status__in=OPEN)
        if not rows.update(status=Status.CANCELLED, finished=entries.now, query=b""):
            raise ErasureRefused("It is over already. Nothing was changed.")
        ErasureItem.objects.filter(erasure=erasure).delete()
        erasure.refresh_from_db()
        entries.append(
            "governance.erasure.cancelled",
            actor=actor,
            data={"erasure": erasure.public_id, "erased": erasure.erased},
            log_id=erasure.log_id,
        )


def go_on(payload: dict[str, Any]) -> str:
    """Perform the next slice; the worker calls this for a row of the kind ``governance.erasure``."""
    erasure = Erasure.objects.get(public_id=payload["erasure"])
    until = time.monotonic() + SLICE_SECONDS
    while step(erasure):
        if time.monotonic() >= until:
            owed.owe(SLICE, [payload], due=log.database_time())
            break
    return f"{erasure.public_id}: {erasure.get_status_display()}"


def resume_held() -> int:
    """Go on with what waited for a legal hold that was released; how many erasures."""
    resumed = 0
    for erasure in Erasure.objects.filter(status=Status.HELD):
        if not holds.standing(erasure.log_id).exists():
            with transaction.atomic():
                held = Erasure.objects.filter(pk=erasure.pk, status=Status.HELD)
                if held.update(status=Status.WAITING):
                    owed.owe(SLICE, [{"erasure": erasure.public_id}], due=log.database_time())
                    resumed += 1
    return resumed


def run(erasure: Erasure) -> None:
    """Do all that can be done now, without a worker."""
    while step(erasure):
        pass


def step(erasure: Erasure) -> bool:
    """Look at the next entries, or erase the next batch; False when there is nothing to do now."""
    erasure.refresh_from_db()
    if erasure.status == Status.SEARCHING:
        return look(erasure)
    return erasure.status in TO_BE_ERASED and erase(erasure)


def look(erasure: Erasure) -> bool:
    """Find what the next entries mention, and note it."""
    needle = mentions.Needle(opened(erasure)) if erasure.query else None
    stop = min(erasure.position + SEARCHED, erasure.end)
    found = mentions.find(erasure.log, needle, erasure.position, stop, field=erasure.field)
    before = Erasure.objects.filter(pk=erasure.pk, status=Status.SEARCHING, position=erasure.position)
    with transaction.atomic():
        done = stop >= erasure.end
        if not before.update(
            position=stop,
            found=F("found") + len(found.fields),
            in_use=F("in_use") + found.in_use,
            in_clear=F("in_clear") + found.in_clear,
            status=Status.FOUND if done else Status.SEARCHING,
        ):
            return not done  # another worker did this part, or it was cancelled
        ErasureItem.objects.bulk_create(
            ErasureItem(erasure=erasure, index=index, fields=names) for index, names in found.fields.items()
        )
    return not done


def erase(erasure: Erasure) -> bool:
    """Erase the next batch, with its entry; False when nothing is left, or a legal hold stands."""
    items = next_items(erasure)
    entries_told = remains.told_by(erasure.log_id, [item.index for item in items])
    approvals = sorted({each.approval for each in entries_told if each.approval})
    with log.write(erasure.log_id) as entries:
        erasure.refresh_from_db()
        if erasure.status not in TO_BE_ERASED:
            return False
        if holds.standing(erasure.log_id).exists():
            Erasure.objects.filter(pk=erasure.pk).update(status=Status.HELD)
            return False
        if not items:
            finish(erasure, entries)
            return False
        left = ErasureItem.objects.filter(pk__in=[item.pk for item in items])
        if left.count() != len(items):
            return True  # another worker was faster
        remove(erasure, items, entries)
        remains.forget(erasure.log_id, entries_told)
        left.delete()
        erasure.erased += len(items)
        erasure.left = merged(erasure.left, remains.departures(erasure.log, entries_told))
        erasure.status = Status.ERASING
        erasure.save(update_fields=["erased", "left", "status"])
        if approvals:
            owed.owe(MAILS, [{"approvals": approvals}], due=entries.now + LATER)
    remains.shred_mails(approvals)
    return True


def next_items(erasure: Erasure) -> list[ErasureItem]:
    """The next batch: so many entries, and no more of their Details than one write opens quickly."""
    items = list(erasure.items.order_by("index")[:BATCH])
    rows = Detail.objects.filter(log_id=erasure.log_id, index__in=[item.index for item in items])
    sizes = dict(rows.annotate(size=Length("content")).values_list("index", "size"))
    total = 0
    for number, item in enumerate(items):
        total += sizes.get(item.index, 0)
        if number and total > LARGEST_BATCH:
            return items[:number]
    return items


def shred_mails(payload: dict[str, Any]) -> str:
    """Delete the mails about what a committed batch erased, where its worker died before it did."""
    return f"{remains.shred_mails(payload['approvals'])} mails"


def remove(erasure: Erasure, items: Sequence[ErasureItem], entries: log.Writer) -> None:
    """Remove the fields, each with its salt, from the Details; one entry says which."""
    overwrite_freed()
    uuid = str(erasure.log.uuid)
    wanted = {item.index: set(item.fields) for item in items}
    gone: dict[str, list[int]] = defaultdict(list)
    rows = Detail.objects.filter(log_id=erasure.log_id, index__in=wanted).order_by("index")
    for row in rows:
        fields = orjson.loads(envelopes.open_envelope(erasure.log_id, uuid, row.index, bytes(row.content)))
        for name in wanted[row.index] & fields.keys():
            gone[name].append(row.index)
            del fields[name]
        if fields:
            row.content = envelopes.seal(erasure.log_id, uuid, row.index, orjson.dumps(fields))
            row.save(update_fields=["content"])
        else:
            row.delete()
    if gone:
        entries.append(
            ERASED,
            actor=erasure.actor,
            data={
                "erasure": erasure.public_id,
                "basis": erasure.basis,
                "erased": {name: ranges(indexes) for name, indexes in sorted(gone.items())},
            },
            log_id=erasure.log_id,
        )


def ranges(indexes: Iterable[int]) -> list[list[int]]:
    """Indexes as inclusive ranges."""
    return [[*each] for each in Ranges((index, index) for index in indexes).merged]


def overwrite_freed() -> None:
    """Let SQLite write zeros over what this connection deletes; PostgreSQL does so when it vacuums."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete = ON")


def finish(erasure: Erasure, entries: log.Writer) -> None:
    """Forget what was looked for, and say what was done and what had left before."""
    erasure.status, erasure.finished, erasure.query = Status.DONE, entries.now, b""
    erasure.save(update_fields=["status", "finished", "query"])
    entries.append(
        "governance.erasure.finished",
        actor=erasure.actor,
        data={
            "erasure": erasure.public_id,
            "basis": erasure.basis,
            "entries": erasure.erased,
            "in_use": erasure.in_use,
            "in_clear": erasure.in_clear,
            "left": erasure.left,
        },
        log_id=erasure.log_id,
    )


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two batches' departures: names once, numbers added."""
    numbers = Counter({name: value for name, value in one.items() if type(value) is int})
    numbers.update({name: value for name, value in other.items() if type(value) is int})
    lists = {name: value for name, value in one.items() if type(value) is list}
    for name, value in other.items():
        if type(value) is list:
            lists[name] = sorted({*lists.get(name, ()), *value})
    return {**lists, **numbers}


def seal(erasure: Erasure, text: str) -> bytes:
    """The text that is looked for, as the row keeps it."""
    return envelopes.seal_at(erasure.log_id, str(erasure.log.uuid), place(erasure), text.encode())


def opened(erasure: Erasure) -> str:
    """The text that is looked for."""
    uuid = str(erasure.log.uuid)
    return envelopes.open_at(erasure.log_id, uuid, place(erasure), bytes(erasure.query)).decode()


def place(erasure: Erasure) -> bytes:
    """Which row a sealed text belongs to."""
    return f"countersign erasure {erasure.public_id}".encode()
