"""Everything that people and agents do, in any order, against a model of a few lines; on both databases."""

from pathlib import Path

import pytest

from tests.faults.processes import Installation
from workspaces.identifiers import public_id


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_every_walk_goes_as_the_model_says(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """``EXAMPLES=500 make test ARGS=tests/stateful`` walks longer."""
    url = ""
    if database == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database(public_id("walk").lower())
    Installation(tmp_path, url).run("-m", "tests.stateful.machine")
