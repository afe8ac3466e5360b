"""Every refusal is a problem document: the gate's and the portal API's, whatever was wrong."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from starlette.testclient import TestClient

from tests.cast import Cast
from tests.gate.conftest import Bot, gate, reporter
from workspaces import agents

__all__ = ["gate", "reporter"]  # fixtures of the gate's own tests
pytestmark = pytest.mark.django_db(transaction=True)

CHECK, OUTCOME = "/v1/check", "/v1/decisions/dec_none/outcome"
KEY = {"authorization": "Bearer csk_" + "x" * 46}
LONG = b'{"tool":"' + b"x" * 2**20 + b'"}'

# What is wrong, method, path, headers (None: an agent's good key), body, status, code.
AT_THE_GATE = [
    ("no key", "POST", CHECK, {}, b"{}", 401, "missing_key"),
    ("another scheme", "POST", CHECK, {"authorization": "Basic eDp5"}, b"{}", 401, "missing_key"),
    ("no key at all in it", "GET", "/v1/me", {"authorization": "Bearer"}, b"", 401, "missing_key"),
    ("a stranger's key", "GET", "/v1/me", KEY, b"", 401, "unknown_key"),
    ("a stranger's key for an outcome", "POST", OUTCOME, KEY, b"{}", 401, "unknown_key"),
    ("a stranger's key for an approval", "GET", "/v1/approvals/apr_x", KEY, b"", 401, "unknown_key"),
    ("no JSON", "POST", CHECK, None, b"tool=x", 400, "malformed_json"),
    ("no JSON as outcome", "POST", OUTCOME, None, b"", 400, "malformed_json"),
    ("a key twice", "POST", CHECK, None, b'{"tool":"x","tool":"y"}', 400, "duplicate_key"),
    ("too deep", "POST", CHECK, None, b"[" * 100 + b"]" * 100, 400, "too_deep"),
    ("no UTF-8", "POST", CHECK, None, b'{"tool":"\xff"}', 400, "invalid_unicode"),
    ("a large integer", "POST", CHECK, None, b'{"tool":1e400}', 400, "number_out_of_range"),
    ("an unknown field", "POST", CHECK, None, b'{"tool":"x","wish":1}', 400, "unknown_field"),
    ("an unknown outcome field", "POST", OUTCOME, None, b'{"wish":1}', 400, "unknown_field"),
    ("a field of another type", "POST", CHECK, None, b'{"tool":7}', 400, "invalid_field"),
    ("no tool", "POST", CHECK, None, b"{}", 400, "missing_field"),
    ("no status", "POST", OUTCOME, None, b"{}", 400, "invalid_field"),
    ("a strange wait", "GET", "/v1/approvals/apr_x?wait=soon", None, b"", 400, "invalid_field"),
    ("a long body", "POST", CHECK, None, LONG, 413, "body_too_large"),
    ("a long outcome", "POST", OUTCOME, None, LONG, 413, "body_too_large"),
    ("no such decision", "POST", OUTCOME, None, b'{"status":"failed"}', 404, "not_found"),
    ("no such approval", "GET", "/v1/approvals/apr_x", None, b"", 404, "not_found"),
    ("no such path", "GET", "/v1/wishes", None, b"", 404, "not_found"),
    ("a slash too many", "GET", "/v1/me/", None, b"", 404, "not_found"),
    ("the wrong method for a check", "GET", CHECK, None, b"", 405, "method_not_allowed"),
    ("the wrong method for an outcome", "DELETE", OUTCOME, None, b"", 405, "method_not_allowed"),
    ("the wrong method for an approval", "PUT", "/v1/approvals/apr_x", None, b"", 405, "method_not_allowed"),
    ("the wrong method for me", "POST", "/v1/me", None, b"", 405, "method_not_allowed"),
    ("the wrong method for health", "POST", "/healthz", {}, b"", 405, "method_not_allowed"),
]

ACME, AGENT = "/api/v1/workspaces/acme/containment", "/api/v1/workspaces/acme/agents/{agent}/containment"
STEP = {"standing": "suspended", "reason": "It behaves oddly."}
# Who asks, method, path, body, status, code.
AT_THE_PORTAL: list[tuple[str, str, str, Any, int, str]] = [
    ("", "POST", ACME, STEP, 401, "not_authenticated"),
    ("", "POST", "/api/v1/installation/containment", STEP, 401, "not_authenticated"),
    ("", "GET", "/api/v1/", None, 404, "not_found"),
    ("olga", "GET", "/api/v1/wishes", None, 404, "not_found"),
    ("olga", "POST", "/api/v1/workspaces/acme/wishes/", STEP, 404, "not_found"),
    ("sam", "POST", ACME, STEP, 404, "not_found"),
    ("gina", "POST", AGENT, STEP, 404, "not_found"),
    ("olga", "POST", "/api/v1/workspaces/none/containment", STEP, 404, "not_found"),
    ("olga", "POST", AGENT.replace("acme", "globex"), STEP, 404, "not_found"),
    ("olga", "GET", ACME, None, 405, "method_not_allowed"),
    ("olga", "POST", ACME, b"{", 400, "parse_error"),
    ("olga", "POST", ACME, b"standing=suspended", 415, "unsupported_media_type"),
    ("olga", "POST", ACME, {}, 400, "invalid_request"),
    ("olga", "POST", ACME, [], 400, "invalid_request"),
    ("olga", "POST", ACME, {**STEP, "wish": 1}, 400, "invalid_request"),
    ("olga", "POST", ACME, {**STEP, "until": "2030-01-01T00:00:00Z"}, 400, "bad_standing"),
    ("rita", "POST", ACME, {**STEP, "standing": "observe"}, 403, "not_allowed"),
    ("olga", "POST", "/api/v1/installation/containment", STEP, 403, "permission_denied"),
    ("cross-site", "POST", ACME, STEP, 403, "permission_denied"),
]


def is_problem(status: int, kind: str, document: dict[str, Any]) -> str:
    """The problem's code, after looking at its shape."""
    assert kind == "application/problem+json"
    assert {"type", "title", "status", "code", "detail"} <= document.keys()
    assert document["status"] == status >= 400
    assert document["title"] == HTTPStatus(status).phrase
    assert document["detail"].endswith("."), document["detail"]
    code: str = document["code"]
    return code


