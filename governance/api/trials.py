"""Calls tried out: what would be decided. Nothing is written, held or counted."""

import json
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import policies
from governance.api.policies import DRAFT
from governance.models import PolicyVersion
from governance.trials import Call, attempt
from workspaces.api.fields import AgentField, Labels, named_error
from workspaces.api.views import WorkspaceView

LONGEST = 64 * 1024  # characters of a JSON object


class ObjectField(serializers.DictField):
    """A JSON object of a size that a condition can still read."""

    default_error_messages = {"too_long": f"At most {LONGEST // 1024} KiB of JSON."}

    def to_internal_value(self, data: Any) -> Any:
        found = super().to_internal_value(data)
        if len(json.dumps(found)) > LONGEST:
            self.fail("too_long")
        return found


class TrialDocument(Exact):
    """A call to try, and what its session would have behind it."""

    agent = AgentField()
    tool = serializers.CharField(max_length=200)
    arguments = ObjectField(default=dict)
    version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=2**53,
        help_text="Number of the version to judge by; null or left out: the one in force.",
    )  # fmt: skip
    session = serializers.CharField(max_length=200, default="", allow_blank=True)
    labels = Labels(default=list, help_text="Of the session.")
    tools = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=200, default=list,
        help_text="Used before in the session, in order.",
    )  # fmt: skip
    repeats = serializers.IntegerField(
        min_value=0, max_value=1000, default=0, help_text="How often this very call was made lately."
    )
    reason = serializers.CharField(max_length=2000, default="", allow_blank=True)
    on_behalf_of = serializers.CharField(max_length=200, default="", allow_blank=True)
    context = ObjectField(default=dict)  # type: ignore[assignment]  # taken out of the class


class TriedRule(serializers.Serializer[Any]):
    """What one candidate rule says of the call."""

    name = serializers.CharField()
    effect = serializers.CharField()
    when = serializers.CharField()
    result = serializers.CharField()
    failure = serializers.CharField(
        help_text="Why its condition could not be evaluated; empty where it could."
    )
    claims = serializers.ListField(
        child=serializers.CharField(), help_text="What it takes the agent's word for."
    )


class TriedDocument(serializers.Serializer[Any]):
    """What would be decided."""

    decision = serializers.ChoiceField(["allow", "deny", "pending"])
    code = serializers.CharField()
    would = serializers.CharField(help_text="Under observe, what would have been decided; else empty.")
    reasons = serializers.ListField(child=serializers.DictField())
    standing = serializers.CharField()
    arguments = serializers.DictField(help_text="As they are judged.")
    resources = serializers.ListField(child=serializers.CharField())
    rules = TriedRule(many=True)
    others = serializers.IntegerField(help_text="Rules that do not speak of this agent and tool.")
    shortage = serializers.CharField(help_text="Why the budgets would not bear it; empty where they would.")
    version = serializers.IntegerField(allow_null=True, help_text="That judged; null: no rules are in force.")
    revision = serializers.IntegerField(help_text="Of the configuration that judged.")


class Trial(WorkspaceView):
    """A call tried out."""

    permission = {"POST": DRAFT}
    serializer_class = TrialDocument

    @extend_schema(responses={200: TriedDocument})
    def post(self, request: Request, slug: str) -> Response:
        """What would be decided on a call now, and what each rule says of it. Nothing is written, held or counted;
        limits and budgets are as they stand."""
        values = self.read(request)
        version = self.version(values.pop("version", None))
        labels, tools = frozenset(values.pop("labels")), tuple(values.pop("tools"))
        call = Call(labels=labels, tools=tools, calls=len(tools), **values)
        trial = attempt(call, version=version, now=timezone.now())
        verdict = trial.verdict
        told = {
            "decision": verdict.decision,
            "code": verdict.code,
            "would": verdict.would,
            "reasons": verdict.reasons,
            "standing": trial.standing,
            "arguments": verdict.arguments,
            "resources": [each.resource for each in verdict.derived],
            "rules": trial.rules,
            "others": trial.others,
            "shortage": trial.shortage,
            "version": version.number if version else None,
            "revision": trial.revision,
        }
        return Response(TriedDocument(told).data)

    def version(self, number: int | None) -> PolicyVersion | None:
        """The version of this number, or the one in force. Raises ValidationError."""
        if number is None:
            return policies.in_force(self.workspace)
        rows = PolicyVersion.objects.filter(workspace=self.workspace, number=number)
        row: PolicyVersion = named_error(rows.first(), "version")
        return row
