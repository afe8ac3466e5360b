"""What every page of the admin has in common: closed unless opened, and silent about what is not there.

Nothing here knows people; ``workspaces.access.admin`` says who may do what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.admin import SimpleListFilter
from django.core.paginator import Paginator
from django.db.models import Model
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.admin import BaseModelAdmin, ModelAdmin
from unfold.decorators import display as unfold_display
from unfold.views import ChangeList

COUNTED = 5_000  # rows that a list counts; further back, filters lead


Method = TypeVar("Method", bound=Callable[..., Any])


def display(**options: Any) -> Callable[[Method], Method]:
    """unfold's ``display`` for a column or field: ``description``, ``ordering``, ``label``."""
    decorate: Callable[[Method], Method] = unfold_display(**options)
    return decorate


class BoundedPaginator(Paginator):
    """Pages that stop at a bound, so that neither counting nor skipping grows with the table."""

    @cached_property
    def count(self) -> int:
        """Rows up to the bound."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


class PortalChangeList(ChangeList):
    """A list that never counts beyond what it pages through, named after what it lists."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class Unlocked(BaseModelAdmin):
    """Django's pages without its transaction around a whole POST: on SQLite that is the one writer's turn, for which
    every decision would wait while a form is read and judged. Each change has a transaction of its own."""

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        response: HttpResponse = self._changeform_view(request, object_id, form_url, extra_context)
        return response


class PortalAdmin(ModelAdmin, Unlocked):
    """A model's pages: 404 for what is not visible, no bulk actions, no history beside the log's, and no
    lookups but those of the filters. Everything is refused until a subclass allows it."""

    actions = None
    list_per_page = 50
    list_max_show_all = 0
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = False
    list_filter_sheet = True

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """The visible object of this key. Raises Http404."""
        obj = self.get_object(request, object_id)
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404("There is no such thing, or it is not yours to see.")
        return obj

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Http404("There is nothing here for you.")
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is not None:
            self.find(request, object_id)
        elif not self.has_view_permission(request):
            raise Http404("There is nothing here for you.")
        extra = {"show_save_and_add_another": False, "show_save_as_new": False, **(extra_context or {})}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, extra)
        return response

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        self.find(request, object_id)
        response: HttpResponse = super().delete_view(request, object_id, extra_context)
        return response

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("The workspace's log is the history.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PortalChangeList

    def get_urls(self) -> list[URLPattern]:
        """Without the history's address, which only the admin's own log would fill."""
        return [
            pattern
            for pattern in super().get_urls()
            if not str(getattr(pattern, "name", "")).endswith("_history")
        ]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what the filters ask for: a lookup of any other column could be used to guess at it."""
        filters = self.get_list_filter(request)
        return lookup in {
            each.parameter_name
            for each in filters
            if isinstance(each, type) and issubclass(each, SimpleListFilter)
        }

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What a deletion takes along is said by ``deletion_warning``, not by a walk through the tables."""
        return [str(obj) for obj in objs], {}, set(), []

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        raise NotImplementedError("Nothing is deleted in bulk.")

    def save_model(self, request: HttpRequest, obj: Model, form: ModelForm[Any], change: bool) -> None:
        raise NotImplementedError("A change goes through a function that writes its entry.")

    def log_addition(self, *args: Any) -> None:
        """The workspace's log has it."""

    log_change = log_addition

    def log_deletions(self, *args: Any) -> None:
        """The workspace's log has it."""
