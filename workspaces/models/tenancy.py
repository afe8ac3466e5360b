"""The installation, its workspaces, who belongs to them, and what holds all of one."""

from django.db import models
from guardian.models import UserObjectPermissionBase

from audit.models import Log
from workspaces.models.columns import Standing, id_field
from workspaces.models.people import User
from workspaces.permissions import PERMISSIONS

SHORTEST_RETENTION = 183  # days; six months, EU AI Act Art. 19 and 26


class Installation(models.Model):
    """The one row that holds the whole installation's standing."""

    log = models.OneToOneField(Log, models.PROTECT)
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"installation ({self.standing})"


class Workspace(models.Model):
    """A wall: nobody inside sees out, nobody outside sees in."""

    public_id = id_field("ws")
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC")
    two_people = models.BooleanField(
        default=False, help_text="Policies and looser tools take effect when a second person publishes them."
    )
    log = models.OneToOneField(Log, models.PROTECT, editable=False)
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="Bumped by each containment step.")
    retention_days = models.PositiveIntegerField(
        default=400,
        help_text="Days after which entries of decisions, and what was said in them, are deleted.",
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = PERMISSIONS
        constraints = [
            models.CheckConstraint(
                condition=models.Q(retention_days__gte=SHORTEST_RETENTION), name="retention_is_long_enough"
            )
        ]

    def __str__(self) -> str:
        return self.name or self.slug


class WorkspacePermission(UserObjectPermissionBase):
    """guardian's direct row: what one person may do in one workspace; derived from their roles."""

    content_object = models.ForeignKey(Workspace, models.CASCADE)


class LegalHold(models.Model):
    """While one stands, nothing of its workspace's log is pruned, and erasures wait."""

    public_id = id_field("hold")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="legal_holds")
    reason = models.CharField(max_length=500)
    started_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    started = models.DateTimeField()
    released_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    released = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(released=None, released_by=None)
                | models.Q(released__isnull=False, released_by__isnull=False),
                name="hold_released_by_somebody",
            )
        ]

    def __str__(self) -> str:
        return f"legal hold since {self.started:%F}"


class BrokenGlass(models.Model):
    """An operator of the installation looks into a workspace until a time, which ends it by itself."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="broken_glass")
    person = models.ForeignKey(User, models.CASCADE, related_name="broken_glass")
    reason = models.CharField(max_length=500)
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "broken glass"
        indexes = [models.Index(fields=["person", "until"], name="broken_glass_by_person")]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.workspace_id} until {self.until:%F %H:%M}"


class Membership(models.Model):
    """One role of one person in one workspace."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        COMPLIANCE_OFFICER = "compliance_officer", "Compliance officer"
        APPROVER = "approver", "Approver"
        OPERATOR = "operator", "Operator"
        DEVELOPER = "developer", "Developer"
        AUDITOR = "auditor", "Auditor"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    person = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "person", "role"], name="one_membership_per_role")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.role}"


class ReviewerGroup(models.Model):
    """People who may be named together as reviewers."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="reviewer_groups")
    name = models.SlugField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="one_reviewer_group_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class ReviewerGroupMember(models.Model):
    """One person in one reviewer group."""

    reviewer_group = models.ForeignKey(ReviewerGroup, models.CASCADE, related_name="members")
    person = models.ForeignKey(User, models.CASCADE, related_name="reviewer_groups")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reviewer_group", "person"], name="one_seat_per_reviewer")
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.reviewer_group_id}"


class NamedList(models.Model):
    """A list of texts that conditions read as ``lists.<name>``."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="lists")
    name = models.CharField(max_length=100)
    members = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_list_per_name")]

    def __str__(self) -> str:
        return self.name
