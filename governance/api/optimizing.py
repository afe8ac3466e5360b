"""What could be had for less, or with less."""

from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import optimizing
from workspaces.access import VIEW
from workspaces.api.views import WorkspaceView


class FindingsQuery(Exact):
    """How long a permission must have lain unused."""

    days = serializers.IntegerField(min_value=1, max_value=365, default=optimizing.UNUSED_DAYS)


class OptimizationDocument(serializers.Serializer[Any]):
    """Something that could be better."""

    kind = serializers.ChoiceField(choices=optimizing.KINDS_OF_FINDING)
    title = serializers.CharField()
    rests = serializers.CharField(help_text="What it rests on.")
    saves = serializers.CharField(help_text="What doing it would save.")
    action = serializers.CharField(help_text="What can be done.")
    url = serializers.SerializerMethodField(help_text="Where in the portal.")
    needs = serializers.CharField(help_text="The permission that the action takes.")
    agent = serializers.SerializerMethodField(help_text="The agent's id; null where it is about none.")
    series = serializers.ListField(child=serializers.IntegerField(), help_text="Nano-dollars a session.")

    def get_url(self, finding: optimizing.Finding) -> str:
        return f"{settings.PUBLIC_URL}{finding.address}"

    def get_agent(self, finding: optimizing.Finding) -> str | None:
        return finding.agent.public_id if finding.agent else None


class FindingsDocument(serializers.Serializer[Any]):
    """All findings, those about money first."""

    findings = OptimizationDocument(many=True)


class Findings(WorkspaceView):
    """What could be had for less."""

    permission = {"GET": VIEW}
    serializer_class = FindingsDocument
    query_class = FindingsQuery

    def get(self, request: Request, slug: str) -> Response:
        """Missing and wide budgets, unknown prices, growing costs, loops, and permissions that nobody uses."""
        days = self.asked_for(request)["days"]
        found = optimizing.findings(self.workspace, timezone.now(), days=days)
        return self.shown({"findings": found})
