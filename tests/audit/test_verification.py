"""A stored log verifies as long as nobody touched it; whatever was touched is found, and named."""

import hashlib
import json
import threading
from typing import Any

import pytest
from django.db import connection, connections, models

from audit import canonical, log, merkle, registry
from audit.absences import ERASED
from audit.findings import MOST_FINDINGS, Finding, Report
from audit.log import create_log
from audit.models import Detail, Entry, Head, Log
from audit.verification import one_moment, verify
from tests.details import content_of, sealed

pytestmark = pytest.mark.django_db

TYPE = "workspaces.link.created"
SIZE = 40


@pytest.fixture
def honest(db: None) -> Log:
    """A log of 40 entries, every fourth with a Detail, written three a transaction."""
    row = create_log(Log.Kind.WORKSPACE)
    for start in range(0, SIZE, 3):
        with log.write(row.pk) as entries:
            for number in range(start, min(start + 3, SIZE)):
                detail = {"comment": f"number {number}", "person": {"name": "Ann"}}
                entries.append(
                    TYPE,
                    actor="system",
                    tool="t" * 300,
                    data={"number": number},
                    detail=detail if number % 4 == 0 else None,
                )
    return row


def change(model: type[models.Model], row: Log, index: int, **columns: Any) -> None:
    """Set columns of one stored row, as somebody with the database's password would."""
    sets = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE {model._meta.db_table} SET {sets} WHERE log_id = %s AND "index" = %s',
            [*columns.values(), row.pk, index],
        )
        assert cursor.rowcount == 1


def entry(row: Log, index: int) -> Entry:
    return Entry.objects.get(log=row, index=index)


def rehash(row: Log, up_to: int | None = None) -> None:
    """Make leaves and head fit the bodies again, as a careful forger does."""
    leaves = []
    for each in Entry.objects.filter(log=row).order_by("index"):
        leaf = merkle.leaf_hash(bytes(each.body))
        change(Entry, row, each.index, leaf=leaf)
        leaves.append(leaf)
    frontier = merkle.Frontier()
    frontier.extend(leaves[:up_to])
    Head.objects.filter(log_id=row.pk).update(size=frontier.size, frontier=frontier.encode())


def rewrite(row: Log, index: int, /, **fields: Any) -> None:
    """Put another body into an entry, and the hashes that follow from it."""
    body = json.loads(bytes(entry(row, index).body)) | fields
    change(Entry, row, index, body=canonical.encode(body))
    rehash(row)


def found(row: Log) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.index) for finding in verify(row).findings]


def message(row: Log) -> str:
    (finding,) = verify(row).findings
    return finding.message


def test_an_honest_log_is_intact(honest: Log) -> None:
    report = verify(honest)
    assert report.intact
    assert (report.entries, report.details, report.erased) == (SIZE, 10, 0)
    leaves = [bytes(each.leaf) for each in Entry.objects.filter(log=honest).order_by("index")]
    assert report.root == merkle.root(leaves)


def test_an_empty_log_is_intact(db: None) -> None:
    report = verify(create_log(Log.Kind.WORKSPACE))
    assert report.intact
    assert report.root == merkle.EMPTY_ROOT


@pytest.mark.parametrize("index", [0, 17, SIZE - 1])
def test_a_flipped_byte_in_a_body_is_named(honest: Log, index: int) -> None:
    body = bytearray(entry(honest, index).body)
    body[body.index(b'"rand":"') + 8] ^= 1
    change(Entry, honest, index, body=bytes(body))
    assert found(honest) == [("leaf", index)]
    assert "does not hash to its leaf" in message(honest)


def test_a_flipped_byte_in_a_leaf_is_named(honest: Log) -> None:
    leaf = bytearray(entry(honest, 17).leaf)
    leaf[3] ^= 1
    change(Entry, honest, 17, leaf=bytes(leaf))
    assert found(honest) == [("leaf", 17), ("head_tree", None)]


