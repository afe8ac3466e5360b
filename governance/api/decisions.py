"""What was decided: the entries of checks. Everybody of the workspace sees that; what was sent, who may see content."""

import json
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.entries import EntryDocument
from audit.api.pages import IndexPages
from audit.api.views import Listing
from audit.models import Entry
from governance import disclosures, readings
from governance.api.approvals import CONTENT, CallDocument
from governance.models import DecisionRecord
from workspaces.access import Forbidden, may
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.models import Agent

VERDICTS = {type_: word for type_, (word, _) in readings.VERDICTS.items()}
TYPES = {word: type_ for type_, word in VERDICTS.items()}


class DecisionDocument(EntryDocument):
    """A decision, or calls that were throttled."""

    verdict = serializers.SerializerMethodField()
    decision = serializers.SerializerMethodField(help_text="Its id, or empty.")

    @extend_schema_field(serializers.ChoiceField(list(TYPES)))
    def get_verdict(self, entry: Entry) -> str:
        """In a word."""
        return VERDICTS[entry.type]

    def get_decision(self, entry: Entry) -> str:
        """Stands in the body only."""
        return str(data_of(entry).get("decision", ""))


class JudgedRule(serializers.Serializer[Any]):
    """A rule that could have matched."""

    rule = serializers.CharField()
    effect = serializers.CharField()
    result = serializers.CharField()


class WholeDecisionDocument(DecisionDocument):
    """A decision with the facts that it saw."""

    data = serializers.SerializerMethodField(  # type: ignore[assignment]  # taken out of the class
        help_text="The body's data: code, reasons, facts, revision, policy."
    )
    rules = serializers.SerializerMethodField(
        help_text="Empty where the agent has changed so that the candidates cannot be told any more."
    )

    def get_data(self, entry: Entry) -> dict[str, Any]:
        """Nothing personal."""
        return data_of(entry)

    @extend_schema_field(JudgedRule(many=True))
    def get_rules(self, entry: Entry) -> Any:
        """Every candidate rule's result."""
        workspace = self.context["view"].workspace
        agent = Agent.objects.filter(public_id=entry.agent, workspace=workspace).first()
        judged = readings.judged(data_of(entry), entry, agent, workspace)
        return [{"rule": rule, "effect": effect, "result": result} for rule, effect, result in judged]


def data_of(entry: Entry) -> dict[str, Any]:
    """The data of an entry's body."""
    data: dict[str, Any] = json.loads(bytes(entry.body))["data"]
    return data


class DecisionFilter(django_filters.FilterSet):
    """Decisions by who asked for what, and what came of it."""

    agent = django_filters.CharFilter()
    tool = django_filters.CharFilter()
    session = django_filters.CharFilter()
    outcome = django_filters.CharFilter()
    verdict = django_filters.ChoiceFilter(choices=[(word, word) for word in TYPES], method="of_verdict")

    class Meta:
        model = DecisionRecord
        fields: list[str] = []

    def of_verdict(self, rows: QuerySet[DecisionRecord], name: str, value: str) -> QuerySet[DecisionRecord]:
        """By the type of its entry."""
        return rows.filter(type=TYPES[value])


class DecisionRows(WorkspaceView):
    """The decisions of the workspace."""

    def get_queryset(self) -> QuerySet[DecisionRecord]:
        return DecisionRecord.objects.filter(log_id=self.workspace.log_id, type__in=readings.CHECKS)

    def decision(self) -> DecisionRecord:
        """The decision of the address. Raises NotVisible."""
        rows = self.get_queryset().filter(index=self.kwargs["index"])
        row: DecisionRecord = found(rows.first(), "decision")
        return row


class Decisions(DecisionRows, Listing):
    """The workspace's decisions, the newest first."""

    permission = {"GET": VIEW}
    serializer_class = DecisionDocument
    filterset_class = DecisionFilter
    pagination_class = IndexPages

    @property
    def log_id(self) -> int:
        """For its pages."""
        return self.workspace.log_id


class OneDecision(DecisionRows):
    """One decision."""

    permission = {"GET": VIEW}
    serializer_class = WholeDecisionDocument

    def get(self, request: Request, slug: str, index: int) -> Response:
        """What was decided, and why."""
        return self.shown(self.decision())


class DecisionContent(DecisionRows):
    """What was sent."""

    permission = {"GET": VIEW}
    serializer_class = CallDocument

    def get(self, request: Request, slug: str, index: int) -> Response:
        """What was sent, for who may see content here or of their own agent. The reading is recorded."""
        entry = self.decision()
        agents = Agent.objects.filter(public_id=entry.agent, workspace=self.workspace)
        agent = agents.select_related("workspace").first()
        if not may(self.person, "view_content", agent or self.workspace):
            raise Forbidden("Your roles do not let you see what was sent; ask an owner of the workspace.")
        detail = disclosures.disclose(
            entry.log_id, entry.index, person=self.person, agent=entry.agent, tool=entry.tool
        )
        return Response({name: detail[name] for name in CONTENT if detail.get(name) is not None})
