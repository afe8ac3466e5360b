"""Erasures and legal holds."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from audit.api.views import Listing
from audit.models import Erasure
from governance import erasure
from workspaces import holds
from workspaces.api.views import WorkspaceView, found
from workspaces.models import LegalHold

ERASE, HOLD = "erase", "legal_hold"


class LeftDocument(serializers.Serializer[Any]):
    """What had left before, and is not erased there."""

    exports = serializers.ListField(child=serializers.CharField(), required=False)
    streams = serializers.ListField(child=serializers.CharField(), required=False)
    mails = serializers.IntegerField(required=False)


class ErasureDocument(Exact):
    """An erasure. Give a text, or the first of the entries; what was found is erased once it is confirmed."""

    id = serializers.CharField(source="public_id", read_only=True)
    text = serializers.CharField(
        max_length=200, required=False, write_only=True, help_text="What is looked for, such as an address."
    )
    first = serializers.IntegerField(min_value=0, required=False, help_text="Index of the first entry.")
    last = serializers.IntegerField(
        min_value=0,
        required=False,
        write_only=True,
        help_text="Index of the last; left out, the first alone.",
    )
    field = serializers.CharField(
        max_length=200, required=False, help_text="With first: this field alone, such as arguments."
    )
    basis = serializers.CharField(
        max_length=erasure.LONGEST_BASIS, help_text="Legal basis; it stands in the log for good."
    )
    reason = serializers.CharField(
        max_length=erasure.LONGEST_REASON, write_only=True, help_text="Kept beside the log."
    )
    status = serializers.ChoiceField(Erasure.Status.choices, read_only=True)
    position = serializers.IntegerField(read_only=True, help_text="Up to which index it searched.")
    end = serializers.IntegerField(read_only=True, help_text="Up to which it searches.")
    found = serializers.IntegerField(read_only=True, help_text="Entries that hold something to be erased.")
    erased = serializers.IntegerField(read_only=True, help_text="Entries that are done.")
    in_use = serializers.IntegerField(
        read_only=True, help_text="Values that stay: the configuration has them."
    )
    in_clear = serializers.IntegerField(
        read_only=True, help_text="Entries whose body has the text, for good."
    )
    left = LeftDocument(read_only=True)
    created = serializers.DateTimeField(read_only=True)
    finished = serializers.DateTimeField(read_only=True, allow_null=True)


class ErasureRows(WorkspaceView):
    """The erasures from the workspace's log."""

    serializer_class: Any = ErasureDocument

    def get_queryset(self) -> QuerySet[Any]:
        return Erasure.objects.filter(log_id=self.workspace.log_id)

    def erasure(self) -> Erasure:
        """The erasure of the address. Raises NotVisible."""
        row: Erasure = found(self.get_queryset().filter(public_id=self.kwargs["erasure"]).first(), "erasure")
        return row


class Erasures(ErasureRows, CreateModelMixin, Listing):
    """The erasures from the workspace's log, the newest first."""

    permission = {"GET": ERASE, "POST": ERASE}
    order = "-pk"

    def post(self, request: Request, slug: str) -> Response:
        """Have the worker look for what is to be erased. Nothing is erased before it is confirmed."""
        values = self.read(request)
        values.setdefault("last", values.get("first"))
        row = erasure.start(self.workspace, actor=self.actor, **values)
        return self.shown(row, created=True)


class OneErasure(ErasureRows):
    """One erasure."""

    permission = {"GET": ERASE}

    def get(self, request: Request, slug: str, erasure: str) -> Response:
        """How far it is."""
        return self.shown(self.erasure())


class ErasureConfirmation(ErasureRows):
    """The second step of an erasure."""

    permission = {"POST": ERASE}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, erasure: str) -> Response:
        """Have what was found erased. While a legal hold stands it waits."""
        row = self.erasure()
        confirm(row, actor=self.actor)
        return self.shown(row)


class ErasureCancellation(ErasureRows):
    """The end of an erasure before its end."""

    permission = {"POST": ERASE}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, erasure: str) -> Response:
        """Erase no more of it; what is erased stays erased."""
        row = self.erasure()
        cancel(row, actor=self.actor)
        return self.shown(row)


confirm, cancel = erasure.confirm, erasure.cancel


class HoldDocument(Exact):
    """A legal hold. While one stands nothing of the log is pruned, and erasures wait."""

    id = serializers.CharField(source="public_id", read_only=True)
    reason = serializers.CharField(max_length=holds.LONGEST_REASON)
    started = serializers.DateTimeField(read_only=True)
    started_by = serializers.CharField(source="started_by.public_id", read_only=True)
    released = serializers.DateTimeField(read_only=True, allow_null=True)
    released_by = serializers.CharField(
        source="released_by.public_id", read_only=True, default=None, allow_null=True
    )


class HoldRows(WorkspaceView):
    """The legal holds of the workspace."""

    serializer_class: Any = HoldDocument

    def get_queryset(self) -> QuerySet[Any]:
        return LegalHold.objects.filter(workspace=self.workspace).select_related("started_by", "released_by")


class Holds(HoldRows, CreateModelMixin, Listing):
    """The workspace's legal holds, the newest first."""

    permission = {"GET": HOLD, "POST": HOLD}
    order = "-pk"

    def post(self, request: Request, slug: str) -> Response:
        """Put the workspace on hold from now on. The last release ends it."""
        reason = self.read(request)["reason"]
        return self.shown(holds.place(self.workspace, reason=reason, person=self.person), created=True)


class HoldRelease(HoldRows):
    """The end of a legal hold."""

    permission = {"POST": HOLD}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, hold: str) -> Response:
        """Release it now. What waited for it goes on by itself."""
        row: LegalHold = found(self.get_queryset().filter(public_id=hold).first(), "legal hold")
        holds.release(row, person=self.person)
        return self.shown(self.get_queryset().get(pk=row.pk))
