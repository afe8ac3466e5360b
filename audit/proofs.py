"""Proofs about a stored log, computed from its tiles: one query each, however long the log is.

They reach as far as the tiles do, which is the newest published checkpoint.
"""

from collections.abc import Iterable

from django.db import connection

from audit import merkle, tiles
from audit.models import Tile
from audit.tiles import Place, Range


def inclusion(log_id: int, index: int, size: int) -> list[bytes]:
    """That the entry is in the log of ``size`` entries: node hashes in the order of RFC 6962, section 2.1.1.

    Raises merkle.ProofError for an entry or a size that is not published."""
    return hashes_of(log_id, tiles.inclusion(index, size), size)


def consistency(log_id: int, first: int, second: int) -> list[bytes]:
    """That the log of ``second`` entries only added to that of ``first``: node hashes as in section 2.1.2.

    Raises merkle.ProofError for sizes that are not published, and where first is 0."""
    return hashes_of(log_id, tiles.consistency(first, second), second)


def proof_and_root(log_id: int, index: int, size: int) -> tuple[list[bytes], bytes]:
    """``inclusion``, and the root that it leads to, by one query. Raises merkle.ProofError."""
    *hashes, top = hashes_of(log_id, [*tiles.inclusion(index, size), Range(0, size)], size)
    return hashes, top


def root(log_id: int, size: int) -> bytes:
    """The log's root hash when it had this size. Raises merkle.ProofError for one that is not published."""
    (found,) = hashes_of(log_id, [Range(0, size)], size)
    return found


def hashes_of(log_id: int, ranges: list[Range], size: int) -> list[bytes]:
    """The hash of each range in a log that has at least ``size`` published entries. Raises merkle.ProofError."""
    last = {Place(0, (size - 1) // tiles.WIDTH)} if size else set()
    found = read(log_id, tiles.needed(ranges) | last)
    for place in last:
        if len(found.get(place, b"")) < tiles.width_of(place, size) * merkle.HASH_SIZE:
            raise merkle.ProofError(f"No checkpoint over {size} entries is published yet.")
    return [tiles.hash_of(each, found) for each in ranges]


def read(log_id: int, places: Iterable[Place]) -> dict[Place, bytes]:
    """The stored tiles at these places; those that are not stored are absent."""
    wanted = sorted(set(places))
    if not wanted:
        return {}
    either = " OR ".join(['(level = %s AND "index" = %s)'] * len(wanted))
    # Hand-written: the ORM takes as long to write it as the database takes to answer.
    sql = f'SELECT level, "index", hashes FROM audit_tile WHERE log_id = %s AND ({either})'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [log_id, *(number for place in wanted for number in place)])
        return {Place(level, number): bytes(hashes) for level, number, hashes in cursor.fetchall()}


def leaves(log_id: int, low: int, high: int) -> dict[int, bytes]:
    """Index → leaf hash of the entries from ``low`` until before ``high``, as far as their tiles are stored."""
    numbers = (low // tiles.WIDTH, (high - 1) // tiles.WIDTH)
    rows = Tile.objects.filter(log_id=log_id, level=0, index__range=numbers).values_list("index", "hashes")
    every = (
        (number * tiles.WIDTH + offset, leaf)
        for number, hashes in rows
        for offset, leaf in enumerate(tiles.split(bytes(hashes)))
    )
    return {index: leaf for index, leaf in every if low <= index < high}


def size(log_id: int) -> int:
    """How many entries the stored tiles cover."""
    last = Tile.objects.filter(log_id=log_id, level=0).order_by("-index").first()
    return last.index * tiles.WIDTH + len(bytes(last.hashes)) // merkle.HASH_SIZE if last else 0


def stored(log_id: int) -> tiles.Growth:
    """The stored tree, ready to grow. Raises merkle.ProofError where its tiles do not fit each other."""
    covered = size(log_id)
    return tiles.Growth(covered, read(log_id, tiles.edge(covered)))
