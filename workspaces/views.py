"""What the portal serves and belongs to no admin model: signing in by a link, the live feed, the agents' client."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.log import newest
from workspaces import factors, passkeys, sessions
from workspaces.access.pages import public_page, workspace_page
from workspaces.models import User, Workspace
from workspaces.people import LinkRefused, redeem_signin_link

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
            address = sessions.begin(request, person, known_by="link", then=reverse("admin:index"))
            return HttpResponseRedirect(address)
    context = {**admin.site.each_context(request), "title": "Sign in", "refusal": refusal}
    response = render(request, "workspaces/sign_in.html", context, status=410 if refusal else 200)
    # The address is a secret, and stays within this origin. Not no-referrer: browsers would then send
    # "Origin: null" with the form, which no CSRF check may accept.
    response["Referrer-Policy"] = "same-origin"
    return response


@public_page("that its visitor was recognized a moment ago, in this very session")
@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Ask for the second factor of who showed a password, a link or a provider's word; then they are signed in."""
    try:
        person, _ = sessions.halfway_in(request)
        if request.method == "POST":
            factor = passkeys.shown(request.POST, request.session, person, purpose="sign_in")
            if factor is not None:
                return HttpResponseRedirect(sessions.go_on(request, factor))
    except sessions.NotGoingOn as over:
        messages.error(request, str(over))
        return HttpResponseRedirect(reverse("admin:login"))
    except factors.TooManyCodes as refusal:
        return code_page(request, person, str(refusal), status=429)
    return code_page(request, person, factors.WRONG if request.method == "POST" else "")


@public_page("that its visitor was recognized in this very session")
@never_cache
@require_POST
def passkey_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to use a passkey of who is signed in, or halfway."""
    try:
        person = request.user if isinstance(request.user, User) else sessions.halfway_in(request)[0]
    except sessions.NotGoingOn as over:
        raise Http404(str(over)) from None
    if not passkeys.available() or not passkeys.of(person):
        raise Http404("You have no passkey.")
    return JsonResponse(passkeys.ask(request.session, person))


def code_page(request: HttpRequest, person: User, problem: str, status: int = 200) -> HttpResponse:
    """The page that asks for a code or a passkey, with what was wrong with the last."""
    context = {
        **admin.site.each_context(request),
        "title": "Confirm who you are",
        "problem": problem,
        "has_passkey": passkeys.available() and bool(passkeys.of(person)),
    }
    return render(request, "workspaces/sign_in_code.html", context, status=status)


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
