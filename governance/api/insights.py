"""What a workspace's approvals teach."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import insights
from workspaces.api.views import WorkspaceView


class InsightsQuery(Exact):
    """Over how long."""

    days = serializers.IntegerField(min_value=1, max_value=90, default=30)


class TimesDocument(serializers.Serializer[Any]):
    """Seconds from asking to the last answer."""

    median = serializers.FloatField(allow_null=True)
    most = serializers.FloatField(allow_null=True, help_text="Nine of ten stay below.")


class ReviewerDocument(serializers.Serializer[Any]):
    """How one person answers."""

    person = serializers.CharField(source="public_id")
    name = serializers.CharField()
    votes = serializers.IntegerField()
    approved = serializers.IntegerField()
    waved = serializers.IntegerField(help_text="Approved within 3 s of opening, or without opening.")
    waved_share = serializers.FloatField()
    looked = serializers.FloatField(allow_null=True, help_text="Median seconds from opening to answer.")
    is_conspicuous = serializers.BooleanField()


class AskingRuleDocument(serializers.Serializer[Any]):
    """What came of what one rule asked."""

    rule = serializers.CharField()
    asked = serializers.IntegerField()
    approved = serializers.IntegerField()
    rejected = serializers.IntegerField()
    expired = serializers.IntegerField()
    in_force = serializers.BooleanField()
    suggestion = serializers.CharField(help_text="What to do about it; empty where nothing.")


class InsightsDocument(serializers.Serializer[Any]):
    """A period of a workspace's approvals."""

    begin = serializers.DateTimeField()
    partial = serializers.BooleanField(
        help_text="There was more than is counted; `begin` is where that begins."
    )  # type: ignore[assignment]  # taken out of the class
    asked = serializers.IntegerField()
    waiting = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField())
    times = TimesDocument()
    alone = serializers.FloatField(allow_null=True, help_text="Share of decisions that took no person.")
    prompts = serializers.FloatField(allow_null=True, help_text="Approvals asked for, an agent-hour.")
    agent_hours = serializers.IntegerField()
    reviewers = ReviewerDocument(many=True)
    rules = AskingRuleDocument(many=True)
    never = serializers.ListField(
        child=serializers.CharField(), help_text="Rules in force that ask, and were not reached."
    )


class WorkspaceInsights(WorkspaceView):
    """What approvals teach."""

    permission = {"GET": insights.SEEN_BY}
    serializer_class = InsightsDocument
    query_class = InsightsQuery

    def get(self, request: Request, slug: str) -> Response:
        """Times to decision, who waves through, which rule asks most, over the last days."""
        days = self.asked_for(request)["days"]
        return self.shown(insights.read(self.workspace, days=days, now=timezone.now()))
