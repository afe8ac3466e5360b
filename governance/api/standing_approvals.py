"""What agents may do without asking each time: given, used, ended."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Whole
from audit.api.problems import Exact
from audit.api.views import Listing
from governance import approvals, disclosures, endings, standing, suggestions
from governance.api.approvals import ApprovalRows, SecondFactorWanted, known_by, round_seen
from governance.models import StandingApproval
from governance.readings import sees_content
from governance.suggestions import Suggestion
from workspaces import factors
from workspaces.access import Forbidden, may
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.models import User, Workspace


class StandingApprovalDocument(serializers.Serializer[Any]):
    """An approval in advance, without what it holds of calls."""

    id = serializers.CharField(source="public_id")
    agent = serializers.CharField(source="agent.public_id")
    agent_name = serializers.CharField(source="agent.name")
    tool = serializers.CharField()
    session = serializers.SerializerMethodField(help_text="The one session that it is for; null: any.")
    uses = serializers.SerializerMethodField()
    max_uses = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    given_by = serializers.CharField(source="given_by.public_id")
    approval = serializers.CharField(source="approval.public_id", allow_null=True, default=None)
    policy = serializers.CharField()
    created = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)

    def get_session(self, row: StandingApproval) -> str | None:
        """Null for any."""
        return None if row.any_session else row.session

    def get_uses(self, row: StandingApproval) -> int:
        """How often it was used."""
        return endings.uses_of(row)


class WholeStandingApprovalDocument(StandingApprovalDocument):
    """One of them, with how it stands."""

    status = serializers.SerializerMethodField(help_text="“in force”, or why it has ended.")
    resources = serializers.SerializerMethodField(help_text="Patterns; null for who may not see content.")
    bounds = serializers.SerializerMethodField(
        help_text="By JSON pointer into the arguments; null for who may not see content."
    )

    def get_status(self, row: StandingApproval) -> str:
        """In words."""
        return endings.statuses([row], timezone.now())[row.pk]

    def get_resources(self, row: StandingApproval) -> list[str] | None:
        """As they were given."""
        return row.resources if sees(self.context["view"].person, row) else None

    def get_bounds(self, row: StandingApproval) -> dict[str, Any] | None:
        """As they were given."""
        return row.bounds if sees(self.context["view"].person, row) else None


def sees(person: User, row: StandingApproval) -> bool:
    """Whether a person may see what a standing approval holds of calls."""
    if row.approval is None:
        return may(person, "view_content", row.agent)
    return sees_content(person, row.approval)


def may_revoke(person: User, row: StandingApproval) -> bool:
    """Whether a person may end it: who may decide here, or tighten its agent."""
    return may(person, "decide", row.workspace) or may(person, "tighten", row.agent)


class StandingApprovalRows(WorkspaceView):
    """What was given in the workspace."""

    serializer_class: Any = WholeStandingApprovalDocument

    def get_queryset(self) -> QuerySet[StandingApproval]:
        return endings.ledger(Workspace.objects.filter(pk=self.workspace.pk))

    def row(self) -> StandingApproval:
        """The one of the address. Raises NotVisible."""
        row: StandingApproval = found(
            self.get_queryset().filter(public_id=self.kwargs["standing_approval"]).first(),
            "standing approval",
        )
        return row


class StandingApprovals(StandingApprovalRows, Listing):
    """All that was ever given, the newest first."""

    permission = {"GET": VIEW}
    serializer_class = StandingApprovalDocument
    order = "-pk"


class OneStandingApproval(StandingApprovalRows):
    """One of them."""

    permission = {"GET": VIEW}

    def get(self, request: Request, slug: str, standing_approval: str) -> Response:
        """How it stands; reading what it holds of calls is recorded."""
        row = self.row()
        if row.approval is not None and sees(self.person, row):
            disclosures.disclose(
                self.workspace.log_id,
                row.approval.entry_index,
                person=self.person,
                agent=row.agent.public_id,
                tool=row.tool,
            )
        return self.shown(row)


class ReasonDocument(Exact):
    """Why."""

    reason = serializers.CharField(max_length=standing.LONGEST_REASON, default="", allow_blank=True)


class StandingApprovalRevocation(StandingApprovalRows):
    """The end of one of them."""

    permission = {"POST": VIEW}

    @extend_schema(request=ReasonDocument)
    def post(self, request: Request, slug: str, standing_approval: str) -> Response:
        """End it, from this moment: who may decide here, or tighten its agent."""
        row = self.row()
        if not may_revoke(self.person, row):
            raise Forbidden(
                "Approvers and who may tighten this agent end what was approved of it in advance."
            )
        standing.revoke(row, actor=self.actor, reason=self.read(request, ReasonDocument)["reason"])
        return self.shown(self.row())


class GiftDocument(Exact):
    """What is given. Without resources and bounds, exactly the approved ones."""

    resources = serializers.ListField(child=serializers.CharField(max_length=4000), required=False)
    bounds = serializers.DictField(
        required=False,
        help_text='By JSON pointer: {"is": value}, {"in": […]}, {"min": n, "max": n} or {"any": true}. What is not '
        "named is refused.",
    )
    this_session = serializers.BooleanField(
        default=False, help_text="Only in the session of the approved call."
    )
    until = serializers.DateTimeField(help_text="Within 30 days.")
    max_uses = serializers.IntegerField(min_value=1, max_value=standing.MOST_USES)
    reason = serializers.CharField(min_length=approvals.SHORTEST_REASON, max_length=standing.LONGEST_REASON)
    round = round_seen()
    code = serializers.CharField(
        max_length=40, default="", allow_blank=True, help_text="For high risk, as when a call is decided."
    )


class Gift(ApprovalRows):
    """An approval in advance, from a call that you alone approved, or approve by this."""

    permission = {"POST": "decide"}
    serializer_class = WholeStandingApprovalDocument

    @extend_schema(request=GiftDocument)
    def post(self, request: Request, slug: str, approval: str) -> Response:
        """Let the agent do this again, within bounds. A call that waits is approved by it."""
        row, values = self.approval(), self.read(request, GiftDocument)
        code, seen = values.pop("code"), values.pop("round")
        session = row.session if values.pop("this_session") else None
        try:
            given = standing.give(
                row,
                person=self.person,
                session=session,
                actor=self.actor,
                second_factor=factors.shown_in(request, self.person, code),
                known_by=known_by(request),
                seen=seen,
                **values,
            )
        except approvals.SecondFactorNeeded as needed:
            raise SecondFactorWanted(str(needed)) from needed
        return self.shown(given, created=True)


class SuggestionDocument(serializers.Serializer[Suggestion]):
    """Calls that people approved each time, lately."""

    approval = serializers.CharField(
        source="approval.public_id", help_text="The newest; give it from this one."
    )
    agent = serializers.CharField(source="approval.agent.public_id")
    tool = serializers.CharField(source="approval.tool")
    rules = serializers.ListField(child=serializers.CharField())
    approved = serializers.IntegerField(source="count")
    arguments = serializers.SerializerMethodField(help_text="The arguments that its bounds would name.")

    def get_arguments(self, suggestion: Suggestion) -> list[str]:
        """As JSON pointers."""
        return sorted(suggestion.bounds)


class StandingApprovalSuggestions(WorkspaceView, Listing):
    """What could be given, the most often approved first. Nothing is ever given by itself."""

    permission = {"GET": VIEW}
    serializer_class = SuggestionDocument
    pagination_class = Whole

    def get_queryset(self) -> Any:
        return suggestions.suggestions(self.workspace, timezone.now())
