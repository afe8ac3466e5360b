"""What the portal serves and belongs to no admin model: signing in by a link, the live feed, the agents' client."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods

from audit.log import newest
from workspaces.access.pages import public_page, workspace_page
from workspaces.models import User, Workspace
from workspaces.people import LinkRefused, redeem_signin_link

BY_LINK = "came_by_link"  # in a session: no old password is asked for
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
CLIENT = settings.BASE_DIR / "clients" / "python" / "countersign.py"
HISTORY = 200  # entries that the live page begins with


@public_page("the token in the address, which signs in once")
@never_cache
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link. Opening it only shows a button, because mail scanners open links; that signs in."""
    refusal = None
    if request.method == "POST":
        try:
            person = redeem_signin_link(token)
        except LinkRefused as refused:
            refusal = str(refused)
        else:
            login(request, person, backend=MODEL_BACKEND)
            request.session[BY_LINK] = True
            return HttpResponseRedirect(reverse("admin:index"))
    context = {**admin.site.each_context(request), "title": "Sign in", "refusal": refusal}
    response = render(request, "workspaces/sign_in.html", context, status=410 if refusal else 200)
    # The address is a secret, and stays within this origin. Not no-referrer: browsers would then send
    # "Origin: null" with the form, which no CSRF check may accept.
    response["Referrer-Policy"] = "same-origin"
    return response


@public_page("it is the agents' client as it was released, and holds nothing of this installation")
@require_GET
def client(request: HttpRequest) -> FileResponse:
    """The agents' client for Python, so that whoever connects an agent needs an address and a key, and no source."""
    return FileResponse(CLIENT.open("rb"), as_attachment=True, content_type="text/x-python; charset=utf-8")


@workspace_page()
@require_GET
def live(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Decisions of one workspace as they happen."""
    context = {
        **admin.site.each_context(request),
        "title": f"Live: {workspace.name}",
        "workspace": workspace,
        "after": max(-1, newest(workspace.log_id) - 1 - HISTORY),
        "names": names_in(workspace),
    }
    return render(request, "audit/live.html", context)


def names_in(workspace: Workspace) -> dict[str, Any]:
    """Display names by public id: entries name agents and people by ids alone."""
    agents = dict(workspace.agents.values_list("public_id", "name"))
    people = User.objects.filter(memberships__workspace=workspace).distinct()
    return agents | {person.public_id: str(person) for person in people}
