"""What was spent, and the charges that it is made of, in the portal's API."""

from datetime import date, timedelta
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Pages, limit_of
from audit.api.problems import Exact
from audit.api.views import Listing
from billing import spending
from billing.api.fields import DollarsField
from billing.counting import Sum
from billing.models import Hold
from billing.spending import BY, Line, Only, Span
from workspaces.api.views import VIEW, WorkspaceView

LONGEST = 400  # days
EARLIEST = date(2000, 1, 1)
MOST = 200  # groups


class SpendQuery(Exact):
    """Over which days, and by what."""

    by = serializers.ChoiceField([each.value for each in BY], default="agent")
    first_day = serializers.DateField(required=False, help_text="29 days before the last one by default.")
    last_day = serializers.DateField(
        required=False, help_text="Today by default, in the workspace's time zone."
    )
    limit = serializers.IntegerField(
        min_value=1, max_value=MOST, default=spending.LINES, help_text="Groups at most."
    )


class SumDocument(serializers.Serializer[Any]):
    """What was charged."""

    charged_usd = DollarsField(source="nanos")
    tokens = serializers.IntegerField()
    calls = serializers.IntegerField()
    unpriced_calls = serializers.IntegerField(
        source="unpriced", help_text="Calls whose price is not known; they count as nothing."
    )


class DaySpendDocument(SumDocument):
    """What was charged for the calls of one day."""

    day = serializers.DateField()


class GroupSpendDocument(SumDocument):
    """What was charged to one agent, owner, tool, session, model or cost center."""

    id = serializers.CharField(
        help_text="A public id, agent|session, or the name; empty where there is none, such as no model."
    )
    name = serializers.CharField()
    charged_usd_before = DollarsField(help_text="In as many days right before.")


class SpendDocument(serializers.Serializer[Any]):
    """What a workspace spent in some days."""

    first_day = serializers.DateField()
    last_day = serializers.DateField()
    total = SumDocument()
    held_usd = DollarsField(help_text="By calls in flight, now.")
    held_calls = serializers.IntegerField()
    days = DaySpendDocument(many=True, help_text="Days on which anything was charged.")
    groups = GroupSpendDocument(many=True, help_text="The largest first.")
    partial = serializers.BooleanField(
        help_text="So much was settled lately that the newest is not counted yet."
    )  # type: ignore[assignment]  # taken out of the class


class Spend(WorkspaceView):
    """What was spent."""

    permission = {"GET": VIEW}
    serializer_class = SpendDocument
    query_class = SpendQuery

    def get(self, request: Request, slug: str) -> Response:
        """By day, and by agent, owner, tool, session, model or cost center. A charge belongs to the day on which its
        call was allowed."""
        asked = self.asked_for(request)
        span = self.span(asked)
        rest = spending.tail(self.workspace)
        days = spending.by_day(self.workspace, Only(), span, rest)
        lines = spending.lines(self.workspace, asked["by"], span, rest, most=asked["limit"])
        nanos, _, calls = spending.in_flight(self.workspace)
        return self.shown(
            {
                "first_day": span.first,
                "last_day": span.last,
                "total": spending.total(days.values()),
                "held_usd": nanos,
                "held_calls": calls,
                "days": [{"day": day, **amounts(each)} for day, each in sorted(days.items())],
                "groups": [group(line) for line in lines],
                "partial": rest.partial,
            }
        )

    def span(self, asked: dict[str, Any]) -> Span:
        """The days that are asked for. Raises ValidationError."""
        last = asked.get("last_day") or spending.today(self.workspace, timezone.now())
        first = asked.get("first_day") or max(EARLIEST, last) - timedelta(days=spending.TREND - 1)
        if not EARLIEST <= first <= last or (last - first).days >= LONGEST:
            raise serializers.ValidationError(
                {"first_day": f"Give a day from {EARLIEST} up to the last one, and at most {LONGEST} days."}
            )
        return Span(first, last)


def amounts(each: Sum) -> dict[str, int]:
    """A sum's parts by name."""
    return {"nanos": each.nanos, "tokens": each.tokens, "calls": each.calls, "unpriced": each.unpriced}


def group(line: Line) -> dict[str, Any]:
    """A line as the document has it."""
    return {
        "id": line.public,
        "name": line.name,
        "charged_usd_before": line.before.nanos,
        **amounts(line.now),
    }


class ChargeDocument(serializers.ModelSerializer[Hold]):
    """What one allowed call held and was charged. What was sent is no part of it."""

    agent = serializers.CharField(source="agent.public_id")
    owner = serializers.CharField(source="owner.public_id", default=None, allow_null=True)
    held_usd = DollarsField(source="held_nanos")
    charged_usd = DollarsField(
        source="charged_nanos", allow_null=True, help_text="Null in flight, and where the price is not known."
    )
    usage = serializers.DictField(child=serializers.IntegerField(), allow_null=True)

    class Meta:
        model = Hold
        fields = [
            "decision", "agent", "owner", "tool", "session", "model", "cost_center", "state", "held_usd",
            "charged_usd", "held_tokens", "charged_tokens", "basis", "price", "usage", "created", "settled_at",
        ]  # fmt: skip


class ChargeFilter(django_filters.FilterSet):
    """Charges by what they belong to."""

    agent = django_filters.CharFilter(field_name="agent__public_id")
    tool = django_filters.CharFilter()
    session = django_filters.CharFilter()
    model = django_filters.CharFilter()
    cost_center = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=Hold.State.choices)
    since = django_filters.IsoDateTimeFilter(field_name="created", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="created", lookup_expr="lt")

    class Meta:
        model = Hold
        fields: list[str] = []


class ChargePages(Pages):
    """The newest first; calls that were allowed at once stand by their keys."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit, after = limit_of(request), request.query_params.get("after")
        if after is not None:
            last = self.place(queryset, "decision", "pk", after)
            created = queryset.values_list("created", flat=True).get(pk=last)
            queryset = queryset.filter(Q(created=created, pk__lt=last) | Q(created__lt=created))
        rows = list(queryset.order_by("-created", "-pk")[: limit + 1])
        self.following = rows[limit - 1].decision if len(rows) > limit else None
        return rows[:limit]


class Charges(WorkspaceView, Listing):
    """The charges of the workspace, newest first."""

    permission = {"GET": VIEW}
    serializer_class = ChargeDocument
    filterset_class = ChargeFilter
    pagination_class = ChargePages

    def get_queryset(self) -> QuerySet[Hold]:
        return Hold.objects.filter(workspace=self.workspace).select_related("agent", "owner")
