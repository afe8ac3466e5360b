"""Mails to reviewers."""

from django.db import models

from governance.models.approvals import ApprovalLink
from workspaces.models import Agent, User


class Mailing(models.Model):
    """One mail to a reviewer: with a personal link, of which link and code are kept as hashes only, or (``link``
    null) with several approvals in it and no personal link.

    Rows outlive their use, so that an old link can say what became of it.
    """

    link = models.ForeignKey(ApprovalLink, models.CASCADE, null=True, related_name="mailings")
    person = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    message = models.CharField(max_length=40, unique=True, help_text="What its Message-ID begins with.")
    digest = models.BinaryField(unique=True, null=True)
    code_digest = models.BinaryField(null=True)
    created = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="When a mail server took it.")
    shown_at = models.DateTimeField(null=True, help_text="When its link first showed the call to anybody.")
    used_at = models.DateTimeField(null=True, help_text="When its link decided.")
    refusals = models.JSONField(default=dict, help_text="Why its link was refused → when that was recorded.")

    class Meta:
        indexes = [models.Index(fields=["person", "agent", "created"], name="mailing_by_person")]

    def __str__(self) -> str:
        return f"mail {self.message} to {self.person_id}"
