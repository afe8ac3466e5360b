"""Receipts that agents kept hold a log to what it answered; and a bundle may be too old to say anything."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import merkle, notes, verify
from audit.verify import INCOMPLETE, INTACT, TAMPERED, UNTRUSTED, Report
from tests.audit.evidence import Auditor, Evidence, changed, lines_of, pack, resigned, unpack, vkey

pytestmark = pytest.mark.django_db  # what was lived and exported was, once

NAME = "127.0.0.1:8000/receipts"
GATE = Ed25519PrivateKey.generate()
Reading = Callable[..., Report]


def receipt(evidence: Evidence, index: int, size: int, **changes: Any) -> dict[str, Any]:
    """What the gate answered of an entry, when the log had this size."""
    lines = lines_of(unpack(evidence.acme))
    leaves = [merkle.leaf_hash(line) for line in lines]
    origin = notes.Checkpoint.parse(
        notes.Note.parse(unpack(evidence.acme)["checkpoint"].decode()).text
    ).origin
    signed = notes.Checkpoint(origin, size, merkle.root(leaves[:size]))
    note = notes.sign(signed.text, [notes.Signer(NAME, GATE)])
    return {"log": origin, "index": index, "leaf": leaves[index].hex(), "checkpoint": note} | changes


@pytest.fixture
def read(auditor: Auditor) -> Reading:
    """Verifies a bundle beside these receipts."""

    def look(
        bundle: bytes, *receipts: Any, policy: str = f"receipts {vkey(NAME, GATE)}\n", **options: Any
    ) -> Report:
        lines = "".join(json.dumps({"decision": "dec_1", "receipt": each}) + "\n" for each in receipts)
        path = auditor.file("receipts.jsonl", lines)
        trusted = verify.Policy.read(auditor.file("policy", policy + auditor.policy))
        return verify.verify(auditor.file("bundle.zip", bundle), trusted, receipts=path, **options)

    return look


def test_receipts_of_an_honest_log_are_borne_out(read: Reading, evidence: Evidence) -> None:
    report = read(evidence.acme, receipt(evidence, 3, 4), receipt(evidence, 3, 20), receipt(evidence, 7, 9))
    assert (report.status, report.told["receipts"]) == (INTACT, 3)


def test_an_entry_that_was_rewritten_contradicts_its_receipt(
    auditor: Auditor, read: Reading, evidence: Evidence
) -> None:
    files = unpack(evidence.acme)
    lines = changed(lines_of(files), 7, lambda body: body.update(session="another"))
    forged = pack(resigned(files, lines, evidence.key))
    report = read(forged, receipt(evidence, 7, 9), receipt(evidence, 3, 9))
    assert (report.status, report.first_bad) == (TAMPERED, 7)
    assert any("The first 9 entries are not those" in line for line in report.lines())


def test_a_log_that_was_cut_lacks_what_there_is_a_receipt_of(read: Reading, evidence: Evidence) -> None:
    last = len(lines_of(unpack(evidence.acme)))
    report = read(evidence.younger, receipt(evidence, last - 1, last))
    assert report.status == INCOMPLETE
    assert "the log was cut, or the bundle is older" in report.lines()[0]


def test_a_receipt_that_no_trusted_gate_signed_shows_nothing(read: Reading, evidence: Evidence) -> None:
    assert read(evidence.acme, receipt(evidence, 3, 4), policy="").status == UNTRUSTED
    stranger = f"receipts {vkey(NAME, Ed25519PrivateKey.generate())}\n"
    assert read(evidence.acme, receipt(evidence, 3, 4), policy=stranger).status == UNTRUSTED


def test_receipts_of_other_logs_are_counted_and_left(read: Reading, evidence: Evidence) -> None:
    report = read(evidence.acme, receipt(evidence, 3, 4, log="elsewhere.test/ws/1"))
    assert report.status == INTACT
    assert "1 receipts are of other logs, or of another epoch of this one." in report.notes


@pytest.mark.parametrize(
    "spoiled",
    [
        "text",
        {},
        {"log": 5},
        {"index": -1},
        {"index": 4},
        {"index": True},
        {"index": "3"},
        {"leaf": "00"},
        {"leaf": "no hex"},
        {"checkpoint": ""},
        {"checkpoint": "a\n1\nAAAA\n\n— x AAAA\n"},
    ],
    ids=str,
)
def test_what_is_no_receipt_is_a_verdict(read: Reading, evidence: Evidence, spoiled: Any) -> None:
    bad = spoiled if not spoiled or isinstance(spoiled, str) else receipt(evidence, 3, 4) | spoiled
    if bad and isinstance(bad, dict) and "log" in spoiled:
        bad = {"log": receipt(evidence, 3, 4)["log"]}
    report = read(evidence.acme, bad)
    assert report.status == INCOMPLETE
    assert "line 1 is no receipt" in report.lines()[0]


def test_a_file_that_is_not_there_is_a_verdict(auditor: Auditor, evidence: Evidence) -> None:
    trusted = verify.Policy.read(auditor.file("policy", auditor.policy))
    report = verify.verify(auditor.file("bundle.zip", evidence.acme), trusted, receipts="/nowhere/receipts")
    assert report.status == INCOMPLETE


def test_a_bundle_without_a_sign_of_life_is_incomplete(read: Reading, evidence: Evidence) -> None:
    assert read(evidence.acme, fresh=timedelta(days=1)).status == INTACT
    report = read(evidence.acme, fresh=timedelta(0))
    assert report.status == INCOMPLETE
    assert "The last sign of life is of" in report.lines()[0]


@pytest.mark.parametrize(
    "arguments", [[], ["verify"], ["verify", "b.zip", "--policy", "p", "--fresh", "soon"]]
)
def test_a_mistake_on_the_command_line_is_no_verdict(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        verify.main(arguments)
    assert ended.value.code == 64
