"""Versions replayed over recorded calls: started, watched, read call by call."""

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
from governance import replays
from governance.api.policies import DRAFT, PolicyRows
from governance.models import Replay, ReplayDifference
from workspaces.access import Forbidden
from workspaces.api.fields import AgentField
from workspaces.api.views import WorkspaceView, found


class CountsDocument(serializers.Serializer[Any]):
    """How many calls came out how."""

    calls = serializers.IntegerField(help_text="Judged so far.")
    same = serializers.IntegerField()
    block = serializers.IntegerField(help_text="Newly blocked.")
    ask = serializers.IntegerField(help_text="Newly ask a person.")
    allow = serializers.IntegerField(help_text="Newly allowed.")
    elsewhere = serializers.IntegerField(help_text="Settled by something else than rules.")
    unjudged = serializers.IntegerField(help_text="Could not be judged, such as for erased content.")


class ReplayDocument(Exact):
    """A replay of a version."""

    id = serializers.CharField(source="public_id", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    status = serializers.ChoiceField(Replay.Status.choices, read_only=True)
    percent = serializers.SerializerMethodField(help_text="How much was read.")
    counts = serializers.SerializerMethodField()
    most = serializers.IntegerField(
        min_value=1,
        max_value=replays.MOST_CALLS,
        default=replays.MOST_CALLS,
        help_text="The latest calls, so many.",
    )
    days = serializers.IntegerField(
        min_value=1,
        max_value=replays.LONGEST_DAYS,
        allow_null=True,
        default=None,
        help_text="Of the last days.",
    )
    agent = AgentField(write_only=True, required=False, allow_null=True, help_text="Only this agent's calls.")
    agents = serializers.ListField(
        child=serializers.CharField(), allow_null=True, read_only=True, help_text="Whose calls; null: all."
    )
    started_by = serializers.CharField(source="started_by.public_id", read_only=True)
    created = serializers.DateTimeField(read_only=True)
    finished_at = serializers.DateTimeField(read_only=True, allow_null=True)
    error = serializers.CharField(read_only=True)

    def get_percent(self, replay: Replay) -> int:
        """Of the entries."""
        return replays.share(replay)

    def get_counts(self, replay: Replay) -> CountsDocument:
        """With zeros for what did not happen."""
        counts = {name: replay.counts.get(name, 0) for name in CountsDocument().fields}
        return CountsDocument(counts | {"unjudged": replays.unjudged(replay.counts)}).data  # type: ignore[return-value]


class ReplayRows(WorkspaceView):
    """The replays of the workspace that the person may see."""

    serializer_class: Any = ReplayDocument

    def get_queryset(self) -> QuerySet[Any]:
        return replays.visible_to(self.person, self.workspace).defer("state")

    def replay(self) -> Replay:
        """The replay of the address. Raises NotVisible."""
        rows = replays.visible_to(self.person, self.workspace).filter(public_id=self.kwargs["replay"])
        row: Replay = found(rows.defer("state").first(), "replay")
        return row


class Replays(ReplayRows, Listing):
    """Your replays, or all of the workspace for who may see every agent's content, the newest first."""

    permission = {"GET": DRAFT}
    order = "-pk"


class PolicyReplay(PolicyRows, CreateModelMixin):
    """A version replayed."""

    permission = {"POST": DRAFT}
    serializer_class = ReplayDocument

    @extend_schema(responses={201: ReplayDocument})
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Have the worker judge recorded calls by this version. Which calls a rule matches tells what they hold, so
        only those of agents whose content you may see are judged."""
        values = self.read(request)
        started = replays.start(
            self.version(),
            person=self.person,
            days=values["days"],
            most=values["most"],
            agent=values.get("agent"),
        )
        return self.shown(started, created=True)


class OneReplay(ReplayRows):
    """One replay."""

    permission = {"GET": DRAFT}

    def get(self, request: Request, slug: str, replay: str) -> Response:
        """How far it is, and what came out."""
        return self.shown(self.replay())


class ReplayCancellation(ReplayRows):
    """The end of a replay."""

    permission = {"POST": DRAFT}

    @extend_schema(request=None)
    def post(self, request: Request, slug: str, replay: str) -> Response:
        """Stop a replay that you started, or where you may publish policies. What it found so far stays; one that is
        over stays as it is."""
        row = self.replay()
        if not replays.may_cancel(self.person, row):
            raise Forbidden("Whoever started a replay cancels it, or somebody who may publish policies.")
        replays.cancel(row)
        return self.shown(self.replay())


class DifferenceDocument(serializers.Serializer[Any]):
    """A call that the version would decide otherwise."""

    index = serializers.IntegerField(help_text="Of its decision.")
    kind = serializers.ChoiceField(ReplayDifference.Kind.choices)
    time = serializers.DateTimeField()
    agent = serializers.CharField()
    tool = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    rules_before = serializers.ListField(child=serializers.CharField())
    rules_after = serializers.ListField(child=serializers.CharField())


class DifferenceFilter(django_filters.FilterSet):
    """Calls by what would become of them."""

    kind = django_filters.ChoiceFilter(choices=ReplayDifference.Kind.choices)

    class Meta:
        model = ReplayDifference
        fields: list[str] = []


class ReplayDifferences(ReplayRows, Listing):
    """The calls that would be decided otherwise, by index: the first thousand of each kind."""

    permission = {"GET": DRAFT}
    serializer_class = DifferenceDocument
    filterset_class = DifferenceFilter
    order = cursor = "index"

    def get_queryset(self) -> QuerySet[Any]:
        return self.replay().differences.all()
