"""The budget editor's form: for whom, on what, how much, and what happens at the edge."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from billing import limits
from billing.budgets import NANOS, dollars
from billing.models import Budget
from workspaces.access.admin import ActingForm
from workspaces.models import Agent, Workspace

SCOPES = {
    Budget.Scope.WORKSPACE: "The whole workspace: all its agents share it",
    Budget.Scope.AGENT: "One agent: all its sessions share it",
    Budget.Scope.SESSION: "Each session: every session has the limit for itself",
}
HARD = {
    "yes": "Hard: no call takes it over its limit",
    "no": "Warn only: it refuses nothing, and tells people at the shares below",
}
WHEN_SHORT = {
    Budget.WhenShort.WAIT: "Wait: a call is told when to ask again, in a moment while only calls in flight are in the "
    "way, else when the window ends",
    Budget.WhenShort.DENY: "Deny: the call is refused, and not told to come again",
    Budget.WhenShort.DOWNGRADE: "Downgrade: a call that names a model is offered the cheaper one below, if that fits",
    Budget.WhenShort.ASK: "Ask: whoever manages budgets may raise this one once, by what the call is short of",
}
CODES = {
    "limit_missing": "Give the limit in the unit that you chose.",
    "agent_missing": "Name the agent that the budget is for.",
    "agent_unused": "A budget of the whole workspace names no agent.",
    "unknown_agent": "There is no agent of this name in the workspace.",
    "bad_percent": "Write whole percents from 1 to 100, separated by commas.",
    "budget_exists": "There is such a budget already; change its limit instead.",
}
OFFERED = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?", re.ASCII)
# Fields of the form that stand for columns.
FIELDS = {"limit_amount": "limit_usd", "warn_at": "warnings"}


def wrong(field: str, code: str) -> forms.ValidationError:
    """An error of a field by its stable code."""
    return forms.ValidationError({field: forms.ValidationError(CODES[code], code=code)})


def text(label: str, help_text: str, **attrs: str) -> forms.CharField:
    """An optional line."""
    return forms.CharField(
        label=label,
        required=False,
        max_length=200,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs=attrs),
    )


def choice(label: str, choices: dict[Any, str], first: str) -> forms.ChoiceField:
    """One of a few, each told in a sentence; what is left out is the first."""
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=list(choices.items()),
        initial=first,
        widget=UnfoldAdminRadioSelectWidget(),
    )


class BudgetForm(ActingForm):
    """A limit. Whom and what it is for, its window and unit stay as they are: set another budget for others."""

    offered: ClassVar[str] = ""  # a limit that a page led here with

    scope = choice("For", SCOPES, Budget.Scope.WORKSPACE)
    agent = text("Agent", "Its name; for each session, empty counts the sessions of every agent.")
    tool = text("Tool", "Only calls of this tool count. Empty: every call.")
    model = text("Model", "Only calls that name this model count. Empty: every call.")
    unit = choice("In", dict(Budget.Unit.choices), Budget.Unit.USD)
    limit_usd = forms.DecimalField(
        label="Limit in US dollars",
        required=False,
        min_value=0,
        max_value=limits.MOST_NANOS // NANOS,
        decimal_places=9,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Such as 5.00.",
    )
    limit_tokens = forms.IntegerField(
        label="Limit in tokens",
        required=False,
        min_value=0,
        max_value=limits.MOST_TOKENS,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="A whole number, such as 2000000: what calls read and write.",
    )
    hard = choice("How strict", HARD, "yes")
    when_short = choice("When a call does not fit", WHEN_SHORT, Budget.WhenShort.WAIT)
    downgrade_to = text("Cheaper model", "What is offered in place of the model that a call names.")
    warnings = text(
        "Warn at", "Percents of the limit, separated by commas, such as 50, 80. Each once a window."
    )

    class Meta:
        model = Budget
        fields = ["workspace", "scope", "agent", "window"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "warnings" in self.fields:
            budget = self.instance
            tokens = budget.unit == Budget.Unit.TOKENS
            stands = str(budget.limit_amount) if tokens else dollars(budget.limit_amount)
            offered = self.offered if OFFERED.fullmatch(self.offered) else ""
            self.initial["limit_tokens" if tokens else "limit_usd"] = offered or stands
            self.initial["hard"] = "yes" if budget.hard else "no"
            self.initial["when_short"], self.initial["downgrade_to"] = budget.when_short, budget.downgrade_to
            self.initial["warnings"] = ", ".join(map(str, budget.warn_at))

    def clean_warnings(self) -> list[int]:
        """Whole percents. Raises ValidationError."""
        texts = [text.strip() for text in self.cleaned_data["warnings"].split(",") if text.strip()]
        if not all(text.isdecimal() and 1 <= int(text) <= 100 for text in texts):
            raise forms.ValidationError(CODES["bad_percent"], code="bad_percent")
        return [int(text) for text in texts]

    def apply(self, values: dict[str, Any]) -> Model:
        known = self.instance if self.instance.pk is not None else None
        whose = self.kept(known) if known else self.chosen(values)
        workspace = known.workspace if known else values["workspace"]
        try:
            return limits.set_budget(
                workspace, **whose, **self.terms(values, whose["unit"]), actor=self.actor
            ).row
        except forms.ValidationError as refused:
            if not hasattr(refused, "error_dict"):
                raise
            named = {FIELDS.get(field, field): errors for field, errors in refused.error_dict.items()}
            raise forms.ValidationError(named) from None

    def kept(self, budget: Budget) -> dict[str, Any]:
        """Whom and what a budget is for."""
        same = {name: getattr(budget, name) for name in ("agent", "window", "tool", "model", "unit")}
        return same | {"per_session": budget.scope == Budget.Scope.SESSION}

    def chosen(self, values: dict[str, Any]) -> dict[str, Any]:
        """Whom and what a new budget is for. Raises ValidationError, also where there is one already."""
        workspace: Workspace = values["workspace"]
        scope = values["scope"] or Budget.Scope.WORKSPACE
        agent = self.named(values)
        if scope == Budget.Scope.AGENT and agent is None:
            raise wrong("agent", "agent_missing")
        if scope == Budget.Scope.WORKSPACE and agent is not None:
            raise wrong("agent", "agent_unused")
        same = {
            "agent": agent,
            "window": values["window"],
            "tool": values["tool"].strip(),
            "model": values["model"].strip(),
            "unit": values["unit"] or Budget.Unit.USD,
        }
        if Budget.objects.filter(workspace=workspace, scope=scope, **same).exists():
            raise wrong("window", "budget_exists")
        return same | {"per_session": scope == Budget.Scope.SESSION}

    def terms(self, values: dict[str, Any], unit: str) -> dict[str, Any]:
        """What the budget allows and does; what hidden fields still say is left out. Raises ValidationError."""
        field = "limit_tokens" if unit == Budget.Unit.TOKENS else "limit_usd"
        if values[field] is None:
            raise wrong(field, "limit_missing")
        hard = values["hard"] != "no"
        when_short = (values["when_short"] if hard else "") or Budget.WhenShort.WAIT
        offers = when_short == Budget.WhenShort.DOWNGRADE
        return {
            "limit_amount": int(values[field] if field == "limit_tokens" else Decimal(values[field]) * NANOS),
            "hard": hard,
            "when_short": when_short,
            "downgrade_to": values["downgrade_to"].strip() if offers else "",
            "warn_at": values["warnings"],
        }

    def named(self, values: dict[str, Any]) -> Agent | None:
        """The agent of the workspace that the form names, if it names one. Raises ValidationError."""
        name = values["agent"].strip()
        agent = Agent.objects.filter(workspace=values["workspace"], name=name).first() if name else None
        if name and agent is None:
            raise wrong("agent", "unknown_agent")
        return agent


class ResetForm(forms.Form):
    """Why a budget begins anew, and that it is meant."""

    reason = forms.CharField(max_length=limits.LONGEST_REASON)
    confirmed = forms.BooleanField(
        label="Confirmation",
        error_messages={"required": "Tick that you mean it: what was spent no longer counts."},
    )
