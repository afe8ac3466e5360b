"""Every address there is: Django's URL patterns (pages, the admin's registry, the API) and the gate's routes.

Nothing is listed here by hand, so a route that is added is walked by the sweep, or fails it.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from rest_framework.views import APIView

from gate.app import router

ROOTS = ("audit", "workspaces", "billing", "governance", "config", "gate")
PLACEHOLDER = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """One pattern: its whole text, such as ``admin/live/<slug:slug>/``, its name and what answers it."""

    pattern: str
    name: str
    answers: Callable[..., Any]
    expression: bool = False  # a regular expression rather than a path

    def __str__(self) -> str:
        return "/" + self.pattern

    @cached_property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """(segment before it, name) of each parameter; the segment says what the parameter names."""
        found = []
        for match in PLACEHOLDER.finditer(self.pattern):
            before = self.pattern[: match.start()].rstrip("/").rpartition("/")[2]
            found.append((PLACEHOLDER.sub("<>", before), match["name"]))
        return tuple(found)

    def address(self, values: dict[str, str]) -> str:
        """The path with these values in place of its parameters."""
        return "/" + PLACEHOLDER.sub(lambda match: values[match["name"]], self.pattern)

    @cached_property
    def layers(self) -> list[Callable[..., Any]]:
        """What answers, and everything that it wraps."""
        layers: list[Callable[..., Any]] = []
        layer: Callable[..., Any] | None = self.answers
        while layer is not None:
            layers.append(layer)
            layer = getattr(layer, "__wrapped__", None)
        return layers

    @cached_property
    def pages(self) -> ModelAdmin[Any] | None:
        """The model's pages that a route of the admin belongs to."""
        if not self.pattern.startswith("admin/"):
            return None
        for model, pages in admin.site._registry.items():
            if self.pattern.startswith(f"admin/{model._meta.app_label}/{model._meta.model_name}/"):
                return pages
        return None

    @cached_property
    def view(self) -> type[APIView] | None:
        """The class of an API's view."""
        for layer in self.layers:
            found = getattr(layer, "cls", None) or getattr(layer, "view_class", None)
            if isinstance(found, type) and issubclass(found, APIView):
                return found
        return None

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods that are worth a try: those of the API's view, or what a browser sends."""
        if self.view is None:
            return ("get", "post")
        return tuple(each for each in METHODS if hasattr(self.view, each))

    @cached_property
    def action(self) -> str | None:
        """The last part of an address below an object of the admin: ``change``, or a button's name."""
        match = re.search(r"<path:object_id>/([a-z0-9_-]+)/$", self.pattern)
        return match[1] if match else None

    @cached_property
    def modules(self) -> list[str]:
        """Our own code that may read the request: modules of the view and of the classes it inherits from."""
        owner = type(self.pages) if self.pages else self.view
        found = [cls.__module__ for cls in owner.__mro__] if owner else []
        found += [layer.__module__ for layer in self.layers if hasattr(layer, "__module__")]
        return [name for name in dict.fromkeys(found) if name.split(".")[0] in ROOTS]

    @property
    def sources(self) -> list[str]:
        """The texts of those modules."""
        return [source_of(name) for name in self.modules]


@cache
def source_of(name: str) -> str:
    """A module's text."""
    module: ModuleType = __import__(name, fromlist=["_"])
    return inspect.getsource(module)


def django_routes() -> list[Route]:
    """Every pattern of the URL configuration."""
    return list(walk(get_resolver().url_patterns, ""))


def walk(patterns: list[Any], prefix: str) -> Iterator[Route]:
    """The patterns below a prefix, whole."""
    for each in patterns:
        plain = isinstance(each.pattern, RoutePattern)
        text = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from walk(each.url_patterns, text)
        elif isinstance(each, URLPattern):
            yield Route(text, each.name or "", each.callback, expression=not plain)


def gate_routes() -> list[str]:
    """The paths of the agents' front door."""
    return [str(getattr(route, "path", route)) for route in router.routes]
