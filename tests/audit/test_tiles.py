"""Tiles hold a tree as C2SP lays it out, and every proof follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle, tiles
from audit.tiles import BadPath, Growth, Place

LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(70_000)]


def grown(size: int) -> Growth:
    growth = Growth()
    growth.extend(LEAVES[:size])
    return growth


@pytest.mark.parametrize(
    ("place", "width", "entries", "path"),
    [
        (Place(0, 0), 256, False, "0/000"),
        (Place(1, 1_234_067), 256, False, "1/x001/x234/067"),
        (Place(0, 273), 112, False, "0/273.p/112"),
        (Place(0, 5), 7, True, "entries/005.p/7"),
        (Place(7, 999_999), 256, False, "7/x999/999"),
        (Place(0, 1000), 256, True, "entries/x001/000"),
    ],
)
def test_a_path_is_written_and_read_as_the_specification_says(
    place: Place, width: int, entries: bool, path: str
) -> None:
    assert tiles.path_of(place, width, entries=entries) == path
    assert tiles.parse(path) == (place, width, entries)


@pytest.mark.parametrize(
    "path",
    [
        "", "0", "0/0", "0/0000", "00/000", "64/000", "-1/000", "0/x000/001", "0/x001", "0/001/002", "x0/000",
        "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000/", "0/ 00", "entries/1", "Entries/001", "0/٠٠٠",
        "0/" + "x001/" * 40 + "001",
    ],
)  # fmt: skip
def test_a_tile_has_no_other_path(path: str) -> None:
    with pytest.raises(BadPath):
        tiles.parse(path)


def test_a_tree_of_70000_entries_has_the_tiles_of_the_specification() -> None:
    sizes: dict[int, list[int]] = {}
    for place in tiles.places(70_000):
        sizes.setdefault(place.level, []).append(tiles.width_of(place, 70_000))
    assert sizes == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    assert tiles.edge(70_000) == [Place(0, 273), Place(1, 1), Place(2, 0)]
    assert list(tiles.places(256)) == [Place(0, 0), Place(1, 0)]
    assert list(tiles.places(0)) == tiles.edge(0) == []


def test_tiles_hold_the_hashes_of_the_specification() -> None:
    growth = grown(70_000)
    assert set(growth.changed) == set(tiles.places(70_000))
    for place, hashes in growth.changed.items():
        assert len(hashes) == 32 * tiles.width_of(place, 70_000)
    span = 256
    one = tiles.split(growth.changed[Place(1, 1)])
    assert one[3] == merkle.root(LEAVES[(256 + 3) * span : (256 + 4) * span])
    assert tiles.split(growth.changed[Place(0, 273)])[-1] == LEAVES[69_999]
    assert growth.changed[Place(2, 0)] == merkle.root(LEAVES[:65_536])


def test_any_batching_gives_the_same_tiles_and_the_same_root() -> None:
    whole = grown(1500)
    for step in (1, 7, 255, 256, 257, 1000):
        growth, stored = Growth(), dict[Place, bytes]()
        for start in range(0, 1500, step):
            growth.extend(LEAVES[start : min(start + step, 1500)])
            stored |= growth.changed
            growth = Growth(growth.size, {place: stored[place] for place in tiles.edge(growth.size)})
        assert stored == whole.changed
        assert growth.frontier().encode() == whole.frontier().encode()
        assert growth.frontier().root() == merkle.root(LEAVES[:1500])


@given(st.lists(st.integers(0, 700), max_size=6))
def test_a_tree_that_grows_has_the_frontier_of_its_leaves(parts: list[int]) -> None:
    growth, frontier = Growth(), merkle.Frontier()
    for part in parts:
        added = LEAVES[growth.size : growth.size + part]
        growth.extend(added)
        frontier.extend(added)
        assert growth.frontier().encode() == frontier.encode()


def test_proofs_out_of_tiles_are_those_of_the_rfc_at_every_size_up_to_600() -> None:
    stored = grown(600).changed
    for size in range(1, 601):
        root = tiles.hash_of(tiles.Range(0, size), stored)
        assert root == merkle.root(LEAVES[:size])
        for index in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
            proof = [tiles.hash_of(each, stored) for each in tiles.inclusion(index, size)]
            merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
        for first in {1, 2, size // 3, size // 2, size - 1, size} & set(range(1, size + 1)):
            proof = [tiles.hash_of(each, stored) for each in tiles.consistency(first, size)]
            merkle.verify_consistency(first, size, merkle.root(LEAVES[:first]), root, proof)


@given(st.integers(1, 70_000), st.data())
def test_a_proof_needs_few_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    assert len(tiles.needed(tiles.inclusion(index, size))) <= 6
    assert len(tiles.needed(tiles.consistency(first, size))) <= 6


def test_tiles_that_do_not_fit_are_refused() -> None:
    stored = grown(300).changed
    with pytest.raises(merkle.ProofError, match="does not fit a tree of 301"):
        Growth(301, stored)
    with pytest.raises(merkle.ProofError, match="does not reach"):
        tiles.hash_of(tiles.Range(256, 301), stored)
    with pytest.raises(merkle.ProofError, match="no entry 300"):
        tiles.inclusion(300, 300)
    with pytest.raises(merkle.ProofError, match="No proof"):
        tiles.consistency(0, 300)
