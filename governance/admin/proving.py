"""Addresses of one entry beside its page: its permalink, its proof to take along, and what stands in its Detail."""

import base64

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from audit import proofs
from audit.inclusions import Inclusion, inclusion_of
from audit.models import Entry
from governance import disclosures, presentation
from workspaces.access import Forbidden, may
from workspaces.access.admin import person_of
from workspaces.access.pages import workspace_page
from workspaces.models import Agent, Workspace


@workspace_page("view_log")
@require_GET
def permalink(request: HttpRequest, workspace: Workspace, index: int) -> HttpResponse:
    """To the entry of this index: an address that can be written into a report."""
    entry = get_object_or_404(Entry.objects.only("pk"), log_id=workspace.log_id, index=index)
    return HttpResponseRedirect(reverse("admin:audit_entry_change", args=[entry.pk]))


@workspace_page("view_log")
@require_GET
def proof(request: HttpRequest, workspace: Workspace, index: int) -> HttpResponse:
    """The entry with its proof and checkpoint, as JSON; ``first`` asks for consistency with an earlier size."""
    found = proved(workspace, index)
    document = found.document
    first = request.GET.get("first", "")
    if first.isascii() and first.isdecimal() and 0 < int(first[:19]) <= found.size:
        hashes = proofs.consistency(workspace.log_id, int(first[:19]), found.size)
        document["consistency"] = [base64.b64encode(each).decode() for each in hashes]
    return taken_along(JsonResponse(document), f"{workspace.slug}-{index}.json")


@workspace_page("view_log")
@require_GET
def tlog_proof(request: HttpRequest, workspace: Workspace, index: int) -> HttpResponse:
    """The proof in the form that https://c2sp.org/tlog-proof gives it."""
    text = proved(workspace, index).tlog_proof
    return taken_along(
        HttpResponse(text, content_type="text/plain; charset=utf-8"), f"{workspace.slug}-{index}.tlog-proof"
    )


@workspace_page("view_log")
@require_POST
def content(request: HttpRequest, workspace: Workspace, index: int) -> HttpResponse:
    """What stands in the entry's Detail, for who may see content; the reading is an entry of its own."""
    entry = get_object_or_404(Entry, log_id=workspace.log_id, index=index)
    agent = Agent.objects.filter(public_id=entry.agent, workspace=workspace).first()
    if not may(request.user, "view_content", agent or workspace):
        raise Forbidden("Your roles here show that it happened, not what was said.")
    detail = disclosures.disclose(
        entry.log_id, index, person=person_of(request), agent=entry.agent, tool=entry.tool
    )
    context = {
        **admin.site.each_context(request),
        "title": f"Entry {index}",
        "subtitle": "What was said",
        "entry": entry,
        "workspace": workspace,
        "fields": [(name, presentation.pretty(value)) for name, value in sorted(detail.items())],
    }
    response = TemplateResponse(request, "admin/portal/entry_content.html", context)
    response["Cache-Control"] = "no-store, private"
    return response


def proved(workspace: Workspace, index: int) -> Inclusion:
    """The entry's inclusion in the newest checkpoint. Raises Http404."""
    entry = get_object_or_404(Entry, log_id=workspace.log_id, index=index)
    found = inclusion_of(entry)
    if found is None:
        raise Http404("No checkpoint covers this entry yet; the publisher signs one within seconds.")
    return found


def taken_along(response: HttpResponse, name: str) -> HttpResponse:
    """The answer as a file to keep."""
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store, private"
    return response
