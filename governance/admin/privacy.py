"""Privacy of a workspace's log: how long it keeps what, legal holds, and erasures from search to entry."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.absences import Ranges
from audit.models import Erasure, Export, Pruning, Stream
from governance import erasure
from workspaces import holds
from workspaces.access import may, workspaces_for
from workspaces.access.admin import actor_in, person_of, sentences
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import LegalHold, Workspace

SHOWN = 50
RANGES = 40  # of indexes
Status = Erasure.Status
COLORS = {
    Status.SEARCHING: "info",
    Status.FOUND: "warning",
    Status.WAITING: "info",
    Status.HELD: "warning",
    Status.ERASING: "info",
    Status.DONE: "success",
    Status.CANCELLED: "default",
}


class EraseForm(forms.Form):
    """What is to be looked for, by what right, and why."""

    text = forms.CharField(max_length=200, required=False, label="Text to look for, such as an address")
    first = forms.IntegerField(required=False, min_value=0, label="Or entries: from")
    last = forms.IntegerField(required=False, min_value=0, label="through (empty: that one)")
    basis = forms.CharField(
        max_length=erasure.LONGEST_BASIS, label="Legal basis, which stands in the log for good"
    )
    reason = forms.CharField(max_length=erasure.LONGEST_REASON, label="Reason, kept beside the log")


class HoldForm(forms.Form):
    """Why a workspace is put on hold."""

    reason = forms.CharField(max_length=holds.LONGEST_REASON, label="Reason, kept with the entry")


overview = first_workspace("privacy", "view_log")


@workspace_page("view_log")
@never_cache
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Retention, holds and erasures."""
    return show(request, workspace)


def show(
    request: HttpRequest,
    workspace: Workspace,
    *,
    form: EraseForm | None = None,
    hold_form: HoldForm | None = None,
) -> HttpResponse:
    """The page, with a form that was refused where there is one."""
    person = person_of(request)
    rows = Erasure.objects.filter(log_id=workspace.log_id).order_by("-pk")[:SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": f"Privacy: {workspace}",
        "workspace": workspace,
        "workspaces": workspaces_for(person, "view_log").order_by("name"),
        "pruned": Pruning.objects.filter(log_id=workspace.log_id).order_by("-entry_index").first(),
        "holds": workspace.legal_holds.select_related("started_by", "released_by").order_by("-pk")[:SHOWN],
        "held": holds.standing(workspace.log_id).exists(),
        "erasures": [(row, COLORS[Status(row.status)]) for row in rows],
        "form": form or EraseForm(),
        "hold_form": hold_form or HoldForm(),
        "may_erase": may(person, "erase", workspace),
        "may_hold": may(person, "legal_hold", workspace),
        "may_set": may(person, "manage_members", workspace),
    }
    return render(request, "admin/log/privacy.html", context, status=400 if form or hold_form else 200)


@workspace_page("erase")
@require_POST
def start(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Have what is to be erased looked for."""
    form = EraseForm(request.POST)
    if form.is_valid():
        values = form.cleaned_data
        first = values["first"]
        try:
            row = erasure.start(
                workspace,
                text=values["text"],
                first=first,
                last=values["last"] if values["last"] is not None else first,
                basis=values["basis"],
                reason=values["reason"],
                actor=actor_in(request),
            )
        except ValidationError as refusal:
            for field, sentence in sentences(refusal):
                form.add_error(field if field in form.fields else None, sentence)
        else:
            return HttpResponseRedirect(reverse("erasure", args=[workspace.slug, row.public_id]))
    return show(request, workspace, form=form)


def find(workspace: Workspace, public_id: str) -> Erasure:
    """An erasure from the workspace's log. Raises Http404."""
    return get_object_or_404(Erasure, log_id=workspace.log_id, public_id=public_id)


@workspace_page("view_log")
@never_cache
@require_http_methods(["GET", "HEAD"])
def one(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """An erasure: how far it is, what it found, and the buttons."""
    row = find(workspace, public_id)
    indexes = row.items.order_by("index").values_list("index", flat=True)
    merged = Ranges((index, index) for index in indexes.iterator()).merged
    context = {
        **admin.site.each_context(request),
        "title": f"Erasure {row.public_id}",
        "workspace": workspace,
        "row": row,
        "color": COLORS[Status(row.status)],
        "searched": 100 * (row.position - row.first) // max(1, row.end - row.first),
        "done": 100 * row.erased // max(1, row.found),
        "ranges": [f"{a}" if a == b else f"{a} to {b}" for a, b in merged[:RANGES]],
        "more": max(0, len(merged) - RANGES),
        "exports": Export.objects.filter(log_id=workspace.log_id, public_id__in=row.left.get("exports", ()))
        .select_related("requested_by")
        .order_by("-pk")[:SHOWN],
        "streams": Stream.objects.filter(log_id=workspace.log_id, public_id__in=row.left.get("streams", ())),
        "may_erase": may(person_of(request), "erase", workspace),
        "under_way": row.status in erasure.UNDER_WAY,
        "open": row.status in erasure.OPEN,
    }
    return render(request, "admin/log/erasure.html", context)


@workspace_page("erase")
@require_POST
def confirm(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Have it erased."""
    return change(request, workspace, public_id, erasure.confirm, "Confirmed; the worker erases it.")


@workspace_page("erase")
@require_POST
def cancel(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Erase no more of it."""
    return change(request, workspace, public_id, erasure.cancel, "Cancelled. What was erased stays erased.")


def change(request: HttpRequest, workspace: Workspace, public_id: str, step: Any, told: str) -> HttpResponse:
    """Take a step, and say what became of it."""
    row = find(workspace, public_id)
    try:
        step(row, actor=actor_in(request))
        messages.success(request, told)
    except erasure.ErasureRefused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("erasure", args=[workspace.slug, public_id]))


@workspace_page("legal_hold")
@require_POST
def place_hold(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Put the workspace on hold."""
    form = HoldForm(request.POST)
    if not form.is_valid():
        return show(request, workspace, hold_form=form)
    holds.place(workspace, reason=form.cleaned_data["reason"], person=person_of(request))
    messages.success(request, "Nothing is pruned or erased here until the hold is released.")
    return HttpResponseRedirect(reverse("privacy", args=[workspace.slug]))


@workspace_page("legal_hold")
@require_POST
def release_hold(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Release one hold."""
    holds.release(
        get_object_or_404(LegalHold, workspace=workspace, public_id=public_id), person=person_of(request)
    )
    messages.success(request, "Released.")
    return HttpResponseRedirect(reverse("privacy", args=[workspace.slug]))
