"""The way to a page that is no model's: who may open it is said where it is defined, and is asked before it runs."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET

from workspaces.access.roles import VIEW
from workspaces.access.scoping import NotVisible, get_workspace, operates, workspaces_for

View: TypeAlias = Callable[..., HttpResponseBase]


def workspace_page(permission: str = VIEW) -> Callable[[View], View]:
    """Mark ``view(request, workspace, …)`` as a page below an address with a workspace's ``slug``.

    Who is not signed in is led to the sign-in page; a stranger gets 404, as for a workspace that is not there; who
    sees the workspace but lacks the permission, 403. ``asks`` tells tests and readers what is asked.
    """

    def mark(view: View) -> View:
        @login_required
        @wraps(view)
        def open_page(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return view(request, get_workspace(request.user, slug, permission), *args, **kwargs)

        open_page.asks = permission  # type: ignore[attr-defined]
        return open_page

    return mark


def signed_in_page(view: View) -> View:
    """Mark a page that everybody who is signed in may open, because it shows only what is theirs."""
    open_page = login_required(view)
    open_page.asks = "to be signed in"  # type: ignore[attr-defined]
    return open_page


def first_workspace(page: str, permission: str = VIEW) -> View:
    """The view of a menu's link: to this page of the first workspace in which the person holds the permission, where
    there is one; it leads to the others."""

    @signed_in_page
    @require_GET
    def overview(request: HttpRequest) -> HttpResponse:
        first = workspaces_for(request.user, permission).order_by("name").first()
        if first is None:
            raise NotVisible("You are in no workspace yet, or your roles there do not include this.")
        return HttpResponseRedirect(reverse(page, args=[first.slug]))

    return overview


def operator_page(view: View) -> View:
    """Mark a page of the installation's operators; to everybody else it is not there."""

    @login_required
    @wraps(view)
    def open_page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not operates(request.user):
            raise NotVisible("There is no such page.")
        return view(request, *args, **kwargs)

    open_page.asks = "to operate the installation"  # type: ignore[attr-defined]
    return open_page


def public_page(why: str) -> Callable[[View], View]:
    """Mark a page that opens without a session, and say what guards it instead."""

    def mark(view: View) -> View:
        view.asks = f"nothing: {why}"  # type: ignore[attr-defined]
        return view

    return mark
