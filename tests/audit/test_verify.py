"""An honest bundle is intact; whatever was done to it is found, and the first bad entry named."""

import base64
import json
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import bundles, canonical, merkle, notes, verify
from audit.verify import INCOMPLETE, INTACT, TAMPERED, UNTRUSTED, BadProof, Report
from tests.audit.evidence import (
    MANIFEST,
    Auditor,
    Evidence,
    Files,
    changed,
    first,
    lines_of,
    pack,
    resigned,
    sealed,
    unpack,
    vkey,
    with_entries,
)
from tests.audit.test_merkle import probes, raw

pytestmark = pytest.mark.django_db  # what was lived and exported was, once

ALLOWED = "governance.check.allowed"
SOURCE = Path(verify.__file__)


@pytest.fixture
def files(evidence: Evidence) -> Files:
    return unpack(evidence.acme)


@pytest.fixture
def small(evidence: Evidence) -> Files:
    """The installation's log, cut to three entries and signed with its key: it needs no anchor."""
    whole = unpack(evidence.installation)
    return resigned(whole, lines_of(whole)[:3], evidence.key)


@pytest.fixture
def long(evidence: Evidence) -> Files:
    return lengthened(evidence, 600)


def lengthened(evidence: Evidence, size: int) -> Files:
    """The installation's log with many more entries."""
    whole = unpack(evidence.installation)
    lines = lines_of(whole)
    body = json.loads(lines[-1])
    for index in range(len(lines), size):
        body |= {"index": index, "type": "audit.log.missing", "data": {}}
        lines.append(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
    return resigned(whole, lines, evidence.key)


def said(report: Report) -> str:
    return "\n".join(report.lines())


def test_an_honest_bundle_is_intact(auditor: Auditor, evidence: Evidence) -> None:
    for bundle in (evidence.acme, evidence.installation, evidence.younger):
        report = auditor.verify(bundle)
        assert report.status == INTACT, said(report)
        assert report.lines()[-1].startswith("INTACT: log 127.0.0.1:8000/")


def test_the_file_runs_by_itself(evidence: Evidence, tmp_path: Path) -> None:
    """Nothing of ours can be imported where an auditor runs it."""
    (tmp_path / "acme.zip").write_bytes(evidence.acme)
    (tmp_path / "policy").write_text(evidence.policy)
    with zipfile.ZipFile(tmp_path / "acme.zip") as archive:
        archive.extract("verify.py", tmp_path)
    command = [sys.executable, "-I", "verify.py", "verify", "acme.zip", "--policy", "policy", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == INTACT, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "intact"


# What somebody does who may write the database ----------------------------------------------------------------------


def test_an_edited_body_is_named(auditor: Auditor, files: Files) -> None:
    for index in (0, 17, 172):
        lines = changed(lines_of(files), index, lambda body: body.update(outcome="nothing"))
        report = auditor.verify(with_entries(files, lines))
        assert (report.status, report.first_bad) == (TAMPERED, index), said(report)


@pytest.mark.parametrize("gone", [[0], [60], [60, 61], [172]])
def test_entries_that_are_missing_are_named(auditor: Auditor, files: Files, gone: list[int]) -> None:
    lines = [line for index, line in enumerate(lines_of(files)) if index not in gone]
    report = auditor.verify(with_entries(files, lines))
    assert f"The entries {gone[0]} to {gone[-1]} are not in the bundle" in said(report)
    assert report.status != INTACT


def test_entries_that_were_swapped_repeated_or_added_are_named(auditor: Auditor, files: Files) -> None:
    lines = lines_of(files)
    for bad, index in (
        ([*lines[:5], lines[6], lines[5], *lines[7:]], 7),
        ([*lines[:6], lines[5], *lines[6:]], 6),
        ([*lines, lines[-1]], len(lines)),
    ):
        report = auditor.verify(with_entries(files, bad))
        assert (report.status, report.first_bad) == (TAMPERED, index), said(report)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"no JSON", b"[]", b"null", b"{}", b'{"v":1,"v":1}', b"\xff", b"[" * 100_000, b"9" * 100_000,
        b'{"v":1e999}',
        b'{"a":"\\ud800"}', b'{"v":NaN}', b"-0", b'{"v":1}',
    ],
)  # fmt: skip
def test_what_is_no_entry_is_named(auditor: Auditor, files: Files, line: bytes) -> None:
    lines = lines_of(files)
    report = auditor.verify(with_entries(files, [*lines[:9], line, *lines[10:]]))
    assert (report.status, report.first_bad) == (TAMPERED, 9), said(report)


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (lambda body: body.update(log="00000000-0000-0000-0000-000000000000"), "an entry of the log"),
        (lambda body: body.update(time="2001-01-01T00:00:00.000000Z"), "before that of an earlier entry"),
        (lambda body: body.update(time="yesterday"), "not written as times are"),
        (lambda body: body.update(more=1), "the fields of an entry"),
        (lambda body: body.update(v=2), "no entry of version 1"),
        (lambda body: body.update(tool=5), "a field of another type"),
        (lambda body: body["data"].update(revision=99), "the revision 99"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_named_though_it_was_signed(
    auditor: Auditor, evidence: Evidence, edit: Callable[[dict[str, Any]], None], wanted: str
) -> None:
    whole = unpack(evidence.installation)
    index = first(lines_of(whole), lambda body: bool(body["data"].get("rows")) and body["index"] > 2)
    report = auditor.verify(resigned(whole, changed(lines_of(whole), index, edit), evidence.key))
    assert wanted in said(report)
    assert (report.status, report.first_bad) == (TAMPERED, index)


def test_bodies_that_are_not_canonical_are_named_though_they_were_signed(
    auditor: Auditor, evidence: Evidence
) -> None:
    whole = unpack(evidence.installation)
    lines = lines_of(whole)
    for line in (
        lines[4].replace(b'"v":1', b'"v": 1'),
        lines[4].replace(b'"v":1', b'"v":1.0'),
        lines[4] + b" ",
    ):
        report = auditor.verify(resigned(whole, [*lines[:4], line, *lines[5:]], evidence.key))
        assert (report.status, report.first_bad) == (TAMPERED, 4), said(report)


# What agents must not have done -------------------------------------------------------------------------------------


def suspended(body: dict[str, Any]) -> bool:
    return (body["type"], body["data"].get("standing")) == ("governance.check.denied", "suspended")


@pytest.mark.parametrize(
    ("which", "edit", "wanted"),
    [
        (suspended, lambda body: body.update(type=ALLOWED), "which is suspended since an earlier entry"),
        (lambda body: body["type"] == ALLOWED, lambda body: body["data"].update(seq=7), "It is decision 7 of"),
        (lambda body: body["type"] == ALLOWED, lambda body: body["data"].update(revision=3), "judged at revision 3"),
        (lambda body: body["type"] == ALLOWED, lambda body: body["data"].update(key="x"), "key that the log does not"),
        (lambda body: body["type"] == ALLOWED, lambda body: body["data"].pop("key"), "Its data lacks what"),
        (lambda body: body["type"] == ALLOWED, lambda body: body.update(agent="agt_x"), "It is decision|not know"),
        (
            lambda body: "used_approval" in body["data"],
            lambda body: body["data"].update(used_approval="apr_x"),
            "It uses the approval 'apr_x'",
        ),
        (
            lambda body: "used_approval" in body["data"],
            lambda body: [body["data"].pop(name) for name in ("used_approval", "lifted")],
            "Its data lacks what",
        ),
        (
            lambda body: body["type"] == "governance.containment.changed",
            lambda body: body["data"].update(to="active"),
            "its rows say otherwise",
        ),
    ],
)  # fmt: skip
def test_conduct_that_contradicts_the_log_is_named_though_it_was_signed(
    auditor: Auditor, evidence: Evidence, files: Files, which: Any, edit: Any, wanted: str
) -> None:
    index = first(lines_of(files), which)
    report = auditor.verify(resigned(files, changed(lines_of(files), index, edit), evidence.key))
    assert any(part in said(report) for part in wanted.split("|")), said(report)
    assert (report.status, report.first_bad) == (TAMPERED, index), said(report)


def test_only_the_bundles_own_history_reaches_its_checkpoint(
    auditor: Auditor, evidence: Evidence, files: Files
) -> None:
    """With the stolen key everything fits, except that the installation's log was told another root."""
    lines = changed(lines_of(files), 172, lambda body: body["data"].update(note="planted"))
    forged = resigned(files, lines, evidence.key)
    report = auditor.verify(forged)
    assert "was told another root for the first 191 entries" in said(report)
    assert report.status == TAMPERED


# What was signed, and by whom ---------------------------------------------------------------------------------------


def test_another_key_is_not_trusted(auditor: Auditor, evidence: Evidence, small: Files) -> None:
    other = Ed25519PrivateKey.generate()
    report = auditor.verify(resigned(small, lines_of(small), other))
    assert report.status == UNTRUSTED, said(report)
    named = f"log {vkey('127.0.0.1:8000/installation/' + '0' * 36, other)}\nquorum none\n"
    assert auditor.verify(evidence.acme, policy=named).status == UNTRUSTED
    assert auditor.verify(evidence.acme, policy="quorum none\n").status == UNTRUSTED


def test_a_key_of_before_a_rotation_is_trusted_where_the_policy_names_it(
    auditor: Auditor, evidence: Evidence, small: Files
) -> None:
    origin = json.loads(small[MANIFEST])["log"]["origin"]
    young = Ed25519PrivateKey.generate()
    policy = f"log {vkey(origin, young)}\nquorum none\n"
    assert auditor.verify(small, policy=policy).status == UNTRUSTED
    policy += f"previous {vkey(origin, evidence.key)}\n"
    assert auditor.verify(small, policy=policy).status == INTACT


def cosigned(small: Files, *witnesses: tuple[str, Ed25519PrivateKey]) -> Files:
    note = small["checkpoint"].decode()
    text = notes.Note.parse(note).text
    lines = [notes.Signer(name, key, notes.COSIGNATURE).line(text, 1_790_000_000) for name, key in witnesses]
    return {**small, "checkpoint": (note + "".join(lines)).encode()}


def test_a_quorum_of_witnesses_is_needed(auditor: Auditor, small: Files) -> None:
    keys = {name: Ed25519PrivateKey.generate() for name in ("north", "south", "east")}
    policy = auditor.policy.replace("quorum none\n", "") + "".join(
        f"witness {name} {vkey(f'{name}.example', key, notes.COSIGNATURE)}\n" for name, key in keys.items()
    )
    policy += "group some 2 north south east\nquorum some\n"
    both = [(f"{name}.example", keys[name]) for name in ("north", "east")]
    report = auditor.verify(cosigned(small, *both), policy=policy)
    assert report.status == INTACT, said(report)
    assert "north at 2026-09-21" in said(report)
    for witnesses in ([], both[:1], [*both[:1], ("south.example", Ed25519PrivateKey.generate())]):
        report = auditor.verify(cosigned(small, *witnesses), policy=policy)
        assert report.status == INCOMPLETE
        assert "lacks the policy's quorum" in said(report)
    false = cosigned(small, *both)
    false["checkpoint"] = false["checkpoint"].replace(b"\nnothing", b"")[:-20] + b"AAAAAAAAAAAAAAAAAA==\n"
    assert auditor.verify(false, policy=policy).status == TAMPERED


def test_a_later_epoch_is_accepted_only_where_the_policy_names_it(
    auditor: Auditor, evidence: Evidence, small: Files
) -> None:
    manifest = json.loads(small[MANIFEST])
    origin = manifest["log"]["origin"]
    manifest["log"]["epoch"] = 1
    root = bytes.fromhex(manifest["log"]["root"])
    name = f"{origin}/1"
    note = notes.sign(notes.Checkpoint(name, 3, root).text, [notes.Signer(name, evidence.key)])
    adopted = {**small, "checkpoint": note.encode(), MANIFEST: canonical.encode(manifest)}
    report = auditor.verify(adopted)
    assert report.status == INCOMPLETE
    assert f"add the line: epoch {origin} 1" in said(report)
    assert auditor.verify(adopted, policy=f"{auditor.policy}epoch {origin} 1\n").status == INTACT
    # An older checkpoint of more entries than are left contradicts it no more, and is told.
    before = unpack(evidence.installation)["checkpoint"]
    named = auditor.verify(adopted, policy=f"{auditor.policy}epoch {origin} 1\n", since=[before])
    assert named.status == INTACT
    assert "That was before epoch 1" in said(named)
    assert auditor.verify(adopted, since=[before]).status == INCOMPLETE


@pytest.mark.parametrize(
    "gone", ["anchor/checkpoint", "anchor/entry.json", "anchor/proof", "checkpoint", "tile/0/000.p/191"]
)
def test_what_is_missing_makes_a_bundle_incomplete(auditor: Auditor, files: Files, gone: str) -> None:
    files.pop(gone)
    assert auditor.verify(files).status == INCOMPLETE


def test_an_anchor_of_another_log_or_root_is_found(
    auditor: Auditor, evidence: Evidence, files: Files
) -> None:
    younger = unpack(evidence.younger)
    mixed = files | {name: younger[name] for name in files if name.startswith("anchor/")}
    report = auditor.verify(mixed)
    assert report.status == INCOMPLETE
    assert "over 122 entries only" in said(report)
    for name, content in (
        ("anchor/entry.json", files["anchor/entry.json"].replace(b'"size":191', b'"size":174')),
        ("anchor/checkpoint", files["checkpoint"]),
        ("anchor/proof", files["anchor/proof"].replace(b"index ", b"index 1")),
        ("anchor/proof", b"c2sp.org/tlog-proof@v1\n"),
        ("anchor/proof", b""),
    ):
        assert auditor.verify(files | {name: content}).status == TAMPERED, name


def test_since_an_older_checkpoint(auditor: Auditor, evidence: Evidence, small: Files) -> None:
    older, newer = unpack(evidence.younger)["checkpoint"], unpack(evidence.acme)["checkpoint"]
    assert auditor.verify(evidence.acme, since=[older, newer]).status == INTACT
    cut = auditor.verify(evidence.younger, since=[newer])
    assert cut.status == TAMPERED
    assert "--since counts 191 entries, and this bundle 122" in said(cut)
    assert auditor.verify(evidence.acme, since=[small["checkpoint"]]).status == INCOMPLETE  # another log
    origin = json.loads(small[MANIFEST])["log"]["origin"]
    text = notes.Checkpoint(origin, 2, b"x" * 32).text
    other = notes.sign(text, [notes.Signer(origin, evidence.key)]).encode()
    report = auditor.verify(small, since=[other])
    assert report.status == TAMPERED
    assert "the first 2 entries are not those" in said(report)


def test_two_histories_are_told_apart(auditor: Auditor, evidence: Evidence, small: Files) -> None:
    older, newer = auditor.file("older", evidence.younger), auditor.file("newer", evidence.acme)
    policy = verify.Policy.read(auditor.file("policy", auditor.policy))
    assert verify.consistency(older, newer, policy).status == INTACT
    assert verify.consistency(newer, older).status == TAMPERED
    mine = auditor.file("mine", pack(small))
    lines = changed(lines_of(small), 1, lambda body: body.update(outcome="other"))
    for theirs in (resigned(small, lines, evidence.key), resigned(small, lines[:2], evidence.key)):
        one, two = sorted([(len(lines_of(theirs)), auditor.file("theirs", pack(theirs))), (3, mine)])
        report = verify.consistency(one[1], two[1], policy)
        assert report.status == TAMPERED
        assert "There are two histories" in said(report)
    kept = auditor.file("kept", unpack(evidence.younger)["checkpoint"])
    assert verify.main(["consistency", kept, newer]) == INTACT
    assert verify.main(["consistency", kept, mine]) == TAMPERED


# Pruning ------------------------------------------------------------------------------------------------------------


def pruned(files: Files, key: Ed25519PrivateKey, kept: int, gone: range) -> Files:
    """The files after entries were pruned, with the entry that says so."""
    lines = lines_of(files)
    body = json.loads(lines[-1]) | {"index": len(lines), "type": "audit.retention.pruned"}
    body["data"] = {"entries": {"from": 0, "to": 60, "kept": kept, "pruned": 60 - kept, "digest": ""}}
    whole = resigned(files, [*lines, canonical.encode(body)], key)
    left = [line for index, line in enumerate(lines_of(whole)) if index not in gone]
    return with_entries(whole, left)


def test_entries_may_be_missing_where_an_entry_says_so(
    auditor: Auditor, evidence: Evidence, long: Files
) -> None:
    gone = range(40, 50)
    report = auditor.verify(pruned(long, evidence.key, 50, gone))
    assert report.status == INTACT, said(report)
    assert "pruned 10" in said(report)
    assert auditor.verify(pruned(long, evidence.key, 51, gone)).status == INCOMPLETE
    assert auditor.verify(pruned(long, evidence.key, 50, range(55, 65))).status == INCOMPLETE


# Tiles --------------------------------------------------------------------------------------------------------------


def test_a_log_with_several_tiles(auditor: Auditor, evidence: Evidence, long: Files) -> None:
    assert auditor.verify(long).status == INTACT
    lines = changed(lines_of(long), 513, lambda body: body.update(outcome="x"))
    assert auditor.verify(with_entries(long, lines)).first_bad == 513
    for name in ("tile/0/001", "tile/1/000.p/2", "tile/0/002.p/88"):
        spoiled = bytearray(long[name])
        spoiled[40] ^= 1
        assert auditor.verify(long | {name: bytes(spoiled)}).status == TAMPERED, name
        assert auditor.verify(long | {name: long[name][:-32]}).status == TAMPERED, name
        rest = {other: content for other, content in long.items() if other != name}
        assert auditor.verify(rest).status == INCOMPLETE, name


def test_a_log_with_tiles_on_three_levels(auditor: Auditor, evidence: Evidence) -> None:
    files = lengthened(evidence, 65_700)
    assert {name.split("/")[1] for name in files if name.startswith("tile/")} == {"0", "1", "2"}
    assert auditor.verify(files).status == INTACT
    spoiled = bytearray(files["tile/1/000"])
    spoiled[40] ^= 1
    report = auditor.verify(files | {"tile/1/000": bytes(spoiled)})
    assert (report.status, report.first_bad) == (TAMPERED, 0)


# Whatever bytes -----------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_of_the_file_counts(
    evidence: Evidence, tmp_path_factory: Any, place: float, bit: int
) -> None:
    auditor = Auditor(tmp_path_factory.getbasetemp(), evidence.policy)
    spoiled = bytearray(evidence.installation)
    spoiled[int(place * len(spoiled))] ^= 1 << bit
    assert auditor.verify(bytes(spoiled)).status != INTACT


