"""Shows the installation's newest checkpoint to the witnesses of the policy file, and keeps their signatures.

In a thread of the worker's own: who is away delays neither the publisher nor, for longer than a deadline, the
others. Who was away is shown the newest checkpoint once, however many there were meanwhile. A round shows all
witnesses the same checkpoint, so that their signatures meet on one.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from django.db import transaction
from django.db.models import Max

from audit import calls, outside, proofs, timestamping
from audit.log import database_time
from audit.merkle import ProofError
from audit.models import Checkpoint, Cosignature
from audit.notes import LONGEST_SIZE, SIZE, Note, NoteError, hash_lines
from audit.outside import Failure
from audit.policy import Trusted

PATIENCE = calls.DEADLINE + 1  # seconds until an answer is not waited for any more
KIND = "text/plain; charset=utf-8"
LATEST = 2**33  # seconds since 1970: later than any clock that could be meant


class Unsigned(Exception):
    """A witness did not sign; the message says why. ``contradicts``: it has seen what this log does not bear out."""

    def __init__(self, message: str, *, contradicts: bool = False) -> None:
        super().__init__(message)
        self.contradicts = contradicts


@dataclass(frozen=True, slots=True)
class Signed:
    """A witness's signature line, verified, and the seconds since 1970 in it."""

    line: str
    time: int


def round() -> int:
    """Show the newest checkpoint to every witness that is due and has not signed it; how many signed.

    Raises PolicyError and OSError where the policy cannot be read."""
    policy = outside.policy()
    checkpoint = outside.newest() if policy else None
    if policy is None or checkpoint is None:
        return 0
    done = set(Cosignature.objects.filter(checkpoint=checkpoint).values_list("witness", flat=True))
    wanted = {
        each.verifier.name: each
        for each in policy.witnesses.values()
        if each.url and each.verifier.name not in done
    }
    claimed = outside.claim(wanted) if wanted else []
    if not claimed:
        return 0
    return store(checkpoint, ask([wanted[name] for name in claimed], checkpoint))


def ask(witnesses: list[Trusted], checkpoint: Checkpoint) -> dict[str, Signed | Failure]:
    """What each witness says to a checkpoint, all asked at once. One that has seen another size than is known here is
    asked once more from there."""
    sizes = signed_sizes(checkpoint)
    found: dict[str, Signed | Failure] = {}
    again = {each.verifier.name: (each, sizes.get(each.verifier.name, 0)) for each in witnesses}
    for _ in range(2):
        asked, again = again, {}
        for name, answer in answers(asked, checkpoint).items():
            witness, old = asked[name]
            try:
                heard = judge(witness, checkpoint, old, answer())
            except Unsigned as error:
                found[name] = Failure(str(error), error.contradicts)
            except (OSError, ProofError) as error:
                found[name] = Failure(str(error))
            else:
                if isinstance(heard, Signed):
                    found[name] = heard
                else:
                    again[name] = (witness, heard)
    return found | {name: Failure("It names another size each time.") for name in again}


def answers(
    asked: dict[str, tuple[Trusted, int]], checkpoint: Checkpoint
) -> dict[str, Callable[[], calls.Answer]]:
    """Post to all at once; each name's answer, to be had by calling, which raises OSError or ProofError."""
    threads = ThreadPoolExecutor(max(1, len(asked)), thread_name_prefix="countersign-witness")
    futures: dict[str, Future[calls.Answer]] = {}
    for name, (witness, old) in asked.items():
        try:
            body = request(checkpoint, old)
        except ProofError as error:
            futures[name] = Future()
            futures[name].set_exception(error)
        else:
            futures[name] = threads.submit(
                calls.post, f"{witness.url.rstrip('/')}/add-checkpoint", body, KIND
            )
    wait(futures.values(), PATIENCE)
    threads.shutdown(wait=False)
    return {name: partial(future.result, 0) for name, future in futures.items()}


