"""That one entry is in what the publisher signed, ready to be shown or taken along."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import heads, notes, proofs
from audit.merkle import ProofError
from audit.models import Checkpoint, Entry

FORMAT = "countersign-inclusion/1"


@dataclass(frozen=True, slots=True)
class Inclusion:
    """An entry's place in the log as of a checkpoint. ``note`` has the witnesses' lines too; ``key`` is the log's
    public key as this installation names it, None where this process cannot tell."""

    entry: Entry
    size: int
    root: bytes
    path: list[bytes]
    note: str
    signed: datetime
    origin: str
    witnesses: list[str]
    key: notes.Verifier | None

    @property
    def document(self) -> dict[str, Any]:
        """All that is needed to check it elsewhere, as JSON."""
        return {
            "format": FORMAT,
            "origin": self.origin,
            "index": self.entry.index,
            "size": self.size,
            "body": base64.b64encode(bytes(self.entry.body)).decode(),
            "leaf": bytes(self.entry.leaf).hex(),
            "path": [base64.b64encode(each).decode() for each in self.path],
            "checkpoint": self.note,
            "key": str(self.key or ""),
        }

    @property
    def tlog_proof(self) -> str:
        """The proof as https://c2sp.org/tlog-proof has it; the body goes beside it."""
        return notes.tlog_proof(self.entry.index, self.path, self.note)


def inclusion_of(entry: Entry) -> Inclusion | None:
    """The entry under its log's newest checkpoint; None where none covers it yet."""
    newest = Checkpoint.objects.filter(log_id=entry.log_id).order_by("-epoch", "-size")
    checkpoint = newest.prefetch_related("cosignatures").first()
    if checkpoint is None or checkpoint.size <= entry.index:
        return None
    try:
        path = proofs.inclusion(entry.log_id, entry.index, checkpoint.size)
    except ProofError:
        return None
    origin = notes.Note.parse(checkpoint.note).text.partition("\n")[0]
    return Inclusion(
        entry=entry,
        size=checkpoint.size,
        root=bytes(checkpoint.root),
        path=path,
        note=checkpoint.cosigned,
        signed=checkpoint.time,
        origin=origin,
        witnesses=sorted(each.witness for each in checkpoint.cosignatures.all()),
        key=key_of(origin),
    )


def key_of(origin: str) -> notes.Verifier | None:
    """The public key that signs checkpoints, under a log's name."""
    try:
        key = bytes.fromhex(heads.read().key)
    except heads.BadHeadsFile:
        return None
    return notes.Verifier(origin, notes.ED25519, key) if key else None
