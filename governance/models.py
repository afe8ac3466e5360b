"""Policy versions, decisions, what the decision path remembers of agents, and approvals."""

from typing import Any

from django.db import models
from django.db.models import Q
from viewflow.workflow.models import Process

from audit.models import Entry
from workspaces.models import Agent, User, Workspace, id_field


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


class AgentState(models.Model):
    """What the decision path remembers of one agent."""

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="state")
    seq = models.BigIntegerField(default=0, help_text="Decisions so far; the answer's agent_seq.")
    labels = models.JSONField(default=dict, help_text="Label → when a call that carries it was last allowed.")
    sessions = models.JSONField(default=list, help_text="When sessions were begun in the last hour.")

    def __str__(self) -> str:
        return f"state of {self.agent_id}"


class Session(models.Model):
    """One run of an agent, by the name it gave: what its allowed calls brought into it."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="sessions", db_index=False)
    name = models.CharField(max_length=200, blank=True)
    labels = models.JSONField(default=list)
    tools = models.JSONField(default=list)
    calls = models.JSONField(default=list, help_text="Digests of the latest calls, newest last.")
    allowed = models.BigIntegerField(default=0)
    started = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "name"], name="one_session_per_name")]

    def __str__(self) -> str:
        return self.name or "default session"


class Counter(models.Model):
    """The sliding window of one ``limit`` rule for one agent, session or workspace."""

    key = models.CharField(
        max_length=64, primary_key=True, help_text="SHA-256 of workspace, rule, measure, scope."
    )
    buckets = models.JSONField(default=list, help_text="[[start of bucket, amount], …] in the rule's unit.")

    def __str__(self) -> str:
        return self.key


class DecisionRecord(Entry):
    """An entry of a check, as people look for it: every decision, whatever it was."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "decision"

    def __str__(self) -> str:
        return f"decision #{self.index}"


class Decision(models.Model):
    """An allowed call, from the answer until its outcome. Denials live in the log, waiting calls as approvals."""

    class Outcome(models.TextChoices):
        OPEN = "open", "not reported yet"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        SKIPPED = "skipped"
        UNREPORTED = "unreported", "never reported: counts as done"

    public_id = models.CharField(max_length=40, unique=True, editable=False)
    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="decisions", db_constraint=False, db_index=False
    )
    agent = models.ForeignKey(
        Agent, models.CASCADE, related_name="decisions", db_constraint=False, db_index=False
    )
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN)
    tool = models.CharField(max_length=200)
    session = models.CharField(max_length=200, blank=True)
    trusts_reports = models.BooleanField(default=False)
    entry_index = models.BigIntegerField()
    created = models.DateTimeField()
    expires_at = models.DateTimeField()
    lease_until = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["lease_until"],
                condition=Q(outcome__in=["open", "running"]),
                name="decision_awaiting_outcome",
            ),
            models.Index(
                fields=["workspace", "created"],
                condition=Q(outcome="unreported"),
                name="decision_never_reported",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class Call(models.Model):
    """What (agent, session, call_id) was decided: asked again, the same call finds its answer."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    session = models.CharField(max_length=200, blank=True)
    call_id = models.CharField(max_length=200)
    digest = models.BinaryField(help_text="SHA-256 over the canonical tool and arguments.")
    decision = models.CharField(max_length=40)
    approval = models.CharField(max_length=40, blank=True)
    epoch = models.BigIntegerField(help_text="Sum of the epochs that the answer rests on.")
    answer = models.BinaryField(help_text="The answer as it was sent.")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "session", "call_id"], name="one_call_per_id")
        ]

    def __str__(self) -> str:
        return self.call_id


class GrantUse(models.Model):
    """When an agent was last allowed a tool, and with it a resource (empty: whatever the resource)."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="uses", db_index=False)
    tool = models.CharField(max_length=200)
    resource = models.CharField(max_length=40, blank=True, help_text="Public id of the named resource.")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "tool", "resource"], name="one_use_per_grant")
        ]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.tool} at {self.at:%F %H:%M}"


