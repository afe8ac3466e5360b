"""Telling an agent's own address that something became of its approvals, or that its budget gives warning: ids and a
status, signed, nothing else.

Whoever gets it asks the gate with the agent's key for the rest. The address was set by a person and is judged again
each time it is used. Messages may come twice and out of order; the version tells which is newer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db.models import F

from audit import destinations, log, owed, webhooks
from audit.destinations import NotAllowed, Unreachable
from audit.lines import printable
from audit.log import Writer, stamp
from audit.models import Entry
from billing.warnings import EXHAUSTED
from governance.models import Approval, CallbackState
from workspaces import callbacks
from workspaces.callbacks import NoCallback
from workspaces.models import Agent

CALLBACK = "governance.approval.callback"
WARNING = "billing.budget.callback"
EVENTS = ("settled", "question", "edited", "unreachable")
GIVEN_UP = timedelta(days=1)
FIRST_PAUSE, LONGEST_PAUSE = 5, 3600  # seconds; doubled by every failure in a row
GONE = 410


class NotTaken(RuntimeError):
    """The address did not take the message; it is tried again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: its id, the same at every try; its type and data; and how the worker speaks of it."""

    id: str
    type: str
    data: dict[str, Any]
    told: str


def owe_callback(approval: Approval, event: str, entries: Writer) -> None:
    """Owe the agent's address, if it has one, the news of an event of EVENTS. Called under the head, after the
    approval's version was raised."""
    if approval.agent.callback_url:
        payload = {"approval": approval.public_id, "event": event, "at": stamp(entries.now)}
        owed.owe(CALLBACK, [payload], due=entries.now)


def deliver(payload: dict[str, Any]) -> str | None:
    """Send what is owed of an approval once. Raises NotTaken where it is to be tried again."""
    approval = Approval.objects.select_related("agent").filter(public_id=payload["approval"]).first()
    if approval is None or not approval.agent.callback_url:
        return "no address any more"
    event = payload["event"]
    data = {
        "approval": approval.public_id,
        "agent": approval.agent.public_id,
        "status": approval.status,
        "version": approval.version,
    }
    message = Message(
        f"msg_{approval.public_id}_{event}_{approval.version}", f"approval.{event}", data,
        f"{approval.public_id} {event}",
    )  # fmt: skip
    return attempt(approval.agent, message, payload["at"])


def deliver_warning(payload: dict[str, Any]) -> str | None:
    """Send what is owed of a budget's warning once. Raises NotTaken where it is to be tried again."""
    entry = Entry.objects.filter(log_id=payload["log"], index=payload["index"]).first()
    agents = Agent.objects.filter(workspace__log_id=payload["log"])
    agent = agents.filter(public_id=entry.agent).first() if entry else None
    if entry is None or agent is None or not agent.callback_url:
        return "no address any more"
    told = orjson.loads(bytes(entry.body))["data"]
    data = {name: told[name] for name in ("budget", "share", "unit", "spent", "limit")}
    data |= {"agent": agent.public_id, "session": entry.session, "exhausted": entry.outcome == EXHAUSTED}
    message = Message(
        f"msg_{told['budget']}_{entry.index}", "budget.warned", data, f"{told['budget']} #{entry.index}"
    )
    return attempt(agent, message, payload["at"])


def attempt(agent: Agent, message: Message, at: str) -> str:
    """Send a message that is owed since ``at``. Raises NotTaken; after a day nobody tries any more."""
    now = log.database_time()
    state, _ = CallbackState.objects.get_or_create(agent=agent)
    over = datetime.fromisoformat(at) + GIVEN_UP <= now
    if state.next_at is not None and state.next_at > now:
        if over:  # not asked once more for each of what may be thousands
            return f"{message.told}: given up, {state.error}"
        raise NotTaken(f"The address failed lately: {state.error}")
    try:
        answer = post(agent, message, now)
        error = "" if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        over = over or answer.status == GONE
    except (Unreachable, NotAllowed, NoCallback) as failed:
        error = printable(str(failed))[:300]
    note(agent, error, now)
    if not error:
        return f"{message.told}: taken"
    if over:
        return f"{message.told}: given up, {error}"
    raise NotTaken(error)


def post(agent: Agent, message: Message, now: datetime) -> destinations.Answer:
    """One signed POST. Raises Unreachable, NotAllowed, NoCallback."""
    body = orjson.dumps({"type": message.type, "timestamp": stamp(now), "data": message.data})
    secret = callbacks.secret_of(agent)
    signed = webhooks.headers(secret, message=message.id, at=int(now.timestamp()), body=body)
    return destinations.post(agent.callback_url, body, {"Content-Type": "application/json", **signed})


def note(agent: Agent, error: str, now: datetime) -> None:
    """Keep how it went, so that the agent's page tells, and a dead address is asked ever more seldom."""
    state = CallbackState.objects.filter(agent=agent)
    if not error:
        state.update(delivered_at=now, failing_since=None, failures=0, next_at=None, error="")
        return
    failures = state.values_list("failures", flat=True).first() or 0
    pause = min(FIRST_PAUSE * 2 ** min(failures, 20), LONGEST_PAUSE)
    state.update(error=error, failures=F("failures") + 1, next_at=now + timedelta(seconds=pause))
    state.filter(failing_since=None).update(failing_since=now)
