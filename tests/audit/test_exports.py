"""Exports: asked for, made in slices, taken along, deleted after their week."""

import csv
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit import canonical, exports, formats, log, owed
from audit.exports import ExportRefused, NotReady
from audit.merkle import leaf_hash
from audit.models import Entry, Export, Owed
from tests.cast import Cast
from tests.portal import body_of, latest
from workspaces.people import actor_of


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "exports"


def start(cast: Cast, kind: str = "jsonl", **options: Any) -> Export:
    """rita, a compliance officer, asks for an export."""
    return exports.start(cast.acme.log_id, kind=kind, person=cast.rita, actor=actor_of(cast.rita), **options)


def work() -> None:
    """The worker's thread for what takes long, until nothing is owed; inside the test's transaction."""
    while rows := owed.claim(1, aside=True):
        owed.performer_of(rows[0].kind)(rows[0].payload)
        Owed.objects.filter(pk=rows[0].pk).update(done_at=timezone.now())


def content(export: Export) -> bytes:
    """The file as its owner gets it."""
    export.refresh_from_db()
    with exports.take_along(export, actor="system") as file:
        return file.read()


def test_an_export_is_the_entries_as_they_were_hashed(cast: Cast, own_folder: Path) -> None:
    size = log.newest(cast.acme.log_id)
    export = start(cast)
    asked = body_of(latest(cast.acme))
    assert (asked["type"], asked["actor"]) == ("audit.export.requested", actor_of(cast.rita))
    assert asked["data"] == {"export": export.public_id, "kind": "jsonl", "first": 0, "end": size, "only": {}}
    assert exports.percent(export) == 0
    work()
    told = [json.loads(line) for line in content(export).splitlines()]
    assert [each["body"]["index"] for each in told] == list(range(size))
    assert all(leaf_hash(canonical.encode(each["body"])).hex() == each["leaf"] for each in told)
    stored = Entry.objects.filter(log_id=cast.acme.log_id, index__lt=size).order_by("index")
    assert content(export) == b"".join(
        b'{"body":%b,"leaf":"%b"}\n' % (bytes(row.body), bytes(row.leaf).hex().encode()) for row in stored
    )
    assert exports.percent(export) == 100
    (path,) = own_folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert own_folder.stat().st_mode & 0o777 == 0o700


def test_each_download_is_an_entry(cast: Cast) -> None:
    export = start(cast, "csv")
    with pytest.raises(NotReady, match="not ready"):
        exports.take_along(export, actor="system")
    work()
    rows = list(csv.reader(content(export).decode().splitlines()))
    assert rows[0] == list(formats.COLUMNS)
    assert len(rows) == export.end + 1
    told = body_of(latest(cast.acme))
    assert (told["type"], told["actor"], told["outcome"]) == ("audit.export.downloaded", "system", "csv")
    assert told["data"] == {"export": export.public_id, "bytes": export.written}


@pytest.mark.parametrize("kind", ["ocsf", "cloudevents"])
def test_each_format_has_a_line_an_entry(cast: Cast, kind: str) -> None:
    export = start(cast, kind)
    work()
    found = [formats.index_in(kind, line) for line in content(export).splitlines()]
    assert found == list(range(export.end))


def test_a_period_and_texts_narrow_it(cast: Cast) -> None:
    entries = Entry.objects.filter(log_id=cast.acme.log_id).order_by("index")
    last = entries.last()
    assert last is not None
    assert start(cast, since=last.time + timedelta(seconds=1)).first == last.index + 1
    assert (
        start(cast, until=last.time + timedelta(seconds=1)).end == last.index + 2
    )  # the one asked before, too
    some = start(cast, only={"type": "workspaces.tool.changed", "agent": ""})
    work()
    told = [json.loads(line)["body"]["type"] for line in content(some).splitlines()]
    assert told == ["workspaces.tool.changed"] * len(cast.tools)


def test_what_cannot_be_asked_for(cast: Cast) -> None:
    now = timezone.now()
    for options in ({"since": now, "until": now}, {"only": {"body": "x"}}, {"kind": "xml"}):
        with pytest.raises(ExportRefused):
            start(cast, **options)
    for _ in range(exports.MOST_OPEN):
        start(cast)
    with pytest.raises(ExportRefused, match="under way"):
        start(cast)


def test_nobody_fills_the_disk_with_files_that_are_kept(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_KEPT", 2)
    for _ in range(2):
        start(cast)
    work()
    with pytest.raises(ExportRefused, match="after its week"):
        start(cast)
    assert exports.expire_due(timezone.now() + exports.KEPT + timedelta(hours=1)) == 2
    start(cast)


def test_slices_of_a_killed_worker_are_gone_on_with(
    cast: Cast, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 10)
    monkeypatch.setattr(exports, "SLICE_SECONDS", 0.0)
    export = start(cast)
    (row,) = owed.claim(1, aside=True)
    assert owed.claim(1, aside=False) == []
    exports.go_on(row.payload)
    export.refresh_from_db()
    assert (export.position, export.status) == (10, "running")
    path = exports.path_of(export)
    with path.open("ab") as file:  # what a worker wrote before it was killed, and never noted
        file.write(b'{"body": half a li' + b"n" * 1_000_000)
    work()
    assert [json.loads(line)["body"]["index"] for line in content(export).splitlines()] == list(
        range(export.end)
    )


def test_two_workers_do_not_make_one_export_together(cast: Cast) -> None:
    export = start(cast)
    with exports.alone(export.pk):
        assert exports.go_on({"export": export.pk}) == "another worker is making it"
    export.refresh_from_db()
    assert export.status == "waiting"
    assert exports.go_on({"export": export.pk}) != "over already"
    assert exports.go_on({"export": export.pk}) == "over already"


def test_a_full_disk_is_told_and_tried_again(cast: Cast, own_folder: Path) -> None:
    export = start(cast)
    exports.path_of(export).mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        exports.go_on({"export": export.pk})
    export.refresh_from_db()
    assert "tried again" in export.error
    os.rmdir(exports.path_of(export))
    work()
    export.refresh_from_db()
    assert (export.status, export.error) == ("done", "")


def test_files_are_deleted_after_a_week(cast: Cast, own_folder: Path) -> None:
    export = start(cast)
    work()
    export.refresh_from_db()
    assert export.expires is not None
    assert exports.expire_due(export.expires - timedelta(seconds=1)) == 0
    assert exports.expire_due(export.expires) == 1
    assert list(own_folder.iterdir()) == []
    export.refresh_from_db()
    with pytest.raises(NotReady, match="deleted"):
        exports.take_along(export, actor="system")


def test_a_file_that_is_elsewhere_is_not_there(cast: Cast) -> None:
    export = start(cast)
    work()
    export.refresh_from_db()
    exports.path_of(export).unlink()
    before = log.newest(cast.acme.log_id)
    with pytest.raises(NotReady, match="DATA_DIR"):
        exports.take_along(export, actor="system")
    assert log.newest(cast.acme.log_id) == before
