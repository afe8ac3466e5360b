"""What is owed because of entries, and who does it."""

from django.db import models


class Owed(models.Model):
    """Work that a committed change owes the world (mail, callback, expiry), claimed by the worker."""

    kind = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    due = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "owed work"
        verbose_name_plural = "owed work"
        indexes = [
            models.Index(fields=["due"], condition=models.Q(done_at__isnull=True), name="owed_and_not_done")
        ]

    def __str__(self) -> str:
        return f"{self.kind} due {self.due:%F %T}"


class Worker(models.Model):
    """A worker and when it was last heard of, so that people can tell whether one runs."""

    name = models.CharField(max_length=200, primary_key=True, help_text="Host and process.")
    started = models.DateTimeField()
    seen = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}, seen {self.seen:%F %T}"
