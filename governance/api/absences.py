"""Who is away, and who answers in their place."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from audit.api.views import Listing
from governance import absences
from governance.models import Absence
from workspaces.access import Forbidden
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.models import User


class AbsenceDocument(Exact):
    """A time in which a person does not answer. Everybody records their own, owners anybody's."""

    id = serializers.CharField(source="public_id", read_only=True)
    person = serializers.CharField(
        source="person.public_id", required=False, help_text="By id; you, where it is left out."
    )
    deputy = serializers.CharField(
        source="deputy.public_id",
        required=False,
        allow_null=True,
        default=None,
        help_text="Who answers in their place, by id: an approver. Null: nobody.",
    )
    starts = serializers.DateTimeField(required=False, help_text="Now, where it is left out or past.")
    ends = serializers.DateTimeField()
    note = serializers.CharField(
        max_length=absences.LONGEST_NOTE,
        default="",
        allow_blank=True,
        help_text="Shown to the person and to owners; empty for everybody else.",
    )
    created = serializers.DateTimeField(read_only=True)

    def to_representation(self, absence: Absence) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(absence)
        if not absences.may_record(self.context["view"].person, absence.workspace, absence.person):
            shown["note"] = ""
        return shown


class AbsenceRows(WorkspaceView):
    """Absences of now and later."""

    serializer_class: Any = AbsenceDocument

    def get_queryset(self) -> QuerySet[Absence]:
        return absences.ahead(self.workspace, timezone.now()).order_by()

    def member(self, public_id: str) -> User:
        """Somebody of the workspace. Raises NotVisible."""
        members = User.objects.filter(memberships__workspace=self.workspace, public_id=public_id)
        person: User = found(members.distinct().first(), "person")
        return person


class Absences(AbsenceRows, CreateModelMixin, Listing):
    """Who is away now or will be, the latest recorded first."""

    permission = {"GET": VIEW, "POST": VIEW}
    order = "-pk"

    def post(self, request: Request, slug: str) -> Response:
        """Be away, or say that somebody is."""
        values = self.read(request)
        asked = values.get("person")
        person = self.member(asked["public_id"]) if asked else self.person
        if not absences.may_record(self.person, self.workspace, person):
            raise Forbidden("You record your own absences; an owner of the workspace records others'.")
        deputy = (values.get("deputy") or {}).get("public_id")
        row = absences.record(
            self.workspace,
            person,
            starts=values.get("starts") or timezone.now(),
            ends=values["ends"],
            deputy=self.member(deputy) if deputy else None,
            note=values["note"],
            actor=self.actor,
        )
        return self.shown(row, created=True)


class AbsenceEnd(AbsenceRows):
    """The end of an absence before its time."""

    permission = {"POST": VIEW}

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, slug: str, absence: str) -> Response:
        """The person is back; an absence that has not begun is taken back."""
        row: Absence = found(self.get_queryset().filter(public_id=absence).first(), "absence")
        if not absences.may_record(self.person, self.workspace, row.person):
            raise Forbidden("Only the person and owners of the workspace say that somebody is back.")
        absences.end(row, actor=self.actor)
        return Response(status=204)
