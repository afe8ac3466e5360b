"""What is taken out of a log: when its time is over, and at a person's request."""

import secrets

from django.db import models

from audit.models.logs import Log


class Pruning(models.Model):
    """A part of a log whose entries were deleted when their time was over, but for those that stay; the entry
    ``entry_index`` states it. Details went further than entries, whose tree needs full tiles."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="prunings", db_index=False)
    start = models.BigIntegerField(help_text="Index of the first entry.")
    end = models.BigIntegerField(help_text="Index after the last entry.")
    details_start = models.BigIntegerField(help_text="Index of the first entry whose Detail went.")
    details_end = models.BigIntegerField(help_text="Index after the last one.")
    entry_index = models.BigIntegerField(help_text="The entry that states it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "entry_index"], name="one_pruning_per_entry"),
            models.CheckConstraint(
                condition=models.Q(
                    end__gte=models.F("start"),
                    details_end__gte=models.F("details_start"),
                ),
                name="pruning_goes_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"entries {self.start} to {self.end} of {self.log_id}"


def erasure_id() -> str:
    """The public id of a new erasure."""
    return f"ers_{secrets.token_hex(12)}"


class Erasure(models.Model):
    """Values to be erased from a log's Details, from the search for them to the last one."""

    class Status(models.TextChoices):
        SEARCHING = "searching", "Looking for what is to be erased"
        FOUND = "found", "Waiting to be confirmed"
        WAITING = "waiting", "Waiting for its turn"
        HELD = "held", "Waiting for a legal hold to be released"
        ERASING = "erasing", "Erasing"
        DONE = "done", "Erased"
        CANCELLED = "cancelled", "Cancelled"

    public_id = models.CharField(max_length=40, unique=True, default=erasure_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="erasures")
    actor = models.CharField(max_length=200)
    basis = models.CharField(max_length=200, help_text="Legal basis, as the log names it for good.")
    query = models.BinaryField(
        default=bytes, help_text="The text that is looked for, sealed; gone at the end."
    )
    field = models.CharField(max_length=200, blank=True, help_text="This field alone; empty for every one.")
    first = models.BigIntegerField(help_text="Index of the first entry that is looked at.")
    end = models.BigIntegerField(help_text="Index after the last one.")
    position = models.BigIntegerField(help_text="Index from which the search goes on.")
    status = models.CharField(max_length=9, choices=Status, default=Status.SEARCHING)
    found = models.PositiveIntegerField(default=0, help_text="Entries that hold something to be erased.")
    in_use = models.PositiveIntegerField(default=0, help_text="Values that stay: the configuration has them.")
    in_clear = models.PositiveIntegerField(default=0, help_text="Entries whose body has the text, for good.")
    erased = models.PositiveIntegerField(default=0, help_text="Entries that are done.")
    left = models.JSONField(default=dict, help_text="What of it had left already: exports, streams, mails.")
    created = models.DateTimeField()
    finished = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(position__gte=models.F("first"), end__gte=models.F("position")),
                name="erasure_within_its_part",
            )
        ]
        indexes = [
            models.Index(
                fields=["log"],
                condition=models.Q(status__in=["searching", "waiting", "held", "erasing"]),
                name="erasure_under_way",
            )
        ]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.get_status_display()}"


class ErasureItem(models.Model):
    """An entry's fields that are to be erased; the row goes with them."""

    erasure = models.ForeignKey(Erasure, models.CASCADE, related_name="items", db_index=False)
    index = models.BigIntegerField()
    fields = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["erasure", "index"], name="one_erasure_item_per_entry")
        ]

    def __str__(self) -> str:
        return f"entry {self.index}"
