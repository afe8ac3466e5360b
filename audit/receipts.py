"""Receipts: what the gate signs after a commit, so that whoever was answered holds proof of the record.

A receipt names an entry's index and leaf, and holds a signed note of origin, size and root of the log right after the
commit (a checkpoint's text, signed by the gate's own key). A log that later lacks the entry contradicts it. One
signature serves a whole batch. The key is not the publisher's: a gate that was taken over can sign no checkpoints.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from audit import keys, merkle
from audit.notes import Checkpoint, Signer, sign


def name() -> str:
    """What receipts are signed as: ``<host>/receipts``."""
    return f"{urlsplit(settings.PUBLIC_URL).netloc}/receipts"


@lru_cache(1)
def signer() -> Signer:
    """The gate's key under its name. Raises keys.BadKeyFile, which belongs before the commit."""
    return Signer(name(), keys.signing_key(keys.RECEIPT))


def signed(signer: Signer, origin: str, tree: merkle.Frontier) -> str:
    """The note of a log's head: origin, size and root, with the gate's signature. Call it after the commit."""
    return sign(Checkpoint(origin, tree.size, tree.root()).text, [signer])
