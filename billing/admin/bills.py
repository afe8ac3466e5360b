"""Charges held against a provider's bill: uploaded, shown day by day, taken along as a file."""

from collections import defaultdict
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from billing import bills
from billing.admin.prices import MANAGE, frame
from billing.bill_files import LARGEST, NAMES, BillRefused
from billing.book import NANOS
from billing.models import BillCheck
from billing.spending import note_export
from workspaces.access.admin import actor_in
from workspaces.access.pages import workspace_page
from workspaces.models import Workspace

SHOWN = 50
SHOWN_LINES = 500
LABELS = {
    "date": "Day",
    "model": "Model",
    "input": "Input tokens",
    "output": "Output tokens",
    "cost": "Cost",
    "currency": "Currency",
}
COLORS = {
    "agrees": "success",
    "more was billed": "danger",
    "unknown here": "danger",
    "calls of unknown price": "warning",
}


class BillForm(forms.Form):
    """A bill, and what cannot always be told from it."""

    file = forms.FileField(
        label="The bill (CSV)",
        help_text="As the provider exports it: a line a day and model. At most 5 MB.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
    )
    zone = forms.CharField(
        label="Time zone of its days",
        initial="UTC",
        max_length=60,
        help_text="Most providers bill days of UTC.",
    )
    decimal = forms.ChoiceField(
        label="Decimals",
        required=False,
        choices=[("", "As the file has them"), (".", "1234.56"), (",", "1234,56")],
    )
    day_first = forms.ChoiceField(
        label="Days",
        required=False,
        choices=[("", "As the file has them"), ("yes", "31/01/2026"), ("no", "01/31/2026")],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in NAMES:
            self.fields[f"column_{name}"] = forms.CharField(
                label=f"Column: {LABELS[name]}", required=False, max_length=200
            )

    @property
    def usual(self) -> list[Any]:
        return [self[name] for name in ("file", "zone")]

    @property
    def special(self) -> list[Any]:
        return [self[name] for name in ("decimal", "day_first", *(f"column_{name}" for name in NAMES))]

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        if zone not in available_timezones():
            raise forms.ValidationError("There is no such time zone; write UTC, or such as Europe/Berlin.")
        return zone

    def clean_file(self) -> bytes:
        """The file's content, of which no more is read than a bill may have."""
        content: bytes = self.cleaned_data["file"].read(LARGEST + 1)
        return content

    def choices(self) -> dict[str, Any]:
        """How the file is to be read."""
        values = self.cleaned_data
        return {
            "zone": values["zone"],
            "decimal": values["decimal"],
            "day_first": {"yes": True, "no": False}.get(values["day_first"]),
            "columns": {name: values[f"column_{name}"] for name in NAMES if values[f"column_{name}"]},
        }


@workspace_page()
@require_GET
def listing(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Bills that were compared, and the form for another."""
    return listed(request, workspace, BillForm())


@workspace_page(MANAGE)
@require_POST
def upload(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Compare a bill with what was charged."""
    form = BillForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            check = bills.check_bill(
                workspace, form.cleaned_data["file"], actor=actor_in(request), **form.choices()
            )
        except BillRefused as refusal:
            form.add_error(None, f"{refusal} ({refusal.code})")
        else:
            messages.success(request, "The bill is compared with what was charged.")
            return HttpResponseRedirect(reverse("bill", args=[workspace.slug, check.public_id]))
    return listed(request, workspace, form)


def listed(request: HttpRequest, workspace: Workspace, form: BillForm) -> HttpResponse:
    """The bills with a form."""
    rows = BillCheck.objects.filter(workspace=workspace).defer("lines").order_by("-created", "-pk")[:SHOWN]
    context = {
        **frame(request, workspace, "Bills"),
        "form": form,
        "rows": [(row, row.billed_nanos - row.charged_nanos) for row in rows],
    }
    return render(request, "admin/portal/bills.html", context)


def bill_of(workspace: Workspace, public_id: str) -> BillCheck:
    """A checked bill of the workspace. Raises Http404."""
    check = BillCheck.objects.filter(workspace=workspace, public_id=public_id).first()
    if check is None:
        raise Http404("There is no such bill.")
    return check


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """What came of one: by day and model, and as a chart."""
    check = bill_of(workspace, public_id)
    lines = sorted(check.lines, key=lambda line: -abs(line["billed"] - line["charged"]))
    context = {
        **frame(request, workspace, "Bill"),
        "check": check,
        "difference": check.billed_nanos - check.charged_nanos,
        "columns": [(LABELS[name], column) for name, column in check.columns.items()],
        "unknown": sorted({line["model"] for line in lines if not line["charged_as"] and not line["known"]}),
        "lines": [dressed(line) for line in lines[:SHOWN_LINES]],
        "more": max(0, len(lines) - SHOWN_LINES),
        "chart": chart(check),
    }
    return render(request, "admin/portal/bill.html", context)


def dressed(line: dict[str, Any]) -> dict[str, Any]:
    """A line with what it means."""
    what = bills.meaning(line)
    return {
        **line,
        "difference": line["billed"] - line["charged"],
        "what": what,
        "color": COLORS.get(what, "default"),
    }


def chart(check: BillCheck) -> dict[str, Any]:
    """US dollars billed and charged a day, for the page's script to draw."""
    days: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for line in check.lines:
        days[line["day"]][0] += line["billed"]
        days[line["day"]][1] += line["charged"]
    labels = sorted(days)
    return {
        "labels": labels,
        "billed": [days[day][0] / NANOS for day in labels],
        "charged": [days[day][1] / NANOS for day in labels],
    }


@workspace_page()
@require_POST
def download(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """All of its lines as CSV, with an entry."""
    check = bill_of(workspace, public_id)
    note_export(workspace, actor=actor_in(request))
    response = HttpResponse(bills.as_csv(check), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{workspace.slug}-{check.public_id}.csv"'
    response["Cache-Control"] = "no-store, private"
    return response
