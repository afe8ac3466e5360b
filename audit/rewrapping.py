"""Exchanging the installation's key: each log's key and each stream's secret is wrapped under a new one, and Details
stay as they are.

The new key is written beside the old one first, then the rows are changed in one transaction, then the files are named
anew. Interrupted anywhere, it goes on: a row is opened by whichever of the two keys fits. A process that runs meanwhile
keeps the old key, so none should.
"""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from audit import envelopes, files, keys, log, streams
from audit.models import DetailKey, Stream

NEXT = "installation.key.next"


@dataclass(frozen=True, slots=True)
class Done:
    """How many keys were wrapped anew, and where the old key is."""

    keys: int
    old: Path


def rewrap(*, actor: str) -> Done:
    """Exchange the key. Raises SealedOtherwise where a row was wrapped under neither."""
    current, following = keys.path_of(keys.INSTALLATION), keys.path_of(NEXT)
    old = keys.wrapping_key()
    if not following.exists():
        files.create(following, os.urandom(keys.WRAPPING_BYTES).hex().encode() + b"\n")
    new = bytes.fromhex(following.read_text().strip())
    count = 0
    installation = log.installation_log_id()
    sealed = list(Stream.objects.exclude(secret=b"").order_by("pk"))
    with log.write(*sorted({installation, *(stream.log_id for stream in sealed)})) as entries:
        for row in DetailKey.objects.order_by("pk").iterator():
            key = envelopes.unwrap(bytes(row.wrapped), envelopes.LABEL, old, new)
            row.wrapped = envelopes.wrap(key, envelopes.LABEL, new)
            row.save(update_fields=["wrapped"])
            count += 1
        for stream in sealed:
            label = streams.place_of(stream)
            stream.secret = envelopes.wrap(
                envelopes.unwrap(bytes(stream.secret), label, old, new), label, new
            )
            stream.save(update_fields=["secret"])
            entries.record(
                "audit.stream.changed",
                actor=actor,
                saved=[stream],
                outcome="rewrapped",
                data=streams.naming(stream),
                log_id=stream.log_id,
            )
            count += 1
        entries.append("audit.key.rewrapped", actor=actor, data={"keys": count}, log_id=installation)
    aside = current.with_name(f"installation-{sha256(old).hexdigest()[:8]}.key")
    if not aside.exists():
        os.link(current, aside)
    following.replace(current)
    files.sync_folder(current.parent)
    keys.forget()
    envelopes.key_of.cache_clear()
    return Done(count, aside)
