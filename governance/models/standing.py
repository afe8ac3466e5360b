"""Approvals given in advance, for more than one call."""

from django.db import models
from django.db.models import Q

from workspaces.models import Agent, User, Workspace, id_field


class StandingApproval(models.Model):
    """What one agent may do without asking each time. It lifts what its approval lifted, and is never a grant.

    It dies with the version of the policy and with the grants that it rests on, with a step on the agent's ladder, at
    its time, after its uses, or when it is revoked."""

    public_id = id_field("sta")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="standing_approvals")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="standing_approvals", db_index=False)
    tool = models.CharField(max_length=200)
    declaration = models.CharField(max_length=64, help_text="Hash of the tool's declaration, as it was.")
    resources = models.JSONField(help_text="Patterns; every resource of a call matches one of them.")
    bounds = models.JSONField(
        help_text='JSON pointer into the arguments → {"is": value}, {"in": […]}, {"min": n, "max": n} or {"any": true};'
        " an argument that is not named is refused."
    )
    session = models.CharField(max_length=200, blank=True, help_text="Only in this session; empty is any.")
    any_session = models.BooleanField(default=True)
    lifts = models.JSONField(help_text="Digests of the rules it lifts, and nothing else.")
    policy = models.CharField(max_length=80, help_text="The version it rests on; another one ends it.")
    grants = models.JSONField(help_text='The grants it rests on: {"tool": [row, …], "resources": [row, …]}.')
    epoch = models.BigIntegerField(help_text="Sum of the epochs of agent, workspace; older ones are void.")
    max_uses = models.PositiveIntegerField()
    expires_at = models.DateTimeField()
    given_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    approval = models.ForeignKey(
        "governance.Approval", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(max_uses__gte=1), name="standing_approval_of_use")]
        indexes = [
            models.Index(
                fields=["agent", "tool"], condition=Q(revoked_at__isnull=True), name="standing_by_agent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.tool} of {self.agent_id}, at most {self.max_uses} times"


class StandingUse(models.Model):
    """How often a standing approval was used; apart from it, because it is no configuration."""

    standing = models.OneToOneField(
        StandingApproval, models.CASCADE, primary_key=True, related_name="use", db_constraint=False
    )
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.standing_id}: {self.count}"