def test_a_body_with_its_leaf_recomputed_is_narrowed_down_to_a_subtree(honest: Log) -> None:
    body = json.loads(bytes(entry(honest, 35).body)) | {"data": {"number": 0}}
    content = canonical.encode(body)
    change(Entry, honest, 35, body=content, leaf=merkle.leaf_hash(content))
    assert found(honest) == [("head_tree", None)]
    assert "one of the entries 32 to 39 was changed" in message(honest)


def test_swapped_bodies_are_named(honest: Log) -> None:
    one, other = entry(honest, 5), entry(honest, 9)
    change(Entry, honest, 5, body=bytes(other.body), leaf=bytes(other.leaf))
    change(Entry, honest, 9, body=bytes(one.body), leaf=bytes(one.leaf))
    assert ("columns", 5) in found(honest)
    assert ("columns", 9) in found(honest)
    assert verify(honest).first_bad == 5
    assert "says that it is entry 9" in verify(honest).findings[0].message


@pytest.mark.parametrize(("gone", "expected"), [([0], 0), ([17], 17), ([17, 18, 19], 17), ([39], 39)])
def test_deleted_entries_are_named(honest: Log, gone: list[int], expected: int) -> None:
    Detail.objects.filter(log=honest, index__in=gone).delete()
    Entry.objects.filter(log=honest, index__in=gone).delete()
    assert found(honest) == [("missing", expected)]


def test_a_deleted_tail_is_named(honest: Log) -> None:
    Detail.objects.filter(log=honest, index__gte=30).delete()
    Entry.objects.filter(log=honest, index__gte=30).delete()
    assert found(honest) == [("missing", 30)]
    assert "its head counts 40 entries" in message(honest)


def test_entries_that_the_head_does_not_count_are_named(honest: Log) -> None:
    rehash(honest, up_to=38)
    assert found(honest) == [("beyond_head", 38)]


def test_an_entry_before_the_first_is_named(honest: Log) -> None:
    copy = entry(honest, 3)
    copy.pk, copy.index = None, -1
    copy.save()
    assert ("index", -1) in found(honest)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("type", "workspaces.list.changed"), ("actor", "cli:root"), ("agent", "agt_1"), ("tool", "t" * 199),
        ("resource", "res_1"), ("outcome", "granted"), ("session", "run-1"), ("time", "2030-01-01 00:00:00"),
    ],
)  # fmt: skip
def test_a_column_that_disagrees_with_the_body_is_named(honest: Log, column: str, value: str) -> None:
    change(Entry, honest, 17, **{column: value})
    assert found(honest) == [("columns", 17)]
    assert f"on {column}." in message(honest)


@pytest.mark.parametrize(
    "raw",
    [
        b"no JSON", b"[]", b"\xff", b'{"v":1}', b'{"v":2}', b"{}", b'{"v":1,"v":1}', b"null",
        b"[" * 100_000, b'{"v":1e999}',
    ],
)  # fmt: skip
def test_what_is_no_body_is_named_and_stops_nothing(honest: Log, raw: bytes) -> None:
    change(Entry, honest, 17, body=raw)
    rehash(honest)
    assert ("body", 17) in found(honest)
    assert verify(honest).entries == SIZE


