"""Changes that people, or agents, propose and others decide: policies, looser tools, grants, new agents."""

from django.db import models
from django.db.models import Q
from viewflow.workflow.models import Process

from governance.models.policies import PolicyVersion, Replay
from workspaces.models import Agent, User, Workspace, id_field

# viewflow adds "manage" when flows are imported; without it here a migration would depend on that.
PERMISSIONS = ("view", "manage")


class PolicyChangeProcess(Process):
    """viewflow's own row of a policy change, as a proxy."""

    class Meta:
        proxy = True
        default_permissions = PERMISSIONS


class AccessRequestProcess(Process):
    """viewflow's own row of a request for access, as a proxy."""

    class Meta:
        proxy = True
        default_permissions = PERMISSIONS


class OnboardingProcess(Process):
    """viewflow's own row of an agent's onboarding, as a proxy."""

    class Meta:
        proxy = True
        default_permissions = PERMISSIONS


class Proposal(models.Model):
    """A change that is not in effect yet. Its status has one writer: ``governance.enactments``."""

    class Kind(models.TextChoices):
        POLICY = "policy", "Policy"
        TOOL = "tool", "Looser tool"
        ACCESS = "access", "Access"
        ONBOARDING = "onboarding", "New agent"

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    public_id = id_field("prp")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="proposals")
    kind = models.CharField(max_length=10, choices=Kind)
    title = models.CharField(max_length=200)
    version = models.ForeignKey(
        PolicyVersion, models.CASCADE, null=True, blank=True, related_name="proposals"
    )
    replay = models.ForeignKey(Replay, models.SET_NULL, null=True, blank=True, related_name="+")
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="proposals")
    content = models.JSONField(default=dict, help_text="What is proposed; its form is the kind's.")
    requirements = models.JSONField(
        default=list,
        help_text='Who must agree: [{"who": words, "people": [user pk, …], "permission": name or "", "quorum": k}, …].',
    )
    proposed_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", help_text="Null: the agent itself."
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    outcome = models.CharField(max_length=500, blank=True, help_text="What came of it, or why it could not.")
    created = models.DateTimeField()
    expires_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    process = models.OneToOneField(
        Process, models.PROTECT, null=True, blank=True, related_name="proposal", editable=False
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["workspace", "expires_at"], condition=Q(status="pending"), name="proposal_open"
            ),
            models.Index(fields=["expires_at"], condition=Q(status="pending"), name="proposal_by_expiry"),
        ]

    def __str__(self) -> str:
        return self.title


class ProposalVote(models.Model):
    """One person's answer to a proposal."""

    proposal = models.ForeignKey(Proposal, models.CASCADE, related_name="votes")
    person = models.ForeignKey(User, models.PROTECT, related_name="+")
    approve = models.BooleanField()
    entry_index = models.BigIntegerField(help_text="The vote's entry, whose Detail holds the comment.")
    created = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "person"], name="one_vote_per_person_and_proposal")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {'approve' if self.approve else 'reject'}"
