"""Files of a part of a log, made for people."""

import secrets

from django.conf import settings
from django.db import models

from audit.models.logs import Log


def export_id() -> str:
    """The public id of a new export."""
    return f"exp_{secrets.token_hex(12)}"


class Export(models.Model):
    """A file of a part of a log, made by the worker for one person."""

    class Kind(models.TextChoices):
        JSONL = "jsonl", "Entries as JSON lines"
        CSV = "csv", "Entries as CSV, for a spreadsheet"
        OCSF = "ocsf", "OCSF API Activity, as JSON lines"
        CLOUDEVENTS = "cloudevents", "CloudEvents 1.0, as JSON lines"
        BUNDLE = "bundle", "Bundle that an auditor can verify offline"
        PACK = "pack", "Evidence pack of a period"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting for the worker"
        RUNNING = "running", "Being made"
        DONE = "done", "Ready"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Deleted after its time"

    public_id = models.CharField(max_length=40, unique=True, default=export_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="exports")
    kind = models.CharField(max_length=12, choices=Kind)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="exports")
    since = models.DateTimeField(null=True, blank=True, help_text="Nothing earlier.")
    until = models.DateTimeField(null=True, blank=True, help_text="Only what is earlier.")
    only = models.JSONField(default=dict, help_text="Column → the exact text that an entry has in it.")
    first = models.BigIntegerField(help_text="Index of the first entry.")
    end = models.BigIntegerField(help_text="Index after the last entry.")
    position = models.BigIntegerField(help_text="Index from which it goes on.")
    written = models.BigIntegerField(default=0, help_text="Bytes that are safely in the file.")
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    error = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField()
    finished = models.DateTimeField(null=True, blank=True)
    expires = models.DateTimeField(null=True, blank=True, help_text="When the file is deleted.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    first__gte=0, position__gte=models.F("first"), end__gte=models.F("position")
                ),
                name="export_within_its_part",
            )
        ]
        indexes = [
            models.Index(
                fields=["expires"], condition=models.Q(status__in=["done", "failed"]), name="export_by_expiry"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.created:%F %T}"