@pytest.mark.parametrize(
    "fields",
    [
        {"index": "17"}, {"index": True}, {"data": []}, {"data": {"rows": 5}}, {"detail": "x"}, {"rand": 7},
        {"detail": {"comment": 5}}, {"tool": None}, {"time": 5}, {"more": 1}, {"v": True},
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(honest: Log, fields: dict[str, Any]) -> None:
    rewrite(honest, 17, **fields)
    assert ("body", 17) in found(honest)


@pytest.mark.parametrize("spoil", [b" ", b"\n"])
def test_json_that_is_not_canonical_is_named(honest: Log, spoil: bytes) -> None:
    change(Entry, honest, 17, body=bytes(entry(honest, 17).body) + spoil)
    rehash(honest)
    assert found(honest) == [("body", 17)]
    assert "canonical" in message(honest)


def test_a_body_of_another_log_is_named(honest: Log) -> None:
    other = create_log(Log.Kind.WORKSPACE)
    rewrite(honest, 17, log=str(other.uuid))
    assert found(honest) == [("columns", 17)]
    assert str(other.uuid) in message(honest)


def test_time_that_goes_back_is_named(honest: Log) -> None:
    rewrite(honest, 17, time="2001-01-01T00:00:00.000000Z")
    change(Entry, honest, 17, time="2001-01-01 00:00:00")
    assert found(honest) == [("time", 17)]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("frontier", b"\x00" * 64, "head_tree"),
        ("frontier", b"\x00" * 32, "head_tree"),
        ("revision", 7, "head_revision"),
        ("time", "2030-01-01 00:00:00+00:00", "head_time"),
    ],
)
def test_a_changed_head_is_found(honest: Log, column: str, value: Any, code: str) -> None:
    Head.objects.filter(log_id=honest.pk).update(**{column: value})
    assert found(honest) == [(code, None)]


def test_a_head_that_is_gone_is_found(honest: Log) -> None:
    Head.objects.filter(log_id=honest.pk).delete()
    assert ("head", None) in found(honest)


def tell_of_erasure(row: Log, erased: dict[str, Any]) -> None:
    with log.write(row.pk) as entries:
        entries.append(ERASED, actor="system", data={"erased": erased})


def test_an_erased_detail_is_counted_and_is_no_finding(honest: Log) -> None:
    Detail.objects.filter(log=honest, index__in=[4, 8]).delete()
    content = content_of(honest.pk, 12)
    del content["comment"]
    change(Detail, honest, 12, content=sealed(honest.pk, 12, content))
    assert found(honest) == [("detail_erased", 4), ("detail_erased", 8), ("detail_erased", 12)]
    tell_of_erasure(honest, {"comment": [[4, 4], [8, 12]], "person": [[4, 8]]})
    report = verify(honest)
    assert report.intact
    assert (report.details, report.erased) == (8, 3)


def spoiled(content: dict[str, Any], field: str, **sealed: Any) -> bytes:
    return canonical.encode(content | {field: content.get(field, {}) | sealed})


def test_an_edited_detail_is_named(honest: Log) -> None:
    content = content_of(honest.pk, 8)
    salt = content["comment"]["salt"]
    for bad in (
        spoiled(content, "comment", value="another"),
        spoiled(content, "comment", salt="00" * 32),
        spoiled(content, "comment", salt=salt + "00"),  # the same HMAC key
        spoiled(content, "comment", salt="no hex"),
        spoiled(content, "comment", salt=5),
        spoiled(content, "comment", more=1),
        canonical.encode(content | {"comment": 5}),
        b"[]",
        b"no JSON",
    ):
        change(Detail, honest, 8, content=sealed(honest.pk, 8, bad))
        assert found(honest) == [("detail", 8)]


def test_a_detail_that_nothing_commits_to_is_named(honest: Log) -> None:
    content = content_of(honest.pk, 8)
    planted = spoiled(content, "reason", value="planted", salt="00" * 32)
    change(Detail, honest, 8, content=sealed(honest.pk, 8, planted))
    assert found(honest) == [("detail_uncommitted", 8)]
    Detail.objects.filter(log=honest, index=8).delete()
    Detail.objects.create(log=honest, index=9, content=sealed(honest.pk, 9, content))
    assert found(honest) == [*[("detail_uncommitted", 9)] * 2, ("detail_erased", 8)]


def test_details_without_an_entry_are_named(honest: Log) -> None:
    for index in (-1, SIZE, SIZE + 5):
        Detail.objects.create(log=honest, index=index, content=b"{}")
    assert found(honest) == [("detail_orphan", index) for index in (-1, SIZE, SIZE + 5)]


