"""Go's own checker of transparency logs accepts our notes and proofs, and refuses what was tampered with.

``golang.org/x/mod/sumdb`` is what Go trusts its module downloads to. It shares no code with us."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit import merkle, notes
from tests.audit.evidence import Evidence, Files, lines_of, resigned, unpack, vkey
from tests.servers import executable

pytestmark = [pytest.mark.django_db, pytest.mark.service]

SOURCES = Path("/usr/share/gocode")  # where Debian's golang-golang-x-mod-dev puts it
Question = dict[str, Any]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Question]], list[str]]:
    """What the Go program, built here, says to each question."""
    go = executable("go")
    if not (SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("golang-golang-x-mod-dev is not installed.")
    folder = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GOPATH": str(SOURCES), "GO111MODULE": "off",
        "GOCACHE": str(folder / "cache"), "GOFLAGS": "", "CGO_ENABLED": "0",
    }  # fmt: skip
    source = Path(__file__).parent / "go" / "main.go"
    program = folder / "verifier"
    subprocess.run([go, "build", "-o", program, source], env=environment, check=True, capture_output=True)

    def run(questions: list[Question]) -> list[str]:
        asked = json.dumps(questions)
        done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


@pytest.fixture
def files(evidence: Evidence) -> Files:
    return unpack(evidence.acme)


def questions(files: Files, evidence: Evidence) -> list[Question]:
    """Inclusion of each entry, and consistency with each earlier size."""
    lines = lines_of(files)
    note = files["checkpoint"].decode()
    origin = notes.Checkpoint.parse(notes.Note.parse(note).text).origin
    known = {"Key": vkey(origin, evidence.key), "Note": note}
    leaves = [merkle.leaf_hash(line) for line in lines]
    size = len(leaves)
    found: list[Question] = [
        {
            **known,
            "Body": line.decode(),
            "Index": index,
            "Proof": hexes(merkle.inclusion_proof(leaves, index, size)),
        }
        for index, line in enumerate(lines)
    ]
    return found + [
        {
            **known, "Old": merkle.root(leaves[:older]).hex(), "Size": older,
            "Proof": hexes(merkle.consistency_proof(leaves, older, size)),
        }
        for older in range(1, size + 1)
    ]  # fmt: skip


def hexes(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


def test_go_accepts_every_proof(ask: Any, evidence: Evidence, files: Files) -> None:
    asked = questions(files, evidence)
    assert ask(asked) == ["ok"] * len(asked)


def test_go_refuses_what_was_tampered_with(ask: Any, evidence: Evidence, files: Files) -> None:
    asked = questions(files, evidence)
    size = len(asked) // 2
    bad = []
    for each in asked[:size:7]:
        bad.append(each | {"Body": each["Body"] + " "})
        bad.append(each | {"Index": (each["Index"] + 1) % size})
        bad.append(each | {"Proof": each["Proof"][1:]})
    bad += [each | {"Old": merkle.leaf_hash(b"another").hex()} for each in asked[size::7]]
    bad += [each | {"Size": each["Size"] - 1} for each in asked[size + 2 :: 7]]
    note = asked[0]["Note"]
    for spoiled in (note.replace(f"\n{size}\n", f"\n{size + 1}\n"), note[:-10] + "AAAAAAA==\n", ""):
        bad.append(asked[0] | {"Note": spoiled})
    lines = lines_of(files)
    other = questions(resigned(files, [*lines[:-1], lines[0]], evidence.key), evidence)[0]
    bad.append(asked[0] | {"Note": other["Note"]})
    assert "ok" not in ask(bad)
