"""Requests: what people and agents propose, and the answers of those who decide."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from audit.api.views import Listing
from governance import policy_changes, proposal_readings, proposals, registrations, risk_answers
from governance.api.onboarding import SetupDocument, plan_of
from governance.api.policies import DRAFT, NoteDocument, PolicyRows
from governance.models import Proposal
from workspaces.access import get_workspace
from workspaces.api.catalog import MANAGE as TOOLS
from workspaces.api.catalog import ToolDocument, ToolRows
from workspaces.api.views import VIEW, NamedRows, WorkspaceView, found

MANAGE = registrations.MANAGE


class ProposalDocument(serializers.Serializer[Any]):
    """A change that is not in effect yet, or what became of it."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(Proposal.Kind.choices)
    title = serializers.CharField()
    status = serializers.ChoiceField(Proposal.Status.choices)
    outcome = serializers.CharField(help_text="What came of it, or why it could not be done.")
    proposed_by = serializers.CharField(
        source="proposed_by.public_id", default=None, allow_null=True, help_text="Null: the agent itself."
    )
    agent = serializers.CharField(source="agent.public_id", default=None, allow_null=True)
    version = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    replay = serializers.CharField(source="replay.public_id", default=None, allow_null=True)
    created = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="No answer by then means no.")
    settled_at = serializers.DateTimeField(allow_null=True)


class AnswerDocument(serializers.Serializer[Any]):
    """One person's answer."""

    person = serializers.CharField(source="vote.person.public_id")
    approve = serializers.BooleanField(source="vote.approve")
    comment = serializers.CharField(help_text="Empty, too, where your roles do not show it.")
    time = serializers.DateTimeField(source="vote.created")


class MissingDocument(serializers.Serializer[Any]):
    """An answer that is still needed."""

    who = serializers.CharField()
    people = serializers.ListField(child=serializers.CharField(), help_text="Whose answers would count.")


class WholeProposalDocument(ProposalDocument):
    """A proposal with what would change and who answered."""

    change = serializers.SerializerMethodField(
        help_text="Its form is the kind's: of a tool before and after; of a new agent the plan and the answers about "
        "its risk; of access hours and needs; of a policy nothing, see the version's differences."
    )
    note = serializers.SerializerMethodField(help_text="What was said with it. Of an agent: its claim.")
    said = serializers.SerializerMethodField(help_text="What is to be known of a policy's replay.")
    answers = serializers.SerializerMethodField()
    missing = serializers.SerializerMethodField()
    may_decide = serializers.SerializerMethodField(help_text="Whether your answer would count now.")

    def in_clear(self, proposal: Proposal) -> bool:
        """Whether who asks may see what people and agents wrote."""
        return proposal_readings.sees_words(self.context["view"].person, proposal)

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_change(self, proposal: Proposal) -> Any:
        """What would change."""
        match proposal.kind:
            case Proposal.Kind.TOOL:
                return {name: proposal.content[name] for name in ("before", "after")}
            case Proposal.Kind.ONBOARDING:
                return {name: proposal.content[name] for name in ("plan", "answers")}
            case Proposal.Kind.ACCESS:
                needs = proposal_readings.needs_of(proposal, in_clear=self.in_clear(proposal))
                return {"hours": proposal.content["hours"], "tool": proposal.content["tool"], "needs": needs}
        return {}

    def get_note(self, proposal: Proposal) -> str:
        """Empty where it is not to be seen."""
        words = proposal_readings.words_of(proposal) if self.in_clear(proposal) else {}
        return str(words.get("note") or words.get("reason") or "")

    def get_said(self, proposal: Proposal) -> str:
        """Empty for other kinds."""
        return str(proposal.content.get("said", ""))

    @extend_schema_field(AnswerDocument(many=True))
    def get_answers(self, proposal: Proposal) -> Any:
        """In order."""
        answers = proposal_readings.answers_of(proposal, with_comments=self.in_clear(proposal))
        return AnswerDocument(answers, many=True).data

    @extend_schema_field(MissingDocument(many=True))
    def get_missing(self, proposal: Proposal) -> Any:
        """Nothing, once it is settled."""
        rows = [
            {"who": who, "people": [person.public_id for person in people]}
            for who, people in proposal_readings.missing(proposal)
        ]
        return MissingDocument(rows, many=True).data

    def get_may_decide(self, proposal: Proposal) -> bool:
        """Judged again when you do."""
        return bool(proposal_readings.state(self.context["view"].person, proposal)["may_decide"])


class ProposalFilter(django_filters.FilterSet):
    """Proposals by what they are and how they stand."""

    kind = django_filters.ChoiceFilter(choices=Proposal.Kind.choices)
    status = django_filters.ChoiceFilter(choices=Proposal.Status.choices)

    class Meta:
        model = Proposal
        fields: list[str] = []


class ProposalRows(WorkspaceView):
    """The proposals of the workspace."""

    serializer_class: Any = WholeProposalDocument

    def get_queryset(self) -> QuerySet[Any]:
        return proposals.visible_to(self.person, self.workspace)

    def proposal(self) -> Proposal:
        """The proposal of the address. Raises NotVisible."""
        row: Proposal = found(
            self.get_queryset().filter(public_id=self.kwargs["proposal"]).first(), "request"
        )
        return row


