"""Trust policies: C2SP's lines and ours, quorums, and errors that name their line."""

from contextlib import suppress
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.notes import COSIGNATURE, ED25519, Signer, Verifier
from audit.policy import Policy, PolicyError

INSTALLATION = "cs.example/installation/00000000-0000-4000-8000-000000000001"
WORKSPACE = "cs.example/ws/00000000-0000-4000-8000-000000000002"


def key(name: str, number: int, kind: int = ED25519) -> Verifier:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32), kind).verifier


LOG = key(INSTALLATION, 1)
OLDER = key(INSTALLATION, 2)
WITNESSES = [key(f"w.example/{number}", 10 + number, COSIGNATURE) for number in range(6)]
NAMED = "\n".join(f"witness W{number} {each}" for number, each in enumerate(WITNESSES)) + "\n"


def parsed(text: str) -> Policy:
    return Policy.parse(text.encode())


def test_a_policy_is_read_with_tabs_comments_and_addresses():
    policy = parsed(
        f"# who we trust\n\n  log\t{LOG} https://cs.example \n\t# comment\n"
        f"witness W0 {WITNESSES[0]} https://w.example/\nquorum W0\n"
    )
    (log,) = policy.logs
    assert (log.name, log.verifier, log.url) == (INSTALLATION, LOG, "https://cs.example")
    assert policy.witnesses["W0"].url == "https://w.example/"
    assert policy.satisfied_by(["W0"])
    assert not policy.satisfied_by([])
    assert not policy.satisfied_by(["W1"])


def test_k_of_n_is_met_by_k_and_not_by_fewer():
    policy = parsed(NAMED + "group some 4 W0 W1 W2 W3 W4 W5\nquorum some")
    for count in range(7):
        for names in combinations(policy.witnesses, count):
            assert policy.satisfied_by(names) == (count >= 4)


def test_groups_stand_in_groups():
    policy = parsed(
        NAMED
        + "group X 2 W0 W1 W2\ngroup Y any W3 W4\ngroup both all X Y\nquorum both\ngroup later all W5 both"
    )
    assert policy.satisfied_by({"W0", "W2", "W4"})
    assert not policy.satisfied_by({"W0", "W1", "W2", "W5"})
    assert not policy.satisfied_by({"W0", "W3", "W4", "both", "X"})


def test_no_witness_may_be_needed():
    assert parsed("quorum none").satisfied_by([])
    assert parsed(NAMED + "quorum none").satisfied_by([])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line `quorum`"),
        (f"log {LOG}", "no line `quorum`"),
        ("quorum none\nquorum none", "line 2: There is a quorum already"),
        ("quorum W0\n" + NAMED, "line 1: No line before defines 'W0'"),
        (f"\n\nlog {OLDER} a b\nquorum none", "line 3: The line is `log <vkey> "),
        (f"log {str(LOG)[:-1]}", "line 1: A verifier key is not"),
        (f"log {WITNESSES[0]}", "line 1: The key of w.example/0 is not a log's"),
        (f"witness W {LOG}", "line 1: .* is not a witness's"),
        (f"log {LOG}\nprevious {LOG}", "line 2: .* stands in an earlier line"),
        (f"log {LOG}\nlog {Verifier('other', ED25519, LOG.key)}", "line 2: .* stands in an earlier line"),
        (f"{NAMED}witness W0 {key('x', 40, COSIGNATURE)}", "line 7: The name 'W0' is taken"),
        (f"{NAMED}witness X {Verifier('x', COSIGNATURE, WITNESSES[0].key)}", "line 7: .* earlier line"),
        (f"witness none {WITNESSES[0]}", "line 1: The name 'none' is taken"),
        (f"{NAMED}group g 3 W0 W1", "line 7: A group needs .* 2 members"),
        (f"{NAMED}group g 0 W0 W1", "line 7: A group needs"),
        (f"{NAMED}group g 01 W0 W1", "line 7: A group needs"),
        (f"{NAMED}group g ² W0 W1", "line 7: A group needs"),
        (f"{NAMED}group g any", "line 7: The line is `group"),
        (f"{NAMED}group g any none", "line 7: No line before defines 'none'"),
        (f"{NAMED}group g any g", "line 7: No line before defines 'g'"),
        (f"{NAMED}group g any W0 W0", "line 7: 'W0' is a member already"),
        (f"{NAMED}group g any W0\ngroup h any W0", "line 8: 'W0' is a member already"),
        ("quorum none\r\n", "line 1: It holds a control character"),
        ("# \x00\nquorum none", "line 1: It holds a control character"),
        ("Quorum none", "line 1: A line begins with one of log, witness"),
        ("quorum\u00a0none", "line 1: A line begins"),
        ("epoch x 0", "line 1: An epoch is a number from 1"),
        (f"receipts {WITNESSES[0]}", "line 1: Receipts are signed"),
        ("#\n" * 20_000, "at most"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, said):
    with pytest.raises(PolicyError, match=said):
        parsed(text)


