"""Policy versions, and their replays over recorded calls."""

from typing import Any

from django.db import models
from django.db.models import Q

from workspaces.models import User, Workspace, id_field


class ImmutableVersion(TypeError):
    """Somebody tried to change the content of a policy version."""


class PolicyVersion(models.Model):
    """The rules of a workspace at one time. The content never changes; its hash is its name."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_FORCE = "in_force", "In force"
        RETIRED = "retired", "Retired"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="policy_versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=80, help_text="pol_<SHA-256 of the canonical content>.")
    content = models.JSONField(help_text="The rules, as in the workspace file.")
    status = models.CharField(max_length=8, choices=Status, default=Status.DRAFT)
    note = models.CharField(max_length=500, blank=True)
    drafted_by = models.CharField(max_length=200)
    published_by = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "number"], name="one_policy_version_per_number"),
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(status="in_force"), name="one_policy_in_force"
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.number} ({self.status})"

    def save(self, *args: Any, **options: Any) -> None:
        """As ever, but refuse to change what a version says: evidence names it by its content."""
        if not self._state.adding:
            stored = PolicyVersion.objects.values("workspace_id", "number", "digest", "content").get(
                pk=self.pk
            )
            if any(getattr(self, column) != value for column, value in stored.items()):
                raise ImmutableVersion(f"Version {self.number} never changes; draft a new one instead.")
        super().save(*args, **options)


class RuleOrigin(models.Model):
    """The version in which a rule first stood, word for word; whoever drafted that wrote the rule."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    digest = models.CharField(max_length=64, help_text="Of the rule, as a verdict names it.")
    version = models.ForeignKey(PolicyVersion, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "digest"], name="one_origin_per_rule")]

    def __str__(self) -> str:
        return f"{self.digest} since version {self.version_id}"


class Replay(models.Model):
    """A version of the policy judged over recorded calls, by the worker and a slice at a time."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting for the worker"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    public_id = id_field("rpl")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    version = models.ForeignKey(PolicyVersion, models.CASCADE, related_name="replays")
    started_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    agents = models.JSONField(
        null=True, blank=True, help_text="Public ids of the agents whose calls are judged; null is all."
    )
    days = models.PositiveSmallIntegerField(null=True, blank=True)
    most = models.PositiveIntegerField(help_text="The latest calls, as many as this.")
    first = models.BigIntegerField(default=0, help_text="Index of the first entry that is read.")
    position = models.BigIntegerField(default=0, help_text="Index of the next entry to read.")
    end = models.BigIntegerField(default=0, help_text="Index behind the last entry that is read.")
    revision = models.BigIntegerField(default=0, help_text="The configuration by which it judges.")
    counts = models.JSONField(default=dict, help_text="calls, same, block, ask, allow, and why not judged.")
    state = models.BinaryField(default=bytes, help_text="What the next slice goes on with, as JSON.")
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    error = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace"],
                condition=Q(status__in=["waiting", "running"]),
                name="one_replay_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.status})"


class ReplayDifference(models.Model):
    """A recorded call that a replayed version would decide otherwise."""

    class Kind(models.TextChoices):
        BLOCK = "block", "newly blocked"
        ASK = "ask", "newly asks a person"
        ALLOW = "allow", "newly allowed"

    replay = models.ForeignKey(Replay, models.CASCADE, related_name="differences", db_index=False)
    kind = models.CharField(max_length=5, choices=Kind)
    index = models.BigIntegerField()
    entry_key = models.BigIntegerField(help_text="Primary key of the decision's entry.")
    time = models.DateTimeField()
    agent = models.CharField(max_length=40)
    tool = models.CharField(max_length=200)
    before = models.CharField(max_length=8)
    after = models.CharField(max_length=8)
    rules_before = models.JSONField(default=list)
    rules_after = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["replay", "kind", "index"], name="one_difference_per_call")
        ]

    def __str__(self) -> str:
        return f"#{self.index}: {self.before} → {self.after}"
