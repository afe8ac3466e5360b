"""Other answers to an approval than yes and no: with other arguments, with a question, or several at once."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from governance import approvals, batch_answers, edits, remarks, reviewers
from governance.api.approvals import (
    LONGEST_COMMENT,
    ApprovalRows,
    SecondFactorWanted,
    WholeApprovalDocument,
    known_by,
    round_seen,
)
from governance.batch_answers import Answered
from governance.edits import Judged
from workspaces import factors
from workspaces.access import Forbidden
from workspaces.api.views import VIEW

NAME = serializers.CharField(max_length=200)


class EditDocument(Exact):
    """Another version of the call."""

    tool = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="Another tool, if any."
    )
    arguments = serializers.DictField()
    round = round_seen()
    comment = serializers.CharField(max_length=LONGEST_COMMENT, default="", allow_blank=True)
    code = serializers.CharField(
        max_length=40,
        default="",
        allow_blank=True,
        help_text="For high and critical risk, as when a call is decided.",
    )


class ApprovalEdit(ApprovalRows):
    """Approval of another call in the place of the one that waits."""

    permission = {"POST": "decide"}
    serializer_class = WholeApprovalDocument

    @extend_schema(request=EditDocument)
    def post(self, request: Request, slug: str, approval: str) -> Response:
        """Have policy judge the edited call as a new one, and approve it. Earlier answers lapse; the agent is told
        what changed. Refused with 409 where policy would deny it."""
        row, values = self.approval(), self.read(request, EditDocument)
        code, seen = values.pop("code"), values.pop("round")
        try:
            edits.edit(
                row,
                person=self.person,
                actor=self.actor,
                second_factor=factors.shown_in(request, self.person, code),
                known_by=known_by(request),
                seen=seen,
                **values,
            )
        except approvals.SecondFactorNeeded as needed:
            raise SecondFactorWanted(str(needed)) from needed
        return self.shown(self.approval())


class TrialEditDocument(Exact):
    """Another version of the call, to look at."""

    tool = serializers.CharField(max_length=200, default="", allow_blank=True)
    arguments = serializers.DictField()


class ChangeDocument(serializers.Serializer[Any]):
    """One difference, by JSON pointer."""

    path = serializers.CharField()
    to = serializers.JSONField(required=False, help_text="Absent where it was removed.")

    def get_fields(self) -> Any:
        before = serializers.JSONField(required=False, help_text="Absent where it was added.")
        return {**super().get_fields(), "from": before}


class ForeseenDocument(serializers.Serializer[Judged]):
    """What an edit would change, and which further rules would ask."""

    decision = serializers.CharField(source="verdict.decision")
    risk = serializers.CharField()
    resources = serializers.ListField(child=serializers.CharField(), source="kept.resources")
    changes = ChangeDocument(many=True)
    further_rules = serializers.SerializerMethodField()

    def get_further_rules(self, judged: Judged) -> list[str]:
        """By name."""
        return [each["rule"] for each in judged.asked]


class ApprovalEditPreview(ApprovalRows):
    """An edit before it counts."""

    permission = {"POST": "decide"}
    serializer_class = ForeseenDocument

    @extend_schema(request=TrialEditDocument)
    def post(self, request: Request, slug: str, approval: str) -> Response:
        """What would change, and what policy says of it. Nothing is written."""
        row, values = self.approval(), self.read(request, TrialEditDocument)
        return self.shown(edits.preview(row, person=self.person, **values))


class QuestionDocument(Exact):
    """A question to the agent."""

    text = serializers.CharField(max_length=remarks.LONGEST)


class ApprovalQuestion(ApprovalRows):
    """A question to the agent, which it sees while it waits."""

    permission = {"POST": VIEW}
    serializer_class = WholeApprovalDocument

    @extend_schema(request=QuestionDocument)
    def post(self, request: Request, slug: str, approval: str) -> Response:
        """Ask it. Nothing is decided, and the time goes on."""
        row = self.approval()
        if not reviewers.may_answer(self.person, row):
            raise Forbidden("Your roles do not let you answer this; ask an owner of the workspace.")
        text = self.read(request, QuestionDocument)["text"]
        remarks.ask(row, person=self.person, text=text, actor=self.actor)
        return self.shown(self.approval())


class BatchDocument(Exact):
    """The same answer to several approvals of low risk."""

    approvals = serializers.ListField(child=NAME, min_length=1, max_length=batch_answers.MOST)
    approve = serializers.BooleanField()
    rounds = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=10_000),
        default=dict,
        help_text="By approval, the round of the call that you looked at; 1 where left out.",
    )
    comment = serializers.CharField(max_length=LONGEST_COMMENT, default="", allow_blank=True)


class AnsweredDocument(serializers.Serializer[Answered]):
    """What became of one of the answers."""

    id = serializers.CharField(source="approval.public_id")
    status = serializers.CharField(source="approval.status")
    code = serializers.CharField(help_text="Empty where the answer counted, else why it did not.")
    message = serializers.CharField()


class ApprovalBatch(ApprovalRows):
    """Answers to several approvals at once."""

    permission = {"POST": "decide"}
    serializer_class = AnsweredDocument
    pagination_class = None  # one answer for each that was named

    @extend_schema(request=BatchDocument, responses=AnsweredDocument(many=True))
    def post(self, request: Request, slug: str) -> Response:
        """Give the same answer to each. What is of more than low risk is refused by name; what names nothing here is
        left out."""
        values = self.read(request, BatchDocument)
        rows = list(self.get_queryset().filter(public_id__in=values.pop("approvals")).order_by("pk"))
        rounds = values.pop("rounds")
        for row in rows:
            row.round = rounds.get(row.public_id, 1)
        answered = batch_answers.answer_all(
            rows, person=self.person, known_by=known_by(request), actor=self.actor, **values
        )
        return Response([AnsweredDocument(each).data for each in answered])
