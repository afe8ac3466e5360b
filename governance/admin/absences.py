"""Who is away, and who answers in their place: everybody records their own absence, owners anybody's."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from governance import absences
from governance.presentation import zone_of
from governance.reviewers import answerers
from workspaces.access import Forbidden, may, workspaces_for
from workspaces.access.admin import actor_in, person_of, sentences
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import User, Workspace

SHOWN = 200
OFFERED = 200  # people whom a field suggests
WHEN = "%Y-%m-%dT%H:%M"


def moment_field(label: str, **options: Any) -> forms.DateTimeField:
    """A field for a time in the workspace's zone."""
    widget = forms.DateTimeInput(format=WHEN, attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, widget=widget, **options)


def address_field(label: str, suggestions: str, **options: Any) -> forms.EmailField:
    """A field for somebody's address, with a list that suggests some."""
    widget = forms.EmailInput(attrs={"list": suggestions, "autocomplete": "off"})
    return forms.EmailField(label=label, widget=widget, **options)


class AbsenceForm(forms.Form):
    """When somebody is away, and who answers meanwhile. Times are the workspace's."""

    person = address_field("Who is away, by address", "absence-people", required=False)
    starts = moment_field("From (empty: now)", required=False)
    ends = moment_field("Until")
    deputy = address_field(
        "Who answers in their place, by address (empty: nobody)", "absence-deputies", required=False
    )
    note = forms.CharField(
        max_length=absences.LONGEST_NOTE,
        required=False,
        label="Note, for you and the owners (need not say why)",
    )

    def __init__(self, workspace: Workspace, visitor: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace, self.visitor = workspace, visitor
        if not may(visitor, "manage_members", workspace):
            del self.fields["person"]

    def clean_person(self) -> User:
        return self.found("person") or self.visitor

    def clean_deputy(self) -> User | None:
        return self.found("deputy")

    def clean_starts(self) -> datetime:
        return self.cleaned_data["starts"] or timezone.now()

    def found(self, field: str) -> User | None:
        """The member of this address. Strangers are told of as nobody is."""
        if not (email := self.cleaned_data[field].lower()):
            return None
        members = User.objects.filter(memberships__workspace=self.workspace, email=email)
        if (person := members.distinct().first()) is None:
            raise ValidationError("Nobody of this workspace has this address.")
        return person


overview = first_workspace("absences")


@workspace_page()
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Who is away and will be; GET shows, POST records."""
    visitor, zone = person_of(request), zone_of(workspace.timezone)
    with timezone.override(zone):
        form = AbsenceForm(workspace, visitor, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid() and record(request, workspace, form):
            return HttpResponseRedirect(reverse("absences", args=[workspace.slug]))
        now = timezone.now()
        manages = may(visitor, "manage_members", workspace)
        rows = list(absences.ahead(workspace, now)[:SHOWN])
        context = {
            **admin.site.each_context(request),
            "title": f"Who is away: {workspace}",
            "workspace": workspace,
            "workspaces": workspaces_for(visitor).order_by("name"),
            "rows": [(row, row.starts <= now, manages or row.person_id == visitor.pk) for row in rows],
            "form": form,
            "zone": zone,
            "people": members(workspace) if manages else (),
            "deputies": answerers(workspace).exclude(pk=visitor.pk).order_by("email")[:OFFERED],
        }
        return render(request, "admin/access/absences.html", context, status=400 if form.errors else 200)


def members(workspace: Workspace) -> list[User]:
    """Active members, as many as a field suggests."""
    rows = User.objects.filter(memberships__workspace=workspace, is_active=True)
    return list(rows.distinct().order_by("email")[:OFFERED])


def record(request: HttpRequest, workspace: Workspace, form: AbsenceForm) -> bool:
    """Record what the form says; False with the form's errors where it is refused."""
    values = form.cleaned_data
    person = values.get("person") or form.visitor
    try:
        row = absences.record(
            workspace,
            person,
            starts=values["starts"],
            ends=values["ends"],
            deputy=values["deputy"],
            note=values["note"],
            actor=actor_in(request),
        )
    except ValidationError as refusal:
        for field, sentence in sentences(refusal):
            form.add_error(field if field in form.fields else None, sentence)
        return False
    messages.success(request, f"{row.person} is away until {timezone.localtime(row.ends):%F %H:%M}.")
    return True


@workspace_page()
@require_POST
def end(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Somebody is back. Raises Forbidden for who may not say so."""
    row = workspace.absences.select_related("workspace", "person").filter(public_id=public_id).first()
    if row is None:
        raise Http404("There is no such absence.")
    if not absences.may_record(person_of(request), workspace, row.person):
        raise Forbidden("Only the person and owners of the workspace say that somebody is back.")
    try:
        absences.end(row, actor=actor_in(request))
    except absences.AbsenceOver as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{row.person} is back.")
    return HttpResponseRedirect(reverse("absences", args=[workspace.slug]))
