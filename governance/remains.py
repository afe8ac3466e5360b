"""What stands beside the log of a call, or has left: stored answers, mails, exports, streams.

Other apps that keep copies of Details register a ``forgetter``; it is called with a log's id and indexes, inside the
transaction that erases them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from django.conf import settings

from audit.models import Entry, Export, Log, Owed, StreamCursor
from governance.models import Approval, ApprovalLink, Call, Idempotency
from workspaces.models import Agent

Forgetter: TypeAlias = Callable[[int, Sequence[int]], None]

MAIL_HEADER = "X-Countersign-Approval"

forgetters: list[Forgetter] = []


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry's body says of where else its values may stand."""

    index: int
    agent: str
    session: str
    call_id: str
    decision: str
    approval: str


def told_by(log_id: int, indexes: Sequence[int]) -> list[Told]:
    """What the bodies of these entries say."""
    rows = Entry.objects.filter(log_id=log_id, index__in=indexes).values_list("index", "body")
    return [told(index, orjson.loads(bytes(body))) for index, body in rows]


def told(index: int, body: dict[str, Any]) -> Told:
    """One body, read."""
    data = body["data"]
    names = (str(data.get(name, "")) for name in ("call_id", "decision", "approval"))
    return Told(index, body["agent"], body["session"], *names)


def forget(log_id: int, entries: Sequence[Told]) -> None:
    """Delete the stored answers of calls, and what is noted of mails about them. Inside the erasing transaction."""
    keys = Agent.objects.in_bulk({each.agent for each in entries}, field_name="public_id")
    by_agent: dict[int, list[Told]] = {}
    for each in entries:
        if each.agent in keys:
            by_agent.setdefault(keys[each.agent].pk, []).append(each)
    for agent, calls in by_agent.items():
        decisions = [each.decision for each in calls]
        Idempotency.objects.filter(agent_id=agent, decision__in=decisions).delete()
        for each in calls:
            if each.call_id:
                Call.objects.filter(
                    agent_id=agent, session=each.session, call_id=each.call_id, decision=each.decision
                ).delete()
    if approvals := [each.approval for each in entries if each.approval]:
        Owed.objects.filter(payload__approval__in=approvals).exclude(error="").update(error="")
    indexes = [each.index for each in entries]
    for forgetter in forgetters:
        forgetter(log_id, indexes)


def shred_mails(approvals: Iterable[str]) -> int:
    """Delete the mails about these approvals from the folder that stands for a mail server; how many."""
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    wanted = [f"{MAIL_HEADER}: {approval}".encode() for approval in approvals if approval]
    if not folder or not wanted or not Path(folder).is_dir():
        return 0
    shredded = 0
    for file in Path(folder).glob("*.log"):
        content = file.read_bytes()
        if any(line in content for line in wanted):
            file.unlink(missing_ok=True)
            shredded += 1
    return shredded


def departures(log: Log, entries: Sequence[Told]) -> dict[str, Any]:
    """What of these entries has left already: exports and streams by public id, and how many mails."""
    if not entries:
        return {}
    first, last = min(each.index for each in entries), max(each.index for each in entries)
    exports = Export.objects.filter(log=log, first__lte=last, position__gt=first)
    streams = StreamCursor.objects.filter(stream__log=log, next__gt=first).select_related("stream")
    approvals = Approval.objects.filter(public_id__in=[each.approval for each in entries if each.approval])
    mails = ApprovalLink.objects.filter(approval__in=approvals, mailed_at__isnull=False)
    left = {
        "exports": sorted(exports.values_list("public_id", flat=True)),
        "streams": sorted(cursor.stream.public_id for cursor in streams),
        "mails": mails.count(),
    }
    return {name: value for name, value in left.items() if value}
