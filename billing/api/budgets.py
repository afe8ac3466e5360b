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
from billing.api.fields import DollarsField, RunningDollars, RunningTokens
from billing.gauges import running_keys
from billing.models import Account, Budget
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.models import Agent

MANAGE = "manage_budgets"
AMOUNTS = {"limit_usd": Budget.Unit.USD, "limit_tokens": Budget.Unit.TOKENS}


def refused(field: str, code: str, message: str) -> ValidationError:
    """A change that is refused at a field."""
    return ValidationError({field: ValidationError(message, code=code)})


class LimitOf(serializers.Field[Any, Any, Any, Any]):
    """Mixed into a field of amounts: a budget's limit where it is in this unit, and null where it is not."""

    unit: str

    def get_attribute(self, instance: Budget) -> int | None:
        return instance.limit_amount if instance.unit == self.unit else None


class LimitInDollars(LimitOf, DollarsField):
    unit = Budget.Unit.USD


class LimitInTokens(LimitOf, serializers.IntegerField):
    unit = Budget.Unit.TOKENS


class BudgetChange(Exact):
    """What a budget allows and does. The limit is in US dollars or in tokens."""

    limit_usd = LimitInDollars(required=False, allow_null=True, help_text="Such as 5.00; or limit_tokens.")
    limit_tokens = LimitInTokens(
        required=False, allow_null=True, min_value=0, max_value=limits.MOST_TOKENS, help_text="Or limit_usd."
    )
    hard = serializers.BooleanField(
        default=True, help_text="No call takes it over its limit; false: it only warns."
    )
    when_short = serializers.ChoiceField(
        Budget.WhenShort.choices,
        default=Budget.WhenShort.WAIT.value,
        help_text="What a call meets that does not fit.",
    )
    downgrade_to = serializers.CharField(
        max_length=200,
        default="",
        allow_blank=True,
        help_text="With downgrade: the cheaper model that is offered.",
    )
    warn_at = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=100),
        max_length=100,
        default=list,
        help_text="Percents of the limit.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With ``unit`` and ``limit_amount`` in place of the two limits."""
        given = {name: attrs.pop(name, None) for name in AMOUNTS}
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            message = "Give limit_usd or limit_tokens, one of them."
            raise serializers.ValidationError({"limit_usd": [message]}, code="one_limit")
        return {**attrs, "limit_amount": given[named[0]], "unit": AMOUNTS[named[0]]}


class BudgetDocument(BudgetChange):
    """A limit on spending in a window of the workspace's calendar. Amounts of the window that runs are null for each
    session, which has accounts of its own, and in the other unit than the budget's."""

    id = serializers.CharField(source="public_id", read_only=True)
    scope = serializers.ChoiceField(Budget.Scope.choices, default=Budget.Scope.WORKSPACE.value)
    agent = serializers.CharField(
        source="agent.public_id",
        default=None,
        allow_null=True,
        help_text="The id: for the scope agent, and for session where only one agent's count.",
    )
    window = serializers.ChoiceField(Budget.Window.choices)
    tool = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Only calls of this tool count."
    )
    model = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Only calls that name this model count."
    )
    unit = serializers.ChoiceField(Budget.Unit.choices, read_only=True)
    spent_usd = RunningDollars("spent", help_text="Settled.")
    held_usd = RunningDollars("held", help_text="Reserved by calls in flight.")
    left_usd = RunningDollars("left", help_text="What calls may still take.")
    overage_usd = RunningDollars("overage", help_text="Spent beyond the limit by settlement.")
    raised_usd = RunningDollars("raised", help_text="What approvals raised this window by.")
    spent_tokens = RunningTokens("spent")
    held_tokens = RunningTokens("held")
    left_tokens = RunningTokens("left")
    overage_tokens = RunningTokens("overage")
    raised_tokens = RunningTokens("raised")
    resets = serializers.IntegerField(
        source="generation", read_only=True, help_text="How often it was reset."
    )


class ResetDocument(Exact):
    """Why a budget begins anew."""

    reason = serializers.CharField(max_length=limits.LONGEST_REASON, help_text="It stands in the log.")


class BudgetFilter(django_filters.FilterSet):
    """Budgets by whom and what they are for."""

    scope = django_filters.ChoiceFilter(choices=Budget.Scope.choices)
    agent = django_filters.CharFilter(field_name="agent__public_id")
    window = django_filters.ChoiceFilter(choices=Budget.Window.choices)
    tool = django_filters.CharFilter()
    model = django_filters.CharFilter()
    unit = django_filters.ChoiceFilter(choices=Budget.Unit.choices)

    class Meta:
        model = Budget
        fields: list[str] = []


