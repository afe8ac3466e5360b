"""Money is settled on PostgreSQL to the nano-dollar as it is on SQLite: the tests that hold it, once more."""

from pathlib import Path

import pytest

from tests.faults.processes import Installation
from tests.servers import PostgresServer
from workspaces.identifiers import public_id

MONEY = (
    "tests/billing/test_ledger.py",
    "tests/billing/test_repricing.py",
    "tests/billing/test_walks_of_money.py",
    "tests/gate/test_adding_up.py",
    "tests/gate/test_answers_that_get_lost.py",
    "tests/gate/test_bad_costs.py",
    "tests/gate/test_budget_asks.py",
    "tests/gate/test_budgets.py",
    "tests/gate/test_settling.py",
)


@pytest.mark.timeout(900)
def test_money_is_exact_there_too(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.create_database(public_id("money").lower())
    told = Installation(tmp_path, url).run("-m", "pytest", "-q", "-p", "no:cacheprovider", *MONEY)
    assert " passed" in told
    assert "skipped" not in told
