"""Installations of their own for tests of faults: one a module and database."""

from collections.abc import Iterator

import pytest

from tests.faults.processes import Installation
from workspaces.identifiers import public_id


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The cast in a database of the module's own, on SQLite and on PostgreSQL; nothing serves it yet."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(public_id("faults").lower())
    made = Installation(tmp_path_factory.mktemp(request.param), url)
    try:
        yield made.seed()
    finally:
        made.end()
