"""Bad input gets the documented status and code, and nothing is written."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from audit.models import Entry
from tests.cast import Cast
from tests.gate.conftest import Bot
from tests.servers import wait_until
from workspaces import agents

pytestmark = pytest.mark.django_db(transaction=True)

DEEP = b'{"tool":"files.read","arguments":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
BODIES = {
    "empty": (b"", 400, "malformed_json"),
    "no json": (b"tool=files.read", 400, "malformed_json"),
    "cut off": (b'{"tool":"files.read"', 400, "malformed_json"),
    "an array": (b'["files.read"]', 400, "malformed_json"),
    "duplicate keys": (b'{"tool":"files.read","tool":"files.write"}', 400, "duplicate_key"),
    "duplicate keys inside": (b'{"tool":"files.read","arguments":{"a":1,"a":2}}', 400, "duplicate_key"),
    "too deep": (DEEP, 400, "too_deep"),
    "an integer over 2^53": (b'{"tool":"t","arguments":{"a":9007199254740993}}', 400, "number_out_of_range"),
    "an infinite number": (b'{"tool":"t","arguments":{"a":1e999}}', 400, "number_out_of_range"),
    "NaN": (b'{"tool":"t","arguments":{"a":NaN}}', 400, "number_out_of_range"),
    "two documents": (b'{"tool":"t"}{"tool":"t"}', 400, "malformed_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"tool":"t"}', 400, "malformed_json"),
    "UTF-16": ('{"tool":"t"}'.encode("utf-16"), 400, "invalid_unicode"),
    "null": (b"null", 400, "malformed_json"),
    "65 levels": (b'{"tool":"t","arguments":' + b'{"a":' * 64 + b"1" + b"}" * 65, 400, "too_deep"),
    "an integer under -2^53": (
        b'{"tool":"t","context":{"a":[-9007199254740992]}}',
        400,
        "number_out_of_range",
    ),
    "an integer of 10,000 digits": (
        b'{"tool":"t","arguments":{"a":' + b"9" * 10_000 + b"}}",
        400,
        "number_out_of_range",
    ),
    "duplicate keys, one escaped": (b'{"tool":"t","arguments":{"a":1,"\\u0061":2}}', 400, "duplicate_key"),
    "an empty tool": (b'{"tool":""}', 400, "missing_field"),
    "a tool that is null": (b'{"tool":null}', 400, "missing_field"),
    "a context that is a list": (b'{"tool":"t","context":[1]}', 400, "invalid_field"),
    "a resource that is an object": (b'{"tool":"t","resource":{}}', 400, "invalid_field"),
    "a cost of ten decimals": (b'{"tool":"t","estimated_cost_usd":"0.0000000001"}', 400, "invalid_field"),
    "a line break in a session": (b'{"tool":"t","session":"a\\nb"}', 400, "invalid_field"),
    "a reason of 5,000 characters": (b'{"tool":"t","reason":"' + b"x" * 5000 + b'"}', 400, "invalid_field"),
    "no tool": (b"{}", 400, "missing_field"),
    "a tool that is a number": (b'{"tool":7}', 400, "invalid_field"),
    "arguments that are a list": (b'{"tool":"t","arguments":[]}', 400, "invalid_field"),
    "dry_run that is a string": (b'{"tool":"t","dry_run":"yes"}', 400, "invalid_field"),
    "a cost that is a number": (b'{"tool":"t","estimated_cost_usd":0.02}', 400, "invalid_field"),
    "a negative cost": (b'{"tool":"t","estimated_cost_usd":"-1"}', 400, "invalid_field"),
    "a cost in exponents": (b'{"tool":"t","estimated_cost_usd":"1e3"}', 400, "invalid_field"),
    "an unknown field": (b'{"tool":"t","wishes":{}}', 400, "unknown_field"),
    "a session of 300 characters": (b'{"tool":"t","session":"' + b"x" * 300 + b'"}', 400, "invalid_field"),
    "a control character in a name": (b'{"tool":"t\\u0000"}', 400, "invalid_field"),
    "half a surrogate pair": (b'{"tool":"t","arguments":{"a":"\\ud800"}}', 400, "invalid_unicode"),
    "bytes that are no UTF-8": (b'{"tool":"t","arguments":{"a":"\xff"}}', 400, "invalid_unicode"),
    "too large": (b'{"tool":"t","arguments":{"a":"' + b"x" * (1024 * 1024) + b'"}}', 413, "body_too_large"),
    "50 MiB": (b"[" * (50 * 1024 * 1024), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused_and_nothing_is_written(support: Bot, name: str) -> None:
    body, status, code = BODIES[name]
    before = Entry.objects.count()
    assert support.problem("POST", "/v1/check", content=body) == (status, code)
    assert Entry.objects.count() == before


def test_a_body_sent_in_chunks_without_a_length_is_bounded_too(support: Bot) -> None:
    chunks = (b"x" * 65536 for _ in range(800))
    assert support.problem("POST", "/v1/check", content=chunks) == (413, "body_too_large")


@pytest.mark.parametrize("key", [b"", b"x" * 201, b"tab\there", "schlüssel".encode()])
def test_an_idempotency_key_that_is_none_is_refused(support: Bot, key: bytes) -> None:
    before = Entry.objects.count()
    headers = [(b"idempotency-key", key), (b"authorization", support.headers["authorization"].encode())]
    answer = support.client.post("/v1/check", json={"tool": "files.read"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")
    assert Entry.objects.count() == before


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_key"),
        ("Basic abc", "missing_key"),
        ("Bearer", "missing_key"),
        ("Bearer csk_short", "unknown_key"),
        ("Bearer " + "x" * 5000, "unknown_key"),
        ("Bearer csk_" + "0" * 46, "unknown_key"),
    ],
)
def test_a_key_that_is_none_is_401(gate: TestClient, header: str | None, code: str) -> None:
    headers = {"authorization": header} if header else {}
    response = gate.post("/v1/check", json={"tool": "t"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, code)
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_wrong_secret_behind_a_known_prefix_is_401(gate: TestClient, cast: Cast) -> None:
    from workspaces.identifiers import checksum

    body = cast.support_bot_key[4:12] + "0" * 32
    forged = f"csk_{body}{checksum(body)}"
    assert Bot(gate, forged).problem("POST", "/v1/check", json={"tool": "t"}) == (401, "unknown_key")


def test_an_expired_key_and_a_revoked_key_say_so(gate: TestClient, cast: Cast) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    _, expired = agents.create_key(cast.support_bot, actor="system", expires_at=yesterday)
    key, revoked = agents.create_key(cast.report_bot, actor="system")
    assert Bot(gate, expired).problem("POST", "/v1/check", json={"tool": "t"}) == (401, "key_expired")
    assert Bot(gate, revoked).check("files.read", {"path": "/srv/reports/x"})["decision"] == "allow"
    agents.revoke_key(key, actor="system")
    assert Bot(gate, revoked).problem("POST", "/v1/check", json={"tool": "t"}) == (401, "key_revoked")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/check", 405, "method_not_allowed"),
        ("POST", "/v1/me", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/approvals/apr_none", 404, "not_found"),
        ("GET", "/v1/approvals/apr_none?wait=61", 400, "invalid_field"),
        ("POST", "/v1/decisions/dec_none/outcome", 400, "malformed_json"),
    ],
)
def test_other_paths_and_methods_are_problems_too(
    support: Bot, method: str, path: str, status: int, code: str
) -> None:
    assert support.problem(method, path) == (status, code)


def test_an_outcome_that_is_none_is_refused(support: Bot) -> None:
    path = "/v1/decisions/dec_none/outcome"
    assert support.problem("POST", path, json={"status": "done"}) == (400, "invalid_field")
    assert support.problem("POST", path, json={"status": "succeeded", "cost_usd": "-1"}) == (
        400,
        "invalid_field",
    )
    assert support.problem("POST", path, json={"status": "succeeded"}) == (404, "not_found")


def test_a_key_that_asks_too_often_is_turned_away_and_noted_once(
    support: Bot, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gate.app import known

    monkeypatch.setattr(known, "burst", 3)
    monkeypatch.setattr(known, "rate", 0.0)
    known.buckets.clear()
    statuses = [
        support.client.post("/v1/check", json={"tool": "t"}, headers=support.headers).status_code
        for _ in range(6)
    ]
    assert statuses == [200, 200, 200, 429, 429, 429]
    noted = Entry.objects.filter(type="governance.check.throttled")
    wait_until(noted.exists, what="The committer, which writes the note,")
    (note,) = noted.all()
    assert json.loads(bytes(note.body))["data"]["count"] >= 1
