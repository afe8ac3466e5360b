"""What a log asks of a witness, and what the witness answers. Pure: no file, no clock.

The answers' codes are those of https://c2sp.org/tlog-witness, except that an unknown origin is 403, as in the published
exchanges of the reference witness, and not 404.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from audit import merkle, notes
from audit.notes import SIZE, Checkpoint, Note, NoteError, SignatureError, Verifier

MOST_HASHES = 63
SIZE_TYPE = "text/x.tlog.size"
UNSIGNED = "invalid signature\n"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``contradiction`` names what a checkpoint that its log did sign shows against that log."""

    status: int
    body: str
    kind: str = TEXT_TYPE
    contradiction: str = ""


class Refused(Exception):
    """The request is answered with this, and nothing is signed."""

    def __init__(self, status: int, body: str, *, kind: str = TEXT_TYPE, contradiction: str = "") -> None:
        super().__init__(body)
        self.answer = Answer(status, body, kind, contradiction)


@dataclass(frozen=True, slots=True)
class Request:
    """The body of add-checkpoint: the size that the log believes this witness saw last, a proof from there, and the
    new checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Take a body apart. Raises Refused: 400, or 403 for signature lines that cannot be read."""
        head, blank, rest = body.partition(b"\n\n")
        first, *hashes = head.split(b"\n")
        size = first.removeprefix(b"old ").decode(errors="replace")
        if (
            not blank
            or not first.startswith(b"old ")
            or not SIZE.fullmatch(size)
            or len(size) > notes.LONGEST_SIZE
        ):
            raise Refused(400, "the body begins with `old <size>`, proof lines and an empty line\n")
        if len(hashes) > MOST_HASHES:
            raise Refused(400, f"a proof has at most {MOST_HASHES} lines\n")
        try:
            proof = tuple(notes.decode(each.decode(), "a proof line") for each in hashes)
            note = Note.parse(rest.decode())
            return cls(int(size), proof, note, Checkpoint.parse(note.text))
        except UnicodeDecodeError:
            raise Refused(400, "the body is not UTF-8\n") from None
        except SignatureError:
            raise Refused(403, UNSIGNED) from None
        except NoteError as error:
            raise Refused(400, f"{error}\n") from None


def authenticate(request: Request, keys: Sequence[Verifier]) -> None:
    """Let pass what a key of the log has signed. Raises Refused, with 403."""
    if not keys:
        raise Refused(403, "unknown log\n")
    try:
        signed = [request.note.signed_by(each) is not None for each in keys]
    except SignatureError:
        signed = []
    if not any(signed):
        raise Refused(403, UNSIGNED)


def judge(request: Request, size: int, root: bytes) -> None:
    """Let pass what extends the tree that was cosigned last; size 0 where none was. The request is authenticated.
    Raises Refused."""
    asked = request.checkpoint
    told = {"body": f"{size}\n", "kind": SIZE_TYPE}
    if request.old > asked.size:
        raise Refused(400, "the old size is above the checkpoint's\n")
    if asked.size == size and size and asked.root != root:
        raise Refused(409, contradiction="another tree of the same size", **told)
    if request.old != size:
        raise Refused(409, **told)
    if size in (0, asked.size):
        empty = merkle.EMPTY_ROOT
        if request.proof or (asked.size == 0 and asked.root != empty):
            raise Refused(
                422, "the consistency proof from this size is empty, and the empty tree has one root\n"
            )
        return
    try:
        merkle.verify_consistency(size, asked.size, root, asked.root, request.proof)
    except merkle.ProofError as error:
        raise Refused(
            422, f"consistency proof: {error}\n", contradiction="a tree without proof that it grew"
        ) from None