class Proposals(ProposalRows, Listing):
    """What was proposed in the workspace, the newest first."""

    permission = {"GET": VIEW}
    serializer_class = ProposalDocument
    filterset_class = ProposalFilter
    order = "-pk"


class OneProposal(ProposalRows):
    """One proposal."""

    permission = {"GET": VIEW}

    def get(self, request: Request, slug: str, proposal: str) -> Response:
        """What would change, who answered, and whose answers are missing."""
        return self.shown(self.proposal())


class AnswerToProposal(Exact):
    """An answer."""

    approve = serializers.BooleanField()
    comment = serializers.CharField(max_length=2000, default="", allow_blank=True)


class ProposalDecision(ProposalRows):
    """The answer to a proposal."""

    permission = {"POST": VIEW}

    @extend_schema(request=AnswerToProposal, responses={200: WholeProposalDocument})
    def post(self, request: Request, slug: str, proposal: str) -> Response:
        """Approve or reject, if you are asked. Nobody decides what they proposed, drafted or will own. What is agreed
        to is done at once; one “no” ends it."""
        values = self.read(request, AnswerToProposal)
        row = proposals.decide(self.proposal(), person=self.person, **values)
        return self.shown(row)


class WithdrawalDocument(Exact):
    """Why something is withdrawn."""

    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class ProposalCancellation(ProposalRows):
    """The withdrawal of a proposal."""

    permission = {"POST": VIEW}

    @extend_schema(request=WithdrawalDocument, responses={200: WholeProposalDocument})
    def post(self, request: Request, slug: str, proposal: str) -> Response:
        """Withdraw what you proposed, or what your agent asks for."""
        reason = self.read(request, WithdrawalDocument)["reason"]
        proposals.withdraw(self.proposal(), person=self.person, actor=self.actor, reason=reason)
        return self.shown(self.proposal())


class FirstKeyDocument(serializers.Serializer[Any]):
    """The first key of a new agent."""

    id = serializers.CharField(source="public_id")
    agent = serializers.CharField(source="agent.public_id")
    text = serializers.CharField(help_text="The key itself: in this answer and nowhere else.")


class ProposalKey(ProposalRows):
    """The first key of an agent that was approved."""

    permission = {"POST": MANAGE}

    @extend_schema(request=None, responses={201: FirstKeyDocument})
    def post(self, request: Request, slug: str, proposal: str) -> Response:
        """Make the first key of an agent that you registered and somebody approved."""
        key, text = registrations.make_key(self.proposal(), person=self.person)
        key.text = text  # type: ignore[attr-defined]
        return Response(FirstKeyDocument(key).data, status=201, headers={"Cache-Control": "no-store"})


class PolicyProposal(PolicyRows, CreateModelMixin):
    """A draft that a second person is asked to publish."""

    permission = {"POST": DRAFT}

    @extend_schema(request=NoteDocument, responses={201: WholeProposalDocument})
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Ask a second person to publish a draft. Recorded calls are judged by it first. A draft that is proposed
        already is the answer again."""
        note = self.read(request, NoteDocument)["note"]
        row = policy_changes.propose_version(self.version(), person=self.person, note=note)
        return Response(WholeProposalDocument(row, context=self.get_serializer_context()).data, status=201)


class ToolProposal(ToolRows, NamedRows):
    """A tool that a second person is asked to give more room."""

    permission = {"POST": TOOLS}

    @extend_schema(request=ToolDocument, responses={201: WholeProposalDocument})
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Ask a second person to declare the tool so, where you may not alone."""
        tool, values = self.row(), self.read(request)
        if values["name"] != tool.name:
            raise serializers.ValidationError({"name": f"A tool keeps its name, {tool.name}."})
        row = policy_changes.propose_tool(self.workspace, values["declaration"], person=self.person)
        return Response(WholeProposalDocument(row, context=self.get_serializer_context()).data, status=201)


def answer_fields() -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """A choice for each question about an agent's risk."""
    return {
        question.key: serializers.ChoiceField(
            [(key, words) for key, words, _ in question.answers], help_text=f"{question.text} {question.help}"
        )
        for question in risk_answers.QUESTIONS
    }


RiskAnswersDocument: Any = type(
    "RiskAnswersDocument", (Exact,), {"__doc__": "Answers about an agent's risk.", **answer_fields()}
)


class RegistrationDocument(SetupDocument):
    """A new agent that somebody else approves."""

    answers = RiskAnswersDocument()


class Registrations(WorkspaceView):
    """New agents that somebody else approves."""

    permission = {"POST": MANAGE}
    serializer_class: Any = RegistrationDocument

    @extend_schema(responses={201: WholeProposalDocument})
    def post(self, request: Request, slug: str) -> Response:
        """Propose an agent; its risk tier follows from the answers and is never lower than its riskiest tool. An owner
        or a compliance officer who is neither you nor its owner approves it; then you make its key. It takes
        manage_tools too."""
        get_workspace(self.person, slug, TOOLS)
        values = self.read(request)
        row = registrations.register(
            plan_of(self.workspace, self.person, values), answers=values["answers"], person=self.person
        )
        return Response(WholeProposalDocument(row, context=self.get_serializer_context()).data, status=201)
