"""What the mails to reviewers and owners say.

Whatever an agent wrote stands at the end, quoted line by line, with what a font would hide spelled out and with
addresses that do not open: so nothing of it can pass for our words, our link or our code.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from governance import bounces, links, presentation, remains
from governance.budget_notices import BudgetNotice
from governance.links import Issued
from governance.models import Absence, Approval, ApprovalLink, Mailing
from governance.presentation import visible
from workspaces.models import User, Workspace

SUBJECT_LENGTH = 160
ARGUMENT_LINES = 40
ARGUMENT_CHARACTERS = 3000
REASON_CHARACTERS = 1500
WIDTH = 74  # characters of a line of plain text
LISTED = 20  # approvals that a collecting mail names
NINE_TENTHS, HALF = 0.9, 0.5
OPENING_ADDRESS = re.compile(r"(?i)\b(https?|ftp):(?=//)|\b(www)\.")


def invitation(link: ApprovalLink, issued: Issued, *, why: str, now: datetime) -> EmailMultiAlternatives:
    """The mail with link, code and what it is about. ``why``: ``reminder``, or empty for who is asked first."""
    question = presentation.question(link.approval)
    sign_in_needed = links.needs_sign_in(link.approval)
    arguments = "(erased)" if question.arguments is None else question.arguments
    context = {
        "link": link,
        "question": question,
        "because": because(link, why, now),
        "arguments": unlinked(shortened(arguments, ARGUMENT_CHARACTERS)),
        "resources": [unlinked(each) for each in question.resources[:ARGUMENT_LINES]],
        "more_resources": max(0, len(question.resources) - ARGUMENT_LINES),
        "reason": unlinked(shortened(question.reason, REASON_CHARACTERS)),
        "address": links.address(issued.token),
        "sign_in_needed": sign_in_needed,
        "code": "" if sign_in_needed else issued.code,
        "person": visible(str(link.person)),
        "edited": question.edited,
    }
    verb = "still asks" if why == "reminder" else "asks"
    subject = f"Countersign: {question.agent} {verb}: {question.tool}"
    headers = {remains.MAIL_HEADER: link.approval.public_id, **naming(issued.mailing)}
    return letter("approval", subject, link.person, context, headers)


def collection(mailing: Mailing, waiting: list[Approval]) -> EmailMultiAlternatives:
    """One mail about many calls of an agent, which leads to the inbox and holds no personal link."""
    agent = visible(mailing.agent.name)
    zone = presentation.zone_of(mailing.agent.workspace.timezone)
    listed = [(visible(each.tool), each.expires_at.astimezone(zone)) for each in waiting[:LISTED]]
    context = {
        "agent": agent,
        "workspace": visible(str(mailing.agent.workspace)),
        "listed": listed,
        "count": len(waiting),
        "more": max(0, len(waiting) - LISTED),
        "address": settings.PUBLIC_URL + reverse("admin:governance_approval_changelist"),
        "person": visible(str(mailing.person)),
    }
    calls = "1 call waits" if len(waiting) == 1 else f"{len(waiting)} calls wait"
    subject = f"Countersign: {calls} for you, of {agent}"
    return letter("approvals", subject, mailing.person, context, naming(mailing))


def unreachable(approval: Approval, owner: User) -> EmailMultiAlternatives:
    """The mail to an agent's owner that nobody is left who could answer."""
    question = presentation.question(approval)
    context = {
        "question": question,
        "person": visible(str(owner)),
        "address": settings.PUBLIC_URL + reverse("admin:governance_approval_change", args=[approval.pk]),
    }
    subject = f"Countersign: nobody can answer {question.agent}: {question.tool}"
    return letter("approval_unreachable", subject, owner, context, {})


def budget_warnings(
    person: User, workspace: Workspace, told: Sequence[BudgetNotice], count: int
) -> EmailMultiAlternatives:
    """The mail that budgets give warning, the gravest first; ``count`` are all of them, of which ``told`` are some."""
    context = {
        "told": told,
        "count": count,
        "more": count - len(told),
        "workspace": visible(str(workspace)),
        "address": settings.PUBLIC_URL + reverse("admin:billing_budget_changelist"),
        "person": visible(str(person)),
    }
    first = f"{told[0].budget}: {told[0].outcome}"
    subject = f"Countersign: {first if count == 1 else f'{count} budgets give warning'}"
    return letter("budget_warnings", subject, person, context, {})


