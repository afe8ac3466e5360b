"""Lets a time stamp authority (RFC 3161) say when the installation's newest checkpoint existed.

Optional: COUNTERSIGN_TIMESTAMP_URL. A time stamp is an anchor that nobody here can move: what was stamped cannot have
been written later. Stamped is the checkpoint's note as the installation signed it; kept is what the auditor's own
verifier accepts by the certificates that the policy file names.
"""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.db import transaction

from audit import calls, outside, verify
from audit.log import database_time
from audit.models import Timestamp
from audit.outside import Failure

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
# TimeStampReq in DER around the 32 bytes of a SHA-256: version 1; no nonce, as an older stamp of the same note is as
# good; the authority's certificates are wanted.
BEFORE_HASH = bytes.fromhex("3039 020101 3031 300d 0609 608648016503040201 0500 0420")
AFTER_HASH = bytes.fromhex("0101ff")
GRANTED = (0, 1)  # PKIStatus: as asked, or with changes


class Unstamped(Exception):
    """The authority gave no time stamp that can be kept; the message says why."""


def stamp() -> Timestamp | None:
    """Have the newest checkpoint stamped, unless it is, or one was within COUNTERSIGN_TIMESTAMP_INTERVAL.

    Raises PolicyError and OSError where the policy or its certificates cannot be read."""
    checkpoint = outside.newest() if settings.TIMESTAMP_URL else None
    if checkpoint is None:
        return None
    authority = outside.authority()
    if checkpoint.timestamps.filter(authority=authority).exists() or not outside.claim([authority]):
        return None
    trusted = certificates()
    try:
        token, time = ask(checkpoint.note.encode(), trusted)
    except (Unstamped, calls.Unreachable) as error:
        outside.settle(authority, Failure(str(error)), database_time())
        return None
    with transaction.atomic():
        outside.settle(authority, None, database_time(), pause=settings.TIMESTAMP_INTERVAL)
        return Timestamp.objects.create(checkpoint=checkpoint, authority=authority, token=token, time=time)


def ask(note: bytes, trusted: list[x509.Certificate]) -> tuple[bytes, datetime]:
    """The authority's answer in DER, judged, and the time in it. Raises Unstamped and Unreachable."""
    if not trusted:
        raise Unstamped("The trust policy names no certificate of the authority: add a line `tsa <file>`.")
    answer = calls.post(settings.TIMESTAMP_URL, BEFORE_HASH + sha256(note).digest() + AFTER_HASH, QUERY)
    if answer.status != 200 or answer.kind.partition(";")[0].strip().lower() != REPLY:
        raise Unstamped(
            f"It answered {answer.status}, {answer.kind or 'without a type'}; not with a time stamp."
        )
    try:
        status = int.from_bytes(verify.Der.read(answer.body).parts()[0].parts()[0].content, "big")
        if status not in GRANTED:
            raise Unstamped(f"It refused, with status {status}.")
        time = datetime.strptime(verify.stamped_at(answer.body, note, trusted), "%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, IndexError) as error:
        raise Unstamped(f"What it answered is no time stamp that can be trusted: {error}") from error
    return answer.body, time.replace(tzinfo=UTC)


def certificates() -> list[x509.Certificate]:
    """Those of the policy file's ``tsa`` lines. Raises PolicyError and OSError."""
    policy = outside.policy()
    folder = Path(settings.WITNESS_POLICY).parent
    found: list[x509.Certificate] = []
    for path in policy.authorities if policy else ():
        try:
            found += x509.load_pem_x509_certificates((folder / path).read_bytes())
        except ValueError as error:
            raise OSError(f"{folder / path} holds no certificates in PEM: {error}") from error
    return found
