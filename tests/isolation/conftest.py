"""One wall a module, built in a transaction that never commits; pytest-django rolls back to it after each test."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

from governance import snapshot
from tests.isolation.world import Wall, build


@pytest.fixture(scope="module")
def wall(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Wall]:
    """Both workspaces. Its tests are marked ``django_db``, so that each works in a savepoint of its own."""
    with django_db_blocker.unblock(), transaction.atomic():
        snapshot.forget()
        yield build()
        transaction.set_rollback(True)
    snapshot.forget()
