"""One history for all who verify it: it is lived once a process, in a transaction that is undone."""

from pathlib import Path
from typing import Any

import pytest

from tests.audit.evidence import Auditor, Evidence, gather


@pytest.fixture(scope="session")
def evidence(django_db_setup: None, django_db_blocker: Any, keys_of_tests: None) -> Evidence:
    with django_db_blocker.unblock():
        return gather()


@pytest.fixture
def auditor(evidence: Evidence, tmp_path: Path) -> Auditor:
    return Auditor(tmp_path, evidence.policy)
