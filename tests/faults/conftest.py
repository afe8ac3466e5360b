"""Installations of their own for tests of faults: one a module and database."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Installation
from tests.servers import PostgresServer
from workspaces.identifiers import public_id


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The cast in a database of the module's own, on SQLite and on PostgreSQL; nothing serves it yet."""
    folder = tmp_path_factory.mktemp(request.param)
    made = (
        request.getfixturevalue("on_postgres")(folder)
        if request.param == "postgresql"
        else Installation(folder).seed()
    )
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="session")
def on_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Installation]:
    """Makes the cast on PostgreSQL, for a folder: each a copy of one database."""
    first = Installation(tmp_path_factory.mktemp("seeded"), postgres_server.create_database("seeded"))
    made = json.loads(first.run("-m", "tests.faults.seeding").splitlines()[-1])

    def copy(folder: Path) -> Installation:
        url = postgres_server.create_database(public_id("faults").lower(), template="seeded")
        shutil.copytree(first.folder / "keys", folder / "keys")
        return Installation(folder, url).take(made)

    return copy
