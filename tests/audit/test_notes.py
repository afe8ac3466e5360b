"""Signed notes and checkpoints: C2SP's own example, what a note may not be, and that nothing else is ever raised."""

import base64
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from audit.notes import (
    COSIGNATURE,
    MOST_SIGNATURES,
    Checkpoint,
    Note,
    NoteError,
    Signature,
    Signer,
    Verifier,
    sign,
)

VECTORS = Path(os.environ.get("COUNTERSIGN_SHARED", "../shared")) / "vectors/c2sp/signed_note.json"
LOG = Signer("log.example/one", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
WITNESS = Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32)), COSIGNATURE)
CHECKPOINT = Checkpoint("log.example/one", 1841, bytes(range(32)))
# What a parser meets: any text, and text that looks like the real thing.
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="— +/=\n0123456789abcAB.\x7f\ud800\u2028"),
    st.lists(st.sampled_from([*sign(CHECKPOINT.text, [LOG]).split("\n"), "", "—", "01", "x+00+"])).map(
        "\n".join
    ),
)


def damaged(text: str) -> st.SearchStrategy[str]:
    """The text with one character replaced by another."""
    places = st.integers(0, len(text) - 1)
    return st.builds(lambda at, by: text[:at] + by + text[at + 1 :], places, st.characters())


@pytest.mark.skipif(not VECTORS.exists(), reason="the outside vectors are not here")
def test_the_examples_of_c2sp_verify_or_do_not():
    vectors = json.loads(VECTORS.read_text())
    assert vectors
    for vector in vectors:
        verifier = Verifier.parse(vector["vkey"])
        assert (Note.parse(vector["note"]).signed_by(verifier) is not None) == vector["valid"]
        assert str(verifier) == vector["vkey"]


def test_a_note_is_read_as_it_was_signed():
    note = Note.parse(sign(CHECKPOINT.text, [LOG]))
    assert note.text == CHECKPOINT.text
    assert Checkpoint.parse(note.text) == CHECKPOINT
    assert note.signed_by(LOG.verifier) == 0
    assert "".join(each.line for each in note.signatures) == LOG.line(note.text)


def test_a_witness_says_when():
    note = Note.parse(sign(CHECKPOINT.text, [LOG]) + WITNESS.line(CHECKPOINT.text, 1_700_000_000))
    assert note.signed_by(WITNESS.verifier) == 1_700_000_000
    assert note.signed_by(LOG.verifier) == 0


def test_a_witness_that_says_another_time_than_it_signed_is_false():
    name, encoded = WITNESS.line(CHECKPOINT.text, 5)[2:-1].split(" ")
    raw = base64.b64decode(encoded)
    for time in (6, 2**63, 2**64 - 1):
        false = Signature(name, raw[:4], time.to_bytes(8, "big") + raw[12:])
        with pytest.raises(NoteError):
            Note(CHECKPOINT.text, (false,)).signed_by(WITNESS.verifier)


def test_a_witness_cannot_name_a_time_beyond_63_bits():
    note = Note.parse(f"{CHECKPOINT.text}\n{WITNESS.line(CHECKPOINT.text, 2**63)}")
    with pytest.raises(NoteError, match="time that cannot be"):
        note.signed_by(WITNESS.verifier)


def test_signatures_of_unknown_keys_are_passed_over():
    other = Signer(LOG.name, Ed25519PrivateKey.generate())
    note = Note.parse(sign(CHECKPOINT.text, [other, LOG]))
    assert note.signed_by(LOG.verifier) == 0
    assert Note.parse(sign(CHECKPOINT.text, [other])).signed_by(LOG.verifier) is None


def test_a_false_signature_of_a_known_key_makes_the_note_worthless():
    true, false = LOG.line(CHECKPOINT.text), LOG.line("something else\n")
    for lines in (true + false, false + true, false):
        with pytest.raises(NoteError, match="is false"):
            Note.parse(f"{CHECKPOINT.text}\n{lines}").signed_by(LOG.verifier)