@pytest.mark.parametrize("case", AT_THE_GATE, ids=[case[0] for case in AT_THE_GATE])
def test_the_gate_refuses_with_a_problem(reporter: Bot, case: tuple[Any, ...]) -> None:
    _, method, path, headers, body, status, code = case
    sent = reporter.headers if headers is None else headers
    response = reporter.client.request(method, path, headers=sent, content=body)
    assert is_problem(response.status_code, response.headers["content-type"], response.json()) == code
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_revoked_and_expired_keys_are_problems(gate: TestClient, cast: Cast) -> None:
    agents.revoke_key(cast.report_bot.keys.get(), actor="system")
    response = gate.get("/v1/me", headers={"authorization": f"Bearer {cast.report_bot_key}"})
    assert (
        is_problem(response.status_code, response.headers["content-type"], response.json()) == "key_revoked"
    )


def test_a_reused_key_is_a_problem(reporter: Bot) -> None:
    headers = {**reporter.headers, "idempotency-key": "k"}
    told = [reporter.client.post(CHECK, json={"tool": tool}, headers=headers) for tool in ("a", "b")]
    assert told[0].status_code == 200
    assert (
        is_problem(told[1].status_code, told[1].headers["content-type"], told[1].json())
        == "idempotency_key_reused"
    )


@pytest.mark.parametrize("case", AT_THE_PORTAL, ids=lambda case: f"{case[0] or 'nobody'}-{case[4]}-{case[5]}")
def test_the_portals_api_refuses_with_a_problem(cast: Cast, case: tuple[Any, ...]) -> None:
    who, method, path, body, status, code = case
    client = Client(enforce_csrf_checks=who == "cross-site")
    if who:
        client.force_login(getattr(cast, "olga" if who == "cross-site" else who))
    form = isinstance(body, bytes) and b"=" in body
    response = client.generic(
        method,
        path.format(agent=cast.report_bot.public_id),
        body if isinstance(body, bytes) else json.dumps(body),
        content_type="application/x-www-form-urlencoded" if form else "application/json",
    )
    assert is_problem(response.status_code, response.headers["content-type"], response.json()) == code
    assert response.status_code == status
