"""Budgets, with what is held and spent in the window that runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, Prefetch
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.admin.pages import display
from billing import limits
from billing.budgets import NANOS, dollars, window_start
from billing.models import Account, Budget
from workspaces.access import workspaces_for
from workspaces.access.admin import ActingForm, ScopedAdmin
from workspaces.models import Agent, Workspace


class BudgetForm(ActingForm):
    """A limit. Whom it is for and its window stay as they are: set another budget for others."""

    limit_usd = forms.DecimalField(
        label="Limit",
        min_value=0,
        max_value=10**9,
        decimal_places=9,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="US dollars.",
    )
    agent = forms.CharField(
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text="The agent's name, for a budget of one agent.",
    )
    warnings = forms.CharField(
        label="Warn at",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Percents of the limit, separated by commas, such as 50, 80.",
    )

    class Meta:
        model = Budget
        fields = ["workspace", "scope", "agent", "window"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "limit_usd" in self.fields:
            self.initial["limit_usd"] = dollars(self.instance.limit_amount)
            self.initial["warnings"] = ", ".join(map(str, self.instance.warn_at))

    def clean_warnings(self) -> list[int]:
        """Whole percents. Raises ValidationError."""
        texts = [text.strip() for text in self.cleaned_data["warnings"].split(",") if text.strip()]
        if not all(text.isdecimal() and 1 <= int(text) <= 100 for text in texts):
            raise forms.ValidationError("Write whole percents from 1 to 100, separated by commas.")
        return [int(text) for text in texts]

    def apply(self, values: dict[str, Any]) -> Model:
        known = self.instance if self.instance.pk is not None else None
        workspace: Workspace = known.workspace if known else values["workspace"]
        agent = known.agent if known else self.named(values)
        scope, window = (known.scope, known.window) if known else (values["scope"], values["window"])
        if (scope == Budget.Scope.AGENT) != (agent is not None):
            raise forms.ValidationError(
                {"agent": "Name the agent for a budget of one agent, and for no other."}
            )
        here = Budget.objects.filter(workspace=workspace, scope=scope, agent=agent, window=window)
        if known is None and here.exists():
            raise forms.ValidationError(
                {"window": "There is such a budget already; change its limit instead."}
            )
        return limits.set_budget(
            workspace,
            agent=agent,
            per_session=scope == Budget.Scope.SESSION,
            window=window,
            limit_amount=int(Decimal(values["limit_usd"]) * NANOS),
            warn_at=values["warnings"],
            actor=self.actor,
        ).row

    def named(self, values: dict[str, Any]) -> Agent | None:
        """The agent of the workspace that the form names, if it names one. Raises ValidationError."""
        name = values["agent"].strip()
        agent = Agent.objects.filter(workspace=values["workspace"], name=name).first() if name else None
        if name and agent is None:
            raise forms.ValidationError({"agent": "There is no agent of this name in the workspace."})
        return agent


@admin.register(Budget)
class BudgetAdmin(ScopedAdmin):
    """Limits on spending."""

    form = BudgetForm
    add_permission = change_permission = delete_permission = "manage_budgets"
    list_display = ["__str__", "workspace", "agent", "limit_usd", "spent", "held", "left"]
    list_select_related = ["workspace", "agent"]
    ordering = ["workspace__name", "scope", "window"]

    def get_queryset(self, request: HttpRequest) -> Any:
        now = timezone.now()
        zones = {row.timezone for row in workspaces_for(request.user)}
        starts = {window_start(window, now, zone) for zone in zones for window in Budget.Window.values}
        running = Account.objects.filter(key__in=starts)
        return (
            super().get_queryset(request).prefetch_related(Prefetch("accounts", running, to_attr="running"))
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        chosen = ["workspace", "scope", "agent", "window", "limit_usd", "warnings"]
        return [*chosen, "spent", "held", "left"] if obj else chosen

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["workspace", "scope", "agent", "window", "spent", "held", "left"] if obj else []

    def account(self, budget: Any) -> Account:
        """What runs against a budget now. Accounts of single sessions are not summed up."""
        start = window_start(budget.window, timezone.now(), budget.workspace.timezone)
        found = [account for account in budget.running if account.key == start]
        return found[0] if found else Account(budget=budget, limit_amount=budget.limit_amount)

    @display(description="Limit (USD)", ordering="limit_amount")
    def limit_usd(self, budget: Budget) -> str:
        return dollars(budget.limit_amount)

    @display(description="Warn at")
    def warnings(self, budget: Budget) -> str:
        return ", ".join(f"{percent} %" for percent in budget.warn_at) or "never"

    @display(description="Spent now (USD)")
    def spent(self, budget: Budget) -> str:
        return self.of_window(budget, self.account(budget).spent)

    @display(description="Held now (USD)")
    def held(self, budget: Budget) -> str:
        return self.of_window(budget, self.account(budget).held)

    @display(description="Left (USD)")
    def left(self, budget: Budget) -> str:
        account = self.account(budget)
        return self.of_window(budget, max(0, budget.limit_amount - account.spent - account.held))

    def of_window(self, budget: Budget, nanos: int) -> str:
        """An amount of the running window; a budget of each session has none of its own."""
        return "per session" if budget.scope == Budget.Scope.SESSION else dollars(nanos)

    def remove(self, obj: Budget, *, actor: str) -> None:
        limits.remove_budget(obj, actor=actor)
