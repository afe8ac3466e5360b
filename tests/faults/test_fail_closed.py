"""Whatever the database does, nobody is allowed anything that is not in the log, and afterwards all works again."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import InternalError, OperationalError, connection

from audit.models import Entry
from billing import limits
from gate.admission import admission
from gate.app import application, known
from governance import approvals, policies, snapshot
from governance.models import Approval
from governance.records import key_uses
from tests.approving import decide
from tests.cast import Cast
from tests.faults.statements import Statements, watching
from tests.gate.conftest import REFUND, RULES
from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
READ = {"tool": "files.read", "arguments": {"path": "/srv/reports/q3.csv"}}
MANY = {"name": "Many refunds", "tools": [REFUND], "effect": "limit", "limit": {"calls": 1000, "per": "1m"}}


@dataclass
class Gate:
    """The gate's application in this process, asked by several agents at once."""

    cast: Cast
    statements: Statements
    number: int = 0
    approved: str = ""
    finished: str = ""
    results: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def ask(self, *calls: tuple[str, str, str, dict[str, Any] | None, dict[str, str]]) -> None:
        """Send (key, method, path, body, headers) so that all are in one batch; answers go to ``results``."""
        self.results = asyncio.run(self.together(calls))

    async def together(self, calls: Any) -> list[tuple[int, dict[str, Any]]]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            log_id = self.cast.acme.log_id
            while log_id in admission.busy:
                await asyncio.sleep(0.001)
            admission.busy.add(log_id)  # as if a batch before this one were not over yet
            waiting = [
                asyncio.create_task(
                    client.request(
                        method, path, json=body, headers={"authorization": f"Bearer {key}", **headers}
                    )
                )
                for key, method, path, body, headers in calls
            ]
            while admission.count < len(calls):
                await asyncio.sleep(0.001)
            admission.finish(log_id)
            answers = await asyncio.gather(*waiting)
        return [(answer.status_code, answer.json()) for answer in answers]

    def check(
        self, body: dict[str, Any], **headers: str
    ) -> tuple[str, str, str, dict[str, Any], dict[str, str]]:
        return self.cast.support_bot_key, "POST", "/v1/check", body, headers

    def prepare(self) -> None:
        """An approval that is good for one refund of 300, and an allowed call whose outcome is owed."""
        self.number += 1
        asked = [self.check({"tool": REFUND, "arguments": {"invoice": "1", "amount": 5}})]
        if not self.approved or Approval.objects.get(public_id=self.approved).used_by:
            asked.append(self.check({"tool": REFUND, "arguments": {"invoice": "3", "amount": 300}}))
        self.ask(*asked)
        self.finished = self.results[0][1]["id"]
        for waiting in Approval.objects.filter(status="pending").exclude(decision__in=self.decisions()):
            approvals.cancel(waiting, actor="system", reason="Not needed any more.")
        if len(asked) == 2:
            self.approved = self.results[1][1]["approval"]["id"]
            row = Approval.objects.select_related("workspace", "agent").get(public_id=self.approved)
            decide(row, self.cast.rita)

    def mixed_batch(self) -> None:
        """Allowed, denied, waiting, limited, paid and approved calls, an outcome and two questions, in one batch,
        by a process that has cached nothing."""
        snapshot.forget()
        key_uses.clear()
        mark = f"n{self.number}"
        support = self.cast.support_bot_key
        self.ask(
            self.check({**READ, "call_id": mark, "session": mark}, **{"idempotency-key": mark}),
            self.check({"tool": "files.read", "arguments": {"path": "/etc/passwd"}, "session": mark}),
            self.check(
                {"tool": REFUND, "arguments": {"invoice": "2", "amount": 500}, "call_id": f"p{mark}",
                 "on_behalf_of": "rita@acme.test", "dry_run": False}
            ),
            self.check({"tool": REFUND, "arguments": {"invoice": "3", "amount": 300}, "approval": self.approved}),
            self.check({"tool": REFUND, "arguments": {"invoice": "4", "amount": 4}, "estimated_cost_usd": "0.01"}),
            self.check({**READ, "dry_run": True}),
            (self.cast.report_bot_key, "POST", "/v1/check", READ, {}),
            (support, "POST", f"/v1/decisions/{self.finished}/outcome", {"status": "succeeded"}, {}),
            (support, "GET", "/v1/me", None, {}),
            (support, "GET", f"/v1/approvals/{self.approved}", None, {}),
        )  # fmt: skip

    def decisions(self) -> dict[str, str]:
        """What was decided, by decision id, in the order of the calls."""
        return {
            body["id"]: body["decision"]
            for status, body in self.results
            if status == 200 and "receipt" in body
        }


