"""Who is told that a budget gives warning: those who manage budgets and the agent's owner by mail, the agent's own
address by a signed message. (Streams and the live feed read the entry.)

One mail a warning and person, until there are many: what comes within seconds of each other comes in one mail, and
after MOST mails in a row the rest is collected, a mail in SPAN. So 500 agents that reach their limits at once are one
mail. What a person is to be told yet stands in one row of what is owed, which is added to while it is not due.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from audit import owed
from audit.log import database_time, stamp
from audit.models import Entry, Owed
from billing.warnings import WARNED
from governance import budget_notices, callbacks, letters
from governance.budget_notices import BudgetNotice
from workspaces.access import VIEW, holders, may
from workspaces.models import Agent, User, Workspace

MAIL = "billing.budget.mail"
MANAGE = "manage_budgets"
GATHERING = timedelta(seconds=10)  # until a mail is sent
SPAN = timedelta(minutes=10)
MOST = 3  # mails to a person about a workspace's budgets without SPAN of quiet between them
LISTED = 20  # warnings that a mail names
KEPT = 1000  # warnings that a mail counts
MOST_SENT = 20  # messages to an agent's address of warnings that are told at once, the newest
NEARLY = timedelta(seconds=2)  # a row so nearly due may be claimed already


def tell(payload: dict[str, Any]) -> str:
    """Owe what a warning is told by: a place in a mail to each person, and the message to the agent's address. Other
    warnings of the same log that wait are told with it: an agent causes as many as it begins sessions, and they would
    keep the worker from what it owes others."""
    workspace = Workspace.objects.get(log_id=payload["log"])
    now = database_time()
    waiting = Owed.objects.filter(kind=WARNED, done_at=None, attempts=0, payload__log=payload["log"])
    others = {row.pk: row.payload["index"] for row in waiting.order_by("due", "pk")[:KEPT]}
    indexes = {payload["index"], *others.values()}
    spoken = Entry.objects.filter(log_id=workspace.log_id, index__in=indexes).order_by("index")
    by_agent: dict[str, list[int]] = {}
    for public_id, index in spoken.values_list("agent", "index"):
        by_agent.setdefault(public_id, []).append(index)
    people = {person: list(indexes) for person in holders(workspace, MANAGE)}
    agents = Agent.objects.select_related("owner").filter(workspace=workspace, public_id__in=by_agent)
    for agent in agents:
        own = by_agent[agent.public_id]
        if may(agent.owner, VIEW, workspace):
            people[agent.owner] = list({*people.get(agent.owner, ()), *own})
        if agent.callback_url:
            messages = (
                {"log": workspace.log_id, "index": index, "at": stamp(now)} for index in own[-MOST_SENT:]
            )
            owed.owe(callbacks.WARNING, messages, due=now)
    for person, told in people.items():
        gather(person, workspace, sorted(told), now)
    waiting.filter(pk__in=others).update(done_at=now)
    return f"{workspace.slug} {len(indexes)} warnings: {len(people)} people"


def gather(person: User, workspace: Workspace, indexes: list[int], now: datetime) -> None:
    """Put warnings into the next mail to a person. The person's row is locked, so that two workers do not both plan
    one."""
    whose = {"person": person.public_id, "workspace": workspace.public_id}
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        planned = Owed.objects.filter(
            kind=MAIL, done_at=None, attempts=0, due__gt=now + NEARLY,
            payload__person=whose["person"], payload__workspace=whose["workspace"],
        ).first()  # fmt: skip
        if planned is None:
            owed.owe(MAIL, [{**whose, "entries": indexes[-KEPT:], "sent": 0}], due=now + GATHERING)
            return
        known = planned.payload
        if missing := [index for index in indexes if index not in known["entries"]]:
            known["entries"] = [*known["entries"], *missing][-KEPT:]
        if known["sent"] < MOST:
            planned.due = min(planned.due, now + GATHERING)
        planned.save(update_fields=["payload", "due"])


def mail_person(payload: dict[str, Any]) -> str:
    """Mail a person what gathered, and begin to gather again; nothing where SPAN was quiet."""
    person = User.objects.get(public_id=payload["person"])
    workspace = Workspace.objects.get(public_id=payload["workspace"])
    who = f"{workspace.slug} to {person.public_id}"
    told = told_to(person, workspace, payload["entries"]) if payload["entries"] else []
    if not told:
        return f"{who}: not mailed, there is nothing to tell them"
    letters.budget_warnings(person, workspace, told[:LISTED], len(told)).send()
    quiet = {**payload, "entries": [], "sent": payload["sent"] + 1}
    owed.owe(MAIL, [quiet], due=database_time() + SPAN)
    return f"{who}: {len(told)} mailed"


def told_to(person: User, workspace: Workspace, indexes: list[int]) -> list[BudgetNotice]:
    """Those of these warnings that are still a person's to know, the gravest first."""
    if not may(person, VIEW, workspace):
        return []
    found = budget_notices.read(workspace, indexes)
    if not may(person, MANAGE, workspace):
        own = set(Agent.objects.filter(owner=person, workspace=workspace).values_list("pk", flat=True))
        found = [each for each in found if each.agent_id in own]
    return sorted(found, key=lambda each: (-each.share, -each.index))