class UseCursor(models.Model):
    """Up to where a log was read for what its agents use."""

    log_id = models.BigIntegerField(primary_key=True)
    next_index = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"log {self.log_id}: {self.next_index}"


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


class Idempotency(models.Model):
    """An Idempotency-Key of an agent, the hash of its body, and the answer it got."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    route = models.CharField(max_length=20)
    key = models.CharField(max_length=200)
    body_digest = models.BinaryField()
    decision = models.CharField(max_length=40)
    approval = models.CharField(max_length=40, blank=True)
    epoch = models.BigIntegerField(help_text="Sum of the epochs that the answer rests on.")
    answer = models.BinaryField()
    created = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Until when the decision is open.")

    class Meta:
        verbose_name_plural = "idempotency records"
        constraints = [
            models.UniqueConstraint(fields=["agent", "route", "key"], name="one_answer_per_idempotency_key")
        ]
        indexes = [models.Index(fields=["created"], name="idempotency_by_age")]

    def __str__(self) -> str:
        return self.key


class ApprovalProcess(Process):
    """viewflow's own row of an approval's process, as a proxy with permissions of its own."""

    class Meta:
        proxy = True
        # viewflow adds "manage" when flows.py is imported; without it here a migration would depend on that.
        default_permissions = ("view", "manage")


class Approval(models.Model):
    """A call that waits for people. Its status has one writer: ``governance.outcomes``."""

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        EXPIRED = "expired", "Expired"
        CANCELLED = "cancelled", "Cancelled"

    public_id = id_field("apr")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="approvals")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="approvals")
    decision = models.CharField(max_length=40, help_text="The pending decision that asked.")
    tool = models.CharField(max_length=200)
    action = models.CharField(max_length=10)
    risk = models.CharField(max_length=10)
    session = models.CharField(max_length=200, blank=True)
    binding = models.CharField(max_length=64, help_text="HMAC of the exact call that is approved.")
    lifts = models.JSONField(help_text="Digests of the rules it lifts, and nothing else.")
    requirements = models.JSONField(
        help_text='One per matched rule: [{"rule": name, "ask": …, "message": …, "reviewers": [user pk, …], '
        '"owner_counts": bool, "quorum": k}, …].'
    )
    on_behalf_of = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    epoch = models.BigIntegerField(help_text="Sum of the epochs of agent, workspace; older ones are void.")
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    created = models.DateTimeField()
    expires_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    used_by = models.CharField(max_length=40, blank=True, help_text="The decision that used it, once.")
    entry_index = models.BigIntegerField(
        help_text="The pending decision's entry, whose Detail holds the arguments."
    )
    process = models.OneToOneField(
        Process, models.PROTECT, null=True, blank=True, related_name="approval", editable=False
    )

    class Meta:
        indexes = [
            models.Index(fields=["agent"], condition=Q(status="pending"), name="approval_open_by_agent"),
            models.Index(
                fields=["expires_at"], condition=Q(status="pending"), name="approval_open_by_expiry"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} ({self.status})"


class Vote(models.Model):
    """One reviewer's answer to one approval."""

    class KnownBy(models.TextChoices):
        SESSION = "session", "signed in"
        LINK = "link", "personal link and code from the mail"

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="votes")
    person = models.ForeignKey(User, models.PROTECT, related_name="votes")
    approve = models.BooleanField()
    known_by = models.CharField(max_length=10, choices=KnownBy)
    entry_index = models.BigIntegerField(help_text="The vote's entry, whose Detail holds the comment.")
    created = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["approval", "person"], name="one_vote_per_reviewer")]

    def __str__(self) -> str:
        return f"{self.person}: {'approve' if self.approve else 'reject'}"


class ApprovalLink(models.Model):
    """A reviewer's personal link to one approval; link and code are kept as hashes only.

    The row is there from the start of the process; the token comes into being with the mail that carries it.
    """

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="links")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    digest = models.BinaryField(unique=True, null=True, blank=True)
    code_digest = models.BinaryField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Wrong codes so far.")
    used_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True, help_text="When it first showed what is asked.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["approval", "person"], name="one_link_per_reviewer")]

    def __str__(self) -> str:
        return f"link of {self.person_id} to {self.approval_id}"
