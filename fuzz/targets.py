"""What is fuzzed: for each name a function that takes any bytes and raises for defects only, and seeds."""

import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from audit import verify
from audit.notes import Checkpoint, Note, NoteError, Signer, Verifier
from audit.policy import Policy, PolicyError
from audit.witness.requests import Refused, Request, authenticate, judge

KEY = Verifier.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
ORIGIN = "h/ws/00000000-0000-0000-0000-000000000000"
WITNESS = Verifier("w.example/1", 4, KEY.key)
NOTE = (
    "example.com/foo\n3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRl"
    "L1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` may refuse its bytes in the ways that its reader promises; any other exception is a find."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def read_note(raw: bytes) -> None:
    """A note, its checkpoint, and the signatures of a log and a witness."""
    with suppress(NoteError):
        note = Note.parse(raw.decode(errors="surrogateescape"))
        assert Note.parse(f"{note.text}\n{''.join(each.line for each in note.signatures)}") == note
        for key in (KEY, WITNESS):
            with suppress(NoteError):
                note.signed_by(key)
        found = Checkpoint.parse(note.text)
        assert found.text == note.text


def read_keys(raw: bytes) -> None:
    """Keys, public and private."""
    text = raw.decode(errors="surrogateescape")
    with suppress(NoteError):
        found = Verifier.parse(text)
        assert Verifier.parse(str(found)) == found
    with suppress(NoteError):
        signer = Signer.parse(text)
        assert Signer.parse(signer.secret).verifier == signer.verifier


def read_policy(raw: bytes) -> None:
    """A trust policy, and what it answers."""
    with suppress(PolicyError):
        policy = Policy.parse(raw)
        policy.satisfied_by([])
        assert policy.satisfied_by(list(policy.witnesses)), "all witnesses together are a quorum"
        for each in policy.keys:
            policy.keys_beside(each.name)


def read_request(raw: bytes) -> None:
    """What a witness is asked."""
    with suppress(Refused):
        request = Request.parse(raw)
        with suppress(Refused):
            authenticate(request, [KEY])
        for size in (0, request.old, request.checkpoint.size):
            with suppress(Refused):
                judge(request, size, bytes(32))


def read_bundle(raw: bytes) -> None:
    """A bundle: as it is, and with a checksum that fits. Nothing that was fuzzed is signed, so no verdict is intact."""
    with tempfile.TemporaryDirectory() as folder:
        for content in (raw, raw[:-64] + sha256(raw[:-71]).hexdigest().encode()):
            path = Path(folder) / "bundle.zip"
            path.write_bytes(content)
            assert verify.verify(str(path), verify.Policy(quorum="none")).status != verify.INTACT
            verify.replay(str(path))


def read_proof(raw: bytes) -> None:
    """A proof of either form, and the body that it brings along."""
    for parse in (verify.Proof.parse, verify.Proof.parse_json):
        with suppress(verify.BadProof, verify.BadNote):
            found = parse(raw)
            with suppress(verify.NotCanonical):
                verify.problem_of(verify.parse_canonical(found.extra), "")


def small_bundle() -> bytes:
    """A bundle of one entry, with every kind of file in it."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in (
            ("checkpoint", NOTE.replace(b"example.com/foo", ORIGIN.encode()).replace(b"\n3\n", b"\n1\n")),
            ("entries.jsonl", b'{"v":1}\n'),
            ("policies/pol_" + "0" * 64 + ".json", b"[]"),
            ("tile/0/000.p/1", bytes(32)),
            ("manifest.json", b'{"exported":{},"files":{},"format":"countersign-bundle/1","log":{}}'),
        ):
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"sha256:" + b"0" * 64
    return packed.getvalue()


TARGETS = {
    "notes": Target(read_note, (NOTE,)),
    "keys": Target(read_keys, (str(KEY).encode(), str(WITNESS).encode())),
    "policies": Target(
        read_policy,
        (f"log {KEY}\nwitness W {WITNESS} https://w/\ngroup g 1 W\nquorum g\nepoch a 1\ntsa x\n".encode(),),
    ),
    "bundles": Target(read_bundle, (small_bundle(),)),
    "proofs": Target(read_proof, (b"c2sp.org/tlog-proof@v1\nindex 0\n" + b"A" * 43 + b"=\n\n" + NOTE,)),
    "requests": Target(read_request, (b"old 0\n\n" + NOTE, b"old 1\n" + b"A" * 43 + b"=\n\n" + NOTE)),
}
