"""The mails that ask reviewers. Sent by the worker, outside every lock and transaction.

Each attempt makes a link of its own. The links of earlier mails live until a newer mail was taken by a mail server, so
that one which never arrives takes nothing away, and what is sent twice by a worker that died works both times.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import owed
from audit.models import Owed
from governance import approvals, letters, links, reviewers, undelivered
from governance.links import Issued
from governance.models import Approval, ApprovalLink, Mailing
from workspaces.identifiers import random_text
from workspaces.models import Agent, User

COLLECT = "governance.approval.collect"
MOST = 5  # mails with a link to one reviewer about one agent
SPAN = timedelta(minutes=10)  # in this time; and at most one that collects
GATHERING = timedelta(seconds=30)  # until a mail that collects is sent
REMINDER = "reminder"


def start_approval(payload: dict[str, Any]) -> str:
    """Start the process of an approval that admission opened."""
    approval = Approval.objects.select_related("workspace").get(public_id=payload["approval"])
    approvals.start(approval)
    return approval.public_id


def mail_reviewer(payload: dict[str, Any]) -> str:
    """Mail one reviewer a fresh personal link, unless there is nothing left for them to decide.

    A mail that went out although the worker died before it was noted is sent again; either link counts.
    """
    return invite(payload, why="")


def remind_reviewer(payload: dict[str, Any]) -> str:
    """Mail one reviewer again, with a fresh link and how much of the time is over."""
    return invite(payload, why=REMINDER)


def invite(payload: dict[str, Any], *, why: str) -> str:
    """One mail to one reviewer, or a place in the next mail that collects."""
    who = f"{payload['approval']} to {payload['person']}"
    link = (
        ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person")
        .filter(approval__public_id=payload["approval"], person__public_id=payload["person"])
        .get()
    )
    now = timezone.now()
    if not reviewers.may_decide(link.person, link.approval, now):
        return f"{who}: not mailed, nothing is left to decide"
    issued = issue(link, now)
    if issued is None:
        return f"{who}: not mailed alone, {MOST} mails about this agent went to them just now"
    message = letters.invitation(link, issued, why=why, now=now)
    return f"{who}: {send(message, issued.mailing, [link])}"


def issue(link: ApprovalLink, now: datetime) -> Issued | None:
    """A link for a mail; None where its reviewer had enough mails about the agent, and a mail that collects is owed
    instead. The reviewer's row is locked, so that two workers do not both send the last one."""
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).get(pk=link.person_id)
        agent = link.approval.agent
        sent = Mailing.objects.filter(person=person, agent=agent, created__gt=now - SPAN)
        if sent.filter(link__isnull=False).count() < MOST:
            return links.issue(link, now=now)
        payload = {"person": person.public_id, "agent": agent.public_id}
        planned = Owed.objects.filter(kind=COLLECT, done_at=None, lease_until=None, payload=payload)
        if not planned.exists():
            owed.owe(COLLECT, [payload], due=now + GATHERING)
        return None


def collect(payload: dict[str, Any]) -> str:
    """Mail a reviewer all that waits for them of one agent, in one mail that leads to the inbox."""
    now = timezone.now()
    person = User.objects.get(public_id=payload["person"])
    agent = Agent.objects.select_related("workspace").get(public_id=payload["agent"])
    who = f"{agent.public_id} to {person.public_id}"
    if not reviewers.answers_in(person, agent.workspace):
        return f"{who}: not mailed, they decide nothing any more"
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        earlier = Mailing.objects.filter(person=person, agent=agent, link=None, created__gt=now - SPAN)
        if last := earlier.order_by("-created").first():
            owed.owe(COLLECT, [payload], due=last.created + SPAN)
            return f"{who}: not mailed again yet"
        mailing = Mailing.objects.create(
            person=person, agent=agent, message=random_text(links.TOKEN_LENGTH), created=now
        )
    asked = waiting(person, agent, now)
    if not asked:
        mailing.delete()
        return f"{who}: not mailed, nothing waits"
    message = letters.collection(mailing, [link.approval for link in asked])
    return f"{who}: {send(message, mailing, asked)}"


def waiting(person: User, agent: Agent, now: datetime) -> list[ApprovalLink]:
    """What of an agent waits for a person, the most urgent first."""
    rows = ApprovalLink.objects.filter(person=person, waiting=True, approval__agent=agent)
    pending = rows.filter(approval__status=Approval.Status.PENDING, approval__expires_at__gt=now)
    return list(
        pending.select_related("approval__agent", "approval__workspace", "person").order_by("deadline", "pk")
    )


def mail_unreachable(payload: dict[str, Any]) -> str:
    """Tell an agent's owner that nobody is left who could answer, some times in a SPAN: an agent that asks and takes
    back could have it said without end."""
    approval = Approval.objects.select_related("workspace", "agent__owner").get(public_id=payload["approval"])
    if approval.unreachable_since is None or approval.status != Approval.Status.PENDING:
        return f"{approval.public_id}: not mailed, somebody can answer again or need not"
    owner, since = approval.agent.owner, approval.unreachable_since
    earlier = Q(unreachable_since__lt=since) | Q(unreachable_since=since, pk__lt=approval.pk)
    told = Approval.objects.filter(earlier, agent=approval.agent, unreachable_since__gt=since - SPAN)
    if told.count() >= MOST:
        return f"{approval.public_id}: not mailed, {MOST} others of the agent were just before it"
    letters.unreachable(approval, owner).send()
    return f"{approval.public_id}: {owner.public_id} mailed"


def send(message: EmailMessage, mailing: Mailing, about: Sequence[ApprovalLink]) -> str:
    """Send a mail and note how that went. What a mail server refuses for good is not tried again; any other failure
    is raised, so that it is."""
    asked = ApprovalLink.objects.filter(pk__in=[link.pk for link in about])
    try:
        message.send()
    except Exception as error:
        Mailing.objects.filter(pk=mailing.pk).delete()
        undelivered.note(about, undelivered.why_of(error), at=timezone.now())
        if not undelivered.is_refusal(error):
            raise
        undelivered.record(about, outcome="refused")
        return "refused by the mail server for good"
    now = timezone.now()
    Mailing.objects.filter(pk=mailing.pk).update(sent_at=now)
    asked.update(mailed_at=now, failed_at=None, error="")
    return "mailed"
