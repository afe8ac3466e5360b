"""The gate over real HTTP semantics in this process: its application, its committer thread, the test database."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from gate.admission import admission
from gate.app import application, known
from governance import policies, snapshot
from tests.cast import Cast

REFUND = "billing.refund"
RULES: list[dict[str, Any]] = [
    {
        "name": "Refunds above 100 need finance",
        "tools": [REFUND],
        "agents": ["label:customer-facing"],
        "when": "args.amount > 100",
        "effect": "require_approval",
        "approval": {"reviewers": ["group:finance"]},
        "message": "Finance countersigns refunds above 100.",
    },
    {
        "name": "Nothing leaves after untrusted content",
        "actions": ["send"],
        "when": "'untrusted_output' in session.labels",
        "effect": "deny",
    },
    {
        "name": "At most 5 refunds a minute",
        "tools": [REFUND],
        "effect": "limit",
        "limit": {"calls": 5, "per": "1m"},
    },
]


@pytest.fixture
def gate(transactional_db: None) -> Iterator[TestClient]:
    """A client of the gate. Afterwards the committer has ended and its connection is closed."""
    snapshot.forget()
    known.forget()
    with TestClient(application, base_url="http://gate") as client:
        yield client
    admission.stop()


@pytest.fixture
def policy(cast: Cast) -> None:
    """acme's rules, published."""
    version = policies.draft(cast.acme, RULES, actor="system")
    policies.publish(version, actor="system")


class Bot:
    """An agent at the gate."""

    def __init__(self, client: TestClient, key: str) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {key}"}

    def check(self, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The answer of a check that must be a decision."""
        headers = more.pop("headers", {})
        response = self.client.post(
            "/v1/check",
            json={"tool": tool, "arguments": arguments or {}, **more},
            headers={**self.headers, **headers},
        )
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def problem(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Status and code of an answer that must be a problem document."""
        headers = more.pop("headers", {})
        response = self.client.request(method, path, headers={**self.headers, **headers}, **more)
        assert response.headers["content-type"] == "application/problem+json", response.text
        body = response.json()
        assert body["status"] == response.status_code
        assert body["detail"].endswith((".", "…")) or "docs/" in body["detail"]
        return response.status_code, body["code"]

    def report(self, decision: str, **fields: Any) -> dict[str, Any]:
        response = self.client.post(f"/v1/decisions/{decision}/outcome", json=fields, headers=self.headers)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture
def support(gate: TestClient, cast: Cast) -> Bot:
    return Bot(gate, cast.support_bot_key)


@pytest.fixture
def reporter(gate: TestClient, cast: Cast) -> Bot:
    return Bot(gate, cast.report_bot_key)
