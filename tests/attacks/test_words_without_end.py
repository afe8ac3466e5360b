"""An agent names its sessions so that the log's search index grows as fast as it can make it."""

from typing import Any

import pytest
from django.db import connection

from audit import log, postings, search
from audit.models import Posting
from tests.cast import Cast

pytestmark = pytest.mark.django_db
WORDS = [f"w{number}" for number in range(24)]


@pytest.fixture
def flooded(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Four blocks in which every session has two dozen words of its own."""
    monkeypatch.setattr(postings, "BLOCK", 64)
    monkeypatch.setattr(postings, "FACTOR", 2)
    monkeypatch.setattr(postings, "ROWS", 100)
    with log.write(cast.acme.log_id) as entries:
        for number in range(256 - entries.head().size):
            entries.append(
                "governance.check.denied",
                actor="system",
                session=" ".join(f"{each}x{number}" for each in WORDS),
            )
    return cast


def test_an_entry_costs_so_many_postings_and_no_more(flooded: Cast) -> None:
    postings.advance(flooded.acme.log_id)
    postings.advance(flooded.acme.log_id)
    in_block = Posting.objects.filter(log_id=flooded.acme.log_id, level=postings.NARROW, block=1)
    assert in_block.count() < 64 * (postings.MOST_WORDS + 2)


def test_all_of_it_is_found_alike_before_and_after_it_is_indexed(flooded: Cast) -> None:
    asked: list[dict[str, Any]] = [{"text": f"{word}x200"} for word in (WORDS[0], WORDS[15], WORDS[16])]
    before = [search.search(flooded.acme.log_id, **each).indexes for each in asked]
    while postings.advance(flooded.acme.log_id):
        pass
    assert [search.search(flooded.acme.log_id, **each).indexes for each in asked] == before
    assert [len(each) for each in before] == [1, 1, 0]


def test_postings_are_deleted_a_few_at_a_time(flooded: Cast) -> None:
    """On SQLite who deletes keeps the gate from writing."""
    deleted = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if sql.startswith("DELETE") and "audit_posting" in sql:
            deleted.append(rest[2]["cursor"].rowcount)
        return found

    with connection.execute_wrapper(watch):
        while postings.advance(flooded.acme.log_id):
            pass
    assert sum(deleted) > 1_000
    assert max(deleted) <= postings.ROWS
