"""Decisions, and what the decision path remembers of agents."""

from django.db import models
from django.db.models import Q

from audit.models import Entry
from workspaces.models import Agent, Workspace


class AgentState(models.Model):
    """What the decision path remembers of one agent."""

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="state")
    seq = models.BigIntegerField(default=0, help_text="Decisions so far; the answer's agent_seq.")
    labels = models.JSONField(default=dict, help_text="Label → when a call that carries it was last allowed.")
    sessions = models.JSONField(default=list, help_text="When sessions were begun in the last hour.")
    recent = models.JSONField(
        default=list, help_text="Its latest calls in all sessions, newest last, for loops."
    )
    pace = models.JSONField(default=dict, help_text="What it usually costs an hour, and what it costs now.")

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
    report = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        help_text="SHA-256 of what its final outcome said of its cost; the same again is no change.",
    )
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
