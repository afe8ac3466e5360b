"""Access reviews, and what they ask."""

from django.db import models
from django.db.models import Q

from workspaces.models import Agent, User, Workspace, id_field


class AccessReview(models.Model):
    """A campaign: owners say of everything that their agents hold whether it is kept or revoked."""

    class Undecided(models.TextChoices):
        KEEP = "keep", "keep it"
        REVOKE = "revoke", "revoke it"

    public_id = id_field("rev")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="access_reviews")
    title = models.CharField(max_length=200)
    started_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created = models.DateTimeField()
    due = models.DateTimeField()
    undecided = models.CharField(
        max_length=6, choices=Undecided, help_text="What becomes of what nobody answers."
    )
    lapsed_at = models.DateTimeField(
        null=True, blank=True, help_text="When what nobody answered was settled."
    )
    signed_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    signed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["due"], condition=Q(lapsed_at__isnull=True), name="review_open_by_due")
        ]

    def __str__(self) -> str:
        return self.title


class ReviewItem(models.Model):
    """One grant, role or key that an agent held when the review began, and what was answered."""

    class Kind(models.TextChoices):
        TOOL = "tool", "tool"
        RESOURCE = "resource", "resource"
        ROLE = "role", "role"
        KEY = "key", "key"

    class Outcome(models.TextChoices):
        OPEN = "", "not answered"
        KEPT = "kept", "kept"
        REVOKED = "revoked", "revoked"
        GONE = "gone", "gone already"

    review = models.ForeignKey(AccessReview, models.CASCADE, related_name="items", db_index=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    row = models.BigIntegerField(help_text="Primary key of the grant, the agent's role or the key.")
    permission = models.CharField(max_length=10, blank=True)
    name = models.CharField(max_length=200, help_text="Of the tool, resource, role or key.")
    outcome = models.CharField(max_length=8, choices=Outcome, blank=True)
    answered_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["review", "agent", "kind", "row"], name="one_item_per_row")
        ]

    def __str__(self) -> str:
        return f"{self.permission or self.kind} {self.name}"