def letter(
    template: str, subject: str, person: User, context: dict[str, Any], headers: dict[str, str]
) -> EmailMultiAlternatives:
    """A mail to one person, as text and as HTML."""
    message = EmailMultiAlternatives(
        " ".join(subject.split())[:SUBJECT_LENGTH],
        render_to_string(f"mail/{template}.txt", context),
        to=[person.email],
        headers={"Auto-Submitted": "auto-generated", **headers},
    )
    message.attach_alternative(render_to_string(f"mail/{template}.html", context), "text/html")
    return message


def naming(mailing: Mailing) -> dict[str, str]:
    """The headers by which a mail is known again when it comes back."""
    host = urlsplit(settings.PUBLIC_URL).hostname
    return {
        "Message-ID": f"<{mailing.message}.countersign@{host}>",
        bounces.MAIL_NAME: mailing.message,
    }


def because(link: ApprovalLink, why: str, now: datetime) -> str:
    """Why this person is mailed now, in a sentence; empty for who was asked from the start."""
    approval, said = link.approval, ""
    if link.person_id not in asked_by(approval):
        said = in_place_of(link, now)
    elif link.source == ApprovalLink.Source.ESCALATED:
        said = f"You are asked because nobody answered for {waited(approval, now)}."
    elif link.source == ApprovalLink.Source.REROUTED:
        said = "You are asked because a reviewer left."
    if why == "reminder":
        said = " ".join(filter(None, [f"{share_over(approval, now)}, and your answer is missing.", said]))
    return said


def asked_by(approval: Approval) -> set[int]:
    """Keys of those whom the rules name; who is asked and not among them is a deputy."""
    return {person for each in approval.requirements for person in each["reviewers"]}


def waited(approval: Approval, now: datetime) -> str:
    """How long an approval had waited when it was asked of more people: what its rule says, as far as known."""
    seconds = (now - approval.created).total_seconds()
    ladder = [rung for each in approval.requirements for rung in each.get("escalate") or []]
    steps = [rung["after"] for rung in ladder if rung["after"] <= seconds]
    minutes = round(max(steps, default=seconds) / 60)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


def share_over(approval: Approval, now: datetime) -> str:
    """How much of the time to answer is over."""
    share = (now - approval.created) / (approval.expires_at - approval.created)
    if share >= NINE_TENTHS:
        return "Nine tenths of the time are over"
    return "Half the time is over" if share >= HALF else "Time passes"


def in_place_of(link: ApprovalLink, now: datetime) -> str:
    """In whose place a deputy is asked."""
    approval = link.approval
    away = Absence.objects.filter(
        workspace=approval.workspace,
        deputy=link.person,
        person__in=asked_by(approval),
        starts__lte=now,
        ends__gt=now,
    )
    names = [visible(str(each.person)) for each in away.select_related("person").order_by("person__name")]
    if not names:
        return "You are asked in the place of somebody who is away."
    are = "is" if len(names) == 1 else "are"
    return f"You are asked in the place of {' and '.join(names)}, who {are} away."


def unlinked(text: str) -> str:
    """An agent's text whose addresses no mail program makes a link of: ``https[:]//…``, ``www[.]…``."""
    return OPENING_ADDRESS.sub(lambda found: f"{found[1]}[:]" if found[1] else f"{found[2]}[.]", text)


def shortened(text: str, most: int) -> str:
    """The first lines of a text; the page behind the link shows them all."""
    cut = "\n".join(text[:most].split("\n")[:ARGUMENT_LINES])
    return cut if cut == text else cut + "\n… (the rest stands behind the link)"


def quoted(text: str, mark: str = "> ") -> str:
    """Every line of a text behind a mark, and none too long."""
    lines = (
        wrap(line, WIDTH - len(mark), replace_whitespace=False, drop_whitespace=False, break_on_hyphens=False)
        or [""]
        for line in text.split("\n")
    )
    return "\n".join(f"{mark}{part}".rstrip() for parts in lines for part in parts)
