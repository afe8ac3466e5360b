"""Exchanging the key that signs checkpoints: an entry of the installation's log, signed by the old key and the new one.

The new key waits beside the old one until the entry is there and ``heads.json`` names it. After a crash in between,
``rotate`` goes on where it was.
"""

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import files, heads, keys, log, notes
from audit.kinds import ROTATED
from audit.models import Entry, Log

NEXT = "checkpoint.next.key"


class NothingToRotate(RuntimeError):
    """No checkpoint was signed yet, or by another key than the file's."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Both public keys under the installation's name, and where the old private key is now."""

    old: notes.Verifier
    new: notes.Verifier
    kept: str


def rotate(*, actor: str) -> Rotation:
    """Make a new key, tell of it, and have the publisher sign with it from now on. Raises NothingToRotate."""
    with heads.held() as held:
        keys.forget()
        if not held.found:
            raise NothingToRotate("Nothing was signed yet; start the worker first.")
        old, new = signer(keys.CHECKPOINT), signer(NEXT)
        if held.key not in (old.verifier.key.hex(), new.verifier.key.hex()):
            raise NothingToRotate(f"{keys.CHECKPOINT} is not the key that signed before; restore it first.")
        if not is_told(new.verifier):
            tell(old, new, actor=actor)
        kept = keys.path_of(f"checkpoint-{old.verifier.key_id.hex()}.key")
        if not kept.exists():
            os.link(keys.path_of(keys.CHECKPOINT), kept)
        held.key = new.verifier.key.hex()
        heads.save(held)
        os.replace(keys.path_of(NEXT), keys.path_of(keys.CHECKPOINT))
        files.sync_folder(kept.parent)
        keys.forget()
    return Rotation(old.verifier, new.verifier, kept.name)


def statement(old: notes.Verifier, new: notes.Verifier) -> str:
    """What both keys sign."""
    return f"countersign key rotation\n{old}\n{new}\n"


def tell(old: notes.Signer, new: notes.Signer, *, actor: str) -> None:
    """The entry."""
    text = statement(old.verifier, new.verifier).encode()
    signatures = {name: each.private.sign(text).hex() for name, each in (("old", old), ("new", new))}
    with log.write(log.installation_log_id()) as entries:
        entries.append(
            ROTATED,
            actor=actor,
            data={"old": str(old.verifier), "new": str(new.verifier), "signatures": signatures},
        )


def is_told(new: notes.Verifier) -> bool:
    """Whether the newest entry of a rotation, which a crash may have left alone, is of this key."""
    rows = Entry.objects.filter(log_id=log.installation_log_id(), type=ROTATED).order_by("-index")
    body = rows.values_list("body", flat=True).first()
    return body is not None and str(new).encode() in bytes(body)


def signer(name: str) -> notes.Signer:
    """The key of a file under the installation's name."""
    origin = Log.objects.values_list("origin", flat=True).get(kind=Log.Kind.INSTALLATION)
    private: Ed25519PrivateKey = keys.signing_key(name)
    return notes.Signer(origin, private)
