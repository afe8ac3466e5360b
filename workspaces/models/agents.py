"""Agents, their roles and keys, and for whom they act."""

from django.contrib.auth.models import Group
from django.db import models

from workspaces.declarations import Risk
from workspaces.models.catalog import RISKS
from workspaces.models.columns import Standing, id_field
from workspaces.models.people import User
from workspaces.models.tenancy import Workspace


class Role(models.Model):
    """A bundle of grants for agents of one workspace; its grants hang on its group."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="roles")
    name = models.CharField(max_length=100)
    group = models.OneToOneField(Group, models.PROTECT, editable=False, related_name="role")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_role_per_name")]

    def __str__(self) -> str:
        return self.name


class Agent(models.Model):
    """Software that acts. Its guardian identity is a private group of its own."""

    public_id = id_field("agt")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="agents")
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(User, models.PROTECT, related_name="agents")
    purpose = models.CharField(max_length=500, blank=True)
    labels = models.JSONField(default=list, blank=True)
    risk_tier = models.CharField(max_length=10, choices=RISKS, default=Risk.LOW.value)
    group = models.OneToOneField(Group, models.PROTECT, editable=False, related_name="agent")
    isolated_runs = models.BooleanField(
        default=False, help_text="Labels of one session do not follow into the next."
    )
    acts_for = models.ManyToManyField(User, through="ActsFor", related_name="+")
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="Bumped by each containment step.")
    sessions_per_hour = models.PositiveIntegerField(null=True, blank=True)
    most_waiting = models.PositiveIntegerField(
        null=True, blank=True, help_text="Calls that may wait for people at once; empty is 20."
    )
    cost_center = models.CharField(
        max_length=100, blank=True, help_text="Whose accounts its calls are booked to."
    )
    loop_limits = models.JSONField(
        default=dict, blank=True, help_text="What of loops differs from the defaults, by name."
    )
    callback_url = models.CharField(
        max_length=2000, blank=True, help_text="Where it is told what became of its approvals."
    )
    callback_secret = models.BinaryField(
        default=bytes,
        editable=False,
        help_text="Signs what is sent there; sealed under the installation's key.",
    )
    ownerless_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its owner left; another owner ends it."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_agent_per_name")]
        indexes = [
            models.Index(
                fields=["ownerless_since"],
                condition=models.Q(ownerless_since__isnull=False),
                name="agent_ownerless",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ActsFor(models.Model):
    """A person whom an agent may name in ``on_behalf_of``."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="principals")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        verbose_name = "person acted for"
        verbose_name_plural = "people acted for"
        constraints = [models.UniqueConstraint(fields=["agent", "person"], name="one_acts_for_per_person")]

    def __str__(self) -> str:
        return f"{self.agent_id} for {self.person_id}"


class AgentRole(models.Model):
    """A role given to an agent, perhaps until a time."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="agent_roles")
    role = models.ForeignKey(Role, models.CASCADE, related_name="agent_roles")
    expires_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True, null=True)
    granted_by = models.CharField(max_length=200, blank=True, help_text="Actor who gave or renewed it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "role"], name="one_agent_role")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.role_id}"


class AgentKey(models.Model):
    """A key of an agent. Its text was shown once; the SHA-256 is all that is kept."""

    public_id = id_field("key")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="keys")
    prefix = models.CharField(max_length=8, unique=True)
    digest = models.BinaryField()
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"csk_{self.prefix}…"


class KeyUse(models.Model):
    """When a key was last used, to the minute; apart from the key, because it is no configuration."""

    key = models.OneToOneField(AgentKey, models.CASCADE, primary_key=True, related_name="use")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key_id} at {self.at:%F %H:%M}"
