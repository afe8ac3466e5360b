"""Exports of a workspace's log: asked for, watched while the worker makes them, downloaded."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit import exports
from audit.models import Export
from governance import downloads
from workspaces.access import workspaces_for
from workspaces.access.admin import actor_in, person_of
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Workspace

SHOWN = 50
DAYS = 30  # that the form proposes
# Days that have a midnight in every time zone, and one after them.
ERA = [MinValueValidator(date(1970, 1, 2)), MaxValueValidator(date(9999, 12, 29))]
COLORS = {
    "waiting": "info",
    "running": "info",
    "done": "success",
    "failed": "danger",
    "expired": "default",
}


class ExportForm(forms.Form):
    """What is wanted, and of which days; both are included."""

    format = forms.ChoiceField(choices=Export.Kind.choices, label="What")
    first_day = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        label="From (empty: the beginning)",
        validators=ERA,
    )
    last_day = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        label="Through (empty: now)",
        validators=ERA,
    )

    def period(self, workspace: Workspace) -> tuple[datetime | None, datetime | None]:
        """The beginning of the first day and the end of the last, where the workspace is."""
        last = self.cleaned_data["last_day"]
        return midnight(self.cleaned_data["first_day"], workspace), midnight(
            last + timedelta(days=1) if last else None, workspace
        )


def midnight(day: date | None, workspace: Workspace) -> datetime | None:
    """When a day begins where the workspace is."""
    return None if day is None else datetime.combine(day, time(tzinfo=ZoneInfo(workspace.timezone)))


overview = first_workspace("exports", "export_log")


@workspace_page("export_log")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The workspace's exports, newest first, and the form."""
    today = datetime.now(ZoneInfo(workspace.timezone)).date()
    usual = {"format": Export.Kind.PACK, "first_day": today - timedelta(days=DAYS), "last_day": today}
    form = ExportForm(request.POST or None, initial=usual)
    if request.method == "POST" and form.is_valid():
        since, until = form.period(workspace)
        try:
            exports.start(
                workspace.log_id,
                kind=form.cleaned_data["format"],
                person=person_of(request),
                actor=actor_in(request),
                since=since,
                until=until,
            )
        except exports.ExportRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The worker makes it; this page shows how far it is, and may be left.")
            return HttpResponseRedirect(request.path)
    rows = Export.objects.filter(log_id=workspace.log_id).select_related("requested_by").order_by("-pk")
    context = {
        **admin.site.each_context(request),
        "title": f"Exports of the log: {workspace}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user, "export_log").order_by("name"),
        "rows": [dress(row, request) for row in rows[:SHOWN]],
        "form": form,
        "kept": exports.KEPT.days,
    }
    return render(request, "admin/log/exports.html", context, status=400 if form.errors else 200)


def dress(export: Any, request: HttpRequest) -> Any:
    """An export with what its row shows."""
    export.color = COLORS[export.status]
    export.open = export.status in exports.OPEN
    export.percent = exports.percent(export)
    export.mine = export.requested_by_id == request.user.pk
    export.covers = export.end - export.first
    return export


def find(workspace: Workspace, public_id: str) -> Export:
    """An export of the workspace's log. Raises Http404."""
    row = Export.objects.filter(log_id=workspace.log_id, public_id=public_id).first()
    if row is None:
        raise Http404("There is no such export.")
    return row


@workspace_page("export_log")
@never_cache
@require_GET
def progress(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """How far an export is, as JSON for the page."""
    row = find(workspace, public_id)
    return JsonResponse({"open": row.status in exports.OPEN, "percent": exports.percent(row)})


@workspace_page("export_log")
@require_POST
def download(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponseBase:
    """The file, for who asked for it; taking it along is an entry."""
    try:
        return downloads.export_file(request, find(workspace, public_id), person_of(request))
    except exports.NotReady as reason:
        messages.error(request, str(reason))
        return HttpResponseRedirect(reverse("exports", args=[workspace.slug]))
