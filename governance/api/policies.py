"""Policy versions: drafted, read, compared, published, gone back to."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from audit.api.views import Listing
from governance import policies
from governance.differences import differences
from governance.models import PolicyVersion
from workspaces.api.fields import named_error
from workspaces.api.views import VIEW, WorkspaceView, found

DRAFT, PUBLISH = "draft_policy", "publish_policy"


class PolicyDocument(Exact):
    """A version of the policy."""

    number = serializers.IntegerField(read_only=True)
    digest = serializers.CharField(
        read_only=True, help_text="pol_ and the SHA-256 of its content; decisions name it."
    )
    status = serializers.ChoiceField(PolicyVersion.Status.choices, read_only=True)
    note = serializers.CharField(max_length=500, default="", allow_blank=True)
    drafted_by = serializers.CharField(read_only=True)
    published_by = serializers.CharField(read_only=True)
    created = serializers.DateTimeField(read_only=True)
    published_at = serializers.DateTimeField(read_only=True, allow_null=True)


class WholePolicyDocument(PolicyDocument):
    """A version of the policy with its rules."""

    rules = serializers.ListField(
        source="content",
        child=serializers.JSONField(),
        max_length=10_000,
        help_text="As under “policy” in a workspace file: docs/concepts/workspace-file.md. The whole policy.",
    )


class NoteDocument(Exact):
    """What is said with it."""

    note = serializers.CharField(max_length=500, default="", allow_blank=True)


class PolicyFilter(django_filters.FilterSet):
    """Versions by how they stand."""

    status = django_filters.ChoiceFilter(choices=PolicyVersion.Status.choices)

    class Meta:
        model = PolicyVersion
        fields: list[str] = []


class PolicyRows(WorkspaceView):
    """The policy versions of the workspace."""

    serializer_class: Any = WholePolicyDocument

    def get_queryset(self) -> QuerySet[PolicyVersion]:
        return PolicyVersion.objects.filter(workspace=self.workspace).select_related("workspace")

    def version(self) -> PolicyVersion:
        """The version of the address. Raises NotVisible."""
        rows = self.get_queryset().filter(number=self.kwargs["number"])
        row: PolicyVersion = found(rows.first(), "policy version")
        return row


class Policies(PolicyRows, CreateModelMixin, Listing):
    """The versions of the workspace's policy, the newest first."""

    permission = {"GET": VIEW, "POST": DRAFT}
    filterset_class = PolicyFilter
    order, cursor = "-number", "number"

    def get_serializer_class(self) -> Any:
        return PolicyDocument if self.request.method == "GET" else WholePolicyDocument

    def post(self, request: Request, slug: str) -> Response:
        """Draft a version; nothing is in force by it. Where the version in force, or the newest draft, says the
        same, that one is the answer."""
        values = self.read(request)
        version = policies.draft(self.workspace, values["content"], actor=self.actor, note=values["note"])
        return self.shown(version, created=True)


class OnePolicy(PolicyRows):
    """One version of the policy."""

    permission = {"GET": VIEW}

    def get(self, request: Request, slug: str, number: int) -> Response:
        """The version with its rules."""
        return self.shown(self.version())


class AgainstDocument(Exact):
    """What a version is compared with."""

    against = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**53,
        help_text="Another version's number. Left out: for a draft the one in force, for others the one before.",
    )


class FieldChangeDocument(serializers.Serializer[Any]):
    """One field of a rule before and after, as people read it; of a list what is gone and what came."""

    name = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    gone = serializers.ListField(child=serializers.CharField())
    came = serializers.ListField(child=serializers.CharField())


class RuleChangeDocument(serializers.Serializer[Any]):
    """A rule that differs."""

    kind = serializers.ChoiceField(["removed", "changed", "renamed", "added"])
    name = serializers.CharField()
    effect = serializers.CharField()
    before = serializers.CharField(help_text="Its earlier name, where it was renamed.")
    fields = FieldChangeDocument(many=True)  # type: ignore[assignment]  # taken out of the class


class DifferencesDocument(serializers.Serializer[Any]):
    """What a version changes."""

    against = serializers.IntegerField(allow_null=True, help_text="The other version; null: there is none.")
    changes = RuleChangeDocument(many=True)


class PolicyDifferences(PolicyRows):
    """What one version changes of another."""

    permission = {"GET": VIEW}
    serializer_class = DifferencesDocument
    query_class = AgainstDocument

    def get(self, request: Request, slug: str, number: int) -> Response:
        """The rules that differ: removed ones first, then changed, renamed and added ones."""
        version, base = self.version(), None
        if (against := self.asked_for(request).get("against")) is not None:
            base = named_error(self.get_queryset().filter(number=against).first(), "against")
        else:
            base = policies.compared_with(version)
        changes = differences(base.content, version.content) if base else []
        return self.shown({"against": base.number if base else None, "changes": changes})


class PolicyPublication(PolicyRows):
    """Putting a draft in force."""

    permission = {"POST": PUBLISH}

    @extend_schema(request=NoteDocument)
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Put a draft in force; the version that was is retired. Where two people guard the workspace, who drafted
        it does not publish it."""
        note = self.read(request, NoteDocument)["note"]
        return self.shown(policies.publish(self.version(), actor=self.actor, note=note))


class PolicyAgain(PolicyRows):
    """Going back to an earlier version."""

    permission = {"POST": DRAFT}

    @extend_schema(request=NoteDocument, responses={201: WholePolicyDocument})
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Draft the rules of an earlier version again; publishing the draft goes back to them."""
        note = self.read(request, NoteDocument)["note"]
        version = policies.draft(self.workspace, self.version().content, actor=self.actor, note=note)
        return self.shown(version, created=True)


class PolicyRollBack(PolicyRows):
    """Putting earlier rules in force again."""

    permission = {"POST": DRAFT}

    @extend_schema(request=NoteDocument, responses={201: WholePolicyDocument})
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Draft the rules of an earlier version again, and publish them at once where you may alone: ``status`` of
        the answer says whether they are in force."""
        note = self.read(request, NoteDocument)["note"]
        alone = policies.may_publish_alone(self.person, self.workspace)
        version = policies.go_back(self.version(), at_once=alone, actor=self.actor, note=note)
        return self.shown(version, created=True)
