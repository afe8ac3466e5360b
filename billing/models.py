"""Budgets, what is held and spent against them, and what each call was charged. Money is nano-US-dollars."""

from django.db import models
from django.db.models import F, Q

from workspaces.models import Agent, Workspace, id_field


class Budget(models.Model):
    """A limit on spending in a window of the workspace's calendar."""

    class Window(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"
        MONTH = "month", "Month"
        EVER = "ever", "For ever"

    class Scope(models.TextChoices):
        WORKSPACE = "workspace", "The whole workspace"
        AGENT = "agent", "One agent"
        SESSION = "session", "Each session"

    public_id = id_field("bud")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="budgets")
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.WORKSPACE)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="budgets")
    window = models.CharField(max_length=5, choices=Window, default=Window.MONTH)
    limit_nanos = models.BigIntegerField(help_text="Nano-US-dollars.")
    warn_at = models.JSONField(default=list, blank=True, help_text="Shares of the limit, in percent.")

    class Meta:
        constraints = [
            # Two, because SQLite cannot count nulls as equal.
            models.UniqueConstraint(
                fields=["workspace", "scope", "window"],
                condition=Q(agent__isnull=True),
                name="one_budget_per_window",
            ),
            models.UniqueConstraint(
                fields=["workspace", "agent", "scope", "window"],
                condition=Q(agent__isnull=False),
                name="one_budget_per_agent_and_window",
            ),
            models.CheckConstraint(condition=Q(limit_nanos__gte=0), name="limit_not_negative"),
            models.CheckConstraint(
                condition=Q(scope="agent", agent__isnull=False) | ~Q(scope="agent"),
                name="agent_budget_has_agent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} per {self.window}"


class Account(models.Model):
    """What was held and spent in one window of one budget (and, for a session budget, one session)."""

    budget = models.ForeignKey(Budget, models.CASCADE, related_name="accounts")
    key = models.CharField(
        max_length=300, help_text="Start of the window, and the session where one is meant."
    )
    limit_nanos = models.BigIntegerField()
    spent_nanos = models.BigIntegerField(default=0)
    held_nanos = models.BigIntegerField(default=0)
    overage_nanos = models.BigIntegerField(default=0, help_text="Spent beyond the limit by settlement.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "key"], name="one_account_per_window"),
            models.CheckConstraint(
                condition=Q(spent_nanos__gte=0, held_nanos__gte=0, overage_nanos__gte=0),
                name="amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(limit_nanos__gte=F("spent_nanos") + F("held_nanos") - F("overage_nanos")),
                name="admission_never_over_limit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.budget_id} {self.key}"


class Hold(models.Model):
    """Money reserved for one allowed call over every account it counts against, until it is settled."""

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        ASSUMED = "assumed", "charged in full because no outcome came"
        RELEASED = "released", "the call provably never started"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="holds")
    decision = models.CharField(max_length=40, unique=True)
    accounts = models.JSONField(help_text="Primary keys of the accounts.")
    held_nanos = models.BigIntegerField()
    charged_nanos = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    created = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.decision}: {self.state}"
