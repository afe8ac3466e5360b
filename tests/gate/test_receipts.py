"""Every recorded answer carries a receipt: which entry, and a signed head of the log that holds it."""

from pathlib import Path
from typing import Any

import pytest

from audit import keys, merkle, receipts
from audit.models import Entry, Head
from audit.notes import Checkpoint, Note
from tests.cast import Cast
from tests.gate.conftest import Bot

REPORT = {"path": "/srv/reports/a"}


def head_of(answer: dict[str, object]) -> Checkpoint:
    """The signed head in an answer's receipt, its signature verified."""
    receipt = answer["receipt"]
    assert isinstance(receipt, dict)
    note = Note.parse(receipt["checkpoint"])
    assert note.signed_by(receipts.signer().verifier) == 0
    checkpoint = Checkpoint.parse(note.text)
    assert checkpoint.origin == receipt["log"]
    return checkpoint


def test_a_receipt_holds_the_signed_head_right_after_the_decision(support: Bot, cast: Cast) -> None:
    answer = support.check("files.read", REPORT)
    signed = head_of(answer)
    head = Head.objects.get(log_id=cast.acme.log_id)
    assert signed.size == head.size == answer["receipt"]["index"] + 1
    assert signed.root == merkle.Frontier.decode(head.size, bytes(head.frontier)).root()
    assert signed.origin == cast.acme.log.origin


def test_the_leaf_is_in_the_tree_that_was_signed(support: Bot, cast: Cast) -> None:
    answers = [support.check("files.read", REPORT) for _ in range(3)]
    leaves = [
        bytes(leaf)
        for leaf in Entry.objects.filter(log_id=cast.acme.log_id)
        .order_by("index")
        .values_list("leaf", flat=True)
    ]
    for answer in answers:
        signed, index = head_of(answer), answer["receipt"]["index"]
        proof = merkle.inclusion_proof(leaves, index, signed.size)
        leaf = bytes.fromhex(answer["receipt"]["leaf"])
        merkle.verify_inclusion(leaf, index, signed.size, proof, signed.root)


def test_an_answer_given_again_names_the_same_entry_under_the_head_of_today(support: Bot) -> None:
    first = support.check("files.read", REPORT, call_id="one")
    support.check("files.read", REPORT)
    again = support.check("files.read", REPORT, call_id="one")
    assert again["id"] == first["id"]
    assert again["receipt"]["index"] == first["receipt"]["index"]
    assert head_of(again).size == head_of(first).size + 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_denials_and_rehearsals_have_receipts_too(support: Bot, dry_run: bool) -> None:
    answer = support.check("no.such.tool", {}, dry_run=dry_run)
    assert answer["decision"] == "deny"
    assert head_of(answer).size == answer["receipt"]["index"] + 1


def test_a_key_that_others_can_read_answers_nobody_and_records_nothing(
    support: Bot, cast: Cast, settings: Any, tmp_path: Path
) -> None:
    support.check("files.read", REPORT)
    size = Head.objects.get(log_id=cast.acme.log_id).size
    usual, settings.KEYS_DIR = settings.KEYS_DIR, tmp_path
    (tmp_path / keys.RECEIPT).touch(mode=0o644)
    forget()
    try:
        body = {"tool": "files.read", "arguments": REPORT}
        assert support.problem("POST", "/v1/check", json=body) == (503, "log_unavailable")
    finally:
        settings.KEYS_DIR = usual
        forget()
    assert Head.objects.get(log_id=cast.acme.log_id).size == size
    assert support.check("files.read", REPORT)["receipt"]


def forget() -> None:
    keys.forget()
    receipts.signer.cache_clear()
