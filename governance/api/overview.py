"""What goes on in a workspace, what an id names, and how the installation is."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import health, pulse
from governance.admin import finding
from workspaces.api.views import OPERATOR, SIGNED_IN, VIEW, InstallationView, PersonView, WorkspaceView


class OutcomesDocument(serializers.Serializer[Any]):
    """Decisions by what came of them."""

    allowed = serializers.IntegerField()
    waits = serializers.IntegerField()
    denied = serializers.IntegerField()


class MinutesDocument(serializers.Serializer[Any]):
    """Decisions of each minute, the oldest first."""

    allowed = serializers.ListField(child=serializers.IntegerField())
    waits = serializers.ListField(child=serializers.IntegerField())
    denied = serializers.ListField(child=serializers.IntegerField())


class BusyAgent(serializers.Serializer[Any]):
    """An agent and what was decided for it."""

    agent = serializers.CharField()
    name = serializers.CharField()
    decisions = OutcomesDocument()


class PulseDocument(serializers.Serializer[Any]):
    """The last hour of a workspace."""

    begin = serializers.DateTimeField(help_text="Of the first minute.")
    minutes = MinutesDocument()
    totals = OutcomesDocument()
    agents = serializers.SerializerMethodField(help_text="The busiest ones.")
    partial = serializers.BooleanField(  # type: ignore[assignment]  # taken out of the class
        help_text="It is so busy that only the newest 20,000 entries are counted."
    )

    @extend_schema_field(BusyAgent(many=True))
    def get_agents(self, found: pulse.Pulse) -> Any:
        """The busiest first."""
        return [{"agent": agent, "name": name, "decisions": counts} for name, agent, counts in found.agents]


class WorkspacePulse(WorkspaceView):
    """Decisions a minute."""

    permission = {"GET": VIEW}
    serializer_class = PulseDocument

    def get(self, request: Request, slug: str) -> Response:
        """Decisions of the last hour by minute and outcome, and by agent."""
        return self.shown(pulse.read(self.workspace, timezone.now()))


class SearchQuery(Exact):
    """What is looked for."""

    q = serializers.CharField(
        max_length=100,
        default="",
        allow_blank=True,
        help_text="A public id of any kind, or an entry's index: 1841.",
    )


class FoundDocument(serializers.Serializer[Any]):
    """One thing."""

    title = serializers.CharField()
    kind = serializers.CharField()
    page = serializers.CharField(source="link", help_text="Its page in the portal.")


class SearchDocument(serializers.Serializer[Any]):
    """What was found."""

    results = FoundDocument(many=True)


class Search(PersonView):
    """What an id names."""

    permission = {"GET": SIGNED_IN}
    serializer_class = SearchDocument
    query_class = SearchQuery

    def get(self, request: Request) -> Response:
        """What a public id or an index names, among all that you may see."""
        return self.shown({"results": finding.find(self.person, self.asked_for(request)["q"])})


class FindingDocument(serializers.Serializer[Any]):
    """One line of how the installation is."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["well", "look", "act"], source="word")
    said = serializers.CharField()
    todo = serializers.CharField(help_text="What to do; empty where it is well.")


class HealthDocument(serializers.Serializer[Any]):
    """How the installation is."""

    findings = FindingDocument(many=True)


class Health(InstallationView):
    """How the installation is."""

    permission = {"GET": OPERATOR}
    serializer_class = HealthDocument

    def get(self, request: Request) -> Response:
        """Worker, mail, logs, disk, database and size."""
        return self.shown({"findings": health.findings(timezone.now())})
