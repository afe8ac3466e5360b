"""Searches of a log that a person keeps for themselves."""

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from audit.models import SavedView
from workspaces.access.admin import person_of
from workspaces.access.pages import workspace_page
from workspaces.models import Workspace

MOST = 50  # views of one person in one log


class SavedViewForm(forms.Form):
    """A name for what is searched for."""

    title = forms.CharField(label="Name", max_length=80)
    query = forms.CharField(required=False, max_length=2000)


def of_person(request: HttpRequest, workspace: Workspace) -> list[SavedView]:
    """The person's own views of this log."""
    rows = SavedView.objects.filter(person=person_of(request), log_id=workspace.log_id)
    return list(rows.order_by("name")[:MOST])


@workspace_page("view_log")
@require_POST
def save(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Keep a search under a name; one of that name is replaced."""
    form = SavedViewForm(request.POST)
    query = request.POST.get("query", "")
    if not form.is_valid():
        messages.error(
            request, "A view needs a name of at most 80 characters, and an address of at most 2,000."
        )
        return HttpResponseRedirect(page_of(workspace, query[:2000]))
    query, name = form.cleaned_data["query"], form.cleaned_data["title"]
    own = SavedView.objects.filter(person=person_of(request), log_id=workspace.log_id)
    if own.exclude(name=name).count() >= MOST:
        messages.error(request, f"You keep {MOST} views of this log already; remove one first.")
    else:
        own.update_or_create(
            person=person_of(request), log_id=workspace.log_id, name=name, defaults={"query": query}
        )
        messages.success(request, f"“{name}” is saved, for you alone.")
    return HttpResponseRedirect(page_of(workspace, query))


@workspace_page("view_log")
@require_POST
def remove(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Forget a view of one's own."""
    rows = SavedView.objects.filter(person=person_of(request), log_id=workspace.log_id, public_id=public_id)
    if not rows.delete()[0]:
        raise Http404("There is no such view.")
    return HttpResponseRedirect(page_of(workspace, f"workspace={workspace.slug}"))


def page_of(workspace: Workspace, query: str) -> str:
    """The log's page with a search. Only what follows the question mark is the person's to choose."""
    text = query.replace("\r", "").replace("\n", "").lstrip("?") or f"workspace={workspace.slug}"
    return f"{reverse('admin:audit_entry_changelist')}?{text}"
