"""A log that was halted goes on as a new epoch that names what was signed before; nobody is spared to notice."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit import adoption, heads, keys, log, merkle, notes, proofs, watermarks
from audit.details import read_detail
from audit.models import Checkpoint, Entry, Head, Log
from audit.publishing import AT_ONCE, Publisher, publish
from audit.watermarks import Halted
from tests.audit.publishers import append, installation, leaves, sizes, told, verifier
from tests.audit.test_publishing import cut, forge, halted
from tests.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None) -> Log:
    return log.create_log(Log.Kind.WORKSPACE)


def restored(row: Log) -> Checkpoint:
    """A log of which 20 entries were signed, as yesterday's backup has it, with 10; the checkpoint that is gone."""
    append(row, 10)
    publish(row)
    append(row, 10)
    checkpoint = publish(row)
    assert checkpoint is not None
    cut(row, 10)
    publish(row)
    assert halted(row)
    return checkpoint


def test_a_restored_log_goes_on_in_a_new_epoch_that_names_the_old_head(row: Log) -> None:
    signed = restored(row)
    with pytest.raises(Halted):
        append(row, 1)
    adopted = adoption.adopt(row, reason="The disk failed.", actor="system")
    assert (adopted.epoch, adopted.origin, adopted.size) == (1, f"{row.origin}/1", 10)
    entry = Entry.objects.get(log=row, index=10)
    said = json.loads(bytes(entry.body))["data"]
    assert said["before"] == {"epoch": 0, "size": 20, "root": bytes(signed.root).hex()}
    assert read_detail(row.pk, 10) == {"reason": "The disk failed."}
    assert told("audit.log.adopted") == [said]
    append(row, 1)
    checkpoint = publish(Log.objects.get(pk=row.pk))
    assert checkpoint is not None
    assert (checkpoint.epoch, checkpoint.size) == (1, 12)
    note = notes.Note.parse(checkpoint.note)
    assert note.signed_by(verifier(f"{row.origin}/1")) == 0
    assert note.signed_by(verifier(row.origin)) is None
    assert proofs.root(row.pk, 12) == merkle.root(leaves(row))


def test_a_rewritten_log_can_be_adopted_too_and_its_tree_is_computed_anew(row: Log) -> None:
    append(row, 300)
    publish(row)
    forge(row, 4)
    Head.objects.filter(log_id=row.pk).update(halted="It was changed.")
    adoption.adopt(row, reason="x", actor="system")
    publish(Log.objects.get(pk=row.pk))
    assert sizes(row) == [300, 301]
    assert proofs.root(row.pk, 301) == merkle.root(leaves(row))


def test_processes_that_saw_the_old_epoch_go_on_with_the_new_one(row: Log) -> None:
    restored(row)
    mark = watermarks.Mark(0, 20, b"\1" * 64, refused="It is shorter.")
    watermarks.marks[str(row.uuid)] = mark
    adoption.adopt(row, reason="x", actor="system")
    append(row, 1)
    watermarks.marks.clear()


def test_an_epoch_that_nobody_adopted_is_no_way_round(row: Log) -> None:
    restored(row)
    Log.objects.filter(pk=row.pk).update(epoch=1)
    Head.objects.filter(log_id=row.pk).update(halted="")
    append(row, 1)
    assert publish(Log.objects.get(pk=row.pk)) is None
    assert "epoch 1, and was in epoch 0" in halted(row)


def test_a_log_with_a_hole_cannot_go_on(row: Log) -> None:
    append(row, 10)
    Entry.objects.filter(log=row, index=4).delete()
    with pytest.raises(adoption.NotAdoptable, match="Entry 4 is missing"):
        adoption.adopt(row, reason="x", actor="system")
    assert Log.objects.get(pk=row.pk).epoch == 0


def test_leaves_of_pruned_entries_are_taken_from_the_tiles(row: Log) -> None:
    append(row, 600)
    publish(row)
    root = proofs.root(row.pk, 600)
    Entry.objects.filter(log=row, index__lt=580).delete()
    Head.objects.filter(log_id=row.pk).update(halted="Somebody is to look.")
    adopted = adoption.adopt(row, reason="x", actor="system")
    assert (adopted.size, adopted.root) == (600, root)


def test_after_the_file_was_lost_each_log_is_adopted_by_itself(cast: Cast) -> None:
    Publisher().round(AT_ONCE)
    heads.path().unlink()
    said = StringIO()
    call_command("log_adopt", "--workspace", "acme", "--reason", "The volume is gone.", stdout=said)
    assert f"epoch {cast.acme.log.origin} 1" in said.getvalue()
    assert halted(cast.acme.log) == ""
    assert "heads.json was lost" in halted(cast.globex.log)
    assert "heads.json was lost" in halted(installation())
    call_command("log_adopt", "--installation", "--reason", "The volume is gone.", stdout=said)
    Publisher().round(AT_ONCE)
    newest = Checkpoint.objects.filter(epoch=1).values_list("log_id", flat=True)
    assert set(newest) == {cast.acme.log_id, installation().pk}


def test_the_command_wants_a_reason_and_a_log_that_there_is(cast: Cast) -> None:
    with pytest.raises(CommandError, match="Say why"):
        call_command("log_adopt", "--workspace", "acme", "--reason", " ")
    with pytest.raises(CommandError, match="no such log"):
        call_command("log_adopt", "--workspace", "nowhere", "--reason", "x")
    with pytest.raises(CommandError, match="no such log"):
        call_command("log_adopt", "--log", "00000000-0000-0000-0000-000000000000", "--reason", "x")


def test_the_key_of_another_installation_adopts_nothing(row: Log) -> None:
    append(row, 2)
    publish(row)
    keys.path_of(keys.CHECKPOINT).unlink()
    with pytest.raises(CommandError, match="not the key that signed before"):
        call_command("log_adopt", "--log", str(row.uuid), "--reason", "x")


def test_a_log_that_is_what_was_signed_is_not_adopted(row: Log) -> None:
    append(row, 3)
    publish(row)
    with pytest.raises(adoption.NotAdoptable, match="there is nothing to adopt"):
        adoption.adopt(row, reason="by mistake", actor="system")
    row.refresh_from_db()
    assert row.epoch == 0
