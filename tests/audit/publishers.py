"""Logs, entries and what the publisher made of them, for the tests of evidence."""

import json
from typing import Any

from audit import heads, keys, log, merkle, notes, watermarks
from audit.models import Checkpoint, Entry, Log

TYPE = "workspaces.link.created"


def append(row: Log, count: int, **data: Any) -> None:
    """So many entries, in one transaction."""
    with log.write(row.pk) as entries:
        for number in range(count):
            entries.append(TYPE, actor="system", data={"number": number, **data})


def append_elsewhere(row: Log, count: int) -> None:
    """Entries written by a process that never saw the log before and cannot read the publisher's file."""
    aside = heads.path().rename(heads.path().with_name("aside"))
    watermarks.marks.clear()
    append(row, count)
    watermarks.marks.clear()
    aside.rename(heads.path())


def leaves(row: Log) -> list[bytes]:
    """The leaf hashes of a log, computed from its bodies."""
    rows = Entry.objects.filter(log=row).order_by("index").values_list("body", flat=True)
    return [merkle.leaf_hash(bytes(body)) for body in rows]


def verifier(origin: str) -> notes.Verifier:
    """The installation's public key under a log's name."""
    return notes.Signer(origin, keys.signing_key(keys.CHECKPOINT)).verifier


def installation() -> Log:
    """The installation's log."""
    return Log.objects.get(kind=Log.Kind.INSTALLATION)


def told(kind: str) -> list[dict[str, Any]]:
    """The data of the installation's entries of a type."""
    rows = Entry.objects.filter(log=installation(), type=kind).order_by("index")
    return [json.loads(bytes(each.body))["data"] for each in rows]


def sizes(row: Log) -> list[int]:
    """The sizes for which checkpoints of a log are stored."""
    return list(Checkpoint.objects.filter(log=row).order_by("epoch", "size").values_list("size", flat=True))
