"""What a route reads of a request: filters, form fields and body fields, found in the code that reads them."""

import inspect
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.db import connection, models
from django.test import RequestFactory
from django.utils import timezone
from rest_framework import serializers

from audit.api.problems import Exact
from tests.isolation import names
from tests.isolation.names import Unknown
from tests.isolation.routes import Route
from tests.isolation.world import Kind, Side
from workspaces.models import User

READ = r"""\.{part}(?:\.get|\.getlist|\.pop)?[\[(]\s*["'](\w+)["']|["'](\w+)["'] in \w*\.?{part}\b"""
QUERY = [re.compile(READ.format(part=part)) for part in ("GET", "query_params")]
BODY = [re.compile(READ.format(part=part)) for part in ("POST", "data")]
OWN_ADMIN_NAMES = {"_changelist_filters", "_popup", "_to_field"}


def query_names(route: Route) -> list[str]:
    """What a route reads of its address's query."""
    found = read_in(route.sources, QUERY)
    if route.pages is not None and route.name.endswith("_changelist"):
        filters = [each for each in route.pages.list_filter if isinstance(each, type)]
        found += [str(each.parameter_name) for each in filters if issubclass(each, SimpleListFilter)]
        found += ["q"] if route.pages.search_fields else []
    if (filterset := getattr(route.view, "filterset_class", None)) is not None:
        found += list(filterset.base_filters)
    if (asked := getattr(route.view, "query_class", None)) is not None:
        found += list(asked().fields)
    return known(route, found)


def body_names(route: Route, person: User, side: Side) -> dict[str, Kind | None]:
    """What a page reads of a form; with the kind of row that a field offers by its primary key, if it does."""
    if route.pages is not None and route.name.endswith(("_add", "_change")):
        found = admin_form(route, person, side)
    else:
        found = dict.fromkeys([*read_in(route.sources, BODY), *in_forms(route)], None)
    known(route, [name for name, kind in found.items() if kind is None])
    return found


def known(route: Route, found: Iterable[str]) -> list[str]:
    """The names again, once each. Raises Unknown for one that nobody has explained."""
    for name in (listed := list(dict.fromkeys(found))):
        if name not in names.NAMES and name not in names.PLAIN and name not in OWN_ADMIN_NAMES:
            raise Unknown(
                f"{route} reads {name!r}: does it name something of a workspace? Say so in NAMES, or give it a good"
                " value in PLAIN, in tests/isolation/names.py."
            )
    return listed


def read_in(sources: list[str], expressions: list[re.Pattern[str]]) -> list[str]:
    """Names that code takes out of a request by themselves."""
    return [
        first or second
        for text in sources
        for expression in expressions
        for first, second in expression.findall(text)
    ]


def in_forms(route: Route) -> Iterator[str]:
    """Fields of the plain forms that a route's modules know."""
    for module in map(module_of, route.modules):
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, forms.Form) and each.__module__ == module.__name__:
                yield from each.base_fields


def admin_form(route: Route, person: User, side: Side) -> dict[str, Kind | None]:
    """The fields of a model's form, as the admin makes it for a person."""
    assert route.pages is not None
    request = RequestFactory().get("/")
    request.user = person
    obj = side.rows[route.pages.model] if route.name.endswith("_change") else None
    if not (
        route.pages.has_change_permission(request, obj) if obj else route.pages.has_add_permission(request)
    ):
        return {}
    form = route.pages.get_form(request, obj)(instance=obj)
    return {name: model_of(field) for name, field in form.fields.items()}


def model_of(field: Any) -> Kind | None:
    """The model whose rows a field offers."""
    queryset = getattr(field, "queryset", None)
    return queryset.model if queryset is not None else None


def documents(route: Route, method: str) -> list[type[Exact]]:
    """The documents that a method of an API's view takes: those it names, else those of its view."""
    view = route.view
    assert view is not None
    handler = getattr(view, method)
    for text, module in [
        (inspect.getsource(inspect.unwrap(handler)), handler.__module__),
        (inspect.getsource(view), view.__module__),
    ]:
        known_there = vars(module_of(module)).items()
        taken = [each for name, each in known_there if is_document(each) and re.search(rf"\b{name}\b", text)]
        if taken:
            return taken
    usual: Any = getattr(view, "serializer_class", None)
    return [usual] if is_document(usual) else []


