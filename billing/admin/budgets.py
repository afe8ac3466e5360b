"""Budgets, with what is held and spent in the window that runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import F, FloatField, OuterRef, Prefetch, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Greatest
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from audit.admin.pages import display
from billing import limits
from billing.admin.budget_form import WHEN_SHORT, BudgetForm, ResetForm
from billing.gauges import Gauge, gauge, running_keys, session_gauges
from billing.models import Account, Budget
from billing.wording import told
from workspaces.access import may, workspaces_for
from workspaces.access.admin import ScopedAdmin, act, actor_in, filled

WHOSE = ["workspace", "scope", "agent", "window", "tool", "model", "unit"]
# What a budget that there is says instead of an empty field.
SHOWN = {"agent": "agent_shown", "tool": "tool_shown", "model": "model_shown"}
EDGE = ["hard", "when_short", "downgrade_to", "warnings"]


def spending_of(budget: Any) -> str:
    """Where it is told what was spent on what a budget counts, or on the first thing that narrows it."""
    query = {}
    if budget.agent:
        query = {"of": budget.agent.public_id}
    elif named := budget.tool or budget.model:
        query = {"by": "tool" if budget.tool else "model", "of": named}
    return reverse("spend", args=[budget.workspace.slug]) + (f"?{urlencode(query)}" if query else "")


@admin.register(Budget)
class BudgetAdmin(ScopedAdmin):
    """Limits on spending."""

    form = BudgetForm
    add_permission = change_permission = delete_permission = "manage_budgets"
    list_display = ["whom", "workspace", "window", "limit", "in_use", "spent", "held", "left", "edge"]
    list_select_related = ["workspace", "agent"]
    list_before_template = "admin/portal/budget_list_intro.html"
    change_form_template = "admin/portal/budget.html"

    class Media:
        css = {"all": ["portal/spend.css"]}
        js = ["portal/budget.js"]

    def get_queryset(self, request: HttpRequest) -> Any:
        now, rows = timezone.now(), super().get_queryset(request)
        zones = set(workspaces_for(request.user).values_list("timezone", flat=True))
        running = Account.objects.filter(key__in=running_keys(zones, rows, now))
        used = running.filter(budget=OuterRef("pk")).order_by("-pk").annotate(
            used=Cast(F("spent") + F("held"), FloatField()) / Greatest(F("limit_amount"), Value(1))
        )  # fmt: skip
        share = Coalesce(Subquery(used.values("used")[:1]), Value(0.0))
        by_share = rows.annotate(share=share).order_by("-share", "workspace__name", "pk")
        return by_share.prefetch_related(Prefetch("accounts", running, to_attr="running"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.offered = request.GET.get("limit", "")
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        limit = ["limit_usd", "limit_tokens"] if obj is None else [f"limit_{obj.unit}"]
        whose = [name for name in WHOSE if name not in ("unit", "window")]
        may_change = obj is None or self.has_change_permission(request, obj)
        return [
            ("For whom, and on what", {"fields": whose if obj is None else [SHOWN.get(n, n) for n in whose]}),
            ("How much", {"fields": ["unit", *limit, "window"]}),
            ("At the edge", {"fields": EDGE if may_change else ["edge", "warnings"]}),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [SHOWN.get(name, name) for name in WHOSE] if obj else []

    def gauge(self, budget: Any) -> Gauge:
        """How a budget stands now. Accounts of single sessions are not summed up."""
        return gauge(budget, budget.running, timezone.now(), budget.workspace.timezone)

    def of_window(self, budget: Any, name: str) -> str:
        """An amount of the running window; a budget of each session has none of its own."""
        found = self.gauge(budget)
        return "–" if found.per_session else found.texts[name]

    @display(description="For", ordering="scope")
    def whom(self, budget: Any) -> str:
        return self.gauge(budget).title

    @display(description="Limit", ordering="limit_amount")
    def limit(self, budget: Any) -> str:
        found = self.gauge(budget)
        return found.shown(found.limit)

    @display(description="In use", ordering="share")
    def in_use(self, budget: Any) -> str:
        found = self.gauge(budget)
        if found.per_session:
            return "per session"
        parts = format_html_join(
            "",
            '<rect class="{}" x="{}" width="{}" height="4"/>',
            ((k, str(x), str(w)) for k, x, w in found.marks),
        )
        bar = (
            '<svg class="spend-bar thin" role="img" viewBox="0 0 100 4" preserveAspectRatio="none" aria-label="{}">'
            "{}</svg> {} %"
        )
        return format_html(bar, found.told, parts, found.percent)

    @display(description="Spent now")
    def spent(self, budget: Any) -> str:
        return self.of_window(budget, "spent")

    @display(description="Held now")
    def held(self, budget: Any) -> str:
        return self.of_window(budget, "held")

    @display(description="Left")
    def left(self, budget: Any) -> str:
        return self.of_window(budget, "left")

    @display(description="When short")
    def edge(self, budget: Budget) -> str:
        return WHEN_SHORT[Budget.WhenShort(budget.when_short)].split(":")[0] if budget.hard else "Warns only"

    @display(description="Agent")
    def agent_shown(self, budget: Any) -> str:
        if budget.agent is None:
            return "every agent"
        page = reverse("admin:workspaces_agent_change", args=[budget.agent_id])
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', page, budget.agent
        )

    @display(description="Tool")
    def tool_shown(self, budget: Any) -> str:
        return budget.tool or "every tool"

    @display(description="Model")
    def model_shown(self, budget: Any) -> str:
        return budget.model or "every model"

    @display(description="Warn at")
    def warnings(self, budget: Budget) -> str:
        return ", ".join(f"{percent} %" for percent in budget.warn_at) or "never"

    @display(description="Limit in US dollars")
    def limit_usd(self, budget: Any) -> str:
        return self.limit(budget)

    @display(description="Limit in tokens")
    def limit_tokens(self, budget: Any) -> str:
        return self.limit(budget)

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        found = self.gauge(obj)
        sessions = session_gauges(obj, timezone.now()) if found.per_session else []
        may_manage = self.allows(request, "manage_budgets", obj)
        return {
            "gauge": found,
            "sessions": sessions,
            "told": told(obj),
            "may_manage": may_manage,
            "may_read_log": may(request.user, "view_log", obj.workspace),
            "spending": spending_of(obj),
        }

    @act("reset")
    def reset(self, request: HttpRequest, obj: Budget) -> None:
        """Begin anew with nothing spent."""
        self.require(request, "manage_budgets", obj)
        reason = filled(ResetForm(request.POST))["reason"]
        limits.reset(obj, actor=actor_in(request), reason=reason)
        messages.success(
            request, "It begins anew: nothing is spent, and what calls in flight hold stays held."
        )

    def remove(self, obj: Budget, *, actor: str) -> None:
        limits.remove_budget(obj, actor=actor)
