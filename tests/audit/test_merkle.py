"""The log's tree is RFC 6962's: checked against the RFC's definition and against outside vectors."""

import base64
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle
from audit.merkle import Frontier, ProofError

VECTORS = Path(os.environ.get("COUNTERSIGN_SHARED", "../shared")) / "vectors" / "rfc6962-merkle"
LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(70)]


def probes(name: str) -> list[Any]:
    path = VECTORS / name
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{path} is absent"))]
    return [pytest.param(probe, id=probe["file"]) for probe in json.loads(path.read_bytes())]


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1 defines it, by recursion."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return merkle.node_hash(defined_root(leaves[:split]), defined_root(leaves[split:]))


def test_hashes_are_prefixed_so_that_a_leaf_is_never_a_node() -> None:
    assert merkle.leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert merkle.node_hash(b"l", b"r") == sha256(b"\x01lr").digest()
    assert sha256(b"").digest() == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_the_root_is_the_defined_one_at_every_size(size: int) -> None:
    assert merkle.root(LEAVES[:size]) == defined_root(LEAVES[:size])


@given(st.lists(st.integers(0, 20), max_size=8))
def test_a_frontier_grows_the_same_tree_in_any_batches(batches: list[int]) -> None:
    frontier, blob, size = Frontier(), b"", 0
    for batch in batches:
        frontier = Frontier.decode(size, blob)
        frontier.extend(merkle.leaf_hash(b"%d" % number) for number in range(size, size + batch))
        blob, size = frontier.encode(), frontier.size
    assert frontier.root() == defined_root([merkle.leaf_hash(b"%d" % number) for number in range(size)])
    assert len(blob) == 32 * size.bit_count()


def test_append_adds_one_leaf() -> None:
    frontier = Frontier()
    for leaf in LEAVES[:11]:
        frontier.append(leaf)
    assert (frontier.size, frontier.root()) == (11, defined_root(LEAVES[:11]))


@pytest.mark.parametrize(
    ("size", "blob"), [(1, b""), (0, b"x" * 32), (3, b"x" * 63), (2, b"x" * 33), (-1, b"")]
)
def test_a_stored_frontier_of_the_wrong_length_is_refused(size: int, blob: bytes) -> None:
    with pytest.raises(ProofError):
        Frontier.decode(size, blob)


def test_every_leaf_of_every_tree_can_be_shown_to_be_in_it() -> None:
    for size in range(1, 36):
        expected = defined_root(LEAVES[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(LEAVES, index, size)
            merkle.verify_inclusion(LEAVES[index], index, size, proof, expected)
            with pytest.raises(ProofError):
                merkle.verify_inclusion(LEAVES[index + 1], index, size, proof, expected)
            with pytest.raises(ProofError):
                merkle.verify_inclusion(LEAVES[index], index, size, [*proof, LEAVES[0]], expected)


def test_every_tree_can_be_shown_to_extend_every_smaller_one() -> None:
    for second in range(1, 36):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(LEAVES, first, second)
            old, new = defined_root(LEAVES[:first]), defined_root(LEAVES[:second])
            merkle.verify_consistency(first, second, old, new, proof)
            with pytest.raises(ProofError):
                merkle.verify_consistency(first, second, LEAVES[69], new, proof)
            with pytest.raises(ProofError):
                merkle.verify_consistency(first, second, old, LEAVES[69], proof)
            with pytest.raises(ProofError):
                merkle.verify_consistency(first, second, old, new, [*proof, LEAVES[0]])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (0, 71)])
def test_no_inclusion_proof_is_made_for_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ProofError):
        merkle.inclusion_proof(LEAVES, index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (1, 71)])
def test_no_consistency_proof_is_made_between_impossible_sizes(first: int, second: int) -> None:
    with pytest.raises(ProofError):
        merkle.consistency_proof(LEAVES, first, second)


@pytest.mark.parametrize("probe", probes("inclusion.json"))
def test_inclusion_probes_from_outside(probe: dict[str, Any]) -> None:
    def verify() -> None:
        merkle.verify_inclusion(
            raw(probe["leafHash"]),
            probe["leafIdx"],
            probe["treeSize"],
            [raw(each) for each in probe["proof"] or []],
            raw(probe["root"]),
        )

    judge(verify, rejected=probe["wantErr"])


@pytest.mark.parametrize("probe", probes("consistency.json"))
def test_consistency_probes_from_outside(probe: dict[str, Any]) -> None:
    def verify() -> None:
        merkle.verify_consistency(
            probe["size1"],
            probe["size2"],
            raw(probe["root1"]),
            raw(probe["root2"]),
            [raw(each) for each in probe["proof"] or []],
        )

    judge(verify, rejected=probe["wantErr"])


def judge(verify: Any, *, rejected: bool) -> None:
    if rejected:
        with pytest.raises(ProofError):
            verify()
    else:
        verify()
