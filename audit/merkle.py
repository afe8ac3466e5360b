"""Merkle trees as in RFC 6962, section 2.1, and their proofs.

Pure: bytes in, bytes out. Throughout, a *leaf* is a leaf hash (32 bytes, `leaf_hash(body)`), never a body;
a *proof* is a list of node hashes in the order of the RFC; sizes count leaves. The verifying procedures are
those of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which describe the same proofs.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Self

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


class ProofError(Exception):
    """A proof does not show what it claims, or a stored frontier has the wrong length."""


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of a tree's complete subtrees, largest (oldest leaves) first: one for each bit of its size.

    It is all that appending needs: a log's head stores it beside the size as 32 bytes a hash.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(hashes) != size.bit_count() or any(len(each) != HASH_SIZE for each in hashes):
            raise ProofError(f"A frontier of size {size} cannot have these {len(hashes)} hashes.")
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def decode(cls, size: int, blob: bytes) -> Self:
        """Read what `encode` wrote for `size` leaves; raises ProofError if the length does not fit."""
        hashes = [bytes(blob[start : start + HASH_SIZE]) for start in range(0, len(blob), HASH_SIZE)]
        return cls(size, hashes)

    def encode(self) -> bytes:
        """32 bytes for each set bit of the size."""
        return b"".join(self.hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf."""
        self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves in order: on average one node hash each."""
        hashes, size = self.hashes, self.size
        for leaf in leaves:
            carry, node = size, leaf
            while carry & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()
                carry >>= 1
            hashes.append(node)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """The tree's root hash; `EMPTY_ROOT` for no leaves."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            node = sha256(b"\x01" + left + node).digest()
        return node


def root(leaves: Iterable[bytes]) -> bytes:
    """MTH of RFC 6962 over all leaves."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int, size: int) -> list[bytes]:
    """PATH(index, leaves[:size]), section 2.1.1: that the leaf is in the tree of `size` leaves."""
    if not 0 <= index < size <= len(leaves):
        raise ProofError(f"There is no leaf {index} in a tree of {size} among {len(leaves)} leaves.")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(root(leaves[middle:high]))
            high = middle
        else:
            proof.append(root(leaves[low:middle]))
            low = middle
    return proof[::-1]


def consistency_proof(leaves: Sequence[bytes], first: int, second: int) -> list[bytes]:
    """PROOF(first, leaves[:second]), section 2.1.2: that the larger tree only added to the smaller one."""
    if not 0 < first <= second <= len(leaves):
        raise ProofError(f"No proof leads from {first} to {second} of {len(leaves)} leaves.")
    proof: list[bytes] = []
    low, high = 0, second
    while first != high:
        middle = low + _split(high - low)
        if first <= middle:
            proof.append(root(leaves[middle:high]))
            high = middle
        else:
            proof.append(root(leaves[low:middle]))
            low = middle
    if low:  # the smaller tree's root is known to the verifier; any other last subtree is not
        proof.append(root(leaves[low:high]))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise ProofError unless `proof` shows `leaf` at `index` of the tree of `size` leaves with this root."""
    if not 0 <= index < size:
        raise ProofError(f"There is no leaf {index} in a tree of {size}.")
    _check_lengths(leaf, root, *proof)
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("The inclusion proof is too long.")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError("The inclusion proof is too short.")
    if node != root:
        raise ProofError("The inclusion proof leads to another root.")


def verify_consistency(first: int, second: int, root1: bytes, root2: bytes, proof: Sequence[bytes]) -> None:
    """Raise ProofError unless `proof` shows that the tree (second, root2) extends the tree (first, root1)."""
    if not 0 < first <= second:
        raise ProofError(f"A tree of {second} leaves cannot be shown to extend one of {first}.")
    if first == second:
        if proof or root1 != root2:
            raise ProofError("Two trees of one size need the same root and an empty proof.")
        return
    _check_lengths(root1, root2, *proof)
    # A complete first tree is a node of the second one, and then the proof leaves it out.
    path = [root1, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        raise ProofError("The consistency proof is empty.")
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("The consistency proof is too long.")
        if position & 1 or position == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofError("The consistency proof is too short.")
    if old != root1 or new != root2:
        raise ProofError("The consistency proof leads to other roots.")


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (k of section 2.1; count > 1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _check_lengths(*hashes: bytes) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise ProofError(f"Every hash of a proof has {HASH_SIZE} bytes.")
