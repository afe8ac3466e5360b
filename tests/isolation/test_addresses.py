"""Whoever stands outside of acme finds nothing of it at any address, and no trace that there is something to find.

An address that names something of acme's answers exactly as one that names nothing at all: 404, with the same body
but for the name.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.isolation import names
from tests.isolation.fields import document, documents
from tests.isolation.routes import Route, django_routes
from tests.isolation.visits import Answer, Visitor
from tests.isolation.world import Wall, ghost, grow

pytestmark = pytest.mark.django_db

ADMINISTRATORS = "installation"  # the installation is no workspace's: its administrators see it


def addresses(route: Route, wall: Wall) -> Iterator[tuple[str, str, set[str]]]:
    """(an address that names something of acme's, its twin that names nothing, the words in which they differ).

    Of several parameters each mix of acme's and globex's own is tried, the whole of acme's first.
    """
    ours, theirs = names.values(route, wall.globex), names.values(route, wall.acme)
    for mix in product((True, False), repeat=len(ours)):
        foreign = {
            name for name, taken in zip(ours, mix, strict=True) if taken and ours[name] != theirs[name]
        }
        if not foreign:
            continue
        nothing = {name: ghost(theirs[name]) for name in foreign}
        taken = {name: theirs[name] for name in foreign}
        yield route.address(ours | taken), route.address(ours | nothing), {*taken.values(), *nothing.values()}


def own(route: Route, wall: Wall) -> list[str]:
    """Addresses of a route for the people of globex."""
    if names.is_secret(route):
        return []
    if route.expression:
        return names.listed(route) or []
    return [route.address(names.values(route, wall.globex))]


def walled_routes() -> list[Route]:
    """Those whose addresses name something."""
    routes = [route for route in django_routes() if route.parameters and not route.expression]
    return [route for route in routes if not names.is_secret(route)]


def visitors(wall: Wall) -> list[Visitor]:
    """Somebody with every role next door, a stranger, an administrator, and nobody."""
    return [Visitor(wall.globex.everyone), Visitor(wall.sam), Visitor(wall.root), Visitor(None)]


def test_an_address_of_theirs_answers_as_one_of_nothing(wall: Wall) -> None:
    size, neighbor, *strangers = wall.acme.size(), *visitors(wall)
    for route in walled_routes():
        for number, (address, nowhere, words) in enumerate(addresses(route, wall)):
            for method in route.methods:
                try_address(wall, neighbor, route, method, address, nowhere, words)
                if number == 0:  # who is in no workspace has none of the mixes
                    for visitor in strangers:
                        try_address(wall, visitor, route, method, address, nowhere, words)
    assert wall.acme.size() == size


def try_address(
    wall: Wall, visitor: Visitor, route: Route, method: str, address: str, nowhere: str, words: set[str]
) -> None:
    """Send the same request to both addresses, and compare."""
    body = usual_body(route, method, wall)
    there = visitor.send(method, address, body, json=body is not None)
    where = (visitor.name, method, address)
    assert not wall.leaks(there.without(words)), where
    assert closed(visitor, route, there), (*where, there.status)
    absent = visitor.send(method, nowhere, body, json=body is not None)
    assert (there.status, there.steady(words)) == (absent.status, absent.steady(words)), where


def usual_body(route: Route, method: str, wall: Wall) -> Any:
    """A good body for a method of the API, so that nothing else is wrong with the request; None for a page."""
    if route.view is None or method in ("get", "delete"):
        return None
    taken = documents(route, method)
    return document(route, method, taken[0](), wall.globex) if taken else {}


def closed(visitor: Visitor, route: Route, answer: Answer) -> bool:
    """Whether an answer says nothing: 404, or that the method is none, or where to sign in."""
    if visitor.session == "":
        return answer.status in (302, 401, 403, 405)
    if route.pattern.endswith("<path:object_id>/"):  # Django's old address of a page: it leads on to that
        return answer.status in (302, 404)
    return answer.status in (404, 405)


def test_no_page_of_ours_shows_or_counts_what_is_theirs(wall: Wall) -> None:
    """What acme gains changes no byte of any page on this side: no row, no count, no facet, no number of pages."""
    visits = [
        (visitor, address)
        for visitor in visitors(wall)
        for route in django_routes()
        if "get" in route.methods and ADMINISTRATORS not in route.pattern
        for address in own(route, wall)
    ]
    before = [visitor.send("get", address) for visitor, address in visits]
    grow(wall)
    for (visitor, address), earlier in zip(visits, before, strict=True):
        later = visitor.send("get", address)
        where = (visitor.name, address)
        assert earlier.status < 500, (*where, earlier.status)
        assert not wall.leaks(earlier.text), (*where, wall.leaks(earlier.text))
        assert not wall.leaks(later.text), where
        assert (later.status, later.steady()) == (earlier.status, earlier.steady()), where
