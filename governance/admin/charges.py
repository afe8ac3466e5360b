"""Charges: what each allowed call held and was charged, on what basis, and at which price. What was sent never stands
here; the decision that a charge belongs to is one click away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from audit.admin.entries import SPANS
from audit.admin.pages import PortalAdmin, display
from billing import spending
from billing.budgets import dollars
from billing.gauges import title
from billing.models import Budget, Hold
from governance.models import Decision, DecisionRecord
from governance.presentation import visible
from governance.templatetags.portal import moment
from workspaces.access import may, workspaces_for
from workspaces.access.admin import ScopedAdmin
from workspaces.models import Agent

TOLD = 6  # characters of a decision's id
SHOWN_AGENTS = 100  # in the filter; others are reached from their page
STATES = {"held": "info", "settled": "success", "assumed": "warning", "released": "default"}
BASES = {
    "": "nothing was said",
    "declared": "declared by the tool",
    "estimated": "estimated by the agent",
    "priced": "tokens at the model’s price",
    "ceiling": "the ceiling price",
    "reported": "reported by the agent",
}


class PlaceFilter(SimpleListFilter):
    """Whose charges are read. One workspace's always are: those of several have no order that an index knows."""

    title, parameter_name = "workspace", "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(each.slug, str(each)) for each in workspaces_for(request.user).order_by("name")]

    def chosen(self) -> str:
        """The slug that was asked for, or the first."""
        return self.value() or str(self.lookup_choices[0][0]) if self.lookup_choices else ""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for slug, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: slug})
            yield {"selected": slug == self.chosen(), "query_string": query, "display": label}

    def has_output(self) -> bool:
        return True  # without output Django would leave the filter out

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        place = workspaces_for(request.user).filter(slug=self.chosen().replace("\0", ""))
        return queryset.filter(workspace=place.values_list("pk", flat=True).first())