def judge(witness: Trusted, checkpoint: Checkpoint, old: int, answer: calls.Answer) -> Signed | int:
    """What a witness said who was shown a checkpoint from this old size: its signature, or from which size it wants to
    be shown it. Raises Unsigned."""
    if answer.status == 200:
        return signature(witness, checkpoint, answer.body)
    if answer.status == 422 and old:
        raise Unsigned(
            f"It refused the proof that the log grew from {old:,} entries: it has seen another history.",
            contradicts=True,
        )
    if answer.status != 409:
        said = answer.body[:80].decode("ascii", "replace").strip()
        raise Unsigned(f"It answered {answer.status} ({said}).")
    seen = size_in(answer.body)
    if seen == old == checkpoint.size:
        raise Unsigned(f"It has signed another tree of {old:,} entries: the log forked.", contradicts=True)
    if seen <= checkpoint.size:
        return seen
    newest = outside.newest()
    if newest is not None and newest.epoch == checkpoint.epoch and seen <= newest.size:
        raise Unsigned("It has seen a newer checkpoint meanwhile.")
    raise Unsigned(
        f"It has seen {seen:,} entries, and {checkpoint.size:,} are published: the log lost its end.",
        contradicts=True,
    )


def request(checkpoint: Checkpoint, old: int) -> bytes:
    """The body of add-checkpoint. Raises ProofError."""
    proof = proofs.consistency(checkpoint.log_id, old, checkpoint.size) if 0 < old < checkpoint.size else []
    return f"old {old}\n{hash_lines(proof)}\n{checkpoint.note}".encode()


def signature(witness: Trusted, checkpoint: Checkpoint, body: bytes) -> Signed:
    """The line of this witness's key among those of an answer. Raises Unsigned."""
    verifier = witness.verifier
    try:
        note = Note.parse(f"{Note.parse(checkpoint.note).text}\n{body.decode()}")
        time = note.signed_by(verifier)
    except (NoteError, UnicodeDecodeError) as error:
        raise Unsigned(f"What it answered is no signature: {error}") from None
    if time is None:
        raise Unsigned("It signed with another key than the policy file names.")
    if time > LATEST:
        raise Unsigned("It signed with a time that cannot be.")
    lines = [each for each in note.signatures if (each.name, each.key_id) == (verifier.name, verifier.key_id)]
    return Signed(lines[-1].line, time)


def size_in(body: bytes) -> int:
    """The size that a 409 tells. Raises Unsigned."""
    said = body[: LONGEST_SIZE + 1].decode("ascii", "replace").removesuffix("\n")
    if not SIZE.fullmatch(said):
        raise Unsigned("It answered 409 without the size that it has seen.")
    return int(said)


def signed_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Witness → size of the newest checkpoint of this log and epoch that it has signed."""
    rows = Cosignature.objects.filter(
        checkpoint__log_id=checkpoint.log_id, checkpoint__epoch=checkpoint.epoch
    )
    return dict(rows.values_list("witness").annotate(Max("checkpoint__size")))


def store(checkpoint: Checkpoint, found: dict[str, Signed | Failure]) -> int:
    """Keep what the witnesses said; how many signed."""
    signed = []
    with transaction.atomic():
        now = database_time()
        for name, each in found.items():
            if isinstance(each, Signed):
                time = datetime.fromtimestamp(each.time, UTC)
                signed.append(Cosignature(checkpoint=checkpoint, witness=name, line=each.line, time=time))
                outside.settle(name, None, now)
            else:
                outside.settle(name, each, now)
        Cosignature.objects.bulk_create(signed, ignore_conflicts=True)
    return len(signed)


def confirm() -> bool:
    """Ask everybody outside who is due; False, because it is to be tried again after a pause only.

    Raises PolicyError and OSError where the policy, or a certificate that it names, cannot be read."""
    try:
        round()
    finally:
        timestamping.stamp()
    return False
