"""Agents that ask admission as the gate does, without its HTTP."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from audit import canonical
from gate.bodies import parse_check
from governance import checks, policies, snapshot
from governance.models import Approval
from governance.requests import Caller, CheckRequest, Problem
from workspaces.identifiers import key_digest
from workspaces.models import Agent, Workspace


def publish(workspace: Workspace, rules: Sequence[Mapping[str, Any]]) -> None:
    """Put rules in force."""
    policies.publish(policies.draft(workspace, rules, actor="system"), actor="system")
    snapshot.forget()


def request(agent: Agent, key: str, tool: str, arguments: Mapping[str, Any], **more: Any) -> CheckRequest:
    """A check as the gate reads it from the wire."""
    caller = Caller(agent.workspace.log_id, agent.pk, key[4:12], key_digest(key))
    return parse_check(canonical.encode({"tool": tool, "arguments": arguments, **more}), caller, "")


def admit(*requests: CheckRequest) -> list[dict[str, Any]]:
    """The answers to one batch."""
    answers = checks.admit(requests[0].caller.log_id, requests)
    assert not any(isinstance(answer, Problem) for answer in answers), answers
    return [json.loads(bytes(answer)) for answer in answers if not isinstance(answer, Problem)]


def check(agent: Agent, key: str, tool: str, arguments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The answer to one check."""
    return admit(request(agent, key, tool, arguments, **more))[0]


def waiting(answer: Mapping[str, Any]) -> Approval:
    """The approval that an answer says the call waits for."""
    assert answer["decision"] == "pending", answer
    rows = Approval.objects.select_related("workspace", "agent")
    return rows.get(public_id=answer["approval"]["id"])
