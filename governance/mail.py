"""The mail that asks a reviewer. Sent by the worker, outside every lock and transaction."""

from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import timezone

from governance import approvals, links, presentation, remains
from governance.models import Approval, ApprovalLink

SUBJECT_LENGTH = 160
ARGUMENT_LINES = 40
ARGUMENT_CHARACTERS = 3000


def start_approval(payload: dict[str, Any]) -> str:
    """Start the process of an approval that admission opened."""
    approval = Approval.objects.select_related("workspace").get(public_id=payload["approval"])
    approvals.start(approval)
    return approval.public_id


def mail_reviewer(payload: dict[str, Any]) -> str:
    """Mail one reviewer a fresh personal link, unless there is nothing left for them to decide.

    A mail that went out although the worker died before it was noted is sent again; the newest link counts.
    """
    who = f"{payload['approval']} to {payload['person']}"
    link = (
        ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person")
        .filter(approval__public_id=payload["approval"], person__public_id=payload["person"])
        .get()
    )
    if not approvals.may_decide(link.person, link.approval, timezone.now()):
        return f"{who}: not mailed, nothing is left to decide"
    token, code = links.issue(link)
    invitation(link, token, code).send()
    ApprovalLink.objects.filter(pk=link.pk).update(mailed_at=timezone.now())
    return f"{who}: mailed"


def invitation(link: ApprovalLink, token: str, code: str) -> EmailMultiAlternatives:
    """The mail with link, code and what it is about, as text and HTML. No code where none is taken."""
    question = presentation.question(link.approval)
    context = {
        "link": link,
        "question": question,
        "arguments": shortened(question.arguments),
        "address": links.address(token),
        "code": code,
        "sign_in_needed": links.needs_sign_in(link.approval),
    }
    subject = f"Countersign: {question.agent} asks: {question.tool}"
    message = EmailMultiAlternatives(
        subject[:SUBJECT_LENGTH],
        render_to_string("mail/approval.txt", context),
        to=[link.person.email],
        headers={"Auto-Submitted": "auto-generated", remains.MAIL_HEADER: link.approval.public_id},
    )
    message.attach_alternative(render_to_string("mail/approval.html", context), "text/html")
    return message


def shortened(arguments: str | None) -> str:
    """The first lines of the arguments; the page behind the link shows them all."""
    if arguments is None:
        return "(erased)"
    lines = arguments[:ARGUMENT_CHARACTERS].split("\n")[:ARGUMENT_LINES]
    text = "\n".join(lines)
    return text if text == arguments else text + "\n… (the rest stands behind the link)"