def test_the_last_empty_line_ends_the_text():
    note = Note.parse(sign("first\n\nsecond\n", [LOG]))
    assert note.text == "first\n\nsecond\n"
    assert note.signed_by(LOG.verifier) == 0


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n— a AAAAAAA=\n",
        f"text\n\n{LOG.line('text')}".removesuffix("\n"),
        "text\n\n- a AAAAAAA=\n",
        "text\n\n—  AAAAAAA=\n",
        "text\n\n— a AAAA\n",  # three bytes
        "text\n\n— a AAAAAB==\n",  # bits behind the end
        "text\n\n— a+b AAAAAAA=\n",
        "text\n\n— a\u2003b AAAAAAA=\n",
        "text\r\n\n— a AAAAAAA=\n",
        "te\tt\n\n— a AAAAAAA=\n",
        "te\ud800t\n\n— a AAAAAAA=\n",
        "text\n\n" + "— a AAAAAAA=\n" * (MOST_SIGNATURES + 1),
        "t" * 1_000_000 + "\n\n— a AAAAAAA=\n",
    ],
)
def test_what_is_no_note_is_refused(note):
    with pytest.raises(NoteError):
        Note.parse(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        "origin\n1\n" + "A" * 43 + "=",  # no newline at the end
        "\n1\n" + "A" * 43 + "=\n",
        "origin\n01\n" + "A" * 43 + "=\n",
        "origin\n-1\n" + "A" * 43 + "=\n",
        "origin\n١\n" + "A" * 43 + "=\n",
        f"origin\n{2**63}\n" + "A" * 43 + "=\n",
        "origin\n1\n" + "A" * 42 + "B=\n",
        "origin\n1\nAAAA\n",
        "origin\n1\n" + "A" * 43 + "=\n\nmore\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_extension_lines_are_kept():
    told = Checkpoint("log.example/one", 0, bytes(32), ("more", "and more"))
    assert Checkpoint.parse(told.text) == told


def test_a_key_is_copied_whole_or_not_at_all():
    key = str(LOG.verifier)
    assert Verifier.parse(f" {key}\n") == LOG.verifier
    for wrong in (key[:-1], key.replace("log.", "lag."), key.replace("+", "-"), "a+00000000+AAAA", ""):
        with pytest.raises(NoteError):
            Verifier.parse(wrong)


def test_a_signer_is_read_back_as_it_was_written():
    for signer in (LOG, WITNESS):
        again = Signer.parse(signer.secret + "\n")
        assert again.verifier == signer.verifier
        assert again.line("text\n", 7) == signer.line("text\n", 7)
        for wrong in (
            signer.secret[:-1],
            signer.secret.replace(".", ","),
            str(signer.verifier),
            "PRIVATE+KEY+a+b",
        ):
            with pytest.raises(NoteError):
                Signer.parse(wrong)


@given(damaged(sign(CHECKPOINT.text, [LOG])))
def test_no_changed_character_of_a_note_is_missed(changed):
    original = sign(CHECKPOINT.text, [LOG])
    try:
        note = Note.parse(changed)
        signed = note.signed_by(LOG.verifier)
    except NoteError:
        return
    assert (signed is not None) == (changed == original)


@given(TEXTS, TEXTS)
@example("a+\ud800+b", "\ud800+00000000+AAAA")
def test_whatever_is_read_is_understood_or_called_wrong(one, two):
    for parse in (Verifier.parse, Signer.parse, Checkpoint.parse, Note.parse):
        for text in (one, f"{one}\n\n{two}", f"{one}\n\n— {two} AAAAAAA=\n"):
            with suppress(NoteError):
                parse(text)
    with suppress(NoteError):
        Note.parse(f"{one}\n\n{LOG.line(two) if two.isascii() else two}").signed_by(LOG.verifier)
