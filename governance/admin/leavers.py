"""A person leaves: what that does, before it is done. Owners let people leave their workspace; operators, the
installation, and they see counts of what happens in workspaces, which hold nothing of theirs."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from governance import leavers
from workspaces import people
from workspaces.access.admin import actor_in, person_of
from workspaces.access.pages import operator_page, workspace_page
from workspaces.models import User, Workspace

SHOWN = 100
METHODS = ["GET", "HEAD", "POST"]


class ReasonForm(forms.Form):
    """Why somebody leaves."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class WhoForm(forms.Form):
    """Whom it is about, by address."""

    email = forms.EmailField(label="Address of the person who leaves")


@workspace_page("manage_members")
@require_http_methods(METHODS)
def from_workspace(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Somebody leaves one workspace: what that does, and the button."""
    members = User.objects.filter(memberships__workspace=workspace).distinct()
    person = members.filter(public_id=public_id).first()
    if person is None:
        raise Http404("There is no such person here.")
    form = ReasonForm(request.POST or None)
    if person == person_of(request):
        messages.error(request, "Nobody lets themselves leave; ask another owner.")
        return HttpResponseRedirect(reverse("access_person", args=[workspace.slug, public_id]))
    if request.method == "POST" and form.is_valid():
        try:
            leavers.leave_workspace(
                workspace, person, reason=form.cleaned_data["reason"], actor=actor_in(request)
            )
        except leavers.CannotLeave as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"{person} left {workspace}.")
        return HttpResponseRedirect(reverse("admin:workspaces_user_changelist"))
    leaving = leavers.preview(person, [workspace])
    context = {
        "title": f"{person} leaves {workspace}",
        "workspace": workspace,
        "leaving": leaving,
        "groups": workspace.reviewer_groups.filter(members__person=person).order_by("name"),
        "waiting": leaving.rerouted[:SHOWN],
        "agents": leaving.agents[:SHOWN],
        "form": form,
    }
    return show(request, "leave_workspace", context)


@operator_page
@require_http_methods(METHODS)
def from_installation(request: HttpRequest) -> HttpResponse:
    """Somebody leaves for good, or is let in again."""
    who = WhoForm(request.POST if request.method == "POST" else request.GET or None)
    form = ReasonForm(request.POST or None)
    person = None
    if who.is_valid():
        person = User.objects.filter(email=who.cleaned_data["email"].lower()).first()
        if person is None:
            who.add_error("email", "Nobody here has this address.")
    if person is not None and request.method == "POST":
        if person == person_of(request):
            form.add_error(None, "Nobody lets themselves leave; ask another operator.")
        elif request.POST.get("return"):
            people.reactivate(person, actor=actor_in(request))
            messages.success(request, f"{person.email} may sign in again.")
            return HttpResponseRedirect(reverse("leaver"))
        elif form.is_valid():
            return depart(request, person, form.cleaned_data["reason"])
    leaving = leavers.preview(person) if person is not None and person.is_active else None
    context = {"title": "Somebody leaves", "who": who, "person": person, "leaving": leaving, "form": form}
    return show(request, "leave_installation", context)


def depart(request: HttpRequest, person: User, reason: str) -> HttpResponse:
    """Do it, and tell what came of it."""
    try:
        done = leavers.leave(person, reason=reason, actor=actor_in(request))
    except leavers.CannotLeave as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(
            request,
            f"{person.email} left: {len(done.rerouted)} waiting calls were seen to, and {len(done.agents)} agents "
            "need an owner within seven days.",
        )
    return HttpResponseRedirect(reverse("leaver"))


def show(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """One of the two pages."""
    status = 400 if request.method == "POST" else 200
    page = {**admin.site.each_context(request), **context}
    return render(request, f"admin/access/{template}.html", page, status=status)
