"""Whose key this is, and whether it asks too often. Whether the key is still good is judged under the lock."""

import hashlib
import hmac
import time
from collections import OrderedDict
from dataclasses import dataclass

from django.db import Error, connection

from governance.requests import Caller, Problem
from workspaces.identifiers import key_prefix
from workspaces.models import AgentKey

REMEMBERED = 20_000
NOTE_SECONDS = 60

NO_KEY = Problem(
    401, "missing_key", "Send the agent's key: Authorization: Bearer csk_…; its owner finds it in the portal."
)
MALFORMED_KEY = Problem(
    401,
    "unknown_key",
    "This is no complete key of ours; check that it was pasted whole, csk_ and 46 characters.",
)
UNKNOWN_KEY = Problem(
    401, "unknown_key", "No agent has this key; check that it belongs to this installation."
)
TOO_OFTEN = Problem(429, "too_many_requests", "This key asks too often; wait a moment, then go on slower.")


@dataclass(slots=True)
class Bucket:
    """A token bucket, and how many requests it turned away since the last note in the log."""

    tokens: float
    at: float
    refused: int = 0
    noted: float = 0.0


class Callers:
    """Known keys of this process. A key belongs to its agent for ever, so that may be remembered."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self.known: OrderedDict[bytes, Caller] = OrderedDict()
        self.buckets: OrderedDict[bytes, Bucket] = OrderedDict()

    def remembered(self, digest: bytes) -> Caller | None:
        """The caller of a key by its SHA-256, if this process met it before."""
        return self.known.get(digest)

    def remember(self, caller: Caller) -> None:
        self.known[caller.digest] = caller
        if len(self.known) > REMEMBERED:
            self.known.popitem(last=False)

    def forget(self) -> None:
        self.known.clear()
        self.buckets.clear()

    def take(self, caller: Caller, cost: int = 1) -> bool:
        """Take tokens of the caller's bucket; False when it has not so many, nor is full."""
        now = time.monotonic()
        bucket = self.buckets.get(caller.digest)
        if bucket is None:
            bucket = self.buckets[caller.digest] = Bucket(self.burst, now)
            if len(self.buckets) > REMEMBERED:
                self.buckets.popitem(last=False)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.rate)
        bucket.at = now
        if bucket.tokens < min(cost, self.burst):
            bucket.refused += 1
            return False
        bucket.tokens -= cost
        return True

    def to_note(self, caller: Caller) -> int:
        """How many requests to note in the log now: at most one note a minute and key, 0 otherwise."""
        bucket = self.buckets.get(caller.digest)
        now = time.monotonic()
        if bucket is None or not bucket.refused or now - bucket.noted < NOTE_SECONDS:
            return 0
        count, bucket.refused, bucket.noted = bucket.refused, 0, now
        return count


def digest_of(header: bytes) -> bytes | None:
    """SHA-256 of the key in an Authorization header, None where there is no bearer token."""
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        return None
    return hashlib.sha256(token.strip()).digest()


def find(header: bytes) -> Caller | Problem:
    """Look a key up in the database. The calling thread keeps its connection, unless that failed: one that the
    database has ended is made anew and tried once more."""
    token = header.partition(b" ")[2].strip().decode("latin-1")
    prefix = key_prefix(token)
    if prefix is None:
        return MALFORMED_KEY
    try:
        row = owner_of(prefix)
    except Error:
        connection.close()
        try:
            row = owner_of(prefix)
        except Error:
            connection.close()
            raise
    if row is None:
        return UNKNOWN_KEY
    agent_id, log_id, kept = row
    digest = hashlib.sha256(token.encode()).digest()
    # A key's hash never changes: who knows only how it begins neither gets as far as the log's lock, nor is
    # remembered in the place of somebody who has a key.
    if not hmac.compare_digest(kept, digest):
        return UNKNOWN_KEY
    return Caller(log_id=log_id, agent_id=agent_id, prefix=prefix, digest=digest)


def owner_of(prefix: str) -> tuple[int, int, bytes] | None:
    """Agent id, log id and hash of the key that begins like this."""
    rows = AgentKey.objects.filter(prefix=prefix)
    row = rows.values_list("agent_id", "agent__workspace__log_id", "digest").first()
    return (row[0], row[1], bytes(row[2])) if row else None