def is_document(each: Any) -> bool:
    """Whether it is a serializer that takes bodies, which refuses what it does not know."""
    return isinstance(each, type) and issubclass(each, Exact) and each is not Exact


def document(
    route: Route, method: str, serializer: serializers.Serializer[Any], side: Side
) -> dict[str, Any]:
    """A good body: each field with a value of its kind, names with what is the side's own."""
    fields = [
        field
        for field in serializer.fields.values()
        if not field.read_only and (field.required or not isinstance(field, serializers.DateTimeField))
    ]
    known(route, [str(field.field_name) for field in fields if isinstance(field, serializers.CharField)])
    return {
        str(field.field_name): valued(route, method, field, str(field.field_name), side) for field in fields
    }


def valued(route: Route, method: str, field: Any, name: str, side: Side) -> Any:
    """A good value of one field."""
    if name == "name" and method == "put":
        return getattr(side.rows[names.SEGMENTS[route.parameters[-1][0]]], "name", "")
    if name in names.NAMES and not isinstance(field, serializers.ListField):
        return names.NAMES[name](side)[0]
    match field:
        case serializers.ListField():
            return [valued(route, method, field.child, name, side)]
        case serializers.ListSerializer():
            child: Any = field.child
            return [document(route, method, child, side)]
        case serializers.Serializer():
            return document(route, method, field, side)
        case serializers.MultipleChoiceField():
            return [next(iter(field.choices))]
        case serializers.ChoiceField():
            return names.PLAIN.get(name) or next(iter(field.choices))
        case serializers.BooleanField():
            return False
        case serializers.IntegerField():
            return field.min_value or 1
        case serializers.DateTimeField():
            return (timezone.now() + timedelta(days=1)).isoformat()
        case serializers.DictField():
            return {}
        case serializers.JSONField():
            return names.JSON.get(name)
        case _:
            return names.PLAIN.get(name, "words")


def variants(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(path, name) of each leaf of a body that names something."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        here = (*path, key)
        if isinstance(value, (dict, list)):
            yield from variants(value, here)
        elif (name := next((part for part in reversed(here) if isinstance(part, str)), "")) in names.NAMES:
            yield here, name


def changed(body: Any, path: tuple[Any, ...], value: str) -> Any:
    """The body with another value at one place."""
    if not path:
        return value
    copy = dict(body) if isinstance(body, dict) else list(body)
    copy[path[0]] = changed(body[path[0]], path[1:], value)
    return copy


def module_of(name: str) -> ModuleType:
    """A module by its name."""
    return __import__(name, fromlist=["_"])


def good(name: str, kind: Kind | None, side: Side) -> str:
    """A good value of a field, with what is the side's own."""
    if kind is not None:
        return str(side.rows[kind].pk) if kind in side.rows else ""
    return names.NAMES[name](side)[0] if name in names.NAMES else names.PLAIN.get(name, "")


def foreign(name: str, kind: Kind | None, side: Side) -> list[str]:
    """What would name something of that side in a field."""
    if kind is not None:
        return [str(side.rows[kind].pk)] if kind in side.rows else []
    return names.NAMES[name](side) if name in names.NAMES else []


def joints() -> int:
    """How many references there are to rows of acme, whose primary keys are canary numbers."""
    first, last = 471_100_000, 471_199_999
    counts = [
        f'SELECT count(*) AS n FROM "{table}" WHERE "{column}" BETWEEN {first} AND {last}'
        for table, column in references()
    ]
    with connection.cursor() as cursor:
        total = 0
        for start in range(0, len(counts), 50):
            cursor.execute(
                f"SELECT sum(n) FROM ({' UNION ALL '.join(counts[start : start + 50])}) AS all_of_them"
            )
            total += int(cursor.fetchone()[0] or 0)
    return total


@cache
def references() -> tuple[tuple[str, str], ...]:
    """(table, column) of every foreign key."""
    found = connection.introspection.installed_models(connection.introspection.table_names())
    return tuple(
        sorted(
            (model._meta.db_table, field.column)
            for model in found
            for field in model._meta.local_fields
            if isinstance(field, models.ForeignKey)
        )
    )
