"""Proofs of a stored log verify, cost few queries, and reach as far as what is published."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import log, merkle, proofs
from audit.models import Log
from audit.publishing import publish
from tests.audit.publishers import append, leaves

pytestmark = pytest.mark.django_db

SIZE = 600
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def published(db: None) -> tuple[int, list[bytes]]:
    row = log.create_log(Log.Kind.WORKSPACE)
    append(row, SIZE)
    publish(row)
    return row.pk, leaves(row)


@quick
@given(data=st.data())
def test_any_entry_is_shown_to_be_in_any_later_tree(
    published: tuple[int, list[bytes]], data: st.DataObject
) -> None:
    log_id, hashes = published
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    proof = proofs.inclusion(log_id, index, size)
    assert proof == merkle.inclusion_proof(hashes, index, size)
    merkle.verify_inclusion(hashes[index], index, size, proof, proofs.root(log_id, size))


@quick
@given(data=st.data())
def test_any_tree_is_shown_to_extend_any_earlier_one(
    published: tuple[int, list[bytes]], data: st.DataObject
) -> None:
    log_id, hashes = published
    second = data.draw(st.integers(1, SIZE))
    first = data.draw(st.integers(1, second))
    proof = proofs.consistency(log_id, first, second)
    assert proof == merkle.consistency_proof(hashes, first, second)
    old, new = proofs.root(log_id, first), proofs.root(log_id, second)
    merkle.verify_consistency(first, second, old, new, proof)


def test_a_proof_is_one_query(published: tuple[int, list[bytes]]) -> None:
    with CaptureQueriesContext(connection) as captured:
        proofs.inclusion(published[0], 77, SIZE)
        proofs.consistency(published[0], 255, 599)
    assert len(captured) == 2


def test_nothing_is_proved_beyond_what_is_published(published: tuple[int, list[bytes]]) -> None:
    log_id, _ = published
    append(Log.objects.get(pk=log_id), 1)
    with pytest.raises(merkle.ProofError, match="No checkpoint over 601 entries"):
        proofs.inclusion(log_id, 0, SIZE + 1)
    with pytest.raises(merkle.ProofError, match="No checkpoint over 601 entries"):
        proofs.consistency(log_id, SIZE, SIZE + 1)
    with pytest.raises(merkle.ProofError, match="There is no entry 600"):
        proofs.inclusion(log_id, SIZE, SIZE)
    with pytest.raises(merkle.ProofError, match="No proof leads from 0"):
        proofs.consistency(log_id, 0, SIZE)
