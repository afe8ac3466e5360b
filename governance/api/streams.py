"""Streams of the log: set up, watched, paused, removed."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit import streams
from audit.api.problems import Exact
from audit.api.views import Listing
from audit.models import Stream
from workspaces.access import may
from workspaces.api.views import WorkspaceView, found

EXPORT, CHANGE = "export_log", "publish_policy"


class StreamDocument(Exact):
    """A stream of the log, and how it is doing."""

    id = serializers.CharField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=streams.LONGEST_NAME)
    sink = serializers.ChoiceField(Stream.Kind.choices, source="kind")
    url = serializers.CharField(
        max_length=2000,
        required=False,
        allow_blank=True,
        default="",
        help_text="Of a webhook: https. It is shown without its query, and to who may not change it, without its path.",
    )
    format = serializers.ChoiceField(Stream.Format.choices, default=Stream.Format.JSONL)
    types = serializers.ListField(
        child=serializers.CharField(max_length=64),
        max_length=streams.MOST_TYPES,
        default=list,
        help_text="Send entries of these types only; governance.approval.* stands for all that begin so. All if empty.",
    )
    from_start = serializers.BooleanField(
        write_only=True, default=False, help_text="From the first entry of the log, not the next."
    )
    paused = serializers.BooleanField(read_only=True)
    health = serializers.SerializerMethodField(help_text="well, behind, failing or paused.")
    next = serializers.IntegerField(source="cursor.next", read_only=True, help_text="Index.")
    delivered_at = serializers.DateTimeField(source="cursor.delivered_at", read_only=True, allow_null=True)
    failing_since = serializers.DateTimeField(source="cursor.failing_since", read_only=True, allow_null=True)
    error = serializers.CharField(source="cursor.error", read_only=True)
    test_result = serializers.CharField(source="cursor.test_result", read_only=True)
    dead_letters = serializers.IntegerField(
        source="dead", read_only=True, help_text="Entries refused for good."
    )

    def to_representation(self, stream: Stream) -> dict[str, Any]:
        """Without what in its address may be a password."""
        told: dict[str, Any] = super().to_representation(stream)
        view = self.context["view"]
        return told | {"url": streams.address(stream, whole=may(view.person, CHANGE, view.workspace))}

    def get_health(self, stream: Any) -> str:
        """Beside the log's size now."""
        return streams.health(stream, stream.size)


class NewStreamDocument(StreamDocument):
    """A stream with its secret, which is shown this once."""

    secret = serializers.CharField(read_only=True, help_text="whsec_…, or empty for a file.")


class CountDocument(serializers.Serializer[Any]):
    """How many."""

    count = serializers.IntegerField()


class StreamRows(WorkspaceView):
    """The streams of the workspace's log."""

    serializer_class: Any = StreamDocument

    def get_queryset(self) -> QuerySet[Any]:
        return streams.in_log(self.workspace.log_id)

    def stream(self) -> Any:
        """The stream of the address. Raises NotVisible."""
        return found(self.get_queryset().filter(public_id=self.kwargs["stream"]).first(), "stream")

    def with_secret(self, public_id: str, secret: str, status: int) -> Response:
        """A stream as it is now, and its secret."""
        row = self.get_queryset().get(public_id=public_id)
        row.secret = secret
        return Response(NewStreamDocument(row, context=self.get_serializer_context()).data, status=status)


class Streams(StreamRows, CreateModelMixin, Listing):
    """The streams of the workspace's log."""

    permission = {"GET": EXPORT, "POST": CHANGE}

    @extend_schema(responses={201: NewStreamDocument})
    def post(self, request: Request, slug: str) -> Response:
        """Send the log's entries on as they come. The secret by which webhooks are signed is in this answer alone."""
        values = self.read(request)
        row, secret = streams.create(
            self.workspace.log_id,
            name=values["name"],
            kind=values["kind"],
            url=values["url"],
            format=values["format"],
            types=values["types"],
            from_start=values["from_start"],
            actor=self.actor,
        )
        return self.with_secret(row.public_id, secret, 201)


class OneStream(StreamRows):
    """One stream."""

    permission = {"GET": EXPORT, "DELETE": CHANGE}

    def get(self, request: Request, slug: str, stream: str) -> Response:
        """How it is doing."""
        return self.shown(self.stream())

    def delete(self, request: Request, slug: str, stream: str) -> Response:
        """Remove it. What it has sent stays where it is."""
        streams.remove(self.stream(), actor=self.actor)
        return Response(status=204)


class StreamPause(StreamRows):
    """A stream at rest."""

    permission = {"POST": CHANGE}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, stream: str) -> Response:
        """Send nothing until it is resumed."""
        streams.pause(self.stream(), actor=self.actor)
        return self.shown(self.stream())


class StreamResumption(StreamRows):
    """A stream that goes on."""

    permission = {"POST": CHANGE}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, stream: str) -> Response:
        """Go on where it was."""
        streams.resume(self.stream(), actor=self.actor)
        return self.shown(self.stream())


class StreamSecret(StreamRows):
    """A webhook's secret."""

    permission = {"POST": CHANGE}

    @extend_schema(request=None, responses={200: NewStreamDocument})
    def post(self, request: Request, slug: str, stream: str) -> Response:
        """Exchange it: the new one, in this answer alone, signs from the next message on."""
        secret = streams.exchange_secret(self.stream(), actor=self.actor)
        return self.with_secret(stream, secret, 200)


class StreamTest(StreamRows):
    """A test of a stream."""

    permission = {"POST": CHANGE}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, stream: str) -> Response:
        """Have the worker send a test; what came of it is told in ``test_result`` a moment later."""
        streams.ask_for_test(self.stream())
        return self.shown(self.stream())


class StreamAgain(StreamRows):
    """A stream's dead letters."""

    permission = {"POST": CHANGE}

    @extend_schema(request=None, responses={200: CountDocument})
    def post(self, request: Request, slug: str, stream: str) -> Response:
        """Have the worker send the dead letters once more."""
        return Response({"count": streams.send_again(self.stream())})
