"""Logs and their entries, for who may read a log whole: ``settings.AUDIT_READERS`` says which those are."""

import json
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.searching import EntryFilter, FacetsDocument, FacetsQuery, SearchPages, told
from audit.api.views import SIGNED_IN, Listing, PortalView
from audit.log import newest
from audit.models import Entry, Log


class LogDocument(serializers.Serializer[Any]):
    """A log that the person may read."""

    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(Log.Kind.choices)
    size = serializers.SerializerMethodField(help_text="How many entries it has.")

    def get_size(self, log: Log) -> int:
        """Read from the head."""
        return newest(log.pk)


class EntryDocument(serializers.Serializer[Any]):
    """An entry as it is searched for."""

    index = serializers.IntegerField()
    type = serializers.CharField()
    time = serializers.DateTimeField()
    actor = serializers.CharField()
    agent = serializers.CharField(help_text="Public id, or empty.")
    tool = serializers.CharField()
    resource = serializers.CharField()
    outcome = serializers.CharField()
    session = serializers.CharField()
    leaf = serializers.SerializerMethodField(help_text="RFC 6962 leaf hash, in hex.")

    def get_leaf(self, entry: Entry) -> str:
        """The stored hash."""
        return bytes(entry.leaf).hex()


class WholeEntryDocument(EntryDocument):
    """An entry with its body."""

    body = serializers.SerializerMethodField(help_text="Canonical JSON (RFC 8785), exactly as it was hashed.")
    data = serializers.SerializerMethodField(  # type: ignore[assignment]  # taken out of the class
        help_text="The body's data, taken apart."
    )

    def get_body(self, entry: Entry) -> str:
        """The bytes are UTF-8."""
        return bytes(entry.body).decode()

    def get_data(self, entry: Entry) -> dict[str, Any]:
        """For reading; only ``body`` can be hashed."""
        data: dict[str, Any] = json.loads(bytes(entry.body))["data"]
        return data


def readable(request: Request) -> list[int]:
    """Ids of the logs that the person may read whole."""
    logs = import_string(settings.AUDIT_READERS)(request.user)
    return [log_id for log_id, agents in logs.items() if agents is None]


class Logs(Listing):
    """The logs that you may read whole; ``size`` grows with every entry."""

    permission = {"GET": SIGNED_IN}
    serializer_class = LogDocument
    cursor = "uuid"

    def get_queryset(self) -> QuerySet[Log]:
        return Log.objects.filter(pk__in=readable(self.request))


class LogView(PortalView):
    """Something of one log. Raises Http404 for one that the person may not read whole."""

    @cached_property
    def log(self) -> Log:
        found = Log.objects.filter(pk__in=readable(self.request), uuid=self.kwargs["uuid"]).first()
        if found is None:
            raise Http404("There is no such log.")
        return found

    @property
    def log_id(self) -> int:
        """For its pages."""
        return self.log.pk

    def get_queryset(self) -> QuerySet[Entry]:
        return Entry.objects.filter(log=self.log)


class Entries(LogView, Listing):
    """A log's entries, newest first, searched by facets and words."""

    permission = {"GET": SIGNED_IN}
    serializer_class = EntryDocument
    filterset_class = EntryFilter
    pagination_class = SearchPages

    def get_queryset(self) -> QuerySet[Entry]:
        return super().get_queryset().defer("body")


class Facets(LogView):
    """How many entries a search finds, and the values by which it can be narrowed down."""

    permission = {"GET": SIGNED_IN}
    serializer_class = FacetsDocument
    query_class = FacetsQuery

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.shown(told(self.log_id, request, self.asked_for(request)["most"]))


class OneEntry(LogView):
    """One entry with its body."""

    permission = {"GET": SIGNED_IN}
    serializer_class = WholeEntryDocument

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        entry = self.get_queryset().filter(index=kwargs["index"]).first()
        if entry is None:
            raise Http404("The log has no such entry.")
        return Response(self.get_serializer(entry).data)
