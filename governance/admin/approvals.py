"""The approvals inbox: what waits for the person first, and each call as its reviewers judge it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import Case, F, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timeuntil

from audit.admin.pages import PortalChangeList, display
from governance import approvals, disclosures, presentation
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.models import Approval, DecisionRecord, Vote
from governance.readings import of_status, progress, sees_content, status_of, votes
from governance.readings import waits_at as waits_at
from workspaces.access import Forbidden, may
from workspaces.access.admin import ScopedAdmin, WorkspaceFilter, act, filled, person_of
from workspaces.admin.catalog import RISK_LABELS
from workspaces.models import User
from workspaces.people import actor_of

STATUS_LABELS = {
    "waits for you": "danger",
    "waiting": "warning",
    "approved": "success",
    "rejected": "danger",
    "expired": "default",
    "cancelled": "default",
}
AFTERWARDS = {
    Approval.Status.PENDING: "Others have to answer as well before the call may be made.",
    Approval.Status.APPROVED: "Nothing else is needed: the agent may make this one call, once.",
    Approval.Status.REJECTED: "The agent may not make this call.",
}
FOR_YOU, WAITING, SETTLED = range(3)
COMMENT_LENGTH = 2000


class AnswerForm(forms.Form):
    """One press of one of the two buttons."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    comment = forms.CharField(required=False, max_length=COMMENT_LENGTH, strip=True)


class StatusFilter(SimpleListFilter):
    """Waiting ones unless something else is asked for."""

    title, parameter_name = "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        ended = [(value, label) for value, label in Approval.Status.choices if value != "pending"]
        return [("all", "All"), *ended]

    def choices(self, changelist: Any) -> Any:
        for value, label in [(None, "Waiting"), *self.lookup_choices]:
            query = changelist.get_query_string(
                {self.parameter_name: value} if value else {}, [] if value else [self.parameter_name]
            )
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        word = self.value() or "waiting"
        return queryset if word == "all" else queryset.filter(of_status(word, timezone.now()))


class Inbox(PortalChangeList):
    """What waits for the viewer, then for others, oldest deadline first; then the newest of the rest."""

    root_queryset: QuerySet[Any]

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        mine = list(approvals.inbox(person_of(request)).values_list("pk", flat=True))
        waits = When(waits_at(timezone.now()), then=Value(WAITING))
        self.root_queryset = self.root_queryset.annotate(
            rank=Case(
                When(pk__in=mine, then=Value(FOR_YOU)),
                waits,
                default=Value(SETTLED),
                output_field=IntegerField(),
            ),
            deadline=Case(When(rank__lt=SETTLED, then=F("expires_at"))),
        )
        return super().get_queryset(request, *args, **kwargs)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return [F("rank").asc(), F("deadline").asc(nulls_last=True), F("created").desc(), F("pk").desc()]


@admin.register(Approval)
class ApprovalAdmin(ScopedAdmin):
    """Calls that wait, or waited, for people."""

    list_display = ["call", "agent", "shown_risk", "shown_status", "time_left", "created"]
    list_filter = [StatusFilter, WorkspaceFilter]
    list_select_related = ["agent", "workspace"]
    sortable_by = ()
    list_before_template = "admin/portal/inbox_intro.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return Inbox

    @display(description="Call")
    def call(self, approval: Approval) -> str:
        return presentation.visible(approval.tool)

    @display(description="Risk", label=RISK_LABELS)
    def shown_risk(self, approval: Approval) -> str:
        return approval.risk

    @display(description="Status", label=STATUS_LABELS)
    def shown_status(self, approval: Any) -> str:
        if approval.rank == FOR_YOU:
            return "waits for you"
        return status_of(approval, timezone.now())

    @display(description="Time left")
    def time_left(self, approval: Any) -> str:
        return timeuntil(approval.expires_at) if approval.rank != SETTLED else "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        approval = self.find(request, object_id)
        person, now = person_of(request), timezone.now()
        context = {
            **self.admin_site.each_context(request),
            "title": f"{approval.agent.name}: {presentation.visible(approval.tool)}",
            "opts": self.opts,
            "approval": approval,
            "status": (word := status_of(approval, now), STATUS_LABELS[word]),
            "may_decide": approvals.may_decide(person, approval, now),
            "comment_length": COMMENT_LENGTH,
            "requirements": progress(approval),
            "votes": votes(approval, content=sees_content(person, approval)),
            "decision": DecisionRecord.objects.filter(
                log_id=approval.workspace.log_id, index=approval.entry_index
            )
            .only("pk")
            .first(),
            **question(person, approval),
        }
        response = TemplateResponse(request, "admin/portal/approval.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related("agent", "workspace", "on_behalf_of")

    @act("decide", NotPending, ReasonNeeded, SecondFactorNeeded)
    def decide(self, request: HttpRequest, approval: Approval) -> None:
        """Record the person's vote. Raises Forbidden for somebody whose vote does not count."""
        answer = filled(AnswerForm(request.POST))
        approve = answer["decision"] == "approve"
        person = person_of(request)
        try:
            after = approvals.decide(
                approval,
                person=person,
                approve=approve,
                comment=answer["comment"],
                known_by=Vote.KnownBy.SESSION,
                actor=actor_of(person),
            )
        except NotAReviewer as refused:
            if not may(person, "decide", approval.workspace):
                raise Forbidden(str(refused)) from refused
            messages.error(request, str(refused))
            return
        said = "You approved." if approve else "You rejected."
        messages.success(request, f"{said} {AFTERWARDS[Approval.Status(after.status)]}")


def question(person: User, approval: Approval) -> dict[str, Any]:
    """What is asked: with what was sent, which is recorded as read, for who may see that."""
    if not sees_content(person, approval):
        asked = presentation.asked_by(approval)
        return {"may_see_content": False, "asked": asked}
    disclosures.disclose(
        approval.workspace.log_id,
        approval.entry_index,
        person=person,
        agent=approval.agent.public_id,
        tool=approval.tool,
    )
    shown = presentation.question(approval)
    return {"may_see_content": True, "asked": shown.asked, "question": shown}
