"""Tiles: how a log's tree is stored and served, as C2SP specifies it (https://c2sp.org/tlog-tiles).

Pure. A *tile* is up to 256 consecutive hashes of one level of the tree; a hash of level L stands for 256**L entries.
A tile that is not full is *partial*; there is at most one a level, the last. From tiles follow all proofs: what a
proof holds is named here as *ranges* of entries, and a range's hash is computed from the few tiles it lies in.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from audit.merkle import EMPTY_ROOT, HASH_SIZE, Frontier, ProofError, node_hash, root

HEIGHT = 8
WIDTH = 1 << HEIGHT
TOP_LEVEL = 7  # 256**8 entries are more than an index can count
ENTRIES = "entries"
# <level or "entries">/<index in groups of three>[.p/<width>]
PATH = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class BadPath(ValueError):
    """No tile stands at this path."""


class Place(NamedTuple):
    """Where a tile stands: its level from the leaves up, and its number in it from 0."""

    level: int
    number: int


class Range(NamedTuple):
    """The entries ``low`` to ``high - 1``: one subtree, whose hash is an element of proofs."""

    low: int
    high: int


class Asked(NamedTuple):
    """What a path names: a tile, or with ``entries`` the bodies under a tile of level 0, and how much of it."""

    place: Place
    width: int
    entries: bool


def path_of(place: Place, width: int = WIDTH, *, entries: bool = False) -> str:
    """``<L>/<N>[.p/<W>]``: the path below ``tile/`` in a log's address."""
    level = ENTRIES if entries else str(place.level)
    partial = f".p/{width}" if width < WIDTH else ""
    return f"{level}/{numbered(place.number)}{partial}"


def numbered(index: int) -> str:
    """An index in groups of three digits, all but the last with an x before: 1234067 is x001/x234/067."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))


def parse(path: str) -> Asked:
    """Read what ``path_of`` writes. Raises BadPath, also for a path that names a tile in another way than it does."""
    found = PATH.fullmatch(path)
    if found is None:
        raise BadPath("A tile's path is <level>/<index>[.p/<width>], the index in groups of three digits.")
    entries = found["level"] == ENTRIES
    index = int(found["index"].replace("x", "").replace("/", ""))
    asked = Asked(Place(0 if entries else int(found["level"]), index), int(found["width"] or WIDTH), entries)
    written = path_of(asked.place, asked.width, entries=entries)
    if written != path or asked.place.level > 63 or index >= 2**56:
        raise BadPath("There is no such tile; a tile's index is written without leading groups of zeros.")
    return asked


def width_of(place: Place, size: int) -> int:
    """How many hashes the tile at this place has in a tree of this size; 0 where there is none."""
    return max(0, min(WIDTH, (size >> HEIGHT * place.level) - place.number * WIDTH))


def places(size: int) -> Iterator[Place]:
    """Every tile of a tree of this size, level by level."""
    level = 0
    while hashes := size >> HEIGHT * level:
        yield from (Place(level, index) for index in range(-(-hashes // WIDTH)))
        level += 1


def edge(size: int) -> list[Place]:
    """The partial tiles of a tree of this size, from the leaves up: what it takes to append to it."""
    found = []
    level = 0
    while hashes := size >> HEIGHT * level:
        if hashes % WIDTH:
            found.append(Place(level, hashes // WIDTH))
        level += 1
    return found


def inclusion(index: int, size: int) -> list[Range]:
    """The ranges of PATH(index, D[size]) of RFC 6962, section 2.1.1, in its order. Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"There is no entry {index} in a log of {size}.")
    ranges, whole = [], Range(0, size)
    while whole.high - whole.low > 1:
        left, right = halves(whole)
        whole, sibling = (left, right) if index < left.high else (right, left)
        ranges.append(sibling)
    return ranges[::-1]


