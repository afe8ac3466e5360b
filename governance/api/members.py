"""People who leave: a workspace, by its owners; the installation, by its operators."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import leavers
from workspaces import people
from workspaces.api.people import MANAGE, MemberRows
from workspaces.api.views import OPERATOR, InstallationView
from workspaces.models import User


class LeaveDocument(Exact):
    """Why somebody leaves."""

    reason = serializers.CharField(max_length=500)


class WaitingCall(serializers.Serializer[Any]):
    """A call that waits for who leaves."""

    approval = serializers.CharField(source="approval.public_id")
    then = serializers.SerializerMethodField(
        help_text="others: those named beside them decide; owners: these are asked instead; ends: nobody is left."
    )
    asked = serializers.SerializerMethodField(help_text="Ids of the owners who are asked, by rule.")

    def get_then(self, rerouting: leavers.Rerouting) -> str:
        """In a word."""
        return "ends" if not rerouting.reachable else "owners" if rerouting.asked else "others"

    def get_asked(self, rerouting: leavers.Rerouting) -> dict[str, list[str]]:
        """Empty where others decide."""
        return {rule: [each.public_id for each in owners] for rule, owners in rerouting.asked.items()}


class LeavingDocument(serializers.Serializer[Any]):
    """What somebody's leaving does to one workspace."""

    waiting = WaitingCall(source="rerouted", many=True)
    agents = serializers.SerializerMethodField(
        help_text="Ids of agents that need another owner within seven days."
    )
    headless = serializers.SerializerMethodField(help_text="Whether the workspace is left without an owner.")

    def get_agents(self, leaving: leavers.Leaving) -> list[str]:
        """By name."""
        return [agent.public_id for agent in leaving.agents]

    def get_headless(self, leaving: leavers.Leaving) -> bool:
        """Then an operator has to name one."""
        return bool(leaving.headless)


class MemberLeave(MemberRows):
    """Leaving a workspace."""

    permission = {"GET": MANAGE, "POST": MANAGE}
    serializer_class = LeaveDocument

    @extend_schema(responses={200: LeavingDocument})
    def get(self, request: Request, slug: str, person: str) -> Response:
        """What it would do if somebody left the workspace now. Nothing is changed."""
        return Response(LeavingDocument(leavers.preview(self.member(), [self.workspace])).data)

    @extend_schema(responses={204: None})
    def post(self, request: Request, slug: str, person: str) -> Response:
        """Take all of a person's roles here: calls that wait for them are asked of others, and their agents look for
        an owner. Nobody does so to themselves."""
        reason = self.read(request)["reason"]
        leavers.leave_workspace(self.workspace, self.member(), reason=reason, actor=self.actor)
        return Response(status=204)


class WhoDocument(Exact):
    """A person by address."""

    email = serializers.EmailField()


class DepartureDocument(WhoDocument):
    """Who leaves the installation, and why."""

    reason = serializers.CharField(max_length=500)


class DepartingDocument(serializers.Serializer[Any]):
    """What somebody's leaving does, in figures: operators hold none of the workspaces."""

    email = serializers.EmailField(source="person.email")
    workspaces = serializers.SerializerMethodField()
    waiting = serializers.SerializerMethodField(help_text="Calls that wait for their answer.")
    agents = serializers.SerializerMethodField(help_text="That need another owner within seven days.")
    headless = serializers.SerializerMethodField(help_text="Workspaces that are left without an owner.")
    signin_links = serializers.IntegerField(help_text="That end.")
    tokens = serializers.IntegerField(help_text="That end.")

    def get_workspaces(self, leaving: leavers.Leaving) -> int:
        """Where they have a role or an agent."""
        return len(leaving.workspaces)

    def get_waiting(self, leaving: leavers.Leaving) -> int:
        """In all of them."""
        return len(leaving.rerouted)

    def get_agents(self, leaving: leavers.Leaving) -> int:
        """In all of them."""
        return len(leaving.agents)

    def get_headless(self, leaving: leavers.Leaving) -> int:
        """Then an operator has to name one."""
        return len(leaving.headless)


class PersonalView(InstallationView):
    """Something of one person of the installation."""

    def named(self, email: str) -> User:
        """Who has this address. Raises ValidationError."""
        person = User.objects.filter(email=email.lower()).first()
        if person is None:
            raise ValidationError({"email": "Nobody here has this address."})
        return person

    def another(self, email: str) -> User:
        """The same, but not who asks. Raises ValidationError."""
        if (person := self.named(email)) == self.person:
            raise ValidationError({"email": "Nobody lets themselves leave; ask another operator."})
        return person


class Departure(PersonalView):
    """Leaving the installation."""

    permission = {"POST": OPERATOR}
    serializer_class = DepartureDocument

    @extend_schema(responses={200: DepartingDocument})
    def post(self, request: Request) -> Response:
        """Deactivate somebody for good: sessions, links and tokens end, calls that wait for them are asked of others,
        and their agents look for an owner."""
        values = self.read(request)
        done = leavers.leave(self.another(values["email"]), reason=values["reason"], actor=self.actor)
        return Response(DepartingDocument(done).data)


class DeparturePreview(PersonalView):
    """What leaving the installation would do."""

    permission = {"POST": OPERATOR}
    serializer_class = WhoDocument

    @extend_schema(responses={200: DepartingDocument})
    def post(self, request: Request) -> Response:
        """What it would do if somebody left for good now. Nothing is changed; it is a POST so that the address of a
        person stands in no log of addresses."""
        person = self.another(self.read(request)["email"])
        return Response(DepartingDocument(leavers.preview(person)).data)


class Return(PersonalView):
    """Coming back."""

    permission = {"POST": OPERATOR}
    serializer_class = WhoDocument

    @extend_schema(responses={204: None})
    def post(self, request: Request) -> Response:
        """Let somebody who left sign in again. Nothing that was ended returns."""
        people.reactivate(self.named(self.read(request)["email"]), actor=self.actor)
        return Response(status=204)
