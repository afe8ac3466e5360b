"""Budgets in the portal's API, with what is held and spent in the window that runs."""

from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from audit.api.views import Listing
from billing import limits
from billing.api.fields import DollarsField
from billing.budgets import dollars, window_start
from billing.models import Account, Budget
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.models import Agent

MANAGE = "manage_budgets"


class BudgetChange(Exact):
    """A limit and when to warn."""

    limit_usd = DollarsField(source="limit_amount", help_text="Such as 5.00.")
    warn_at = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100),
        max_length=100,
        default=list,
        help_text="Percents of the limit.",
    )


class BudgetDocument(BudgetChange):
    """A limit on spending in a window of the workspace's calendar."""

    id = serializers.CharField(source="public_id", read_only=True)
    scope = serializers.ChoiceField(Budget.Scope.choices, default=Budget.Scope.WORKSPACE)
    agent = serializers.CharField(
        source="agent.public_id", default=None, allow_null=True, help_text="The id, for the scope agent only."
    )
    window = serializers.ChoiceField(Budget.Window.choices)
    spent_usd = serializers.SerializerMethodField(help_text="In the window that runs; null for each session.")
    held_usd = serializers.SerializerMethodField(help_text="In the window that runs; null for each session.")

    def get_spent_usd(self, budget: Any) -> str | None:
        """Settled."""
        return self.amount(budget, "spent")

    def get_held_usd(self, budget: Any) -> str | None:
        """Reserved by calls in flight."""
        return self.amount(budget, "held")

    def amount(self, budget: Any, column: str) -> str | None:
        """An amount of the running window's account; a budget of each session has none of its own."""
        if budget.scope == Budget.Scope.SESSION:
            return None
        start = window_start(budget.window, timezone.now(), budget.workspace.timezone)
        return dollars(next((getattr(row, column) for row in budget.running if row.key == start), 0))


class BudgetFilter(django_filters.FilterSet):
    """Budgets by whom they are for."""

    scope = django_filters.ChoiceFilter(choices=Budget.Scope.choices)
    agent = django_filters.CharFilter(field_name="agent__public_id")
    window = django_filters.ChoiceFilter(choices=Budget.Window.choices)

    class Meta:
        model = Budget
        fields: list[str] = []


class BudgetRows(WorkspaceView):
    """The budgets of the workspace."""

    serializer_class = BudgetDocument

    def get_queryset(self) -> QuerySet[Budget]:
        now = timezone.now()
        starts = {window_start(window, now, self.workspace.timezone) for window in Budget.Window.values}
        running = Prefetch("accounts", Account.objects.filter(key__in=starts), to_attr="running")
        rows = Budget.objects.filter(workspace=self.workspace).select_related("workspace", "agent")
        return rows.prefetch_related(running)

    def budget(self) -> Budget:
        """The budget of the address. Raises NotVisible."""
        row: Budget = found(self.get_queryset().filter(public_id=self.kwargs["budget"]).first(), "budget")
        return row


class Budgets(BudgetRows, CreateModelMixin, Listing):
    """The workspace's budgets."""

    permission = {"GET": VIEW, "POST": MANAGE}
    filterset_class = BudgetFilter

    def post(self, request: Request, slug: str) -> Response:
        """Set a limit where there is none yet for the same scope, agent and window."""
        values = self.read(request)
        scope, window = values["scope"], values["window"]
        agent = self.agent((values.get("agent") or {}).get("public_id"), scope)
        if self.get_queryset().filter(scope=scope, agent=agent, window=window).exists():
            raise ValidationError({"window": "There is such a budget already; change its limit instead."})
        budget = limits.set_budget(
            self.workspace,
            agent=agent,
            per_session=scope == Budget.Scope.SESSION,
            window=window,
            limit_amount=values["limit_amount"],
            warn_at=values["warn_at"],
            actor=self.actor,
        ).row
        return self.shown(self.get_queryset().get(pk=budget.pk), created=True)

    def agent(self, public_id: str | None, scope: str) -> Agent | None:
        """The agent that a budget is for. Raises ValidationError."""
        if (scope == Budget.Scope.AGENT) != (public_id is not None):
            raise ValidationError({"agent": "Name the agent for a budget of one agent, and for no other."})
        if public_id is None:
            return None
        agent = Agent.objects.filter(workspace=self.workspace, public_id=public_id).first()
        if agent is None:
            raise ValidationError({"agent": "There is no such agent here."})
        return agent


class OneBudget(BudgetRows):
    """One budget."""

    permission = {"GET": VIEW, "PUT": MANAGE, "DELETE": MANAGE}

    def get(self, request: Request, slug: str, budget: str) -> Response:
        """The limit, and what is held and spent."""
        return self.shown(self.budget())

    @extend_schema(request=BudgetChange)
    def put(self, request: Request, slug: str, budget: str) -> Response:
        """Set another limit; it holds from the next call on, in the window that runs too."""
        row, values = self.budget(), self.read(request, BudgetChange)
        limits.set_budget(
            self.workspace,
            agent=row.agent,
            per_session=row.scope == Budget.Scope.SESSION,
            window=row.window,
            limit_amount=values["limit_amount"],
            warn_at=values["warn_at"],
            actor=self.actor,
        )
        return self.shown(self.budget())

    def delete(self, request: Request, slug: str, budget: str) -> Response:
        """Remove a budget with its accounts. One that is set again later begins with nothing spent."""
        limits.remove_budget(self.budget(), actor=self.actor)
        return Response(status=204)
