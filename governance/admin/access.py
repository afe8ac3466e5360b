"""Pages about who can do what: the matrix of grants with its CSV, and what one person owns and may decide."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from governance import downloads, matrix, policies
from governance.naming import actor, names_of
from workspaces.access import PERMISSIONS, workspaces_for
from workspaces.access.admin import actor_in
from workspaces.access.matrix import Asked
from workspaces.access.pages import first_workspace, workspace_page
from workspaces.models import Agent, Membership, Resource, Role, Tool, User, Workspace

LONGEST = 3650  # days


class MatrixForm(forms.Form):
    """What of the matrix is wanted. Tools, resources and roles are chosen by name or public id."""

    agent = forms.CharField(required=False, max_length=100, strip=True)
    tool = forms.CharField(required=False, max_length=200)
    resource = forms.CharField(required=False, max_length=200)
    role = forms.CharField(required=False, max_length=100)
    expiring = forms.IntegerField(required=False, min_value=1, max_value=LONGEST, label="Ends within (days)")
    unused = forms.IntegerField(required=False, min_value=1, max_value=LONGEST, label="Unused for (days)")

    def asked(self, workspace: Workspace) -> Asked:
        """The valid form as a question to this workspace. Raises ValidationError for what is not there."""
        values, now = self.cleaned_data, timezone.now()
        days = values["expiring"]
        return Asked(
            agent=values["agent"],
            tool=self.named(Tool, "tool", workspace),
            resource=self.named(Resource, "resource", workspace),
            role=self.named(Role, "role", workspace),
            ending=(now, now + timedelta(days=days)) if days else None,
        )

    def named(self, model: Any, field: str, workspace: Workspace) -> Any:
        """The row of this workspace that a field names, None when it names nothing."""
        name = self.cleaned_data[field]
        if not name:
            return None
        rows = model.objects.filter(workspace=workspace)
        row = rows.filter(name=name).first()
        if row is None and model is not Role:
            row = rows.filter(public_id=name).first()
        if row is None:
            raise forms.ValidationError({field: f"There is no {field} {name!r} in this workspace."})
        return row


overview = first_workspace("access")


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The matrix, a page at a time, by agent."""
    form = MatrixForm(request.GET)
    found: matrix.Part | None = None
    if form.is_valid():
        try:
            found = matrix.part(
                workspace,
                form.asked(workspace),
                unused=form.cleaned_data["unused"] or 0,
                after=request.GET.get("after", "")[:100],
                now=timezone.now(),
            )
        except forms.ValidationError as refusal:
            form.add_error(None, refusal)
    rows = found.rows if found else []
    names = names_of(row.line.granted_by for row in rows)
    query = request.GET.copy()
    query["after"] = found.rest if found and found.rest else ""
    context = {
        **admin.site.each_context(request),
        "title": f"Who can do what: {workspace.name}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user).order_by("name"),
        "form": form,
        "rows": [(row, actor(row.line.granted_by, names)) for row in rows],
        "filtered": any(request.GET.get(name) for name in form.fields),
        "rest": query.urlencode() if found and found.rest is not None else "",
        "is_first": not request.GET.get("after"),
    }
    return render(request, "admin/access/matrix.html", context, status=200 if found else 400)


@workspace_page()
@require_POST
def export(request: HttpRequest, workspace: Workspace) -> StreamingHttpResponse:
    """The whole matrix as a file."""
    return downloads.matrix_file(request, workspace, actor=actor_in(request))


@workspace_page()
@require_GET
def person(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """What one person of the workspace owns there, may do, and may decide."""
    members = User.objects.filter(memberships__workspace=workspace).distinct()
    somebody = members.filter(public_id=public_id).first()
    if somebody is None:
        raise Http404("There is no such person here.")
    held = Membership.objects.filter(workspace=workspace, person=somebody).order_by("role")
    roles = [Membership.Role(row.role) for row in held]
    groups = list(
        workspace.reviewer_groups.filter(members__person=somebody)
        .values_list("name", flat=True)
        .order_by("name")
    )
    agents = Agent.objects.filter(workspace=workspace, owner=somebody).order_by("name")
    context = {
        **admin.site.each_context(request),
        "title": f"What {somebody} may do",
        "workspace": workspace,
        "person": somebody,
        "roles": [(role.label, sorted(PERMISSIONS[role])) for role in roles],
        "groups": groups,
        "agents": agents[: matrix.PAGE],
        "rules": rules_asking(workspace, somebody, groups, owns=agents.exists()),
        "may_decide": any("decide" in PERMISSIONS[role] for role in roles) and somebody.is_active,
    }
    return render(request, "admin/access/person.html", context)


def rules_asking(
    workspace: Workspace, person: User, groups: list[str], *, owns: bool
) -> list[tuple[str, str]]:
    """(rule, as what it asks them) of each rule in force whose reviewers include the person."""
    version = policies.in_force(workspace)
    found = []
    for rule in policies.read(version.content) if version else ():
        named = rule.approval.everybody if rule.approval else ()
        ways = [f"group {group}" for group in groups if f"group:{group}" in named]
        ways += ["by address"] if person.email in (name.lower() for name in named) else []
        ways += ["owner of the agent"] if owns and "owner" in named else []
        if ways:
            found.append((rule.name, ", ".join(ways)))
    return found
