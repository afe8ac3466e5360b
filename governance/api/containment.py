"""Steps on the containment ladder."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import containment
from workspaces import tenancy
from workspaces.access import get_agent
from workspaces.api.views import OPERATOR, VIEW, InstallationView, PersonView, WorkspaceView, found
from workspaces.models import Standing


class StepDocument(Exact):
    """A step that is asked for; whether it may be taken is judged by ``containment``, for every door."""

    standing = serializers.ChoiceField(choices=Standing.choices)
    reason = serializers.CharField(max_length=containment.LONGEST_REASON)
    until = serializers.DateTimeField(required=False, help_text="The end of an observation, within 14 days.")


class TakenStep(serializers.Serializer[Any]):
    """What became of it. Both moments, for whoever has to account for them."""

    scope = serializers.ChoiceField(["agent", "workspace", "installation"])
    standing = serializers.ChoiceField(choices=Standing.choices)
    previous = serializers.ChoiceField(choices=Standing.choices)
    changed = serializers.BooleanField()
    entry = serializers.IntegerField(allow_null=True, help_text="The index of its entry in the scope's log.")
    requested_at = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField()


described = extend_schema_view(post=extend_schema(responses={200: TakenStep}))


class ContainmentView(PersonView):
    """Takes a step."""

    serializer_class = StepDocument

    def take(self, request: Request, scope: containment.Scope) -> Response:
        """Take the step and say what became of it."""
        asked = self.read(request)
        step = containment.set_standing(
            scope,
            asked["standing"],
            reason=asked["reason"],
            until=asked.get("until"),
            actor=self.actor,
            person=self.person,
        )
        return Response(
            {
                "scope": type(scope).__name__.lower(),
                "standing": step.after.value,
                "previous": step.before.value,
                "changed": step.changed,
                "entry": step.index,
                "requested_at": step.requested_at,
                "confirmed_at": step.confirmed_at,
            }
        )


@described
class WorkspaceContainment(WorkspaceView, ContainmentView):
    """Containment of a whole workspace: ``tighten`` and ``loosen`` are asked by direction."""

    permission = {"POST": VIEW}

    def post(self, request: Request, slug: str) -> Response:
        """Put the workspace on a step of the ladder."""
        return self.take(request, self.workspace)


@described
class AgentContainment(WorkspaceView, ContainmentView):
    """Containment of one agent: ``tighten`` and ``loosen`` are asked by direction."""

    permission = {"POST": VIEW}

    def post(self, request: Request, slug: str, agent: str) -> Response:
        """Put the agent on a step of the ladder."""
        row = get_agent(self.person, agent)
        found(row.workspace_id == self.workspace.pk or None, "agent")
        return self.take(request, row)


@described
class InstallationContainment(InstallationView, ContainmentView):
    """Containment of everything at once."""

    permission = {"POST": OPERATOR}

    def post(self, request: Request) -> Response:
        """Put the whole installation on a step of the ladder."""
        return self.take(request, tenancy.install(actor=self.actor))
