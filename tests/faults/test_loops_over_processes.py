"""A loop that is spread over two gates is as long as it is: what an agent did of late is read under the head's lock."""

import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.faults.processes import Installation

BOT = "acme-0"
REPORT = {"path": "/srv/reports/q3.csv"}
DEFAULTS = """
import json
from workspaces import agents
from workspaces.models import Agent
for agent in Agent.objects.filter(name__startswith="acme-"):
    agents.change_agent(agent, loop_limits={}, actor="system")
print(json.dumps(True))
"""


@pytest.fixture(scope="module")
def gates(installation: Installation) -> list[httpx.Client]:
    """Two gates on one database; on SQLite one process serves, and the same requests go to it."""
    installation.script(DEFAULTS)
    ports = installation.gates(2 if installation.database_url else 1)
    return [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) for port in ports]


@pytest.mark.parametrize(
    ("bot", "vary"),
    [
        ("acme-0", lambda n: {"arguments": REPORT}),
        ("acme-1", lambda n: {"arguments": REPORT, "session": f"run-{n}", "call_id": f"call-{n}"}),
        ("acme-2", lambda n: {"arguments": {"request_id": str(uuid.uuid4()), **REPORT}}),
        ("acme-3", lambda n: {"arguments": dict(sorted({**REPORT, "a": 1}.items(), reverse=n % 2 == 0))}),
    ],
    ids=["the same", "sessions", "request id", "order of keys"],
)
def test_the_fourth_identical_call_is_stopped_whichever_gate_it_goes_to(
    gates: list[httpx.Client], installation: Installation, bot: str, vary: Callable[[int], dict[str, Any]]
) -> None:
    headers = {"authorization": f"Bearer {installation.key(bot)}"}
    codes = []
    for number in range(6):
        gate = gates[number % len(gates)]
        body = {"tool": "files.read", **vary(number)}
        answer = gate.post("/v1/check", json=body, headers=headers).json()
        codes.append(answer["code"])
        if answer["decision"] == "allow":  # told to the other one
            other = gates[(number + 1) % len(gates)]
            outcome = {"status": "succeeded", "result": "sha256:5f"}
            told = other.post(f"/v1/decisions/{answer['id']}/outcome", json=outcome, headers=headers)
            assert told.status_code == 200, told.text
    assert codes == ["granted"] * 3 + ["loop_detected"] * 3


def test_a_log_with_loops_verifies(gates: list[httpx.Client], installation: Installation) -> None:
    assert installation.entries("acme", "governance.check.denied")
    installation.manage("verify_log")