def test_every_byte_of_entries_tiles_and_checkpoint_counts(auditor: Auditor, small: Files) -> None:
    """Also for somebody who lists and packs everything anew."""
    assert auditor.verify(small).status == INTACT
    for name in ("entries.jsonl", "checkpoint", "tile/0/000.p/3"):
        for place in range(0, len(small[name]), 7 if name == "entries.jsonl" else 1):
            spoiled = bytearray(small[name])
            spoiled[place] ^= 1 << place % 8
            assert auditor.verify(small | {name: bytes(spoiled)}).status != INTACT, (name, place)


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_part_of_the_file_is_no_bundle(evidence: Evidence, tmp_path_factory: Any, cut: float) -> None:
    auditor = Auditor(tmp_path_factory.getbasetemp(), evidence.policy)
    assert auditor.verify(evidence.acme[: int(cut * len(evidence.acme))]).status == INCOMPLETE


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_get_a_verdict(evidence: Evidence, tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    path, policy = folder / "any", folder / "policy"
    path.write_bytes(content)
    policy.write_text(evidence.policy)
    for arguments in (
        ["verify", str(path), "--policy", str(policy)],
        ["verify-proof", str(path), "--policy", str(policy)],
        ["consistency", str(path), str(path)],
        ["replay", str(path)],
        ["verify", str(path), "--policy", str(path)],
    ):
        assert verify.main(arguments) != INTACT


def archive_of(*members: tuple[str, bytes], comment: bool = True) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(bundles.plain(name), content)
        archive.comment = b"sha256:" + b"0" * 64 if comment else b""
    return sealed(packed.getvalue()) if comment else packed.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused(auditor: Auditor, small: Files) -> None:
    bomb = b"\x00" * 40_000_000
    for archive, wanted in (
        (archive_of(("checkpoint", b"x"), ("checkpoint", b"y")), "twice"),
        (archive_of(("../../etc/passwd", b"x"), (MANIFEST, b"{}")), "A bundle has no file"),
        (archive_of(("/etc/passwd", b"x"), (MANIFEST, b"{}")), "A bundle has no file"),
        (archive_of(("tile/0/x00", b"x"), (MANIFEST, b"{}")), "A bundle has no file"),
        (archive_of(("entries.jsonl", bomb), (MANIFEST, b"{}")), "would unpack to 40,000,000 bytes"),
        (archive_of((MANIFEST, b"{}"), comment=False), "it was packed again, or is another archive"),
        (archive_of(("bundle.zip", b""), comment=False), "verify the bundle.zip that is in it"),
        (archive_of((MANIFEST, b"{}")), "The bundle has no checkpoint"),
        (b"", "too short"),
        (pack(small)[:-200] + b"\x00" * 200, "it is no archive, or only a part of one"),
    ):
        report = auditor.verify(archive)
        assert wanted in said(report)
        assert report.status in (TAMPERED, INCOMPLETE)


def test_an_archive_that_lies_about_its_files_is_refused(auditor: Auditor, small: Files) -> None:
    honest = pack(small)
    end = len(honest) - 71 - 22
    (start,) = struct.unpack("<L", honest[end + 16 : end + 20])
    for place, value in (
        (end + 12, struct.pack("<L", 2**31)),  # the list's size
        (end + 10, struct.pack("<H", 9)),  # how many
        (end + 16, struct.pack("<L", start - 1)),  # where
        (start + 42, struct.pack("<L", 7)),  # where the first file begins
        (start + 20, struct.pack("<L", 1)),  # its packed size
        (start + 24, struct.pack("<L", 2**31)),  # its size
        (start + 8, struct.pack("<H", 1)),  # encrypted
        (start + 10, struct.pack("<H", 12)),  # packed in another way
        (start + 28, struct.pack("<H", 60_000)),  # the length of its name
    ):
        lying = sealed(honest[:place] + value + honest[place + len(value) :])
        assert auditor.verify(lying).status in (TAMPERED, INCOMPLETE), place


def test_huge_numbers_and_long_lines_are_refused(auditor: Auditor, evidence: Evidence, small: Files) -> None:
    origin = json.loads(small[MANIFEST])["log"]["origin"]
    for size in (2**62, 2**63 - 1, 2**40):
        text = notes.Checkpoint(origin, size, b"x" * 32).text
        note = notes.sign(text, [notes.Signer(origin, evidence.key)]).encode()
        assert auditor.verify(small | {"checkpoint": note}).status != INTACT
    for note in (
        b"",
        b"\n\n",
        b"x" * 2_000_000,
        b"a\n" + b"9" * 5000 + b"\nAAAA\n\n\xe2\x80\x94 a AAAAAAA=\n",
    ):
        assert auditor.verify(small | {"checkpoint": note}).status != INTACT
    noise = base64.b64encode(random.Random(1).randbytes(26_000_000))
    assert len(zlib.compress(noise)) * 200 > len(noise) > verify.LONGEST_BODY
    report = auditor.verify(small | {"entries.jsonl": noise + b"\n"})
    assert report.status == TAMPERED
    assert report.told["entries"] == 3


def test_a_policy_that_cannot_be_used_is_told(auditor: Auditor, evidence: Evidence) -> None:
    bundle = auditor.file("bundle", evidence.acme)
    for policy in (
        "", "log", "log x\nquorum none\n", "quorum north\n", "quorum none\nquorum none\n", "what is this\n",
        f"{evidence.policy}group a 2 b\n", f"{evidence.policy}{evidence.policy}", f"{evidence.policy}epoch x y\n",
        "witness none x\n", "\x01\n", f"{evidence.policy}tsa\n",
    ):  # fmt: skip
        assert verify.main(["verify", bundle, "--policy", auditor.file("policy", policy)]) == UNTRUSTED, (
            policy
        )
    assert verify.main(["verify", bundle, "--policy", auditor.file("policy", "") + "-not-there"]) == UNTRUSTED


# Proofs -------------------------------------------------------------------------------------------------------------


def test_a_proof_of_one_entry(auditor: Auditor, evidence: Evidence, files: Files, capsys: Any) -> None:
    lines = lines_of(unpack(evidence.installation))
    proof = files["anchor/proof"]
    policy = auditor.file("policy", auditor.policy)
    index = verify.Proof.parse(proof).index
    body = auditor.file("entry.json", lines[index])
    path = auditor.file("a.tlog-proof", proof)
    assert verify.main(["verify-proof", path, "--policy", policy, "--entry", body]) == INTACT
    assert "audit.checkpoint.published" in capsys.readouterr().out
    assert verify.main(["verify-proof", path, "--policy", policy]) == INCOMPLETE
    extra = b"extra " + base64.b64encode(lines[index]) + b"\nindex"
    with_body = auditor.file("b.tlog-proof", proof.replace(b"index", extra, 1))
    assert verify.main(["verify-proof", with_body, "--policy", policy]) == INTACT
    other = auditor.file("other.json", lines[0])
    assert verify.main(["verify-proof", path, "--policy", policy, "--entry", other]) == TAMPERED
    for place in range(0, len(proof), 3):
        spoiled = bytearray(proof)
        spoiled[place] ^= 4
        path = auditor.file("c.tlog-proof", bytes(spoiled))
        assert verify.main(["verify-proof", path, "--policy", policy, "--entry", body]) != INTACT, place


@pytest.mark.parametrize("probe", probes("inclusion.json"))
def test_inclusion_probes_from_outside(probe: dict[str, Any]) -> None:
    judge(probe, lambda: verify.verify_inclusion(
        raw(probe["leafHash"]), probe["leafIdx"], probe["treeSize"], hashes(probe), raw(probe["root"])
    ))  # fmt: skip


@pytest.mark.parametrize("probe", probes("consistency.json"))
def test_consistency_probes_from_outside(probe: dict[str, Any]) -> None:
    judge(probe, lambda: verify.verify_consistency(
        probe["size1"], probe["size2"], raw(probe["root1"]), raw(probe["root2"]), hashes(probe)
    ))  # fmt: skip


def hashes(probe: dict[str, Any]) -> list[bytes]:
    return [raw(each) for each in probe["proof"] or []]


def judge(probe: dict[str, Any], run: Callable[[], None]) -> None:
    if probe["wantErr"]:
        with pytest.raises(BadProof):
            run()
    else:
        run()


def test_both_trees_are_the_same_at_every_size() -> None:
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(140)]
    for size in range(1, len(leaves) + 1):
        root = merkle.root(leaves[:size])
        assert verify.root_of(leaves[:size]) == root
        for index in {0, size // 2, size - 1}:
            proof = merkle.inclusion_proof(leaves, index, size)
            verify.verify_inclusion(leaves[index], index, size, proof, root)
            older = merkle.root(leaves[: index + 1])
            path = merkle.consistency_proof(leaves, index + 1, size)
            verify.verify_consistency(index + 1, size, older, root, path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_both_write_canonical_json_alike(value: Any) -> None:
    encoded = canonical.encode(value)
    assert verify.write(verify.parse_canonical(encoded), verify.MAX_DEPTH).encode() == encoded
