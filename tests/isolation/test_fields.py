"""In every filter, search, form, button and body, what is theirs counts as what is not there."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.isolation import names
from tests.isolation.fields import (
    body_names,
    changed,
    document,
    documents,
    foreign,
    good,
    joints,
    query_names,
    variants,
)
from tests.isolation.routes import Route, django_routes
from tests.isolation.visits import Answer, Visitor
from tests.isolation.world import CANARY, Wall, ghost

pytestmark = pytest.mark.django_db

# Columns that are no filters: whoever could filter by them could guess at them.
GUESSES = [
    "id__exact",
    "pk__in",
    "workspace__name__startswith",
    "workspace__slug",
    "owner__password__startswith",
]


def own_address(route: Route, wall: Wall) -> str:
    return route.address(names.values(route, wall.globex))


def open_routes(method: str) -> list[Route]:
    """The routes whose addresses are no secrets and no patterns."""
    return [
        route
        for route in django_routes()
        if method in route.methods and not route.expression and not names.is_secret(route)
    ]


def compare(wall: Wall, where: Any, there: Answer, absent: Answer, words: set[str]) -> None:
    """Both answers are one and the same but for the words, and neither has a trace of acme."""
    rest = there.without(words)
    assert there.status < 500, (*where, there.status)
    assert not wall.leaks(rest), (
        *where,
        [rest[max(0, rest.find(each) - 60) :][:120] for each in wall.leaks(rest)],
    )
    assert (there.status, there.steady(words)) == (absent.status, absent.steady(words)), where


def test_a_filter_or_search_for_theirs_finds_as_little_as_one_for_nothing(wall: Wall) -> None:
    visitor = Visitor(wall.globex.everyone)
    for route in open_routes("get"):
        address = own_address(route, wall)
        for name in query_names(route):
            for word in foreign(name, None, wall.acme):
                there = visitor.send("get", address, {name: word})
                absent = visitor.send("get", address, {name: ghost(word)})
                compare(wall, (address, name, word), there, absent, {word, ghost(word)})


def test_no_column_can_be_guessed_at(wall: Wall) -> None:
    visitor = Visitor(wall.globex.everyone)
    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for name in GUESSES:
            answer = visitor.send("get", address, {name: "4"})
            assert answer.status in (302, 400, 404), (address, name, answer.status)
            assert not wall.leaks(answer.text), (address, name)


def test_autocomplete_completes_nothing_of_theirs(wall: Wall) -> None:
    visitor = Visitor(wall.globex.everyone)
    for model in admin.site._registry:
        for field in (each for each in model._meta.get_fields() if each.concrete):
            query = {
                "app_label": model._meta.app_label,
                "model_name": str(model._meta.model_name),
                "field_name": field.name,
                "term": CANARY,
            }
            answer = visitor.send("get", reverse("admin:autocomplete"), query)
            empty = '"results": []' in answer.text
            assert answer.status in (403, 404) or (answer.status == 200 and empty), (query, answer.text)
            assert not wall.leaks(answer.without([CANARY])), query


def bodies(route: Route, method: str, wall: Wall) -> Iterator[tuple[Any, Callable[[str], Any], list[str]]]:
    """(where in the body, what makes a good body with another word there, the words that name acme's)."""
    if route.view is not None:
        for serializer in documents(route, method):
            usual = document(route, method, serializer(), wall.globex)
            for path, name in variants(usual):
                yield path, partial(changed, usual, path), foreign(name, None, wall.acme)
        return
    fields = body_names(route, wall.globex.everyone, wall.globex)
    filled = {name: good(name, kind, wall.globex) for name, kind in fields.items()}
    for name, kind in fields.items():
        yield name, partial(changed, filled, (name,)), foreign(name, kind, wall.acme)


def test_a_body_that_names_theirs_is_refused_as_one_that_names_nothing(wall: Wall) -> None:
    visitor, before, size = Visitor(wall.globex.everyone), joints(), wall.acme.size()
    for method in ("post", "put", "patch", "delete"):
        for route in open_routes(method):
            if route.name in names.SITE and route.pages is None:
                continue  # credentials, and nothing that belongs to a workspace
            address, as_json = own_address(route, wall), route.view is not None
            for place, body, spellings in bodies(route, method, wall):
                for word in spellings[
                    : -1 if as_json and len(spellings) > 1 else None
                ]:  # no API takes a primary key
                    there = visitor.send(method, address, body(word), json=as_json)
                    absent = visitor.send(method, address, body(ghost(word)), json=as_json)
                    where = (method, address, place, word)
                    compare(wall, where, there, absent, {word, ghost(word)})
                    assert there.joints == before, f"{where}: it joined something of acme's."
    assert wall.acme.size() == size
