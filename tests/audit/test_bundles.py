"""A bundle is the same for the same state of the log, holds all that is asked of it, and its export is an entry."""

import json
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import adoption, bundles, inclusions, keys, log, notes, publishing, rotation, verify
from audit.models import Checkpoint, Cosignature, Entry, Head, Log, Tile
from governance import policies
from tests.audit.evidence import Auditor, exported, lines_of, resigned, unpack, vkey
from tests.cast import ACTOR, Cast
from tests.gate.conftest import RULES

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(cast: Cast) -> Cast:
    """acme with a policy, its log and the installation's signed."""
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR), actor=ACTOR)
    sign()
    return cast


def sign() -> None:
    publishing.Publisher().round(publishing.AT_ONCE)


def size_in(bundle: bytes) -> int:
    return int(json.loads(unpack(bundle)["manifest.json"])["log"]["size"])


def installation() -> Log:
    return Log.objects.get(kind=Log.Kind.INSTALLATION)


def test_it_is_the_same_for_the_same_state(published: Cast) -> None:
    one, other = (exported(published.acme.log_id) for _ in range(2))
    assert one == other
    with log.write(published.acme.log_id) as entries:
        entries.append("workspaces.link.created", actor=ACTOR)
    assert exported(published.acme.log_id) == one  # what is not signed is not in it
    sign()
    assert exported(published.acme.log_id) != one


def test_what_is_in_it(published: Cast) -> None:
    files = unpack(exported(published.acme.log_id))
    version = policies.in_force(published.acme)
    assert version is not None
    assert set(files) == {
        "README.md", "verify.py", "checkpoint", "entries.jsonl", "keys.json", "manifest.json", "retention.json",
        "anchor/checkpoint", "anchor/entry.json", "anchor/proof", f"checkpoints/0-{len(lines_of(files))}",
        f"policies/{version.digest}.json", f"tile/0/000.p/{len(lines_of(files))}",
    }  # fmt: skip
    bodies = Entry.objects.filter(log_id=published.acme.log_id).order_by("index")
    assert lines_of(files) == [bytes(entry.body) for entry in bodies]
    assert json.loads(files[f"policies/{version.digest}.json"]) == version.content
    assert files["verify.py"] == Path(verify.__file__).read_bytes()
    key = json.loads(files["keys.json"])["checkpoint"]["key"]
    assert notes.Verifier.parse(key).name == installation().origin


def test_it_is_over_the_newest_checkpoint_that_witnesses_saw(published: Cast) -> None:
    own = size_in(exported(published.acme.log_id))
    over = Checkpoint.objects.filter(log=installation()).order_by("-size")[0]
    Cosignature.objects.create(
        checkpoint=over, witness="w.example", line="— w.example AAAAAAAA", time=over.time
    )
    with log.write(published.acme.log_id) as entries:
        entries.append("workspaces.link.created", actor=ACTOR)
    sign()
    bundle = exported(published.acme.log_id)
    assert size_in(bundle) == own
    assert unpack(bundle)["anchor/checkpoint"].endswith("— w.example AAAAAAAA\n".encode())
    Cosignature.objects.all().delete()
    assert size_in(exported(published.acme.log_id)) == own + 1


