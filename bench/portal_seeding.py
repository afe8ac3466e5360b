"""A workspace as it is after years: a million entries, 5,000 agents, 100,000 approvals. Only on SQLite.

``python -m bench.portal_seeding OUT.json`` migrates the database that the environment names, makes one workspace with
one of everything by the real functions, and multiplies the rows by SQL: the log does not verify afterwards. OUT.json
gets the addresses of all pages and the session of somebody with every role.
"""

import json
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from audit import postings  # noqa: E402
from audit.models import Detail, Entry, Head  # noqa: E402
from billing.models import Budget  # noqa: E402
from governance.models import Approval, Decision, GrantUse, PolicyVersion, Session  # noqa: E402
from tests.isolation import names  # noqa: E402
from tests.isolation.routes import django_routes  # noqa: E402
from tests.isolation.world import Side, raise_side  # noqa: E402
from workspaces import tenancy  # noqa: E402
from workspaces.models import (  # noqa: E402
    Agent,
    AgentKey,
    AgentRole,
    KeyUse,
    Membership,
    NamedList,
    Resource,
    ReviewerGroup,
    Tool,
    ToolGrant,
    User,
    WorkspacePermission,
)

ENTRIES, AGENTS, APPROVALS = 1_000_000, 5_000, 100_000
WAITING = 300  # approvals that wait; the others were settled
FIRST = 1_000_000  # primary keys of the copies
SECONDS = 2.5  # between two entries: a million of them are a month


def multiply(row: Any, count: int, source: str = "{table}.id = {id}", **columns: str) -> None:
    """Insert copies of a row, numbered by ``n`` from 0; ``columns`` says what is not as in the row."""
    table = row._meta.db_table
    fields = [field.column for field in row._meta.local_concrete_fields]
    chosen = [columns.get(name, f'{table}."{name}"') for name in fields]
    listed = ", ".join(f'"{name}"' for name in fields)
    where = source.format(table=table, id=row.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count - 1})"
            f" INSERT INTO {table} ({listed}) SELECT {', '.join(chosen)} FROM numbers JOIN {table} ON {where}"
        )


def copy(row: Any, count: int, key: str = "id", **columns: str) -> None:
    """Copies with primary keys from FIRST on, and a public id of their own."""
    found = {field.column for field in row._meta.local_concrete_fields}
    if "public_id" in found:
        columns.setdefault("public_id", "'copy_' || printf('%022d', n)")
    multiply(row, count, f"{{table}}.{key} = {{id}}", **{key: f"{FIRST} + n"}, **columns)


def moment(ago: str) -> str:
    """The SQL of a time so many seconds ago."""
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.1f seconds', -1.0 * ({ago})))"


def catalog(side: Side) -> None:
    """Tools, resources, people, lists and versions: as many as a large company has."""
    rows: dict[Any, Any] = side.rows
    copy(rows[Tool], 60, name="'tool-' || n")
    copy(rows[Resource], 60, name="'files-' || n")
    copy(rows[NamedList], 50, name="'list_' || n")
    copy(rows[ReviewerGroup], 50, name="'group-' || n")
    copy(rows[PolicyVersion], 200, number="n + 10", status="'retired'")
    copy(rows[User], 300, email="'person-' || n || '@bench.test'", name="'Person ' || n")
    copy(rows[Membership], 300, person_id=f"{FIRST} + n")
    held = WorkspacePermission.objects.filter(user=rows[User], content_object=side.workspace)[0]
    copy(held, 300, user_id=f"{FIRST} + n")


