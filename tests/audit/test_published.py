"""verify_log compares what was published with the entries, and names what does not fit."""

import json

import pytest

from audit import heads, log, merkle, rotation
from audit.models import Checkpoint, Entry, Head, Log, Tile
from audit.publishing import publish
from audit.verification import verify
from tests.audit.publishers import append
from tests.audit.test_publishing import cut, forge

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None) -> Log:
    """A log with checkpoints over 100, 500 and 600 entries, and three entries more."""
    made = log.create_log(Log.Kind.WORKSPACE)
    for count in (100, 400, 100):
        append(made, count)
        publish(made)
    append(made, 3)
    return made


def found(row: Log) -> list[str]:
    return [finding.code for finding in verify(row).findings]


def messages(row: Log) -> str:
    return "\n".join(finding.message for finding in verify(row).findings)


def test_what_was_published_of_an_honest_log_fits(row: Log) -> None:
    assert found(row) == []


def test_a_changed_tile_is_named(row: Log) -> None:
    tile = Tile.objects.get(log=row, level=0, index=1)
    hashes = bytearray(tile.hashes)
    hashes[77] ^= 1
    Tile.objects.filter(pk=tile.pk).update(hashes=bytes(hashes))
    assert found(row) == ["tile"]
    assert "The tile 0/001 is not what the entries lead to" in messages(row)


@pytest.mark.parametrize(("level", "number"), [(0, 0), (0, 2), (1, 0)])
def test_a_missing_tile_is_named(row: Log, level: int, number: int) -> None:
    Tile.objects.filter(log=row, level=level, index=number).delete()
    assert "is missing, or cut" in messages(row)


def test_a_checkpoint_of_another_root_is_found(row: Log) -> None:
    Checkpoint.objects.filter(log=row, size=500).update(root=b"\1" * 32)
    assert "The checkpoint over 500 entries has another root" in messages(row)


def test_a_note_that_says_something_else_is_found(row: Log) -> None:
    other = Checkpoint.objects.get(log=row, size=100)
    Checkpoint.objects.filter(log=row, size=500).update(note=other.note)
    assert "The note of the checkpoint over 500 entries says something else" in messages(row)


def test_a_note_that_was_not_signed_here_is_found(row: Log) -> None:
    checkpoint = Checkpoint.objects.get(log=row, size=500)
    text = checkpoint.note.partition("\n\n")[0] + "\n"
    Checkpoint.objects.filter(pk=checkpoint.pk).update(note=f"{text}\n— nobody AAAAAAA=\n")
    assert "over 500 entries is not signed by a key of this installation" in messages(row)
    Checkpoint.objects.filter(pk=checkpoint.pk).update(note="nothing")
    assert "over 500 entries cannot be read" in messages(row)


def test_a_log_that_was_rewritten_from_end_to_end_is_found_by_the_file(row: Log) -> None:
    forge(row, 4)
    cut(row, 603)
    Checkpoint.objects.filter(log=row).delete()
    assert "heads_file" in found(row)
    assert "The first 600 entries are not those of which heads.json holds the root" in messages(row)


def test_a_log_that_lost_its_end_with_everything_is_found_by_the_file(row: Log) -> None:
    cut(row, 500)
    assert "The log has 500 entries, and 600 were signed" in messages(row)


def test_without_the_file_the_stored_checkpoints_tell_it(row: Log) -> None:
    heads.path().unlink()
    Entry.objects.filter(log=row, index__gte=550).delete()
    frontier = merkle.Frontier()
    leaves = Entry.objects.filter(log=row).order_by("index").values_list("leaf", flat=True)
    frontier.extend([bytes(leaf) for leaf in leaves])
    Head.objects.filter(log_id=row.pk).update(size=550, frontier=frontier.encode())
    assert "The log has 550 entries, and 600 were signed" in messages(row)


def test_checkpoints_from_before_a_rotation_are_still_signed(row: Log) -> None:
    rotation.rotate(actor="system")
    append(row, 1)
    publish(row)
    assert found(row) == []


def test_a_file_that_cannot_be_read_and_another_epoch_are_told(row: Log) -> None:
    document = json.loads(heads.path().read_bytes())
    document["logs"][str(row.uuid)]["epoch"] = 3
    heads.path().write_text(json.dumps(document))
    assert "in epoch 0, and heads.json knows 3" in messages(row)
    heads.path().write_text("[]")
    assert "is not what the publisher wrote" in messages(row)
