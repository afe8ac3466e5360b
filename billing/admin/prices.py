"""The price table: what models cost here, who says so, and what a model would cost; and charges priced anew."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from billing import price_table, public_list, repricing
from billing.book import NANOS, dollars
from billing.models import Price, Repricing
from billing.prices import CEILING, ModelPrice, load_prices
from workspaces.access import may, workspaces_for
from workspaces.access.admin import actor_in, sentences
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Workspace

MANAGE = "manage_budgets"
EARLIER = 100  # rows of the history that are shown
SHOWN_RUNS = 10
RATES = {
    "input": "Input, per million tokens",
    "output": "Output, per million tokens",
    "cache_read": "Cache read, per million tokens",
    "cache_write": "Cache write, per million tokens",
    "call": "Per call, besides its tokens",
}

overview = first_workspace("prices")


class PriceForm(forms.Form):
    """What a model costs from a day on. Nothing in every amount gives it back to the public list."""

    model = forms.CharField(
        max_length=200,
        label="Model",
        help_text="As agents name it, such as gpt-4o; * is the ceiling for whatever has no other price.",
    )
    starts = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    note = forms.CharField(max_length=200, required=False, label="Source, such as the contract")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in RATES.items():
            self.fields[name] = forms.DecimalField(
                label=f"{label} (USD)",
                required=False,
                min_value=0,
                max_value=10**6,
                decimal_places=9,
                widget=forms.TextInput(attrs={"inputmode": "decimal"}),
            )
        self.order_fields(["model", "starts", *RATES, "note"])

    def amounts(self) -> dict[str, Any]:
        """Nano-US-dollars by column."""
        given = {name: self.cleaned_data[name] for name in RATES}
        return {
            f"{name}_nanos": None if amount is None else int(Decimal(amount) * NANOS)
            for name, amount in given.items()
        }


class DaysForm(forms.Form):
    """A first and a last day."""

    first_day = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(label="Through", widget=forms.DateInput(attrs={"type": "date"}))


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The workspace's prices, and what the public list says of a model."""
    return shown(request, workspace, PriceForm(initial={"starts": today_in(workspace)}))


@workspace_page(MANAGE)
@require_POST
def put(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Set a price."""
    form = PriceForm(request.POST)
    if form.is_valid():
        values = {name: form.cleaned_data[name] for name in ("model", "starts", "note")}
        try:
            applied = price_table.set_price(workspace, actor=actor_in(request), **values, **form.amounts())
        except ValidationError as refusal:
            for field, sentence in sentences(refusal):
                name = (field or "").removesuffix("_nanos")
                form.add_error(name if name in form.fields else None, sentence)
        else:
            told = (
                "That is the price already." if applied.unchanged else f"The price of {applied.row} is set."
            )
            messages.success(request, told)
            return HttpResponseRedirect(reverse("prices", args=[workspace.slug]))
    return shown(request, workspace, form)


def shown(request: HttpRequest, workspace: Workspace, form: PriceForm) -> HttpResponse:
    """The price table with a form."""
    today = today_in(workspace)
    asked = request.GET.get("q", "").replace("\0", "").strip()[:200]
    prices = load_prices(workspace.pk)
    holding = list(price_table.in_force(workspace, today))
    others = Price.objects.filter(workspace=workspace).exclude(pk__in=[row.pk for row in holding])
    context = {
        **frame(request, workspace, "Prices"),
        "form": form,
        "today": today,
        "rows": [dressed(row) for row in holding],
        "others": [dressed(row) for row in others.order_by("-starts", "-pk")[:EARLIER]],
        "ceiling": next((row for row in holding if row.model == CEILING), None),
        "asked": asked,
        "meant": told(prices.of(asked, today)) if asked else None,
        "would_be_ceiling": told(prices.ceiling(today)) if asked else None,
        "listed": [told(price) for price in public_list.search(asked, today)] if asked else [],
        "version": public_list.version(),
        "rates": list(RATES.values()),
    }
    return render(request, "admin/portal/prices.html", context)


@workspace_page()
@require_GET
def reprice(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """What pricing the charges of some days anew would do."""
    today = today_in(workspace)
    usual = {"first_day": today.replace(day=1), "last_day": today}
    form, seen = DaysForm(request.GET if "first_day" in request.GET else None, initial=usual), None
    if form.is_valid():
        try:
            seen = repricing.preview(workspace, form.cleaned_data["first_day"], form.cleaned_data["last_day"])
        except repricing.RepricingRefused as refusal:
            form.add_error(None, str(refusal))
    return repricings(request, workspace, form, seen)


@workspace_page(MANAGE)
@require_POST
def start_repricing(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Have the worker do it."""
    form = DaysForm(request.POST)
    if form.is_valid():
        days = form.cleaned_data["first_day"], form.cleaned_data["last_day"]
        try:
            repricing.start(workspace, *days, actor=actor_in(request))
        except repricing.RepricingRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The worker prices them anew; this page shows when it is done.")
            return HttpResponseRedirect(reverse("reprice", args=[workspace.slug]))
    return repricings(request, workspace, form, None)


def repricings(
    request: HttpRequest, workspace: Workspace, form: DaysForm, seen: repricing.Preview | None
) -> HttpResponse:
    """The page, with what was looked at."""
    context = {
        **frame(request, workspace, "Price charges anew"),
        "form": form,
        "seen": seen,
        "models": sorted(seen.models.values(), key=lambda each: -each.charges) if seen else [],
        "most": repricing.MOST_PREVIEWED,
        "runs": Repricing.objects.filter(workspace=workspace).order_by("-pk")[:SHOWN_RUNS],
    }
    return render(request, "admin/portal/reprice.html", context)


def frame(request: HttpRequest, workspace: Workspace, title: str) -> dict[str, Any]:
    """What the pages about prices have in common."""
    return {
        **admin.site.each_context(request),
        "title": f"{title}: {workspace.name}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user).order_by("name"),
        "may_manage": may(request.user, MANAGE, workspace),
    }


def today_in(workspace: Workspace) -> date:
    """Today where the workspace is."""
    return timezone.now().astimezone(ZoneInfo(workspace.timezone)).date()


def told(price: ModelPrice | None) -> dict[str, Any] | None:
    """A price as a page shows it."""
    if price is None:
        return None
    rates = [price.input, price.output, price.cache_read, price.cache_write, price.call]
    tiers = [
        (tier.above, amounts([tier.input, tier.output, tier.cache_read, tier.cache_write, price.call]))
        for tier in price.tiers
    ]
    return {"price": price, "amounts": amounts(rates), "tiers": tiers}


def dressed(row: Price) -> tuple[Price, list[tuple[str, str]]]:
    """A row with its amounts."""
    return row, amounts([getattr(row, f"{name}_nanos") for name in RATES])


def amounts(rates: Sequence[int | None]) -> list[tuple[str, str]]:
    """(what, US dollars or empty) of each rate."""
    labels = ("input", "output", "cache read", "cache write", "a call")
    return [
        (label, "" if rate is None else f"${dollars(rate)}")
        for label, rate in zip(labels, rates, strict=True)
    ]