class TextFilter(SimpleListFilter):
    """Charges with exactly this text in a column, as a link asks for it."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = request.GET.get(self.parameter_name or "")
        return [(value, visible(value))] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value.replace("\0", "")}) if value else queryset


class ToolFilter(TextFilter):
    title, parameter_name = "tool", "tool"


class ModelFilter(TextFilter):
    title, parameter_name = "model", "model"


class CostCenterFilter(TextFilter):
    title, parameter_name = "cost center", "cost_center"


class SessionFilter(TextFilter):
    """One session of an agent, as ``agent|session``."""

    title, parameter_name = "session", "session"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        agent, bar, session = (self.value() or "").replace("\0", "").partition("|")
        return queryset.filter(agent__public_id=agent, session=session) if bar else queryset


class OwnerFilter(TextFilter):
    title, parameter_name = "owner", "owner"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").replace("\0", "")
        return queryset.filter(owner__public_id=value) if value else queryset


class AgentFilter(SimpleListFilter):
    """One agent of the workspaces that the person sees."""

    title, parameter_name = "agent", "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        visible_ones = workspaces_for(request.user)
        if slug := request.GET.get("workspace", "").replace("\0", ""):
            visible_ones = visible_ones.filter(slug=slug)
        agents = Agent.objects.filter(workspace__in=visible_ones.values("pk")).order_by("name", "pk")
        return list(agents.values_list("public_id", "name")[:SHOWN_AGENTS])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").replace("\0", "")
        return queryset.filter(agent__public_id=value) if value else queryset


class StateFilter(SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in Hold.State] + [("unpriced", "price not known")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == "unpriced":
            return queryset.filter(~Q(state=Hold.State.HELD), charged_nanos=None)
        return queryset.filter(state=value) if value in Hold.State.values else queryset


class TimeFilter(SimpleListFilter):
    """How far back."""

    title, parameter_name = "time", "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(span, f"Last {span}") for span in SPANS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span: timedelta | None = SPANS.get(self.value() or "")
        return queryset if span is None else queryset.filter(created__gte=timezone.now() - span)


@admin.register(Hold)
class ChargeAdmin(ScopedAdmin):
    """Charges, newest first."""

    list_display = [
        "decision_shown", "at", "agent", "tool_shown", "tokens", "held", "charged", "state_shown",
        "basis_shown",
    ]  # fmt: skip
    list_select_related = ["agent"]
    list_filter = [
        PlaceFilter, TimeFilter, AgentFilter, StateFilter, ToolFilter, ModelFilter, SessionFilter, OwnerFilter,
        CostCenterFilter,
    ]  # fmt: skip
    ordering = ["-created", "-pk"]
    sortable_by = ()
    search_fields = ["decision__exact"]
    search_help_text = "The id of a decision, dec_…"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those of visible workspaces by their keys, and without them: joined, SQLite would sort all of the charges."""
        keys = list(workspaces_for(request.user).values_list("pk", flat=True))
        return PortalAdmin.get_queryset(self, request).filter(workspace__in=keys)

    @display(description="Decision")
    def decision_shown(self, charge: Hold) -> str:
        """Its end: the whole is as wide as three columns, and stands on the page."""
        short = f"…{charge.decision[-TOLD:]}"
        return format_html('<span class="whitespace-nowrap" title="{}">{}</span>', charge.decision, short)

    @display(description="Allowed")
    def at(self, charge: Hold) -> str:
        return format_html('<span class="whitespace-nowrap">{}</span>', moment(charge.created))

    @display(description="Tool, model")
    def tool_shown(self, charge: Hold) -> str:
        return below(visible(charge.tool) or "–", visible(charge.model))

    @display(description="Tokens")
    def tokens(self, charge: Hold) -> str:
        amount = charge.held_tokens if charge.charged_tokens is None else charge.charged_tokens
        return f"{amount:,}" if amount else "–"

    @display(description="Held")
    def held(self, charge: Hold) -> str:
        return spending.spoken(charge.held_nanos)

    @display(description="Charged")
    def charged(self, charge: Hold) -> str:
        if charge.charged_nanos is None:
            return "in flight" if charge.state == Hold.State.HELD else "not known"
        return spending.spoken(charge.charged_nanos)

    @display(description="Rests on")
    def basis_shown(self, charge: Hold) -> str:
        """The basis, and the version of the price if there is one."""
        return below(charge.basis or "–", charge.price)

    @display(description="State", label=STATES)
    def state_shown(self, charge: Hold) -> str:
        return str(Hold.State(charge.state).value)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        charge = self.find(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Charge of {charge.agent.name}",
            "subtitle": charge.decision,
            "opts": self.opts,
            "charge": charge,
            "workspace": charge.workspace,
            "agent": charge.agent,
            "basis": BASES[charge.basis],
            "color": STATES[charge.state],
            "held_usd": dollars(charge.held_nanos),
            "charged_usd": None if charge.charged_nanos is None else dollars(charge.charged_nanos),
            "usage": sorted((charge.usage or {}).items()),
            "entry": entry_of(charge),
            "budgets": [(row, title(row)) for row in counted_in(charge)],
            "logged": logged(charge) if may(request.user, "view_log", charge.workspace) else "",
        }
        response = TemplateResponse(request, "admin/portal/charge.html", context)
        response["Cache-Control"] = "no-store, private"
        return response


def below(text: str, more: str) -> str:
    """Two lines of a cell; one where there is no more."""
    return format_html('{}<span class="portal-below-it">{}</span>', text, more) if more else text


def counted_in(charge: Hold) -> list[Budget]:
    """The budgets that a charge counts against, of those that are still there."""
    rows = Budget.objects.filter(accounts__in=charge.accounts).select_related("agent")
    return list(rows.distinct().order_by("scope", "pk"))


def logged(charge: Hold) -> str:
    """Where the log tells everything about the call, from its decision on."""
    query = urlencode({"workspace": charge.workspace.slug, "call": charge.decision})
    return f"{reverse('admin:audit_entry_changelist')}?{query}"


def entry_of(charge: Hold) -> int | None:
    """The key of the entry that allowed the call; None where it is gone."""
    decision = Decision.objects.filter(public_id=charge.decision, workspace=charge.workspace)
    index = decision.values_list("entry_index", flat=True).first()
    if index is None:
        return None
    rows = DecisionRecord.objects.filter(log_id=charge.workspace.log_id, index=index)
    return rows.values_list("pk", flat=True).first()
