"""Mails about a workspace. Sent by the worker, outside every lock and transaction."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from workspaces.models import BrokenGlass, User

FACTOR_SUBJECTS = {
    "enrolled": "a second factor was added to your sign-in",
    "removed": "a second factor was removed from your sign-in",
    "reset": "your second factors were removed",
}


def mail_owner(payload: dict[str, Any]) -> str:
    """Tell one owner that somebody looks into their workspace."""
    glass = BrokenGlass.objects.select_related("workspace", "person").get(pk=payload["glass"])
    owner = User.objects.get(public_id=payload["person"])
    text = render_to_string("mail/glass.txt", {"glass": glass, "public_url": settings.PUBLIC_URL})
    subject = f"Countersign: an operator looks into {glass.workspace}"
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(" ".join(subject.split())[:160], text, to=[owner.email], headers=headers).send()
    return f"{glass.workspace.slug}: {owner.public_id} mailed"


def mail_of_factors(payload: dict[str, Any]) -> str:
    """Tell a person that their second factors changed."""
    person, change = User.objects.get(public_id=payload["person"]), payload["change"]
    text = render_to_string("mail/factor.txt", {"change": change, "public_url": settings.PUBLIC_URL})
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(f"Countersign: {FACTOR_SUBJECTS[change]}", text, to=[person.email], headers=headers).send()
    return f"{person.public_id} mailed"
