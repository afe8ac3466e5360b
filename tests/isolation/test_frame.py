"""Every route is known, and says who may open it. A new one fails here until it does."""

import pytest
from django.contrib import admin
from django.views.generic import RedirectView

from audit.admin.entries import EntryPages
from gate import app
from tests.isolation import names
from tests.isolation.routes import Route, django_routes, gate_routes
from tests.isolation.world import Wall
from workspaces.access.admin import ScopedAdmin

pytestmark = pytest.mark.django_db

# What the gate answers, and what opens it. A path that names nothing of a workspace stays the same for everybody.
GATE = {
    "/v1/check": "an agent's key",
    "/v1/decisions/{decision}/outcome": "an agent's key",
    "/v1/approvals/{approval}": "an agent's key",
    "/v1/approvals/{approval}/events": "an agent's key",
    "/v1/approvals/{approval}/cancel": "an agent's key",
    "/v1/approvals/{approval}/reply": "an agent's key",
    "/v1/access-requests": "an agent's key",
    "/v1/access-requests/{request}": "an agent's key",
    "/v1/me": "an agent's key",
    "/healthz": "nothing: it names nobody",
    "/readyz": "nothing: it names nobody",
}


def asked_by(route: Route) -> str:
    """What a route asks of who opens it; empty where it does not say."""
    if route.pages is not None:
        return "ScopedAdmin" if isinstance(route.pages, ScopedAdmin) or is_log(route) else ""
    if route.view is not None:
        asked = getattr(route.view, "permission", None)
        told = asked is not None and {each.upper() for each in route.methods} <= set(asked)
        return f"by method: {asked}" if told else ""
    for layer in route.layers:
        if asks := getattr(layer, "asks", ""):
            return str(asks)
    if route.pattern.startswith("admin/") and route.name in names.SITE:
        return names.SITE[route.name]
    if getattr(route.answers, "view_class", None) is RedirectView or route.pattern == "admin/(?P<url>.*)$":
        return "nothing: it only leads on"
    return ""


def is_log(route: Route) -> bool:
    """The pages of entries: audit knows no workspace, and asks ``settings.AUDIT_READERS`` instead."""
    return isinstance(route.pages, EntryPages)


def test_every_route_can_be_filled_for_both_sides(wall: Wall) -> None:
    for route in django_routes():
        if route.expression:
            assert names.listed(route), (
                f"/{route.pattern} is a regular expression: list addresses of it under EXPRESSIONS in"
                " tests/isolation/names.py."
            )
        elif not names.is_secret(route):
            for side in (wall.acme, wall.globex):
                names.values(route, side)


def test_every_view_says_who_may_open_it() -> None:
    silent = [f"{route} ({route.answers})" for route in django_routes() if not asked_by(route)]
    assert not silent, (
        "No explicit permission: models' pages subclass ScopedAdmin, other pages are marked by workspaces.access.pages,"
        " API views have a `permission` for each method: " + "; ".join(silent)
    )


def test_every_model_in_the_admin_is_scoped() -> None:
    for model, pages in admin.site._registry.items():
        assert isinstance(pages, ScopedAdmin) or model._meta.app_label in ("audit", "governance"), model


def test_the_gate_has_no_route_that_this_test_does_not_know() -> None:
    assert set(gate_routes()) == set(GATE), "Say in GATE what opens the new path, and try it in test_gate.py."
    assert app.CHECK in GATE
