"""A log's entries sent on to other systems."""

import secrets

from django.db import models

from audit.models.logs import Log


def stream_id() -> str:
    """The public id of a new stream."""
    return f"str_{secrets.token_hex(12)}"


class Stream(models.Model):
    """A log's entries sent on as they come: to an address that takes webhooks, or into a file beside."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        FILE = "file", "File of JSON lines"

    class Format(models.TextChoices):
        JSONL = "jsonl", "Entries as JSON lines"
        OCSF = "ocsf", "OCSF API Activity"
        CLOUDEVENTS = "cloudevents", "CloudEvents 1.0"
        CHAT = "chat", "Messages for a chat tool"

    public_id = models.CharField(max_length=40, unique=True, default=stream_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="streams")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=Kind)
    url = models.CharField(max_length=2000, blank=True, help_text="Where a webhook goes.")
    format = models.CharField(max_length=12, choices=Format, default=Format.JSONL)
    types = models.JSONField(
        default=list, help_text="Only entries of these types, of which a last part may be *; of all if empty."
    )
    secret = models.BinaryField(default=bytes, help_text="A webhook's, sealed under the installation's key.")
    paused = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "name"], name="one_stream_per_name"),
            models.CheckConstraint(
                condition=(models.Q(kind="webhook") & ~models.Q(url="")) | models.Q(kind="file", url=""),
                name="webhook_with_address",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StreamCursor(models.Model):
    """How far a stream is, and how its sink is doing. No configuration: every delivery writes here."""

    stream = models.OneToOneField(Stream, models.CASCADE, primary_key=True, related_name="cursor")
    next = models.BigIntegerField(help_text="Index of the first entry that is not delivered.")
    batch_end = models.BigIntegerField(
        null=True,
        help_text="Index after the batch that is being tried, which stays the same until it is taken.",
    )
    attempts = models.PositiveIntegerField(default=0, help_text="Failures since the last delivery.")
    claims = models.BigIntegerField(
        default=0, help_text="Counts who took a turn, so that a late one does not count."
    )
    due = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    tested_at = models.DateTimeField(null=True)
    test_result = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.stream_id}: entry {self.next}"


class DeadLetter(models.Model):
    """An entry that a sink refused for good, and what became of it."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="dead_letters")
    index = models.BigIntegerField()
    reason = models.CharField(max_length=300)
    time = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="When it was taken after all.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "index"], name="one_dead_letter_per_entry")]

    def __str__(self) -> str:
        return f"entry {self.index} of {self.stream_id}"
