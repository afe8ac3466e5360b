"""The publisher signs what was committed, once for each size, and halts a log that is not what it signed before."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import canonical, heads, keys, log, merkle, notes, proofs, publishing, tiles
from audit.models import Checkpoint, Entry, Head, Log, Tile, Worker
from audit.publishing import AT_ONCE, NoMemory, Publisher, WrongKey, publish
from tests.audit.publishers import append, append_elsewhere, installation, leaves, sizes, told, verifier

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None) -> Log:
    return log.create_log(Log.Kind.WORKSPACE)


def halted(row: Log) -> str:
    return Head.objects.get(log_id=row.pk).halted


def forge(row: Log, index: int) -> None:
    """Another body in an entry, with the leaf and the head that follow from it."""
    entry = Entry.objects.get(log=row, index=index)
    body = canonical.encode({"forged": True})
    Entry.objects.filter(pk=entry.pk).update(body=body, leaf=merkle.leaf_hash(body))
    frontier = merkle.Frontier()
    frontier.extend(leaves(row))
    Head.objects.filter(log_id=row.pk).update(size=frontier.size, frontier=frontier.encode())


def cut(row: Log, size: int) -> None:
    """The log as it was when it had this size: entries, tiles and checkpoints of later are gone."""
    Entry.objects.filter(log=row, index__gte=size).delete()
    Checkpoint.objects.filter(log=row, size__gt=size).delete()
    Tile.objects.filter(log=row).delete()
    growth = tiles.Growth()
    growth.extend(leaves(row))
    for place, hashes in growth.changed.items():
        Tile.objects.create(log=row, level=place.level, index=place.number, hashes=hashes)
    Head.objects.filter(log_id=row.pk).update(size=size, frontier=growth.frontier().encode())


def test_a_checkpoint_says_what_the_entries_say_and_is_signed(row: Log) -> None:
    append(row, 300)
    checkpoint = publish(row)
    assert checkpoint is not None
    note = notes.Note.parse(checkpoint.note)
    assert note.signed_by(verifier(row.origin)) == 0
    said = notes.Checkpoint.parse(note.text)
    assert (said.origin, said.size, said.root) == (row.origin, 300, merkle.root(leaves(row)))
    assert bytes(checkpoint.root) == said.root


def test_a_log_is_signed_when_it_grew_and_not_again(row: Log) -> None:
    assert publish(row) is None
    append(row, 1)
    assert publish(row) is not None
    assert publish(row) is None
    append(row, 2)
    assert publish(row) is not None
    assert sizes(row) == [1, 3]


def test_any_batching_gives_the_same_root_and_the_same_tiles() -> None:
    one, other = log.create_log(Log.Kind.WORKSPACE), log.create_log(Log.Kind.WORKSPACE)
    append(one, 700)
    bodies = Entry.objects.filter(log=one).order_by("index")
    for each in bodies:
        each.pk, each.log_id = None, other.pk
        each.save(force_insert=True)
    head = Head.objects.get(log_id=one.pk)
    publish(one)
    frontier = merkle.Frontier()
    for size in (1, 2, 255, 256, 300, 511, 700):
        frontier.extend(leaves(other)[frontier.size : size])
        Head.objects.filter(log_id=other.pk).update(size=size, frontier=frontier.encode())
        publish(other)
    assert sizes(other) == [1, 2, 255, 256, 300, 511, 700]
    assert frontier.encode() == bytes(head.frontier)
    roots = [bytes(Checkpoint.objects.get(log=each, size=700).root) for each in (one, other)]
    assert roots[0] == roots[1] == merkle.root(leaves(one))
    stored = [
        {(tile.level, tile.index): bytes(tile.hashes) for tile in Tile.objects.filter(log=each)}
        for each in (one, other)
    ]
    assert stored[0] == stored[1]


def test_every_checkpoint_of_a_workspace_is_an_entry_of_the_installation(row: Log) -> None:
    other = log.create_log(Log.Kind.WORKSPACE)
    append(row, 3)
    append(other, 5)
    published = Publisher().round(AT_ONCE)
    assert [each.log_id for each in published[:-1]] == [row.pk, other.pk]
    assert published[-1].log_id == installation().pk
    first, second = told("audit.checkpoint.published")
    assert (first["origin"], first["size"], second["size"]) == (row.origin, 3, 5)
    text = notes.Checkpoint(first["origin"], first["size"], bytes.fromhex(first["root"])).text
    assert f"{text}\n{first['signature']}\n" == published[0].note
    assert published[-1].size == log.newest(installation().pk)


def test_the_installations_own_checkpoint_makes_it_no_longer(row: Log) -> None:
    publisher = Publisher()
    append(row, 1)
    publisher.round(AT_ONCE)
    size = log.newest(installation().pk)
    assert publisher.round(AT_ONCE) == []
    assert log.newest(installation().pk) == size


def test_a_log_is_signed_at_most_once_a_second(row: Log) -> None:
    publisher = Publisher()
    append(row, 1)
    publisher.round()
    append(row, 1)
    assert publisher.round() == []
    Checkpoint.objects.update(time=log.database_time() - publishing.SPACING)
    assert [each.size for each in publisher.round() if each.log_id == row.pk] == [2]


def test_a_round_over_idle_logs_is_one_query(row: Log) -> None:
    for _ in range(20):
        append(log.create_log(Log.Kind.WORKSPACE), 1)
    publisher = Publisher()
    publisher.round(AT_ONCE)
    with CaptureQueriesContext(connection) as captured:
        assert publisher.round(AT_ONCE) == []
    assert len(captured) == 1


def test_what_was_remembered_and_not_stored_is_signed_after_all(
    row: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(row, 2)
    publish(row)
    append(row, 3)
    monkeypatch.setattr(keys, "signing_key", stopping_at_the_second_use(keys.signing_key))
    with pytest.raises(KeyboardInterrupt):
        publish(row)
    monkeypatch.undo()
    assert heads.read().lines[str(row.uuid)].size == 5
    assert sizes(row) == [2]
    append(row, 1)
    assert publish(row) is not None
    assert sizes(row) == [2, 6]
    assert halted(row) == ""


def stopping_at_the_second_use(signing_key):
    """The first use tells the public key, the second would sign: there the process ends."""
    uses = []

    def use(name: str):
        uses.append(name)
        if len(uses) > 1:
            raise KeyboardInterrupt
        return signing_key(name)

    use.cache_clear = signing_key.cache_clear  # type: ignore[attr-defined]
    return use


def test_a_log_that_lost_its_end_is_halted(row: Log) -> None:
    append(row, 10)
    publish(row)
    append(row, 10)
    publish(row)
    cut(row, 10)
    append_elsewhere(row, 3)
    assert publish(row) is None
    assert "13 entries, and 20 were signed" in halted(row)
    (entry,) = told("audit.log.halted")
    assert (entry["log"], entry["size"]) == (str(row.uuid), 13)
    assert sizes(row) == [10]


def test_a_backup_that_was_restored_with_its_checkpoints_is_halted_before_it_grows(row: Log) -> None:
    publisher = Publisher()
    for _ in range(2):
        append(row, 10)
        publisher.round(AT_ONCE)
    cut(row, 10)
    publisher.round(AT_ONCE)
    assert "10 entries, and 20 were signed" in halted(row)


def test_a_log_that_was_rewritten_is_halted(row: Log) -> None:
    append(row, 10)
    publish(row)
    forge(row, 4)
    append_elsewhere(row, 1)
    assert publish(row) is None
    assert "do not lead to its head's tree" in halted(row)


def test_a_log_that_was_rewritten_with_its_tiles_and_checkpoints_is_halted(row: Log) -> None:
    append(row, 10)
    publish(row)
    forge(row, 4)
    cut(row, 10)
    Checkpoint.objects.filter(log=row).delete()
    append_elsewhere(row, 1)
    assert publish(row) is None
    assert "first 10 entries are not those that were signed" in halted(row)


def test_another_root_for_a_size_that_was_signed_is_refused(row: Log) -> None:
    append(row, 10)
    publish(row)
    forge(row, 9)
    cut(row, 10)
    Checkpoint.objects.filter(log=row).delete()
    assert publish(row) is None
    assert halted(row)
    assert sizes(row) == []


def test_a_body_that_is_missing_halts_the_log(row: Log) -> None:
    append(row, 10)
    Entry.objects.filter(log=row, index=4).delete()
    assert publish(row) is None
    assert "Entries between 0 and 9 are missing." in halted(row)


def test_a_log_that_is_gone_is_told_once(row: Log) -> None:
    append(row, 2)
    publisher = Publisher()
    publisher.round(AT_ONCE)
    for model in (Entry, Checkpoint, Tile):
        model.objects.filter(log=row).delete()
    Head.objects.filter(log_id=row.pk).delete()
    publisher.round(AT_ONCE)
    Publisher().round(AT_ONCE)
    (entry,) = told("audit.log.missing")
    assert (entry["log"], entry["size"]) == (str(row.uuid), 2)


def test_a_fresh_installation_needs_no_ceremony(row: Log) -> None:
    append(row, 2)
    assert Publisher().round(AT_ONCE)
    assert halted(row) == ""


def test_without_the_file_every_log_that_was_signed_is_halted(row: Log) -> None:
    idle = log.create_log(Log.Kind.WORKSPACE)
    for each in (row, idle):
        append(each, 2)
    Publisher().round(AT_ONCE)
    heads.path().unlink()
    append(row, 1)
    Publisher().round(AT_ONCE)
    assert all("heads.json was lost" in halted(each) for each in (row, idle, installation()))
    Head.objects.update(halted="")  # as its administrator might
    append(row, 1)
    Publisher().round(AT_ONCE)
    assert "heads.json was lost" in halted(row)
    assert sizes(row) == [2]


def test_a_second_worker_without_the_file_waits_for_one_that_has_it(row: Log) -> None:
    append(row, 2)
    Publisher().round(AT_ONCE)
    file = heads.path().read_bytes()
    heads.path().unlink()
    append(row, 1)
    Worker.objects.create(name="elsewhere", started=log.database_time(), seen=log.database_time())
    second = Publisher()
    with pytest.raises(NoMemory, match="another worker runs"):
        second.round(AT_ONCE)
    assert (sizes(row), halted(row)) == ([2], "")
    second.started -= publishing.PATIENCE  # and nobody signed what grew meanwhile
    Checkpoint.objects.update(time=second.started)
    second.round(AT_ONCE)
    assert "heads.json was lost" in halted(row)
    heads.path().write_bytes(file)


def test_nothing_is_signed_with_another_key(row: Log) -> None:
    append(row, 2)
    publish(row)
    keys.path_of(keys.CHECKPOINT).unlink()
    append(row, 1)
    with pytest.raises(WrongKey, match="not the key that signed before"):
        publish(row)
    assert sizes(row) == [2]
    assert halted(row) == ""


def test_a_worker_that_works_once_publishes(row: Log) -> None:
    append(row, 2)
    call_command("work", "--once", "--quiet")
    assert sizes(row) == [2]


def test_a_log_far_behind_is_stored_in_steps(row: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.soundness.CHUNK", 100)
    monkeypatch.setattr("audit.soundness.MOST_TILES", 2)
    append(row, 1000)
    checkpoint = publish(row)
    assert checkpoint is not None
    assert bytes(checkpoint.root) == merkle.root(leaves(row)) == proofs.root(row.pk, 1000)
