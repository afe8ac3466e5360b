"""Who can do what: every grant of the workspace's agents, and the same as a file."""

from datetime import timedelta
from typing import Any

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import downloads, matrix
from workspaces.access.matrix import Asked
from workspaces.api.fields import named_error
from workspaces.api.views import VIEW, WorkspaceView
from workspaces.models import Resource, Role, Tool

LONGEST = 3650  # days


class MatrixQuery(Exact):
    """What of the matrix is wanted."""

    agent = serializers.CharField(required=False, max_length=100, help_text="Its id, or a part of its name.")
    tool = serializers.CharField(required=False, max_length=200, help_text="Its id or name.")
    resource = serializers.CharField(required=False, max_length=200, help_text="Its id or name.")
    role = serializers.CharField(required=False, max_length=100, help_text="Its name.")
    expiring = serializers.IntegerField(
        required=False, min_value=1, max_value=LONGEST, help_text="Ends within so many days."
    )
    unused = serializers.IntegerField(
        required=False, min_value=1, max_value=LONGEST, help_text="Not used for so many days."
    )
    after = serializers.CharField(required=False, max_length=100, help_text="The next of the page before.")


class LineDocument(serializers.Serializer[Any]):
    """One way in which an agent may do one thing."""

    agent = serializers.CharField(source="line.agent.public_id")
    agent_name = serializers.CharField(source="line.agent.name")
    permission = serializers.CharField(source="line.permission")
    target = serializers.CharField(source="line.target.public_id")
    name = serializers.CharField(source="line.target.name")
    pattern = serializers.CharField(
        source="line.target.pattern", default=None, allow_null=True, help_text="Null: a tool."
    )
    through = serializers.CharField(
        source="line.through.name",
        default=None,
        allow_null=True,
        help_text="The role that gives it; null: its own.",
    )
    expires_at = serializers.DateTimeField(source="line.expires_at", allow_null=True)
    ended = serializers.BooleanField()
    granted_by = serializers.CharField(source="line.granted_by", help_text="Empty: not noted.")
    granted_at = serializers.DateTimeField(source="line.granted_at", allow_null=True)
    last_used = serializers.DateTimeField(allow_null=True, help_text="Some seconds old.")
    tools = serializers.ListField(
        child=serializers.CharField(), help_text="Of a resource: tools that can use it."
    )


class MatrixDocument(serializers.Serializer[Any]):
    """A page of the matrix."""

    results = LineDocument(many=True)
    next = serializers.CharField(allow_null=True, help_text="The after of the next page; null on the last.")


class Access(WorkspaceView):
    """Who can do what."""

    permission = {"GET": VIEW}
    serializer_class = MatrixDocument
    query_class = MatrixQuery

    def get(self, request: Request, slug: str) -> Response:
        """Every grant, by agent: about a hundred lines a page, and all of an agent on one. A page looks through 500
        agents: go on until ``next`` is null."""
        values, now = self.asked_for(request), timezone.now()
        days = values.get("expiring")
        asked = Asked(
            agent=values.get("agent", ""),
            tool=self.named(Tool, "tool", values),
            resource=self.named(Resource, "resource", values),
            role=self.named(Role, "role", values),
            ending=(now, now + timedelta(days=days)) if days else None,
        )
        part = matrix.part(
            self.workspace, asked, unused=values.get("unused", 0), after=values.get("after", ""), now=now
        )
        return self.shown({"results": part.rows, "next": part.rest})

    def named(self, model: Any, field: str, values: dict[str, Any]) -> Any:
        """The row of the workspace that a parameter names, None where it names nothing. Raises ValidationError."""
        if field not in values:
            return None
        rows = model.objects.filter(workspace=self.workspace)
        row = rows.filter(name=values[field]).first()
        if row is None and model is not Role:
            row = rows.filter(public_id=values[field]).first()
        return named_error(row, field)


class AccessFile(WorkspaceView):
    """Who can do what, as a file."""

    permission = {"POST": VIEW}
    serializer_class = None

    @extend_schema(
        request=None, responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "RFC 4180.")}
    )
    def post(self, request: Request, slug: str) -> HttpResponseBase:
        """The whole matrix as CSV. Taking it along is an entry."""
        return downloads.matrix_file(request._request, self.workspace, actor=self.actor)