def test_names_are_bytes():
    kelvin, letter = "\u212a", "K"
    policy = Policy.parse(
        f"witness {kelvin} {WITNESSES[0]}\nwitness {letter} {WITNESSES[1]}\n".encode()
        + b"witness \xff "
        + f"{WITNESSES[2]}\nquorum {kelvin}".encode()
    )
    assert policy.satisfied_by([kelvin])
    assert not policy.satisfied_by([letter])


def test_a_file_of_logs_needs_no_quorum():
    assert Policy.parse(f"log {LOG}\n".encode(), quorum=False).keys == [LOG]


def test_the_key_of_the_installation_signs_its_workspaces_and_no_others():
    policy = parsed(f"log {LOG}\nprevious {OLDER}\nquorum none")
    assert policy.keys_of(INSTALLATION) == [LOG, OLDER]
    assert policy.keys_of(WORKSPACE) == []
    assert policy.keys_beside(WORKSPACE) == [Verifier(WORKSPACE, ED25519, each.key) for each in (LOG, OLDER)]
    assert policy.keys_beside(INSTALLATION) == [LOG, OLDER]
    for other in (WORKSPACE.replace("cs.", "xs."), f"{WORKSPACE}/1", "cs.example", "", "cs.example/ws/1"):
        assert policy.keys_beside(other) == []


def test_an_adopted_log_is_believed_where_its_epoch_is_named():
    policy = parsed(f"log {LOG}\nepoch {INSTALLATION} 2\nepoch {WORKSPACE} 1\nquorum none")
    assert policy.keys_of(f"{INSTALLATION}/2") == [Verifier(f"{INSTALLATION}/2", ED25519, LOG.key)]
    assert policy.keys_beside(f"{INSTALLATION}/2") == policy.keys_of(f"{INSTALLATION}/2")
    assert policy.keys_of(f"{INSTALLATION}/1") == []
    assert policy.keys_of(f"{WORKSPACE}/1") == []
    assert policy.keys_beside(f"{WORKSPACE}/1") == [Verifier(f"{WORKSPACE}/1", ED25519, LOG.key)]


def test_a_key_may_sign_under_an_origin_that_is_not_its_name():
    policy = parsed(f"log {LOG}\norigin {INSTALLATION} a log of ours\nquorum none")
    assert policy.keys_of("a log of ours") == [LOG]
    assert policy.keys_of("a log") == []


def test_receipts_and_authorities_are_named():
    receipts = key("cs.example/receipts", 50)
    policy = parsed(f"receipts {receipts}\ntsa tsa.pem\nquorum none")
    assert policy.receipts == [receipts]
    assert policy.authorities == ["tsa.pem"]


WORDS = st.sampled_from(
    ["log", "witness", "group", "quorum", "epoch", "origin", "tsa", "previous", "receipts", "none", "any", "all",
     "1", "2", "W0", "W1", "x", str(LOG), str(WITNESSES[0]), str(WITNESSES[1]), "\n", "\n", " ", "\t", "#", "é", "+"]
)  # fmt: skip


@given(st.one_of(st.binary(), st.lists(WORDS).map(lambda words: " ".join(words).encode())))
def test_any_bytes_are_a_policy_or_called_wrong(text):
    with suppress(PolicyError):
        policy = Policy.parse(text)
        policy.satisfied_by([])
        policy.keys_beside(INSTALLATION)
