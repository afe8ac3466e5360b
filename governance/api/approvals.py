"""Calls that wait, or waited, for people."""

from typing import Any

import django_filters
from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Whole
from audit.api.problems import Exact
from audit.api.views import Listing
from billing.api.fields import DOLLARS_OR_NULL, TOKENS_OR_NULL
from billing.budgets import dollars
from billing.models import Budget
from governance import approvals, raises, readings, reviewers
from governance.models import Approval, Vote
from workspaces import factors
from workspaces.access import Forbidden
from workspaces.api.views import SIGNED_IN, VIEW, PersonView, WorkspaceView, found
from workspaces.models import RISKS

WORDS = [("waiting", "Waiting"), *[each for each in Approval.Status.choices if each[0] != "pending"]]
LONGEST_COMMENT = 2000


class ApprovalDocument(serializers.Serializer[Any]):
    """An approval, without what was sent."""

    id = serializers.CharField(source="public_id")
    workspace = serializers.SlugField(source="workspace.slug")
    agent = serializers.CharField(source="agent.public_id")
    agent_name = serializers.CharField(source="agent.name")
    tool = serializers.CharField()
    action = serializers.CharField()
    risk = serializers.ChoiceField(RISKS)
    session = serializers.CharField()
    status = serializers.SerializerMethodField()
    decision = serializers.CharField(help_text="The pending decision that asked.")
    decision_index = serializers.IntegerField(source="entry_index", help_text="Of its entry in the log.")
    round = serializers.IntegerField(
        help_text="Which version of the call: 1 as the agent sent it, more by edits."
    )
    created = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    used_by = serializers.CharField(help_text="The decision that used it, or empty.")

    @extend_schema_field(serializers.ChoiceField(WORDS))
    def get_status(self, approval: Approval) -> str:
        """As it is at this moment, whether or not the sweep has come round."""
        return readings.status_of(approval, timezone.now())


class RequirementDocument(serializers.Serializer[Any]):
    """What one rule asks."""

    rule = serializers.CharField()
    quorum = serializers.IntegerField()
    got = serializers.IntegerField()
    met = serializers.BooleanField()
    missing = serializers.ListField(child=serializers.CharField(), help_text="Who may still answer, by name.")


class VoteDocument(serializers.Serializer[Any]):
    """One reviewer's answer."""

    person = serializers.CharField(help_text="By name.")
    approve = serializers.BooleanField()
    known_by = serializers.CharField()
    created = serializers.DateTimeField()
    comment = serializers.CharField(help_text="Empty for who may not see content.")


class RaisedAmount(serializers.Field[Any, Any, Any, Any]):
    """An amount of a budget that an approval raises; null in another unit, and where the budget is gone."""

    unit: str

    def __init__(self, amount: str, **options: Any) -> None:
        super().__init__(read_only=True, **options)
        self.amount = amount

    def get_attribute(self, instance: raises.Raise) -> int | None:
        return instance.amounts.get(self.amount) if instance.unit == self.unit else None


@extend_schema_field(DOLLARS_OR_NULL)
class RaisedDollars(RaisedAmount):
    """In US dollars."""

    unit = Budget.Unit.USD

    def to_representation(self, value: int) -> str:
        return dollars(value)


@extend_schema_field(TOKENS_OR_NULL)
class RaisedTokens(RaisedAmount):
    """In tokens."""

    unit = Budget.Unit.TOKENS

    def to_representation(self, value: int) -> int:
        return value


class RaiseDocument(serializers.Serializer[Any]):
    """A budget that an approval raises once, with how it stands now. Amounts are null in the other unit than the
    budget's, and those of now where the budget is gone."""

    budget = serializers.CharField(help_text="Its id.")
    title = serializers.CharField()
    unit = serializers.ChoiceField(Budget.Unit.choices)
    ends = serializers.DateTimeField(allow_null=True, help_text="The end of its window, and of the raise.")
    needs_usd = RaisedDollars("needs", help_text="What this call would hold.")
    most_usd = RaisedDollars("most", help_text="By how much it is raised at most.")
    now_usd = RaisedDollars("now", help_text="By how much it would be raised at this moment.")
    limit_usd = RaisedDollars("limit", help_text="With what it was raised by before.")
    spent_usd = RaisedDollars("spent")
    held_usd = RaisedDollars("held")
    needs_tokens = RaisedTokens("needs")
    most_tokens = RaisedTokens("most")
    now_tokens = RaisedTokens("now")
    limit_tokens = RaisedTokens("limit")
    spent_tokens = RaisedTokens("spent")
    held_tokens = RaisedTokens("held")
    over = serializers.BooleanField(
        help_text="The budget was reset, lowered or removed since the agent asked: nothing is raised any more."
    )


class WholeApprovalDocument(ApprovalDocument):
    """An approval with its answers."""

    raises = serializers.SerializerMethodField(help_text="Budgets that it raises once, for this call.")
    requirements = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField()
    may_decide = serializers.SerializerMethodField(help_text="Whether your answer would count now.")

    @extend_schema_field(RaiseDocument(many=True))
    def get_raises(self, approval: Approval) -> Any:
        """As they stand now."""
        return RaiseDocument(raises.shown(approval), many=True).data

    @extend_schema_field(RequirementDocument(many=True))
    def get_requirements(self, approval: Approval) -> Any:
        """By rule."""
        return readings.progress(approval, timezone.now())

    @extend_schema_field(VoteDocument(many=True))
    def get_votes(self, approval: Approval) -> Any:
        """In the order in which they were given."""
        content = readings.sees_content(self.context["view"].person, approval)
        return VoteDocument(readings.votes(approval, content=content), many=True).data

    def get_may_decide(self, approval: Approval) -> bool:
        """Judged again when the answer comes."""
        return reviewers.may_decide(self.context["view"].person, approval, timezone.now())


