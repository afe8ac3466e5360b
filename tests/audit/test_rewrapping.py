"""The installation's key is exchanged, at once or after a crash, and every Detail opens as before."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import envelopes, keys, log, rewrapping, streams, webhooks
from audit.details import read_detail
from audit.models import DetailKey, Entry, Log
from audit.rebuild import Rebuild
from audit.verification import verify
from tests.cast import Cast
from workspaces import callbacks

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """Keys of the test's own, which no other test has read."""
    settings.KEYS_DIR = tmp_path
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    keys.forget()
    envelopes.key_of.cache_clear()


@pytest.fixture
def row(folder: Path, db: None) -> Log:
    """A log with a Detail, sealed under this test's key; every other log's key as well."""
    Entry.objects.all().delete()
    for each in Log.objects.all():
        DetailKey.objects.filter(log=each).delete()
        envelopes.make_key(each.pk)
    made = log.create_log(Log.Kind.WORKSPACE)
    with log.write(made.pk) as entries:
        entries.append("workspaces.link.created", actor="system", detail={"note": "kept"})
    return made


def test_details_open_as_before_and_the_old_key_is_set_aside(row: Log, folder: Path) -> None:
    before = (folder / "installation.key").read_bytes()
    wrapped = bytes(DetailKey.objects.get(log=row).wrapped)
    out = StringIO()
    call_command("rewrap_keys", stdout=out)
    forget()
    assert read_detail(row.pk, 0) == {"note": "kept"}
    assert (folder / "installation.key").read_bytes() != before
    assert bytes(DetailKey.objects.get(log=row).wrapped) != wrapped
    (aside,) = folder.glob("installation-*.key")
    assert aside.read_bytes() == before
    assert str(aside) in out.getvalue()
    assert not (folder / rewrapping.NEXT).exists()
    assert Entry.objects.filter(type="audit.key.rewrapped").count() == 1


def test_streams_keep_their_secrets(row: Log) -> None:
    stream, secret = streams.create(
        row.pk, name="siem", kind="webhook", url="https://siem.example.com/", actor="system"
    )
    rewrapping.rewrap(actor="system")
    forget()
    stream.refresh_from_db()
    assert webhooks.shown(streams.secret_of(stream)) == secret
    assert verify(row, [Rebuild(row.pk)]).intact


def test_callbacks_of_agents_keep_their_secrets(row: Log, cast: Cast) -> None:
    secret = callbacks.set_callback(cast.support_bot, url="https://hooks.example.com/", actor="system")
    rewrapping.rewrap(actor="system")
    forget()
    cast.support_bot.refresh_from_db()
    assert webhooks.shown(callbacks.secret_of(cast.support_bot)) == secret


def test_a_crash_before_the_files_are_exchanged_is_made_good(
    row: Log, folder: Path, monkeypatch: Any
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rewrapping.rewrap(actor="system")
    forget()
    with pytest.raises(envelopes.SealedOtherwise):
        read_detail(row.pk, 0)
    rewrapping.rewrap(actor="system")
    forget()
    assert read_detail(row.pk, 0) == {"note": "kept"}


def test_a_row_under_another_key_changes_nothing(row: Log, folder: Path) -> None:
    other = envelopes.wrap(b"x" * 32, envelopes.LABEL, b"y" * 32)
    DetailKey.objects.filter(log=row).update(wrapped=other)
    before = (folder / "installation.key").read_bytes()
    with pytest.raises(CommandError, match="restore the right one"):
        call_command("rewrap_keys")
    assert (folder / "installation.key").read_bytes() == before
    assert bytes(DetailKey.objects.get(log=row).wrapped) == other
