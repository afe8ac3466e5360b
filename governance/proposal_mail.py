"""Mail about proposals: who is asked, and what came of it for who proposed. It leads to the portal and decides
nothing."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from governance import deciders
from governance.models import Proposal
from workspaces.access import VIEW, may
from workspaces.models import User


def mail_person(payload: dict[str, Any]) -> str:
    """Tell one person about a proposal, unless there is nothing left to tell."""
    who = f"{payload['proposal']} to {payload['person']}"
    related = ("workspace", "agent", "version", "proposed_by")
    proposal = Proposal.objects.select_related(*related).get(public_id=payload["proposal"])
    person = User.objects.get(public_id=payload["person"])
    settled = proposal.status != Proposal.Status.PENDING
    told = proposal.proposed_by_id == person.pk if settled else deciders.may_decide(person, proposal)
    if not told or not may(person, VIEW, proposal.workspace):
        return f"{who}: not mailed, nothing is asked of them"
    path = reverse("proposal", args=[proposal.workspace.slug, proposal.public_id])
    context = {"proposal": proposal, "settled": settled, "address": f"{settings.PUBLIC_URL}{path}"}
    text = render_to_string("mail/proposal.txt", context)
    word = proposal.get_status_display().lower() if settled else "your answer is asked"
    headers = {"Auto-Submitted": "auto-generated"}
    subject = f"Countersign: {proposal.title} ({word})"
    EmailMessage(subject, text, to=[person.email], headers=headers).send()
    return f"{who}: mailed"
