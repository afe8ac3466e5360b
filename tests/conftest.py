"""The cast as fixtures. acme: olga owns, rita reviews, otto operates; sam is a stranger; globex is next door.

They work for plain and for transactional tests alike. On SQLite the database is a file; with DATABASE_URL set
it is PostgreSQL's.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import override_settings
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker

from audit import heads
from tests import schema
from tests.cast import Cast, assemble
from tests.contracts import configuration_triggers
from workspaces.models import Agent, User, Workspace


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """A hash that is made to be slow takes longer than the rest of a test; servers under test keep theirs."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_modify_db_settings: None,
) -> Iterator[None]:
    """pytest-django's, but on SQLite the database begins as a copy: migrating takes longer than many tests. It has the
    triggers that notice configuration without an entry."""
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            name = Path(connection.settings_dict["TEST"]["NAME"])
            name.unlink(missing_ok=True)
            schema.begin(name)
        databases = setup_databases(verbosity=0, interactive=False, keepdb=connection.vendor == "sqlite")
        configuration_triggers.install()
    yield
    with django_db_blocker.unblock():
        configuration_triggers.conclude()
        with suppress(OperationalError):  # a thread of a server under test may still be in it
            teardown_databases(databases, verbosity=0)


@pytest.fixture(scope="session", autouse=True)
def keys_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys of this run alone; servers under test have folders of their own."""
    with override_settings(KEYS_DIR=tmp_path_factory.mktemp("keys")):
        yield


@pytest.fixture(autouse=True)
def no_heads_of_other_tests() -> Iterator[None]:
    """The publisher remembers logs outside the database; those of a test are gone after it."""
    yield
    heads.path().unlink(missing_ok=True)


@pytest.fixture
def cast(db: None) -> Cast:
    return assemble()


@pytest.fixture
def acme(cast: Cast) -> Workspace:
    return cast.acme


@pytest.fixture
def globex(cast: Cast) -> Workspace:
    return cast.globex


@pytest.fixture
def olga(cast: Cast) -> User:
    return cast.olga


@pytest.fixture
def rita(cast: Cast) -> User:
    return cast.rita


@pytest.fixture
def otto(cast: Cast) -> User:
    return cast.otto


@pytest.fixture
def sam(cast: Cast) -> User:
    return cast.sam


@pytest.fixture
def gina(cast: Cast) -> User:
    return cast.gina


@pytest.fixture
def report_bot(cast: Cast) -> Agent:
    return cast.report_bot


@pytest.fixture
def support_bot(cast: Cast) -> Agent:
    return cast.support_bot


@pytest.fixture
def report_bot_key(cast: Cast) -> str:
    return cast.report_bot_key


@pytest.fixture
def support_bot_key(cast: Cast) -> str:
    return cast.support_bot_key
