"""Checks by the cast's agents, admitted as the gate does, inside a test's own transaction."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gate import bodies
from governance import checks, records, snapshot
from governance.requests import Caller
from workspaces.identifiers import key_digest
from workspaces.models import Agent


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """What a process remembers of rows that an earlier test rolled back."""
    snapshot.forget()
    records.key_uses.clear()
    yield
    snapshot.forget()
    records.key_uses.clear()


def ask(agent: Agent, key: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The gate's answer to one check."""
    caller = Caller(agent.workspace.log_id, agent.pk, key[4:12], key_digest(key))
    raw = json.dumps({"tool": tool, "arguments": arguments}).encode()
    (answer,) = checks.admit(agent.workspace.log_id, [bodies.parse_check(raw, caller, "")])
    assert isinstance(answer, bytes), answer
    told: dict[str, Any] = json.loads(answer)
    return told