def test_a_log_without_a_checkpoint_has_no_bundle(cast: Cast, tmp_path: Path) -> None:
    with pytest.raises(bundles.NotPublished, match="Start the worker"):
        bundles.write(cast.acme.log_id, tmp_path / "acme.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_tile_that_is_gone_is_missing_in_it(published: Cast, tmp_path: Path) -> None:
    Tile.objects.filter(log_id=published.acme.log_id).delete()
    (tmp_path / "acme.zip").write_bytes(exported(published.acme.log_id))
    report = verify.replay(str(tmp_path / "acme.zip"))
    assert report.status == verify.INCOMPLETE


def test_each_day_keeps_its_last_checkpoint(published: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = Log.objects.get(pk=published.acme.log_id)
    (signed,) = Checkpoint.objects.filter(log=acme)
    for size, (day, hour) in enumerate([(1, 3), (1, 9), (2, 4), (3, 1), (3, 2)], start=1):
        Checkpoint.objects.create(
            log=acme,
            size=size,
            root=b"x" * 32,
            note="n\n",
            time=signed.time.replace(year=2025, day=day, hour=hour),
        )
    monkeypatch.setattr(bundles, "LATEST", 2)
    names = [name for name in unpack(exported(acme.pk)) if name.startswith("checkpoints/")]
    assert sorted(names) == sorted(f"checkpoints/0-{size}" for size in (2, 3, 5, signed.size))


def test_the_command_writes_an_entry_and_then_the_bundle(published: Cast, tmp_path: Path) -> None:
    path = tmp_path / "acme.zip"
    out = StringIO()
    call_command("export_bundle", workspace="acme", out=path, wait=0, stdout=out)
    last = Entry.objects.filter(log_id=published.acme.log_id).order_by("-index")[0]
    assert (last.type, last.actor.partition(":")[0]) == ("audit.log.exported", "cli")
    assert f"{path}: acme, {last.index:,} entries, root " in out.getvalue()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    call_command("export_bundle", installation=True, out=tmp_path / "installation.zip", wait=0, stdout=out)
    assert Entry.objects.filter(log=installation(), type="audit.log.exported").exists()
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        call_command("export_bundle", workspace="nowhere", out=path, wait=0)
    with pytest.raises(CommandError, match="No such file"):
        call_command("export_bundle", workspace="acme", out=tmp_path / "no" / "folder.zip", wait=0)


def test_progress_is_told(published: Cast, tmp_path: Path) -> None:
    told: list[Any] = []
    checkpoint = bundles.write(
        published.acme.log_id, tmp_path / "a.zip", progress=lambda *pair: told.append(pair)
    )
    assert told[-1] == (checkpoint.size, checkpoint.size)


def test_a_rotation_of_the_key_is_followed_both_ways(published: Cast, tmp_path: Path) -> None:
    before = exported(published.acme.log_id)
    stolen = keys.signing_key(keys.CHECKPOINT)
    done = rotation.rotate(actor=ACTOR)
    with log.write(published.acme.log_id) as entries:
        entries.append("workspaces.link.created", actor=ACTOR)
    sign()
    after = exported(published.acme.log_id)
    installations = exported(installation().pk)
    for key, bundles_of_it in (
        (done.old, [before, after, installations]),
        (done.new, [after, installations]),
    ):
        auditor = Auditor(tmp_path, f"log {key}\nquorum none\n")
        for bundle in bundles_of_it:
            report = auditor.verify(bundle, since=[unpack(before)["checkpoint"]] if bundle is after else ())
            assert report.status == verify.INTACT, report.lines()
    assert Auditor(tmp_path, f"log {done.new}\nquorum none\n").verify(before).status == verify.UNTRUSTED
    signed_anew = resigned(unpack(installations), lines_of(unpack(installations)), stolen)
    assert Auditor(tmp_path, f"log {done.new}\nquorum none\n").verify(signed_anew).status == verify.UNTRUSTED
    files = unpack(after)
    name = next(name for name in files if name.startswith("anchor/rotation-") and name.endswith(".json"))
    auditor = Auditor(tmp_path, f"log {done.old}\nquorum none\n")
    assert (
        auditor.verify(files | {name: files[name].replace(b'"old":"', b'"old":"x')}).status == verify.TAMPERED
    )
    without = {other: content for other, content in files.items() if "rotation-" not in other}
    assert auditor.verify(without).status == verify.UNTRUSTED


def test_an_adopted_log_is_another_epoch(published: Cast, tmp_path: Path) -> None:
    acme = Log.objects.get(pk=published.acme.log_id)
    Head.objects.filter(log_id=acme.pk).update(halted="Somebody is to look.")
    adoption.adopt(acme, reason="A backup was restored.", actor=ACTOR)
    sign()
    policy = f"log {vkey(installation().origin, keys.signing_key(keys.CHECKPOINT))}\nquorum none\n"
    bundle = exported(acme.pk)
    assert Auditor(tmp_path, policy).verify(bundle).status == verify.INCOMPLETE
    named = Auditor(tmp_path, f"{policy}epoch {acme.origin} 1\n").verify(bundle)
    assert named.status == verify.INTACT, named.lines()


def test_the_apis_proof_is_one_that_can_be_verified(published: Cast, tmp_path: Path) -> None:
    entry = Entry.objects.filter(log_id=published.acme.log_id, index=3).get()
    found = inclusions.inclusion_of(entry)
    assert found is not None
    policy = f"log {vkey(installation().origin, keys.signing_key(keys.CHECKPOINT))}\nquorum none\n"
    auditor = Auditor(tmp_path, policy)
    trusted = verify.Policy.read(auditor.file("policy", policy))
    whole = auditor.file("proof.json", json.dumps(found.document))
    assert verify.verify_proof(whole, trusted).status == verify.INTACT
    body = auditor.file("body", bytes(entry.body))
    assert verify.verify_proof(auditor.file("p", found.tlog_proof), trusted, body).status == verify.INTACT
    answer = {
        "index": 3,
        "size": found.size,
        "hashes": [each.hex() for each in found.path],
        "checkpoint": {"note": found.note, "cosignatures": []},
    }
    assert verify.verify_proof(auditor.file("a", json.dumps(answer)), trusted, body).status == verify.INTACT
    answer["index"] = 2
    assert verify.verify_proof(auditor.file("a", json.dumps(answer)), trusted, body).status == verify.TAMPERED