def consistency(first: int, second: int) -> list[Range]:
    """The ranges of PROOF(first, D[second]) of RFC 6962, section 2.1.2, in its order. Raises ProofError."""
    if not 0 < first <= second:
        raise ProofError(f"No proof leads from {first} entries to {second}.")
    ranges, whole = [], Range(0, second)
    while whole.high != first:
        left, right = halves(whole)
        whole, sibling = (left, right) if first <= left.high else (right, left)
        ranges.append(sibling)
    if whole.low:  # who verifies knows the smaller tree's root, and no other subtree's that ends there
        ranges.append(whole)
    return ranges[::-1]


def halves(whole: Range) -> tuple[Range, Range]:
    """The two subtrees of one that has more than one entry: the left has the largest power of two below its count."""
    middle = whole.low + (1 << (whole.high - whole.low - 1).bit_length() - 1)
    return Range(whole.low, middle), Range(middle, whole.high)


def blocks(whole: Range) -> Iterator[tuple[Place, int, int]]:
    """The complete subtrees of a range, oldest first: each as a tile, the offset in it and the count of its hashes."""
    low = whole.low
    while count := whole.high - low:
        height = count.bit_length() - 1
        level, within = divmod(height, HEIGHT)
        index, offset = divmod(low >> HEIGHT * level, WIDTH)
        yield Place(level, index), offset, 1 << within
        low += 1 << height


def needed(ranges: Iterable[Range]) -> set[Place]:
    """The tiles that the hashes of these ranges are computed from."""
    return {place for each in ranges for place, _, _ in blocks(each)}


def hash_of(whole: Range, tiles: Mapping[Place, bytes]) -> bytes:
    """The hash of a range, EMPTY_ROOT for an empty one. Raises ProofError where a tile is missing or too short."""
    node = b""
    for place, offset, count in reversed(list(blocks(whole))):
        hashes = tiles.get(place, b"")[offset * HASH_SIZE : (offset + count) * HASH_SIZE]
        if len(hashes) != count * HASH_SIZE:
            raise ProofError(f"The tile {path_of(place)} does not reach as far as entry {whole.high - 1}.")
        left = root(split(hashes))
        node = node_hash(left, node) if node else left
    return node or EMPTY_ROOT


def split(hashes: bytes) -> list[bytes]:
    """Hashes that stand behind each other, one by one."""
    return [hashes[start : start + HASH_SIZE] for start in range(0, len(hashes), HASH_SIZE)]


class Growth:
    """A tree that grows: its last tile of each level, and those that changed since it began."""

    def __init__(self, size: int = 0, partial: Mapping[Place, bytes] | None = None) -> None:
        """A tree of this size, of which these are the partial tiles. Raises ProofError where they do not fit."""
        self.size = size
        self.changed: dict[Place, bytes] = {}
        self.open: list[bytearray] = []
        tiles = partial or {}
        level = 0
        while hashes := size >> HEIGHT * level:
            content = tiles.get(Place(level, hashes // WIDTH), b"")
            if len(content) != hashes % WIDTH * HASH_SIZE:
                raise ProofError(f"The last tile of level {level} does not fit a tree of {size} entries.")
            self.open.append(bytearray(content))
            level += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add leaves in order."""
        start = 0
        while start < len(leaves):
            room = WIDTH - self.size % WIDTH
            added = leaves[start : start + room]
            self.size += len(added)
            self.put(0, b"".join(added))
            start += room

    def put(self, level: int, hashes: bytes) -> None:
        """Append hashes for which the level's last tile has room; a full tile's root goes one level up."""
        if level == len(self.open):
            self.open.append(bytearray())
        tile = self.open[level]
        tile += hashes
        reached = self.size >> HEIGHT * level
        place = Place(level, (reached - 1) // WIDTH)
        self.changed[place] = bytes(tile)
        if len(tile) == WIDTH * HASH_SIZE:
            self.open[level] = bytearray()
            self.put(level + 1, root(split(self.changed[place])))

    def frontier(self) -> Frontier:
        """The roots of the tree's complete subtrees."""
        hashes: list[bytes] = []
        for tile in reversed(self.open):
            part = Frontier()
            part.extend(split(bytes(tile)))
            hashes += part.hashes
        return Frontier(self.size, hashes)