class ApprovalFilter(django_filters.FilterSet):
    """Approvals by what asked, and by how they stand."""

    status = django_filters.ChoiceFilter(choices=WORDS, method="of_status")
    agent = django_filters.CharFilter(field_name="agent__public_id")
    tool = django_filters.CharFilter()
    risk = django_filters.ChoiceFilter(choices=RISKS)

    class Meta:
        model = Approval
        fields: list[str] = []

    def of_status(self, rows: QuerySet[Approval], name: str, value: str) -> QuerySet[Approval]:
        """As it is told, not as it is stored."""
        return rows.filter(readings.of_status(value, timezone.now()))


class ApprovalRows(WorkspaceView):
    """The approvals of the workspace."""

    def get_queryset(self) -> QuerySet[Approval]:
        return Approval.objects.filter(workspace=self.workspace).select_related("agent", "workspace")

    def approval(self) -> Approval:
        """The approval of the address. Raises NotVisible."""
        rows = self.get_queryset().filter(public_id=self.kwargs["approval"])
        row: Approval = found(rows.first(), "approval")
        return row


class Approvals(ApprovalRows, Listing):
    """The workspace's approvals, the newest first."""

    permission = {"GET": VIEW}
    serializer_class = ApprovalDocument
    filterset_class = ApprovalFilter
    order = "-pk"


class Inbox(PersonView, Listing):
    """What you may decide now, in all of your workspaces, the nearest deadline first."""

    permission = {"GET": SIGNED_IN}
    serializer_class = ApprovalDocument
    pagination_class = Whole

    def get_queryset(self) -> QuerySet[Approval]:
        return reviewers.inbox(self.person, timezone.now()).select_related("agent", "workspace")


class OneApproval(ApprovalRows):
    """One approval."""

    permission = {"GET": VIEW}
    serializer_class = WholeApprovalDocument

    def get(self, request: Request, slug: str, approval: str) -> Response:
        """How it stands, and who answered what."""
        return self.shown(self.approval())


class CallDocument(serializers.Serializer[Any]):
    """What was sent, as the log's Detail has it; what was withheld or erased is not there."""

    arguments = serializers.JSONField(required=False)
    resources = serializers.ListField(child=serializers.CharField(), required=False)
    reason = serializers.CharField(required=False)
    on_behalf_of = serializers.CharField(required=False)
    context = serializers.JSONField(required=False)  # type: ignore[assignment]  # taken out of the class


CONTENT = tuple(CallDocument().fields)


class WaitingCallDocument(CallDocument):
    """The call as it is asked about now."""

    round = serializers.IntegerField(help_text="Which version of the call this is; name it in your answer.")


class ApprovalContent(ApprovalRows):
    """What was sent."""

    permission = {"GET": VIEW}
    serializer_class = WaitingCallDocument

    def get(self, request: Request, slug: str, approval: str) -> Response:
        """What was sent, for who may see it: by role, or because their answer counts. The reading is recorded."""
        row = self.approval()
        if not readings.sees_content(self.person, row):
            raise Forbidden("Your roles do not let you see what was sent; ask an owner of the workspace.")
        detail = readings.read_call(row, self.person)
        sent = {name: detail[name] for name in CONTENT if detail.get(name) is not None}
        return Response({"round": row.round, **sent})


def known_by(request: Request) -> Vote.KnownBy:
    """How the person of a request is known."""
    return Vote.KnownBy.TOKEN if request.auth else Vote.KnownBy.SESSION


class SecondFactorWanted(Exception):
    """Somebody has to confirm who they are, with where that is done."""

    status, code = 403, "second_factor_needed"

    def __init__(self, sentence: str) -> None:
        address = settings.PUBLIC_URL + reverse("confirm")
        super().__init__(
            f"{sentence} Send a code of it as code; in a browser's session, confirm at {address}"
        )


def round_seen() -> serializers.IntegerField:
    """The version of the call that an answer is about."""
    return serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        default=1,
        help_text="That of the call that you looked at; 1, the call as the agent sent it, where left out. An answer "
        "to a call that a reviewer edited since is refused.",
    )


class AnswerDocument(Exact):
    """A reviewer's answer."""

    approve = serializers.BooleanField()
    round = round_seen()
    comment = serializers.CharField(
        max_length=LONGEST_COMMENT,
        default="",
        allow_blank=True,
        help_text="Of at least 10 characters for a call of high or critical risk.",
    )
    code = serializers.CharField(
        max_length=40,
        default="",
        allow_blank=True,
        help_text="Of your authenticator app, or a recovery code: to approve a call of high or critical risk with a "
        "token. It counts once.",
    )


class ApprovalDecision(ApprovalRows):
    """Answers to one approval."""

    permission = {"POST": VIEW}
    serializer_class = WholeApprovalDocument

    @extend_schema(request=AnswerDocument)
    def post(self, request: Request, slug: str, approval: str) -> Response:
        """Give your answer. It counts where a rule names you and your roles let you decide."""
        values = self.read(request, AnswerDocument)
        row = self.approval()
        try:
            approvals.decide(
                row,
                person=self.person,
                approve=values["approve"],
                comment=values["comment"],
                known_by=known_by(request),
                actor=self.actor,
                second_factor=factors.shown_in(request, self.person, values["code"]),
                seen=values["round"],
            )
        except approvals.SecondFactorNeeded as needed:
            raise SecondFactorWanted(str(needed)) from needed
        return self.shown(self.approval())
