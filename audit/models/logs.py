"""Logs, their heads, their entries, and the personal values beside these."""

import uuid

from django.db import models


class Log(models.Model):
    """One append-only log: the installation's, or one workspace's."""

    class Kind(models.TextChoices):
        INSTALLATION = "installation"
        WORKSPACE = "workspace"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=12, choices=Kind, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    origin = models.CharField(
        max_length=200,
        editable=False,
        help_text="Its name in checkpoints: the public address without scheme.",
    )
    epoch = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts how often a log that had lost entries was adopted."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=models.Q(kind="installation"), name="one_installation_log"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uuid}"


class Head(models.Model):
    """The row that every write locks first. No foreign key points here, so that no reader can hold it."""

    log_id = models.BigIntegerField(primary_key=True)
    size = models.BigIntegerField(default=0)
    frontier = models.BinaryField(default=bytes)
    revision = models.BigIntegerField(default=0, help_text="Counts configuration changes.")
    time = models.DateTimeField(help_text="Time of the last entry; the next is never earlier.")
    halted = models.CharField(
        max_length=200,
        blank=True,
        help_text="Why nothing may be written, where the publisher found the log shortened.",
    )

    def __str__(self) -> str:
        return f"log {self.log_id}: {self.size} entries"


class Entry(models.Model):
    """Canonical JSON, stored exactly as hashed. The columns beside the body only serve searching."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="entries", db_index=False)
    index = models.BigIntegerField()
    type = models.CharField(max_length=64)
    time = models.DateTimeField()
    actor = models.CharField(max_length=200)
    agent = models.CharField(max_length=40, blank=True)
    tool = models.CharField(max_length=200, blank=True)
    resource = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=40, blank=True)
    session = models.CharField(max_length=200, blank=True)
    body = models.BinaryField()
    leaf = models.BinaryField()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="one_entry_per_index")]
        indexes = [models.Index(fields=["log", "agent", "index"], name="entry_by_agent")]

    def __str__(self) -> str:
        return f"{self.type} #{self.index}"


class Detail(models.Model):
    """Personal and secret values of one entry, of which its body holds salted commitments only."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    index = models.BigIntegerField()
    content = models.BinaryField(help_text="JSON: field → {salt, value}.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="one_detail_per_entry")]

    def __str__(self) -> str:
        return f"detail of #{self.index}"


class DetailKey(models.Model):
    """The key under which a log's Details are sealed, itself sealed under the installation's key."""

    log = models.OneToOneField(Log, models.PROTECT, primary_key=True, related_name="detail_key")
    wrapped = models.BinaryField()

    def __str__(self) -> str:
        return f"key of {self.log_id}"


class Change(models.Model):
    """What of the configuration changed at which revision, so that a process that is behind reads only that."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    revision = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    key = models.BigIntegerField(help_text="What of a snapshot became stale: mostly a row's primary key.")

    class Meta:
        indexes = [models.Index(fields=["log", "revision"], name="change_by_revision")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} at {self.revision}"
