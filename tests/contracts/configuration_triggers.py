"""A pytest plugin: database triggers that note each write of configuration which no entry accounts for.

Every table of ``audit.registry.kinds`` gets triggers that put (kind, key, operation) of each written row into
a table beside them; a trigger on the log's entries takes out again what the entry names. What is left after a
commit was changed behind the log's back: the test that did it fails, and so does the run when anything is
left at its end.

Not meant: columns that are no configuration (``User.last_login``), and the flush between transactional tests,
which is told by its emptying the heads too. A test inside a transaction that is rolled back commits nothing,
so it is not asked.
"""

from collections.abc import Generator, Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker
from pytest_django.plugin import blocking_manager_key

from audit import registry

TABLE = "unrecorded_write"
OPERATIONS = ("INSERT", "UPDATE", "DELETE")
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}

SQLITE = f"""
CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, kind TEXT, key TEXT, operation TEXT);
CREATE TRIGGER {TABLE}_recorded AFTER INSERT ON audit_entry WHEN EXISTS (SELECT 1 FROM {TABLE}) BEGIN
    DELETE FROM {TABLE} WHERE (kind, key) IN (
        SELECT json_extract(value, '$.kind'), CAST(json_extract(value, '$.key') AS TEXT)
        FROM json_each(CAST(NEW.body AS TEXT), '$.data.rows'));
END;
CREATE TRIGGER {TABLE}_flushed AFTER DELETE ON audit_head WHEN NOT EXISTS (SELECT 1 FROM audit_head) BEGIN
    DELETE FROM {TABLE};
END;
"""

# SQLite cannot tell transactions apart; PostgreSQL can, and asks that the entry be of the same one.
# SECURITY DEFINER: a process whose role may only insert entries writes them all the same.
POSTGRESQL = f"""
CREATE TABLE {TABLE} (id BIGSERIAL PRIMARY KEY, kind TEXT, key TEXT, operation TEXT, transaction BIGINT);
CREATE FUNCTION {TABLE}_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE written jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN written := to_jsonb(OLD); ELSE written := to_jsonb(NEW); END IF;
    INSERT INTO {TABLE} (kind, key, operation, transaction)
    VALUES (TG_ARGV[0], written ->> TG_ARGV[1], TG_OP, txid_current());
    RETURN NULL;
END $$;
CREATE FUNCTION {TABLE}_forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM {TABLE} WHERE transaction = txid_current()) THEN
        DELETE FROM {TABLE} WHERE transaction = txid_current() AND (kind, key) IN (
            SELECT named ->> 'kind', named ->> 'key' FROM jsonb_array_elements(
                coalesce(convert_from(NEW.body, 'UTF8')::jsonb -> 'data' -> 'rows', '[]'::jsonb)) named);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {TABLE}_recorded AFTER INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION {TABLE}_forget();
"""


def statements() -> Iterator[str]:
    """What installs the triggers: the table and the log's side first, then three triggers a kind."""
    yield SQLITE if connection.vendor == "sqlite" else POSTGRESQL
    for kind in registry.kinds.values():
        table = kind.model._meta.db_table
        fields = {field.attname: field.column for field in kind.model._meta.concrete_fields}
        columns = ", ".join(f'"{fields[name]}"' for name in (*kind.columns, *kind.private))
        key = kind.model._meta.pk.column
        for operation in OPERATIONS:
            event = f"UPDATE OF {columns}" if operation == "UPDATE" else operation
            head = f"CREATE TRIGGER {TABLE}_{table}_{operation.lower()} AFTER {event} ON {table} FOR EACH ROW"
            if connection.vendor == "postgresql":
                yield f"{head} EXECUTE FUNCTION {TABLE}_note('{kind.name}', '{key}');"
                continue
            row = "OLD" if operation == "DELETE" else "NEW"
            yield (
                f"{head} WHEN EXISTS (SELECT 1 FROM audit_head) BEGIN"
                f" INSERT INTO {TABLE} (kind, key, operation)"
                f" VALUES ('{kind.name}', CAST({row}.\"{key}\" AS TEXT), '{operation}'); END;"
            )


def install() -> None:
    """Put the triggers into the test database, unless it was kept from an earlier run and has them."""
    if TABLE in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        for script in statements():
            if connection.vendor == "sqlite":
                cursor.connection.executescript(script)
            else:
                cursor.execute(script)


def unrecorded() -> list[str]:
    """Each write that no entry accounts for, as a line that names operation, table and row."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT operation, kind, key FROM {TABLE} ORDER BY id")
        rows = cursor.fetchall()
    return [f"{operation} {registry.kinds[kind].model._meta.db_table} {key}" for operation, kind, key in rows]


def forget() -> None:
    """Take what was noted as said."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")


def take() -> list[str]:
    """What was committed without an entry, once. Nothing in an open transaction: it will be rolled back."""
    if connection.in_atomic_block:
        return []
    lines = unrecorded()
    if lines:
        forget()
    return lines


def conclude() -> None:
    """Fail what was written between tests."""
    if lines := take():
        pytest.fail("Configuration was written outside of any test without an entry: " + "; ".join(lines))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database with the triggers in it, where no conftest has a database of its own and puts them there."""
    with django_db_blocker.unblock():
        install()
    yield
    with django_db_blocker.unblock():
        conclude()


@pytest.fixture
def tampering() -> None:
    """Asked for by tests that write around the log on purpose: what they leave is no finding."""


def uses_database(item: pytest.Item) -> bool:
    """Whether the test asked for the database."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(DATABASE_FIXTURES & fixtures)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test that committed a configuration row without an entry."""
    lines: list[str] = []
    if uses_database(item):
        with item.config.stash[blocking_manager_key].unblock():
            lines = take()
    result = yield
    if lines and "tampering" not in item.fixturenames:  # type: ignore[attr-defined]
        pytest.fail(f"{item.nodeid} committed configuration without an entry: " + "; ".join(lines))
    return result
