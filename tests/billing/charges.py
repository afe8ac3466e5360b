"""Charges as settlement leaves them, without the calls that led there."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from billing.models import Hold
from workspaces.models import Agent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CENTS = 10**7  # nano-dollars
numbers = count(1)


def charge(agent: Agent, cents: int | None, *, at: datetime = NOON, **columns: Any) -> Hold:
    """A settled call of an agent that cost so many cents; None is a price that is not known."""
    values: dict[str, Any] = {
        "decision": f"dec_{next(numbers):022}",
        "accounts": [],
        "tool": "files.read",
        "held_nanos": 0,
        "charged_nanos": None if cents is None else cents * CENTS,
        "charged_tokens": 0,
        "state": Hold.State.SETTLED,
        "created": at,
        "settled_at": at,
        "owner": agent.owner,
        "cost_center": agent.cost_center,
    }
    return Hold.objects.create(workspace=agent.workspace, agent=agent, **values | columns)


def held(agent: Agent, cents: int, **columns: Any) -> Hold:
    """A call in flight that holds so many cents."""
    return charge(
        agent,
        None,
        held_nanos=cents * CENTS,
        charged_tokens=None,
        state=Hold.State.HELD,
        settled_at=None,
        **columns,
    )
