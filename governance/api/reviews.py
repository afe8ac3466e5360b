"""Access reviews: started, read, answered and signed."""

from bisect import bisect_left
from functools import cached_property
from typing import Any

import django_filters
from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Pages, limit_of
from audit.api.problems import Exact
from audit.api.views import Listing
from governance import campaigns
from governance.models import AccessReview, ReviewItem
from workspaces.api.fields import AgentField
from workspaces.api.views import VIEW, WorkspaceView, found

OUTCOMES = [("open", "not answered"), *[each for each in ReviewItem.Outcome.choices if each[0]]]
DIGITS = 9  # of an item's number


class ReviewDocument(Exact):
    """An access review."""

    id = serializers.CharField(source="public_id", read_only=True)
    title = serializers.CharField(max_length=200)
    due = serializers.DateTimeField(help_text="Within a year.")
    undecided = serializers.ChoiceField(
        AccessReview.Undecided.choices, help_text="What becomes of what nobody answers."
    )
    agents = serializers.ListField(
        child=AgentField(), max_length=5000, required=False, write_only=True, help_text="Left out: all."
    )
    started_by = serializers.CharField(source="started_by.public_id", read_only=True)
    created = serializers.DateTimeField(read_only=True)
    lapsed_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When the time to answer was over."
    )
    signed_by = serializers.CharField(
        source="signed_by.public_id", read_only=True, default=None, allow_null=True
    )
    signed_at = serializers.DateTimeField(read_only=True, allow_null=True)
    items = serializers.IntegerField(source="total", read_only=True)
    answered = serializers.IntegerField(source="done", read_only=True)


class OwnerDocument(serializers.Serializer[Any]):
    """Somebody who is asked, and how far they are."""

    person = serializers.CharField(source="public_id")
    name = serializers.CharField(source="owner")
    items = serializers.IntegerField()
    answered = serializers.IntegerField(source="done")


class WholeReviewDocument(ReviewDocument):
    """An access review with who was asked."""

    owners = serializers.SerializerMethodField()
    may_sign = serializers.SerializerMethodField(help_text="Whether you may, once nothing is open.")

    @extend_schema_field(OwnerDocument(many=True))
    def get_owners(self, review: AccessReview) -> Any:
        """By name."""
        return OwnerDocument(campaigns.by_owner(review), many=True).data

    def get_may_sign(self, review: AccessReview) -> bool:
        """Judged again when you do."""
        return review.signed_at is None and campaigns.may_sign(self.context["view"].person, review)


class ReviewRows(WorkspaceView):
    """The access reviews of the workspace."""

    serializer_class: Any = WholeReviewDocument

    def get_queryset(self) -> QuerySet[Any]:
        done = Count("items", filter=~Q(items__outcome=""))
        rows = AccessReview.objects.filter(workspace=self.workspace)
        return rows.select_related("workspace", "started_by", "signed_by").annotate(
            total=Count("items"), done=done
        )

    def review(self) -> AccessReview:
        """The review of the address. Raises NotVisible."""
        rows = self.get_queryset().filter(public_id=self.kwargs["review_id"])
        row: AccessReview = found(rows.first(), "access review")
        return row


class Reviews(ReviewRows, CreateModelMixin, Listing):
    """The workspace's access reviews, the newest first."""

    permission = {"GET": VIEW, "POST": campaigns.START}
    serializer_class = ReviewDocument
    order = "-pk"

    def post(self, request: Request, slug: str) -> Response:
        """Begin a review of everything that agents hold now. Owners are asked by mail, and again three days before
        it is due."""
        values = self.read(request)
        review = campaigns.start(
            self.workspace,
            title=values["title"],
            due=values["due"],
            undecided=values["undecided"],
            chosen=values.get("agents"),
            person=self.person,
        )
        return self.shown(self.get_queryset().get(pk=review.pk), created=True)


class OneReview(ReviewRows):
    """One access review."""

    permission = {"GET": VIEW}

    def get(self, request: Request, slug: str, review_id: str) -> Response:
        """How far it is."""
        return self.shown(self.review())


class ReviewSignature(ReviewRows):
    """The end of an access review."""

    permission = {"POST": VIEW}

    @extend_schema(request=None, responses={200: WholeReviewDocument})
    def post(self, request: Request, slug: str, review_id: str) -> Response:
        """Sign a review in which nothing is open: who started it, or, where agents of theirs were reviewed, somebody
        else who may start reviews."""
        campaigns.sign(self.review(), person=self.person)
        return self.shown(self.review())


