"""Calls that wait for people, and what people answered."""

from django.db import models
from django.db.models import Q
from viewflow.workflow.models import Process

from workspaces.models import Agent, User, Workspace, id_field


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
    key = models.CharField(max_length=8, blank=True, help_text="Prefix of the key that it asked with.")
    binding = models.CharField(max_length=64, help_text="HMAC of the exact call that is approved.")
    policy = models.CharField(max_length=80, blank=True, help_text="The version that judged.")
    lifts = models.JSONField(help_text="Digests of the rules it lifts, and nothing else.")
    raises = models.JSONField(
        default=dict,
        blank=True,
        help_text='Budgets that it raises once: {"budget:<public id>": {"account": its key, "limit": as it was, '
        '"needs": what the call holds, "most": the most that it is raised by, "ends": of the window, or null, …}}.',
    )
    requirements = models.JSONField(
        help_text='One per matched rule: [{"rule": name, "digest": …, "ask": …, "message": …, "reviewers": [pk, …],'
        ' "direct": [pk, …], "groups": {group pk: [pk, …]}, "owner": user pk, "owner_counts": bool, '
        '"quorum": k, "veto": bool, "escalate": [{"after": seconds, "reviewers": […], "groups": {…}}, …], '
        '"permission": what to hold, where it is not to decide}, …].'
    )
    excluded = models.JSONField(
        default=dict, help_text="User pk → why their answer never counts; written at its start."
    )
    plan = models.JSONField(
        default=list, help_text='Steps left: [{"at": time, "do": "remind" or "escalate", …}, …].'
    )
    next_step_at = models.DateTimeField(null=True, blank=True, help_text="When the first of them is due.")
    on_behalf_of = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    epoch = models.BigIntegerField(help_text="Sum of the epochs of agent, workspace; older ones are void.")
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    version = models.PositiveIntegerField(
        default=1, help_text="Raised by each change that its agent is told."
    )
    round = models.PositiveSmallIntegerField(default=1, help_text="Raised by an edit: earlier votes lapse.")
    edit_index = models.BigIntegerField(
        null=True, blank=True, help_text="The last edit's entry, whose Detail holds the edited call."
    )
    asks = models.PositiveIntegerField(default=1, help_text="How often the same call was asked for.")
    unreachable_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when nobody is left who could answer."
    )
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
            models.Index(
                fields=["workspace", "expires_at"],
                condition=Q(status="pending"),
                name="approval_open_by_workspace",
            ),
            models.Index(
                fields=["next_step_at"],
                condition=Q(status="pending", next_step_at__isnull=False),
                name="approval_next_step",
            ),
            models.Index(fields=["workspace", "created"], name="approval_by_time"),
            models.Index(
                fields=["workspace"],
                condition=Q(status="pending", process__isnull=True),
                name="approval_not_started",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} ({self.status})"

    @property
    def call_index(self) -> int:
        """The entry whose Detail holds the call that is asked about now: as the agent made it, or as last edited."""
        return self.entry_index if self.edit_index is None else self.edit_index


class Asking(models.Model):
    """That a rule asked people about a call; written when its process starts, for the figures by rule."""

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="askings")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)
    rule = models.CharField(max_length=200)
    created = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["workspace", "created"], name="asking_by_time")]

    def __str__(self) -> str:
        return self.rule


class Vote(models.Model):
    """One reviewer's answer to one approval."""

    class KnownBy(models.TextChoices):
        SESSION = "session", "signed in"
        LINK = "link", "personal link and code from the mail"
        TOKEN = "token", "token of the API"
        COMMAND = "command", "command line"

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="votes")
    round = models.PositiveSmallIntegerField(default=1)
    person = models.ForeignKey(User, models.PROTECT, related_name="votes")
    seat = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", help_text="In whose place; usually their own."
    )
    counts_for = models.JSONField(
        null=True, help_text="Indexes of the requirements that it counts for, as judged when it was given."
    )
    approve = models.BooleanField()
    known_by = models.CharField(max_length=10, choices=KnownBy)
    second_factor = models.CharField(max_length=20, blank=True, help_text="How they confirmed who they are.")
    opened_at = models.DateTimeField(null=True, help_text="When they first saw what was asked, if they did.")
    entry_index = models.BigIntegerField(help_text="The vote's entry, whose Detail holds the comment.")
    created = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["approval", "round", "person"], name="one_vote_per_reviewer"),
            models.UniqueConstraint(fields=["approval", "round", "seat"], name="one_vote_per_seat"),
        ]
        indexes = [models.Index(fields=["person", "created"], name="vote_by_person")]

    def __str__(self) -> str:
        return f"{self.person}: {'approve' if self.approve else 'reject'}"


class Remark(models.Model):
    """A reviewer's question about a waiting call, or (``person`` null) its agent's answer. The text stands in the
    entry's Detail."""

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="remarks")
    person = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    entry_index = models.BigIntegerField()
    created = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.person or 'the agent'} on {self.approval_id}"


class ApprovalLink(models.Model):
    """That a person is asked for one approval: their place in the inbox, and what became of asking them.

    The row is there from the start of the process; a personal link comes into being with each mail (``Mailing``).
    """

    class Source(models.TextChoices):
        NAMED = "named", "named by the rule"
        ESCALATED = "escalated", "asked later"
        DEPUTY = "deputy", "in somebody's place"
        REROUTED = "rerouted", "because a reviewer left"

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="links")
    person = models.ForeignKey(User, models.CASCADE, related_name="+", db_index=False)
    source = models.CharField(max_length=9, choices=Source, default=Source.NAMED)
    waiting = models.BooleanField(default=True, help_text="Whether the approval waits for this person.")
    deadline = models.DateTimeField(null=True, help_text="The approval's, so that an inbox needs no join.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Wrong codes so far.")
    used_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True, help_text="When a mail could not be delivered.")
    error = models.CharField(max_length=300, blank=True, help_text="Why it could not.")
    opened_at = models.DateTimeField(
        null=True, blank=True, help_text="When this person, and not a mail scanner, first saw what is asked."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["approval", "person"], name="one_link_per_reviewer")]
        indexes = [
            models.Index(fields=["person", "deadline"], condition=Q(waiting=True), name="inbox_by_deadline"),
            models.Index(fields=["person"], name="link_by_person"),
            models.Index(
                fields=["failed_at"], condition=Q(failed_at__isnull=False), name="link_not_delivered"
            ),
        ]

    def __str__(self) -> str:
        return f"link of {self.person_id} to {self.approval_id}"


class Overflow(models.Model):
    """Calls of an agent that were refused because too many of it wait: one line for people, however many they are."""

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="overflow")
    count = models.PositiveIntegerField(default=0)
    since = models.DateTimeField()
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.count} refused"


class CallbackState(models.Model):
    """How telling an agent's own address about its approvals goes; apart from the agent, because it is no
    configuration."""

    agent = models.OneToOneField(
        Agent, models.CASCADE, primary_key=True, related_name="callback_state", db_constraint=False
    )
    delivered_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    next_at = models.DateTimeField(null=True, help_text="Nothing is tried before.")
    error = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.error or "well"
