"""The buttons by which a person keeps and forgets searches of a log."""

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from audit import saved_views
from workspaces.access.admin import person_of
from workspaces.access.pages import workspace_page
from workspaces.models import Workspace


class SavedViewForm(forms.Form):
    """A name for what is searched for."""

    title = forms.CharField(label="Name", max_length=80)
    query = forms.CharField(required=False, max_length=2000)


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
    try:
        saved_views.save(person_of(request), workspace.log_id, name=name, query=query)
        messages.success(request, f"“{name}” is saved, for you alone.")
    except saved_views.TooManyViews as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(page_of(workspace, query))


@workspace_page("view_log")
@require_POST
def remove(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Forget a view of one's own."""
    if not saved_views.remove(person_of(request), workspace.log_id, public_id):
        raise Http404("There is no such view.")
    return HttpResponseRedirect(page_of(workspace, f"workspace={workspace.slug}"))


def page_of(workspace: Workspace, query: str) -> str:
    """The log's page with a search. Only what follows the question mark is the person's to choose."""
    text = query.replace("\r", "").replace("\n", "").lstrip("?") or f"workspace={workspace.slug}"
    return f"{reverse('admin:audit_entry_changelist')}?{text}"
