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
NEARLY = timedelta(seconds=2)  # a row so nearly due may be claimed already


def tell(payload: dict[str, Any]) -> str:
    """Owe what a warning is told by: a place in a mail to each person, and the message to the agent's address."""
    workspace = Workspace.objects.get(log_id=payload["log"])
    index, now = payload["index"], database_time()
    public_id = Entry.objects.values_list("agent", flat=True).get(log_id=workspace.log_id, index=index)
    agent = Agent.objects.select_related("owner").filter(workspace=workspace, public_id=public_id).first()
    people = {person.pk: person for person in holders(workspace, MANAGE)}
    if agent is not None and may(agent.owner, VIEW, workspace):
        people[agent.owner_id] = agent.owner
    for person in people.values():
        gather(person, workspace, index, now)
    if agent is not None and agent.callback_url:
        owed.owe(callbacks.WARNING, [{**payload, "at": stamp(now)}], due=now)
    return f"{workspace.slug} #{index}: {len(people)} people"


def gather(person: User, workspace: Workspace, index: int, now: datetime) -> None:
    """Put a warning into the next mail to a person. The person's row is locked, so that two workers do not both plan
    one."""
    whose = {"person": person.public_id, "workspace": workspace.public_id}
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        planned = Owed.objects.filter(
            kind=MAIL, done_at=None, attempts=0, due__gt=now + NEARLY,
            payload__person=whose["person"], payload__workspace=whose["workspace"],
        ).first()  # fmt: skip
        if planned is None:
            owed.owe(MAIL, [{**whose, "entries": [index], "sent": 0}], due=now + GATHERING)
            return
        known = planned.payload
        if index not in known["entries"]:
            known["entries"] = [*known["entries"], index][-KEPT:]
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