def agents(side: Side) -> None:
    """Agents, each with a key, a role, a grant, a budget, sessions and a last use."""
    rows: dict[Any, Any] = side.rows
    agent, own = rows[Agent], f"{FIRST} + n"
    copy(agent.group, AGENTS, name="'bench-' || n")
    copy(agent, AGENTS, name="'agent-' || printf('%05d', n)", group_id=own, owner_id=f"{FIRST} + n % 300")
    copy(rows[AgentKey], AGENTS, agent_id=own, prefix="printf('%08d', n)")
    used = KeyUse.objects.get_or_create(key=rows[AgentKey], defaults={"at": rows[AgentKey].created})[0]
    copy(used, AGENTS, key="key_id")
    copy(AgentRole.objects.filter(agent=agent)[0], AGENTS, agent_id=own)
    copy(ToolGrant.objects.filter(group=agent.group)[0], AGENTS, group_id=own)
    copy(rows[Budget], AGENTS // 5, agent_id=own)
    copy(
        Session.objects.filter(agent=agent)[0],
        4 * AGENTS,
        agent_id=f"{FIRST} + n / 4",
        name="'run-' || (n % 4)",
    )
    use = GrantUse.objects.get_or_create(
        agent=agent, tool=rows[Tool].name, resource="", defaults={"at": rows[AgentKey].created}
    )[0]
    copy(use, AGENTS, agent_id=own)


def work(side: Side) -> None:
    """Entries of a month, the newest last: of ten, six were allowed, three denied, and one waited for a person."""
    rows: dict[Any, Any] = side.rows
    log_id, agent = side.workspace.log_id, rows[Agent].public_id
    kinds = {
        kind: Entry.objects.filter(log_id=log_id, agent=agent, type=f"governance.check.{kind}")[0].pk
        for kind in ("allowed", "denied", "pending")
    }
    size = Head.objects.get(log_id=log_id).size
    which = (
        f"{{table}}.id = CASE WHEN n % 10 < 6 THEN {kinds['allowed']} WHEN n % 10 < 9 THEN {kinds['denied']}"
        f" ELSE {kinds['pending']} END"
    )
    whose = f"'copy_' || printf('%022d', n % {AGENTS})"
    age = f"({ENTRIES} - n) * {SECONDS}"
    Entry.objects.filter(log_id=log_id).update(time="2020-01-01T00:00:00Z")
    entry = rows[Entry]
    multiply(entry, ENTRIES, which, id=f"{FIRST} + n", index=f"{size} + n", time=moment(age), agent=whose)
    detail = Detail.objects.get(log_id=log_id, index=entry.index)
    index = f"{size} + n * 10 + 9"
    copy(detail, APPROVALS, index=index)
    grown = size + ENTRIES
    Head.objects.filter(log_id=log_id).update(size=grown, frontier=bytes(32 * grown.bit_count()))
    asked = f"({ENTRIES} - n * 10) * {SECONDS}"
    whose = f"{FIRST} + (n * 10 + 9) % {AGENTS}"
    settled = "CASE n % 4 WHEN 0 THEN 'expired' WHEN 1 THEN 'rejected' ELSE 'approved' END"
    waits = f"n >= {APPROVALS - WAITING}"
    copy(
        rows[Approval], APPROVALS, agent_id=whose, entry_index=index, process_id="NULL",
        status=f"CASE WHEN {waits} THEN 'pending' ELSE {settled} END", created=moment(asked),
        expires_at=f"CASE WHEN {waits} THEN {moment('-3600 * 4')} ELSE {moment(asked)} END",
    )  # fmt: skip
    copy(
        rows[Decision], APPROVALS, agent_id=f"{FIRST} + n % {AGENTS}", entry_index=f"{size} + n * 10",
        created=moment(asked), outcome="CASE WHEN n % 200 = 0 THEN 'unreported' ELSE 'succeeded' END",
    )  # fmt: skip


def tell(side: Side) -> dict[str, Any]:
    """The session of who has every role, and every page's address by its pattern."""
    client = Client()
    client.force_login(side.everyone, backend="django.contrib.auth.backends.ModelBackend")
    pages = {
        str(route): route.address(names.values(route, side))
        for route in django_routes()
        if "get" in route.methods and not route.expression and not names.is_secret(route)
    }
    denied = Entry.objects.filter(log_id=side.workspace.log_id, type="governance.check.denied").order_by(
        "-index"
    )[0]
    for pattern, query in QUERIES.items():
        if pattern in pages:
            pages[pattern] += query.format(denied=denied.index)
    return {"session": client.cookies["sessionid"].value, "pages": pages}


# What a page is asked with: the worst that people do every day.
QUERIES = {
    "/admin/search/": "?s=agent-04",
    "/admin/workspaces/agent/<path:object_id>/denied/": "?entry={denied}",
}


def main() -> None:
    """Make it all in one transaction a table."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor="system")
    side = raise_side("bench", "bench")
    catalog(side)
    agents(side)
    work(side)
    while postings.advance(side.workspace.log_id):
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    Path(sys.argv[1]).write_text(json.dumps(tell(side)))


if __name__ == "__main__":
    main()
