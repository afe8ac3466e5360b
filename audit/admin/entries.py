"""Entries of a log, newest first, one log at a time: their index is what orders and pages them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.module_loading import import_string

from audit import registry
from audit.admin.pages import PortalAdmin
from audit.log import index_at
from audit.models import Entry, Log

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}


class LogFilter(SimpleListFilter):
    """Whose log is read. One always is: entries of several logs have no order that an index knows."""

    title = "workspace"
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        logs = Log.objects.filter(pk__in=model_admin.logs(request)).select_related("workspace")
        found = [(log.workspace.slug, str(log.workspace)) for log in logs]
        return sorted(found, key=lambda pair: pair[1])

    def chosen(self) -> str:
        """The slug that was asked for, or the first."""
        return self.value() or str(self.lookup_choices[0][0]) if self.lookup_choices else ""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for slug, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: slug})
            yield {"selected": slug == self.chosen(), "query_string": query, "display": label}

    def has_output(self) -> bool:
        return True  # without output Django would leave the filter out

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        log_id = Log.objects.filter(workspace__slug=self.chosen()).values_list("pk", flat=True).first()
        return queryset.filter(log_id=log_id)


class SinceFilter(SimpleListFilter):
    """How far back. The log's order is that of its times, so a time is found as an index."""

    title = "time"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(span, f"Last {span}") for span in SPANS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = SPANS.get(self.value() or "")
        if span is None:
            return queryset
        log_id = queryset.order_by("-index").values_list("log_id", flat=True).first()
        return (
            queryset
            if log_id is None
            else queryset.filter(index__gte=index_at(log_id, timezone.now() - span))
        )


class ColumnFilter(SimpleListFilter):
    """Entries with exactly this text in a column, as a link on a page asks for it."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = request.GET.get(self.parameter_name or "")
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class TypeFilter(ColumnFilter):
    title, parameter_name = "type", "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(model_admin.types())]


class ToolFilter(ColumnFilter):
    title, parameter_name = "tool", "tool"


class SessionFilter(ColumnFilter):
    title, parameter_name = "session", "session"


class OutcomeFilter(ColumnFilter):
    title, parameter_name = "outcome", "outcome"


class AgentFilter(ColumnFilter):
    title, parameter_name = "agent", "agent"


class EntryPages(PortalAdmin):
    """Read-only pages of entries. Who may read which log is answered by ``settings.AUDIT_READERS``: only logs
    that a person may read whole are here."""

    list_filter = [LogFilter, SinceFilter, TypeFilter, AgentFilter, ToolFilter, OutcomeFilter, SessionFilter]
    ordering = ["-index"]
    sortable_by = ()
    detail_template = "admin/portal/entry.html"

    def logs(self, request: HttpRequest) -> Iterable[int]:
        """Ids of the logs that the person may read."""
        readable = import_string(settings.AUDIT_READERS)(request.user)
        return [log_id for log_id, agents in readable.items() if agents is None]

    def types(self) -> Iterable[str]:
        """The entry types that these pages show."""
        return registry.entry_types

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(log__in=self.logs(request)).defer("body")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        logs = self.logs(request)
        return obj.log_id in logs if obj is not None else bool(logs)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        entry = self.find(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Entry {entry.index}",
            "subtitle": entry.type,
            "opts": self.opts,
            "entry": entry,
            **self.told(request, entry),
        }
        response = TemplateResponse(request, self.detail_template, context)
        response["Cache-Control"] = "no-store, private"
        return response

    def told(self, request: HttpRequest, entry: Entry) -> dict[str, Any]:
        """What the page of an entry shows."""
        raise NotImplementedError
