"""What a log is searched with."""

import secrets

from django.conf import settings
from django.db import models

from audit.models.logs import Log


class Posting(models.Model):
    """Which entries of one block of a log have a term. Written by ``audit.postings``, which says what a term is."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    level = models.PositiveSmallIntegerField(help_text="0 for blocks, 1 for wide ones.")
    block = models.BigIntegerField()
    term = models.BinaryField(help_text="facet:value in UTF-8, which every database orders alike.")
    content = models.BinaryField(help_text="Offsets in the block.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "level", "block", "term"], name="one_posting_per_term")
        ]

    def __str__(self) -> str:
        return f"{bytes(self.term).decode()} in block {self.level}/{self.block}"


class Indexed(models.Model):
    """How far the postings of a log reach."""

    log = models.OneToOneField(
        Log, models.PROTECT, primary_key=True, db_constraint=False, related_name="indexed"
    )
    size = models.BigIntegerField(default=0, help_text="Entries whose blocks have postings.")
    merged = models.BigIntegerField(default=0, help_text="Wide blocks that have postings.")
    thinned = models.BigIntegerField(default=0, help_text="Below it, no posting speaks of pruned entries.")

    def __str__(self) -> str:
        return f"{self.size} entries of log {self.log_id}"


def view_id() -> str:
    """The public id of a new saved view."""
    return f"viw_{secrets.token_hex(12)}"


class SavedView(models.Model):
    """What a person looks for in a log again and again. Theirs alone, and no configuration."""

    public_id = models.CharField(max_length=40, unique=True, default=view_id, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    log = models.ForeignKey(Log, models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, help_text="The page's address after the question mark.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "log", "name"], name="one_view_per_name")]

    def __str__(self) -> str:
        return self.name