def test_the_revision_follows_from_the_entries(honest: Log) -> None:
    kind = next(iter(registry.kinds))
    rows = [{"kind": kind, "key": 1, "state": {}}]
    for revision in (0, 2, "1"):
        rewrite(honest, 17, data={"rows": rows, "revision": revision})
        assert ("revision", 17) in found(honest)
    rewrite(honest, 17, data={"rows": rows, "revision": 1})
    assert found(honest) == [("head_revision", None)]
    Head.objects.filter(log_id=honest.pk).update(revision=1)
    assert verify(honest).intact
    rewrite(honest, 30, data={"rows": [], "revision": 2})
    assert found(honest) == [("revision", 30)]


def test_readers_are_handed_sound_bodies_and_opened_fields(honest: Log) -> None:
    change(Entry, honest, 17, body=b"no JSON")
    content = content_of(honest.pk, 8)
    change(Detail, honest, 8, content=sealed(honest.pk, 8, spoiled(content, "comment", value="another")))

    class Witness:
        def __init__(self) -> None:
            self.bodies: list[dict[str, Any]] = []
            self.details: dict[int, dict[str, Any]] = {}

        def read(self, body: dict[str, Any], detail: dict[str, Any]) -> list[Finding]:
            self.bodies.append(body)
            self.details[body["index"]] = {name: sealed["value"] for name, sealed in detail.items()}
            return [Finding("odd", "An odd one.", body["index"])] if body["index"] == 3 else []

        def skip(self) -> None:
            raise AssertionError("Nothing was pruned here.")

        def conclude(self) -> list[Finding]:
            return [Finding("end", "The end.")]

    witness = Witness()
    codes = [(finding.code, finding.index) for finding in verify(honest, [witness]).findings]
    assert [body["index"] for body in witness.bodies] == [index for index in range(SIZE) if index != 17]
    assert witness.details[4] == {"comment": "number 4", "person": {"name": "Ann"}}
    assert witness.details[8] == {"person": {"name": "Ann"}}
    assert codes == [("odd", 3), ("detail", 8), ("leaf", 17), ("body", 17), ("end", None)]


def test_findings_beyond_the_first_hundred_are_counted() -> None:
    report = Report()
    report.add(Finding("leaf", "", index) for index in range(500, 0, -1))
    assert len(report.findings) == MOST_FINDINGS
    assert report.more_findings == 500 - MOST_FINDINGS
    assert report.first_bad == 1


def test_progress_is_told_with_the_size(honest: Log) -> None:
    told: list[tuple[int, int]] = []
    verify(honest, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (SIZE, SIZE)


@pytest.mark.django_db(transaction=True)
def test_a_log_that_grows_meanwhile_is_seen_as_it_was(honest: Log) -> None:
    written = threading.Event()

    def write() -> None:
        with log.write(honest.pk) as entries:
            entries.append(TYPE, actor="system", detail={"comment": "late"})
        connections.close_all()
        written.set()

    with one_moment():
        before = Entry.objects.filter(log=honest).count()
        thread = threading.Thread(target=write)
        thread.start()
        assert written.wait(10), "a reader must keep no writer waiting"
        thread.join()
        assert Entry.objects.filter(log=honest).count() == before
    assert Entry.objects.filter(log=honest).count() == before + 1
    assert verify(honest).intact


def fail(entries: int) -> None:
    raise RuntimeError(f"{entries} entries")


@pytest.mark.django_db(transaction=True)
def test_nothing_stays_open_after_a_moment(honest: Log) -> None:
    with pytest.raises(RuntimeError), one_moment():
        fail(Entry.objects.count())
    with log.write(honest.pk) as entries:
        entries.append(TYPE, actor="system")
    assert verify(honest).entries == SIZE + 1


def test_the_hash_of_a_leaf_is_that_of_the_rfc(honest: Log) -> None:
    row = entry(honest, 3)
    assert bytes(row.leaf) == hashlib.sha256(b"\x00" + bytes(row.body)).digest()
