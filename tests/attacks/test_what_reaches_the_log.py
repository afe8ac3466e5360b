"""Secrets, guesses and floods on their way into the log and to its lock."""

import hashlib
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from audit import canonical
from audit.models import Entry
from gate import app, approvals
from governance.models import Call, Session
from tests.cast import Cast
from tests.details import opened
from tests.gate.conftest import Bot
from workspaces.identifiers import checksum

SECRET = "csk_" + "a" * 46
REFUND: dict[str, Any] = {"invoice": "7", "amount": 20, "card_number": "4111 1111 1111 1111"}


def everything(cast: Cast) -> bytes:
    """What the log and what stands beside it say."""
    log = cast.acme.log_id
    bodies = [bytes(entry.body) for entry in Entry.objects.filter(log_id=log)]
    return b"\n".join([*bodies, *opened(log)])


@pytest.mark.parametrize("field", ["tool", "session", "call_id", "on_behalf_of"])
def test_a_secret_where_a_name_belongs_is_refused(cast: Cast, support: Bot, field: str) -> None:
    body = {"tool": "files.read", "arguments": {"path": "/srv/reports/a"}} | {field: f"run {SECRET}"}
    assert support.problem("POST", "/v1/check", json=body) == (400, "invalid_field")
    assert SECRET.encode() not in everything(cast)
    assert not Session.objects.exists()
    assert not Call.objects.exists()


@pytest.mark.parametrize("field", ["reason", "context", "resource"])
def test_a_secret_in_a_claim_is_withheld(cast: Cast, support: Bot, field: str) -> None:
    claim: Any = {"note": SECRET} if field == "context" else SECRET
    support.check("files.read", {"path": "/srv/reports/a"}, **{field: claim})
    assert SECRET.encode() not in everything(cast)


def test_the_log_gives_nobody_a_hash_to_guess_arguments_by(cast: Cast, support: Bot) -> None:
    """Who guesses the card and hashes it must not see in the log, once erased, that the guess was right."""
    support.check("billing.refund", REFUND)
    guess = canonical.encode({"tool": "billing.refund", "arguments": REFUND})
    assert hashlib.sha256(guess).hexdigest().encode() not in everything(cast)


def test_equal_calls_are_named_alike_in_one_workspace(cast: Cast, support: Bot) -> None:
    for _ in range(2):
        support.check("billing.refund", REFUND)
    checks = Entry.objects.filter(log_id=cast.acme.log_id, type__startswith="governance.check.")
    assert len({json.loads(bytes(entry.body))["data"]["call"] for entry in checks}) == 1


def test_who_knows_only_how_a_key_begins_is_not_remembered(cast: Cast, gate: TestClient) -> None:
    """The beginning of a key stands in the log; a flood of such keys must not drive out those who have one."""
    body = cast.support_bot_key[4:12] + "x" * 32
    forged = f"csk_{body}{checksum(body)}"
    answer = gate.post("/v1/check", json={"tool": "x"}, headers={"authorization": f"Bearer {forged}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")
    assert not app.known.known
    assert not app.known.buckets


@pytest.mark.parametrize("wait", ["9" * 5000, "²", "-1", "1e1", "0x1", "nan", "61", "+1"])
def test_a_wait_that_is_no_number_is_a_problem_document(support: Bot, wait: str) -> None:
    assert approvals.wait_of({"query_string": f"wait={wait}".encode("latin-1")}) is None
    assert support.problem("GET", f"/v1/approvals/apr_x?wait={wait}") == (400, "invalid_field")


@pytest.mark.parametrize(
    "path",
    [
        "//v1/check",
        "/v1/../admin/",
        "/v1/%2e%2e/admin/",
        "/V1/check",
        "/v1/check/",
        "/v1/check%00",
        "/admin/",
    ],
)
def test_the_gate_answers_no_path_but_its_own(support: Bot, path: str) -> None:
    assert support.problem("POST", path, json={"tool": "x"}) == (404, "not_found")
