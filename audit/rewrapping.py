"""Exchanging the installation's key: each log's key and each secret that a row holds is wrapped under a new one, and
Details stay as they are.

The new key is written beside the old one first, then the rows are changed in one transaction, then the files are named
anew. Interrupted anywhere, it goes on: a row is opened by whichever of the two keys fits. A process that runs meanwhile
keeps the old key, so none should.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.db import models

from audit import envelopes, files, keys, log, streams
from audit.models import DetailKey, Stream

NEXT = "installation.key.next"


@dataclass(frozen=True, slots=True)
class Secrets:
    """A column of secrets in rows that are configuration: which rows have one, how the seal and the entry name a row,
    the type of the entry, and in which log it stands."""

    column: str
    rows: Callable[[], models.QuerySet[Any]]
    label: Callable[[Any], bytes]
    log_of: Callable[[Any], int]
    type: str
    named: Callable[[Any], dict[str, Any]]  # more of the entry's parts


secrets = [
    Secrets(
        column="secret",
        rows=lambda: Stream.objects.exclude(secret=b""),
        label=streams.place_of,
        log_of=lambda stream: stream.log_id,
        type="audit.stream.changed",
        named=lambda stream: {"data": streams.naming(stream), "outcome": "rewrapped"},
    )
]


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
    sealed = [(kind, row) for kind in secrets for row in kind.rows().order_by("pk")]
    with log.write(*sorted({installation, *(kind.log_of(row) for kind, row in sealed)})) as entries:
        for row in DetailKey.objects.order_by("pk").iterator():
            key = envelopes.unwrap(bytes(row.wrapped), envelopes.LABEL, old, new)
            row.wrapped = envelopes.wrap(key, envelopes.LABEL, new)
            row.save(update_fields=["wrapped"])
            count += 1
        for kind, holder in sealed:
            rewrap_secret(kind, holder, entries, (old, new), actor=actor)
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


def rewrap_secret(
    kind: Secrets, holder: Any, entries: log.Writer, both: tuple[bytes, bytes], *, actor: str
) -> None:
    """Wrap one row's secret, which is under the old or the new of ``both`` keys, under the new, with its entry."""
    label = kind.label(holder)
    secret = envelopes.unwrap(bytes(getattr(holder, kind.column)), label, *both)
    setattr(holder, kind.column, envelopes.wrap(secret, label, both[1]))
    holder.save(update_fields=[kind.column])
    log_id = kind.log_of(holder)
    entries.record(kind.type, actor=actor, saved=[holder], log_id=log_id, **kind.named(holder))