class ItemDocument(serializers.Serializer[Any]):
    """One thing that an agent held when the review began."""

    number = serializers.SerializerMethodField(help_text="In its review, from 1.")
    agent = serializers.CharField(source="agent.public_id")
    agent_name = serializers.CharField(source="agent.name")
    owner = serializers.CharField(source="agent.owner.public_id")
    kind = serializers.ChoiceField(ReviewItem.Kind.choices)
    permission = serializers.CharField(help_text="Of a grant; else empty.")
    name = serializers.CharField()
    outcome = serializers.SerializerMethodField()
    answered_by = serializers.CharField(source="answered_by.public_id", default=None, allow_null=True)
    answered_at = serializers.DateTimeField(allow_null=True)

    def get_number(self, item: ReviewItem) -> int:
        """What is asked about never changes, so neither does this."""
        number: int = self.context["view"].number(item)
        return number

    @extend_schema_field(serializers.ChoiceField(OUTCOMES))
    def get_outcome(self, item: ReviewItem) -> str:
        """In a word."""
        return item.outcome or "open"


class AnswerToItem(Exact):
    """Whether something is kept."""

    keep = serializers.BooleanField(help_text="False: it is revoked at once.")


class ItemFilter(django_filters.FilterSet):
    """Items by whose they are, and what was answered."""

    agent = django_filters.CharFilter(field_name="agent__public_id")
    owner = django_filters.CharFilter(field_name="agent__owner__public_id")
    outcome = django_filters.ChoiceFilter(choices=OUTCOMES, method="of_outcome")

    class Meta:
        model = ReviewItem
        fields: list[str] = []

    def of_outcome(self, rows: QuerySet[ReviewItem], name: str, value: str) -> QuerySet[ReviewItem]:
        """What is open has none."""
        return rows.filter(outcome="" if value == "open" else value)


class ItemPages(Pages):
    """Pages of a review's items; ``after`` is the number of an item."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit, after = limit_of(request), request.query_params.get("after")
        if after is not None:
            queryset = queryset.filter(pk__gt=view.key(after))
        rows = list(queryset.order_by("pk")[: limit + 1])
        self.following = str(view.number(rows[limit - 1])) if len(rows) > limit else None
        return rows[:limit]


class ItemRows(ReviewRows):
    """The items of a review, which are numbered from 1: their primary keys count other workspaces' rows."""

    serializer_class = ItemDocument

    @cached_property
    def keys(self) -> list[int]:
        """Primary keys by number, less 1."""
        review = AccessReview.objects.filter(workspace=self.workspace, public_id=self.kwargs["review_id"])
        row: AccessReview = found(review.first(), "access review")
        return list(row.items.order_by("pk").values_list("pk", flat=True))

    def number(self, item: ReviewItem) -> int:
        """The item's number."""
        return bisect_left(self.keys, item.pk) + 1

    def key(self, number: str) -> int:
        """The primary key of the item of this number. Raises Invalid."""
        if number.isascii() and number.isdecimal() and len(number) <= DIGITS:
            at = int(number) - 1
            if 0 <= at < len(self.keys):
                return self.keys[at]
        raise Invalid({"after": "The review has no such item; begin again without after."})

    def get_queryset(self) -> QuerySet[Any]:
        rows = ReviewItem.objects.filter(review__workspace=self.workspace)
        rows = rows.filter(review__public_id=self.kwargs["review_id"])
        return rows.select_related("review__workspace", "agent__workspace", "agent__owner", "answered_by")


class Items(ItemRows, Listing):
    """What a review asks about, by number."""

    permission = {"GET": VIEW}
    filterset_class = ItemFilter
    pagination_class = ItemPages

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        assert self.keys is not None  # raises NotVisible where there is no such review
        return super().get(request, *args, **kwargs)


class ItemAnswer(ItemRows):
    """The answer to one item."""

    permission = {"POST": VIEW}

    @extend_schema(request=AnswerToItem)
    def post(self, request: Request, slug: str, review_id: str, number: int) -> Response:
        """Keep or revoke, as the agent's owner; where the owner is no longer active, whoever may start reviews does.
        What is kept may be revoked until the time to answer is over."""
        keep = self.read(request, AnswerToItem)["keep"]
        key = self.keys[number - 1] if 0 < number <= len(self.keys) else None
        item: ReviewItem = found(self.get_queryset().filter(pk=key).first(), "item")
        campaigns.answer(item, keep=keep, person=self.person)
        return self.shown(self.get_queryset().get(pk=item.pk))
