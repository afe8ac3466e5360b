"""The key that signs checkpoints is exchanged by an entry that both keys sign."""

import os
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import CommandError, call_command

from audit import files, heads, keys, log, notes, rotation
from audit.models import Log
from audit.publishing import AT_ONCE, Publisher, publish
from tests.audit.publishers import append, installation, told, verifier

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None) -> Log:
    made = log.create_log(Log.Kind.WORKSPACE)
    append(made, 1)
    publish(made)
    return made


def test_checkpoints_are_signed_by_the_new_key_and_the_old_one_is_kept(row: Log) -> None:
    publisher = Publisher()
    publisher.round(AT_ONCE)
    before, old = verifier(row.origin), verifier(installation().origin)
    said = StringIO()
    call_command("rotate_checkpoint_key", stdout=said)
    assert str(verifier(installation().origin)) in said.getvalue()
    append(row, 1)
    (checkpoint, _) = publisher.round(AT_ONCE)
    note = notes.Note.parse(checkpoint.note)
    assert verifier(row.origin) != before
    assert note.signed_by(verifier(row.origin)) == 0
    assert note.signed_by(before) is None
    kept = keys.path_of(f"checkpoint-{old.key_id.hex()}.key")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not keys.path_of(rotation.NEXT).exists()


def test_the_entry_is_signed_by_both(row: Log) -> None:
    done = rotation.rotate(actor="system")
    (said,) = told("audit.key.rotated")
    old, new = notes.Verifier.parse(said["old"]), notes.Verifier.parse(said["new"])
    assert (old, new) == (done.old, done.new)
    text = rotation.statement(old, new).encode()
    for name, key in (("old", old), ("new", new)):
        Ed25519PublicKey.from_public_bytes(key.key).verify(bytes.fromhex(said["signatures"][name]), text)


@pytest.mark.parametrize("place", ["entry", "file"])
def test_what_a_crash_left_half_done_is_finished(
    row: Log, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*((heads, "save") if place == "entry" else (os, "replace")), crash)
    if place == "file":
        monkeypatch.setattr(files, "replace", lambda path, content: path.write_bytes(content))
    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(actor="system")
    monkeypatch.undo()
    new = rotation.signer(rotation.NEXT).verifier
    done = rotation.rotate(actor="system")
    assert done.new == new == verifier(installation().origin)
    assert len(told("audit.key.rotated")) == 1
    append(row, 1)
    assert publish(row) is not None


def test_there_is_nothing_to_exchange_before_anything_was_signed(db: None) -> None:
    with pytest.raises(CommandError, match="Nothing was signed yet"):
        call_command("rotate_checkpoint_key")


def test_a_key_that_did_not_sign_is_not_exchanged(row: Log) -> None:
    keys.path_of(keys.CHECKPOINT).unlink()
    with pytest.raises(CommandError, match="not the key that signed before"):
        call_command("rotate_checkpoint_key")
    keys.path_of(rotation.NEXT).unlink(missing_ok=True)