@pytest.fixture
def gate(transactional_db: None, cast: Cast) -> Iterator[Gate]:
    """acme with rules and a budget; what its committers send is watched."""
    version = policies.draft(cast.acme, [*RULES[:2], MANY], actor="system")
    policies.publish(version, actor="system")
    limits.set_budget(cast.acme, window="day", limit_amount=100 * 10**9, actor="system")
    admission.stop()
    snapshot.forget()
    known.forget()
    with watching() as statements:
        yield Gate(cast, statements)
    admission.stop()


def stored() -> dict[str, str]:
    """A hash of every table's rows."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = sorted(repr(row) for row in cursor.fetchall())
            found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def recorded() -> set[str]:
    """Ids of the decisions in the log."""
    bodies = [
        json.loads(bytes(row.body)) for row in Entry.objects.filter(type__startswith="governance.check.")
    ]
    return {body["data"]["decision"] for body in bodies}


ERRORS = {
    "the database fails": (OperationalError("planted"), False),
    "it is read-only": (InternalError("planted"), False),
    "it fails after the fact": (OperationalError("planted"), True),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ERRORS)
def test_whichever_statement_fails_nobody_is_allowed_and_nothing_is_written(gate: Gate, name: str) -> None:
    error, takes_effect = ERRORS[name]
    gate.prepare()
    gate.mixed_batch()
    assert list(gate.decisions().values()) == ["allow", "deny", "pending", "allow", "allow", "allow", "allow"]
    assert {status for status, _ in gate.results} == {200}
    admission.stop()  # its connection is made anew inside the batch, as by a process that has just begun
    number = 0
    while True:
        number += 1
        gate.prepare()
        admission.stop()
        before, known_before = stored(), recorded()
        gate.statements.expect(number, error, takes_effect=takes_effect)
        gate.mixed_batch()
        failed = gate.statements.failed
        gate.statements.expect(0, error, takes_effect=False)
        if not failed:
            break
        codes = {(status, body["code"]) for status, body in gate.results}
        assert codes == {(503, "log_unavailable")}, failed
        if failed == "COMMIT" and takes_effect:
            assert len(recorded() - known_before) == 7  # known to the log alone, and so not to be acted upon
        else:
            assert stored() == before, failed
        gate.ask(gate.check(READ))
        assert list(gate.decisions().values()) == ["allow"], failed
    assert number > 30  # the batch was the mixed one that it should be
    assert {status for status, _ in gate.results} == {200}


READ_ONLY = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET default_transaction_read_only = on"}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_only_reads_refuses_everybody(gate: Gate) -> None:
    gate.prepare()
    admission.stop()
    gate.statements.first = READ_ONLY[connection.vendor]
    before = stored()
    for _ in range(2):
        gate.mixed_batch()
        assert {(status, body["code"]) for status, body in gate.results} == {(503, "log_unavailable")}
    assert stored() == before
    gate.statements.first = ""
    gate.mixed_batch()
    assert {status for status, _ in gate.results} == {200}


@pytest.mark.django_db(transaction=True)
def test_an_error_of_one_moment_costs_at_most_one_answer(gate: Gate) -> None:
    """Another error than the database's may be one request's fault: the batch is taken apart until the culprit is
    alone. What is allowed then is in the log, each decision once."""
    number = 0
    while True:
        number += 1
        gate.prepare()
        before = recorded()
        gate.statements.expect(number, ValueError("planted"), takes_effect=False)
        gate.mixed_batch()
        failed = gate.statements.failed
        gate.statements.expect(0, ValueError(), takes_effect=False)
        if not failed:
            break
        written = recorded() - before
        assert gate.decisions().keys() <= written, failed
        # A COMMIT's error leaves open what became of it: then the log may know of decisions that nobody was told.
        assert failed == "COMMIT" or len(written) == 7, failed
    assert number > 30


@pytest.mark.django_db(transaction=True)
def test_a_request_that_always_fails_is_refused_alone(gate: Gate) -> None:
    gate.prepare()
    gate.statements.fail_always("INSERT INTO governance_counter", ValueError("planted"))
    gate.mixed_batch()
    statuses = [status for status, _ in gate.results]
    assert statuses == [200, 200, 200, 500, 500, 200, 200, 200, 200, 200]
    assert {body["code"] for status, body in gate.results if status == 500} == {"internal_error"}


def test_the_same_on_postgres(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("faults")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not postgres"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "COUNTERSIGN_SECRET_KEY": "tests " * 10},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
