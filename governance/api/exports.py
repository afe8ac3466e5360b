"""Files of a part of the log: asked for, watched, downloaded."""

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit import exports
from audit.api.problems import Exact
from audit.api.views import Listing
from audit.models import Export
from governance import downloads
from workspaces.api.views import WorkspaceView, found
from workspaces.models import Agent

EXPORT = "export_log"


class OnlyDocument(Exact):
    """Exact texts that an entry has in its columns; a bundle or a pack takes none."""

    type = serializers.CharField(max_length=64, required=False)
    agent = serializers.CharField(max_length=40, required=False, help_text="Public id.")
    outcome = serializers.CharField(max_length=40, required=False)

    def validate_agent(self, public_id: str) -> str:
        """An agent of the workspace."""
        agents = Agent.objects.filter(workspace=self.context["view"].workspace)
        if not agents.filter(public_id=public_id).exists():
            raise serializers.ValidationError("No agent here has this id.")
        return public_id


class ExportDocument(Exact):
    """An export."""

    id = serializers.CharField(source="public_id", read_only=True)
    format = serializers.ChoiceField(Export.Kind.choices, source="kind")
    since = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Nothing earlier."
    )
    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Only what is earlier."
    )
    only = OnlyDocument(required=False)
    status = serializers.ChoiceField(Export.Status.choices, read_only=True)
    percent = serializers.SerializerMethodField(help_text="How much of it is made.")
    first = serializers.IntegerField(read_only=True, help_text="Index of the first entry.")
    end = serializers.IntegerField(read_only=True, help_text="Index after the last.")
    size = serializers.IntegerField(source="written", read_only=True, help_text="Bytes so far.")
    requested_by = serializers.CharField(source="requested_by.public_id", read_only=True)
    created = serializers.DateTimeField(read_only=True)
    finished = serializers.DateTimeField(read_only=True, allow_null=True)
    expires = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When the file is deleted."
    )
    error = serializers.CharField(read_only=True)

    def get_percent(self, export: Export) -> int:
        """By entries."""
        return exports.percent(export)


class ExportRows(WorkspaceView):
    """The exports of the workspace's log."""

    serializer_class: Any = ExportDocument

    def get_queryset(self) -> QuerySet[Any]:
        return Export.objects.filter(log_id=self.workspace.log_id).select_related("requested_by")

    def export(self) -> Export:
        """The export of the address. Raises NotVisible."""
        row: Export = found(self.get_queryset().filter(public_id=self.kwargs["export"]).first(), "export")
        return row


class Exports(ExportRows, CreateModelMixin, Listing):
    """The exports of the workspace's log, the newest first."""

    permission = {"GET": EXPORT, "POST": EXPORT}
    order = "-pk"

    def post(self, request: Request, slug: str) -> Response:
        """Have the worker make a file of a part of the log. It is an entry, and each download of the file is one."""
        values = self.read(request)
        row = exports.start(
            self.workspace.log_id,
            kind=values["kind"],
            person=self.person,
            actor=self.actor,
            since=values["since"],
            until=values["until"],
            only=dict(values.get("only", {})),
        )
        return self.shown(row, created=True)


class OneExport(ExportRows):
    """One export."""

    permission = {"GET": EXPORT}

    def get(self, request: Request, slug: str, export: str) -> Response:
        """How far it is."""
        return self.shown(self.export())


class ExportFile(ExportRows):
    """The file of an export."""

    permission = {"POST": EXPORT}

    @extend_schema(
        request=None,
        responses={(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY, "The file.")},
    )
    def post(self, request: Request, slug: str, export: str) -> HttpResponseBase:
        """Download the file of an export that you asked for. Each download is an entry."""
        return downloads.export_file(request._request, self.export(), self.person)
