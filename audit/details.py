"""Reading the personal values that stand beside entries."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from audit import envelopes
from audit.models import Detail, Log

CHUNK = 500  # rows in memory at a time


def read_detail(log_id: int, index: int) -> dict[str, Any]:
    """Field → value of one entry's Detail; empty when it never had one, or it was erased."""
    return next((values for _, values in read_details(log_id, [index])), {})


def read_details(log_id: int, indexes: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(index, field → value) of the Details that are still there, newest first."""
    wanted = sorted(indexes, reverse=True)
    uuid = uuid_of(log_id)
    for start in range(0, len(wanted), CHUNK):
        rows = Detail.objects.filter(log_id=log_id, index__in=wanted[start : start + CHUNK])
        for index, content in rows.order_by("-index").values_list("index", "content").iterator(chunk_size=50):
            yield index, values_of(envelopes.open_envelope(log_id, uuid, index, bytes(content)))


def gone(log_id: int, index: int, committed: Iterable[str]) -> list[str]:
    """Which of the fields that an entry commits to stand beside it no more: erased, or pruned. None of them where the
    Detail cannot be opened here."""
    try:
        return sorted(set(committed) - read_detail(log_id, index).keys())
    except envelopes.SealedOtherwise:
        return []


def values_of(content: bytes) -> dict[str, Any]:
    """Field → value of a Detail's opened content."""
    return {name: sealed["value"] for name, sealed in orjson.loads(content).items()}


def uuid_of(log_id: int) -> str:
    """The log's public id, which its envelopes name."""
    return str(Log.objects.values_list("uuid", flat=True).get(pk=log_id))