class BudgetRows(WorkspaceView):
    """The budgets of the workspace."""

    serializer_class = BudgetDocument

    def get_queryset(self) -> QuerySet[Budget]:
        rows = Budget.objects.filter(workspace=self.workspace).select_related("workspace", "agent")
        keys = running_keys([self.workspace.timezone], rows, timezone.now())
        return rows.prefetch_related(
            Prefetch("accounts", Account.objects.filter(key__in=keys), to_attr="running")
        )

    def budget(self) -> Budget:
        """The budget of the address. Raises NotVisible."""
        row: Budget = found(self.get_queryset().filter(public_id=self.kwargs["budget"]).first(), "budget")
        return row


class Budgets(BudgetRows, CreateModelMixin, Listing):
    """The workspace's budgets."""

    permission = {"GET": VIEW, "POST": MANAGE}
    filterset_class = BudgetFilter

    def post(self, request: Request, slug: str) -> Response:
        """Set a limit where there is none yet for the same scope, agent, window, tool, model and unit."""
        values = self.read(request)
        scope = values.pop("scope")
        agent = self.agent((values.pop("agent", None) or {}).get("public_id"), scope)
        whose = {name: values[name] for name in ("window", "tool", "model", "unit")}
        if same := self.get_queryset().filter(scope=scope, agent=agent, **whose).first():
            raise refused(
                "window", "budget_exists", f"{same.public_id} is such a budget; change that one by PUT."
            )
        per_session = scope == Budget.Scope.SESSION
        budget = limits.set_budget(
            self.workspace, agent=agent, per_session=per_session, actor=self.actor, **values
        ).row
        return self.shown(self.get_queryset().get(pk=budget.pk), created=True)

    def agent(self, public_id: str | None, scope: str) -> Agent | None:
        """The agent that a budget is for. Raises ValidationError."""
        if public_id is None and scope == Budget.Scope.AGENT:
            raise refused("agent", "agent_missing", "Name the agent that the budget is for.")
        if public_id is None:
            return None
        if scope == Budget.Scope.WORKSPACE:
            message = "A budget of the whole workspace names no agent; for one agent's, say scope: agent."
            raise refused("agent", "agent_unused", message)
        agent = Agent.objects.filter(workspace=self.workspace, public_id=public_id).first()
        if agent is None:
            raise refused("agent", "unknown_agent", "There is no such agent here.")
        return agent


class OneBudget(BudgetRows):
    """One budget."""

    permission = {"GET": VIEW, "PUT": MANAGE, "DELETE": MANAGE}

    def get(self, request: Request, slug: str, budget: str) -> Response:
        """The limit, and what is held and spent."""
        return self.shown(self.budget())

    @extend_schema(request=BudgetChange)
    def put(self, request: Request, slug: str, budget: str) -> Response:
        """Set another limit, and what the budget does; what is left out is as it is by default. It holds from the next
        call on, in the window that runs too."""
        row, values = self.budget(), self.read(request, BudgetChange)
        if values["unit"] != row.unit:
            message = f"A budget keeps its unit; give limit_{row.unit}, or set another budget for the other."
            raise refused(f"limit_{values['unit']}", "other_unit", message)
        limits.set_budget(
            self.workspace,
            agent=row.agent,
            per_session=row.scope == Budget.Scope.SESSION,
            window=row.window,
            tool=row.tool,
            model=row.model,
            actor=self.actor,
            **values,
        )
        return self.shown(self.budget())

    def delete(self, request: Request, slug: str, budget: str) -> Response:
        """Remove a budget with its accounts. One that is set again later begins with nothing spent."""
        limits.remove_budget(self.budget(), actor=self.actor)
        return Response(status=204)


class BudgetReset(BudgetRows):
    """A budget that begins anew."""

    permission = {"POST": MANAGE}

    @extend_schema(request=ResetDocument, responses={200: BudgetDocument})
    def post(self, request: Request, slug: str, budget: str) -> Response:
        """Begin anew with nothing spent, in the window that runs; what calls in flight hold stays held."""
        row = self.budget()
        limits.reset(row, actor=self.actor, reason=self.read(request, ResetDocument)["reason"])
        return self.shown(self.budget())
