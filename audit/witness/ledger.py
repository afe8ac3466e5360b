"""What a witness remembers: of each log the last checkpoint that it signed, and what speaks against a log.

A folder with one file for each origin, replaced whole and on disk before the signature leaves, and ``evidence/`` with
the requests that contradict what was signed before. One process at a time.
"""

import fcntl
import json
import logging
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit import files, merkle
from audit.notes import Signer, Verifier
from audit.witness.requests import Answer, Refused, Request, authenticate, judge

MOST_EVIDENCE = 1000  # files; the first ones are those that matter
log = logging.getLogger(__name__)


class LedgerError(RuntimeError):
    """The folder cannot be used."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last checkpoint of a log that was signed here, with the log's own signature."""

    size: int
    root: bytes
    note: str


class Ledger:
    """The folder of one witness, and its signature."""

    def __init__(self, folder: Path, signer: Signer, keys_of: Callable[[str], list[Verifier]]) -> None:
        self.folder, self.signer, self.keys_of = folder, signer, keys_of
        self.evidence = folder / "evidence"
        self.evidence.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.turn = threading.Lock()
        self.held = (folder / "lock").open("a")
        try:
            fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(f"Another witness works in {folder}.") from None

    def close(self) -> None:
        """Let another process have the folder."""
        self.held.close()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request; what was signed is on disk by then. Raises OSError where it cannot be stored, and
        LedgerError where what is stored cannot be read."""
        try:
            request = Request.parse(body)
            authenticate(request, self.keys_of(request.checkpoint.origin))
            with self.turn:
                return self.sign(request, body)
        except Refused as refused:
            return refused.answer

    def sign(self, request: Request, body: bytes) -> Answer:
        """Compare with what was signed last, store, sign. Raises Refused."""
        asked = request.checkpoint
        seen = self.last(asked.origin)
        try:
            judge(request, seen.size, seen.root)
        except Refused as refused:
            if refused.answer.contradiction:
                self.keep(refused.answer.contradiction, request, body, seen)
            raise
        self.store(asked.origin, Seen(asked.size, asked.root, body.partition(b"\n\n")[2].decode()))
        return Answer(200, self.signer.line(request.note.text, int(time.time())))

    def last(self, origin: str) -> Seen:
        """What was signed last for this log; size 0 for none. Raises LedgerError."""
        path = self.path_of(origin)
        try:
            found = json.loads(path.read_bytes())
            seen = Seen(int(found["size"]), b64decode(found["root"]), str(found["note"]))
        except FileNotFoundError:
            return Seen(0, merkle.EMPTY_ROOT, "")
        except (KeyError, TypeError, ValueError):
            raise LedgerError(
                f"{path} cannot be read; restore it, or this witness could sign a fork."
            ) from None
        return seen

    def store(self, origin: str, seen: Seen) -> None:
        """Remember what is about to be signed."""
        told = {"origin": origin, "size": seen.size, "root": b64encode(seen.root).decode(), "note": seen.note}
        files.replace(self.path_of(origin), json.dumps(told, indent=1).encode())

    def keep(self, what: str, request: Request, body: bytes, seen: Seen) -> None:
        """Keep a request that contradicts what was signed before, together with that, once for each checkpoint."""
        log.error("%s: %s, at size %d", request.checkpoint.origin, what, request.checkpoint.size)
        path = self.evidence / f"{sha256((what + request.note.text).encode()).hexdigest()[:32]}.json"
        if path.exists() or sum(1 for _ in self.evidence.glob("*.json")) >= MOST_EVIDENCE:
            return
        told = {"what": what, "time": int(time.time()), "request": body.decode(), "signed_before": seen.note}
        files.create(path, json.dumps(told, indent=1).encode())

    def path_of(self, origin: str) -> Path:
        """Where a log's last checkpoint stands."""
        return self.folder / f"{sha256(origin.encode()).hexdigest()}.json"
