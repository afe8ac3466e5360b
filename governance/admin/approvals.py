"""Calls that wait for people: each as its reviewers judge it, with the two buttons."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone

from governance import approvals, presentation, raises, readings, rendering, reviewers, undelivered
from governance.admin import answering, inbox
from governance.admin.circumstances import circumstances
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.flow_charts import chart
from governance.flows import ApprovalFlow
from governance.grounds import grounds
from governance.models import Approval, ApprovalLink, DecisionRecord, Vote
from governance.prospects import prospects
from governance.readings import sees_content, status_of
from governance.readings import waits_at as waits_at
from governance.reviewers import why_not
from workspaces import factors
from workspaces.access import Forbidden
from workspaces.access.admin import act, filled, person_of
from workspaces.models import Tool, User
from workspaces.people import actor_of

AFTERWARDS = {
    Approval.Status.PENDING: "Others have to answer as well before the call may be made.",
    Approval.Status.APPROVED: "Nothing else is needed: the agent may make this one call, once.",
    Approval.Status.REJECTED: "The agent may not make this call.",
}
COMMENT_LENGTH = 2000
PART = "X-Part"  # asks for a part of a page, which a script puts in its place


class AnswerForm(forms.Form):
    """One press of one of the two buttons."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    comment = forms.CharField(required=False, max_length=COMMENT_LENGTH, strip=True)
    # Of the call that the page showed.
    round = forms.IntegerField(required=False, min_value=1, max_value=10_000)
    back = forms.ChoiceField(required=False, choices=[("inbox", "To the inbox")])


@admin.register(Approval)
class ApprovalAdmin(answering.Answering):
    """Calls that wait, or waited, for people."""

    list_filter: list[Any] = []

    def get_urls(self) -> list[URLPattern]:
        return [self.beside("call", self.call), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.select_related("agent", "workspace", "on_behalf_of")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The inbox, or with ``X-Part: rows`` its list alone."""
        self.require(request, self.view_permission, None)
        if inbox.strange_in(request):  # passed over in silence, it would look like a filter that finds all
            return HttpResponseRedirect(reverse(inbox.ADDRESS))
        part = request.headers.get(PART) == "rows"
        context = {
            **({} if part else self.admin_site.each_context(request)),
            "title": "Approvals",
            "opts": self.opts,
            **inbox.listed(person_of(request), inbox.asked_in(request), timezone.now()),
        }
        name = "approval_rows" if part else "approval_inbox"
        return confidential(TemplateResponse(request, f"admin/portal/{name}.html", context))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What is asked, or with ``X-Part: call`` the call alone."""
        approval = self.find(request, object_id)
        if request.headers.get(PART) == "call":
            context = {"approval": approval, **asked(request, approval)}
            return confidential(TemplateResponse(request, "admin/portal/approval_call.html", context))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{approval.agent.name}: {presentation.visible(approval.tool)}",
            "opts": self.opts,
            **page(request, approval),
        }
        return confidential(TemplateResponse(request, "admin/portal/approval.html", context))

    def call(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The call as it is kept, as a file: nothing cut, nothing spelled out. The reading is recorded."""
        approval = self.find(request, object_id)
        person = person_of(request)
        if not sees_content(person, approval):
            raise Forbidden("Your roles do not let you see what was sent; ask an owner of the workspace.")
        disclose(person, approval)
        question = presentation.question(approval)
        content = {
            "approval": approval.public_id,
            "workspace": approval.workspace.slug,
            "agent": approval.agent.public_id,
            "tool": approval.tool,
            "action": approval.action,
            "resources": question.raw,
            "arguments": question.values,
        }
        response = HttpResponse(json.dumps(content, indent=2), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{approval.public_id}.json"'
        return confidential(response)

    @act("decide", NotPending, ReasonNeeded, SecondFactorNeeded)
    def decide(self, request: HttpRequest, approval: Approval) -> HttpResponse | None:
        """Record the person's vote. Raises Forbidden for somebody whose vote does not count."""
        answer = filled(AnswerForm(request.POST))
        approve = answer["decision"] == "approve"
        person = person_of(request)
        link = ApprovalLink.objects.filter(approval=approval, person=person).first()
        try:
            after = approvals.decide(
                approval,
                person=person,
                approve=approve,
                comment=answer["comment"],
                known_by=Vote.KnownBy.SESSION,
                actor=actor_of(person),
                second_factor=factors.fresh(request),
                opened_at=link.opened_at if link else None,
                seen=answer["round"],
            )
        except NotAReviewer as refused:
            if not reviewers.may_answer(person, approval):
                raise Forbidden(str(refused)) from refused
            messages.error(request, str(refused))
            return None
        said = "You approved." if approve else "You rejected."
        messages.success(request, f"{said} {AFTERWARDS[Approval.Status(after.status)]}")
        return HttpResponseRedirect(reverse(inbox.ADDRESS)) if answer["back"] == "inbox" else None


def confidential(response: HttpResponse) -> HttpResponse:
    """A page that is kept nowhere."""
    response["Cache-Control"] = "no-store, private"
    return response


def page(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    """Everything on the page of one approval."""
    person, now = person_of(request), timezone.now()
    shown = asked(request, approval)
    word = status_of(approval, now)
    may_decide = reviewers.may_decide(person, approval, now)
    risky = approval.risk in approvals.CONFIRMED_RISKS
    return {
        "approval": approval,
        "status": (word, inbox.STATUS_LABELS[word]),
        **shown,
        "asked_by_rules": presentation.asked_by(approval),
        "grounds": grounds(approval, shown["question"]),
        "raises": presentation.raised_by(approval, presentation.zone_of(approval.workspace.timezone)),
        "spent_lately": raises.spent_lately(approval, now) if approval.raises else "",
        "may_decide": may_decide,
        "why_not": "" if may_decide else why_not(person, approval, now),
        "prospects": prospects(person, approval, now) if may_decide else None,
        "risky": risky,
        "confirm": factors.confirm_address(request.path) if risky and not factors.fresh(request) else "",
        "comment_length": COMMENT_LENGTH,
        "reason_length": approvals.SHORTEST_REASON,
        "requirements": readings.progress(approval, now),
        "votes": readings.votes(approval, content=shown["may_see_content"]),
        "remarks": readings.remarks(approval, content=shown["may_see_content"]),
        "changes": readings.changes(approval) if shown["may_see_content"] else [],
        "undelivered": undelivered.mail_trouble(approval),
        "decision": decision_of(approval),
        "chart": chart(ApprovalFlow, approval.process),
        **answering.further(person, approval, may_decide=may_decide),
        **circumstances(approval, now),
    }


def asked(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    """The call as it was sent, which is recorded as read, for who may see that."""
    person = person_of(request)
    tool = Tool.objects.filter(workspace=approval.workspace, name=approval.tool).first()
    known: dict[str, Any] = {"tool": tool, "may_see_content": sees_content(person, approval)}
    if not known["may_see_content"]:
        return {**known, "question": None}
    disclose(person, approval)
    question = presentation.question(approval)
    whole = "whole" in request.GET
    arguments = rendering.shown(question, labels=tool.labels if tool else (), whole=whole)
    return {
        **known,
        "question": question,
        "arguments": arguments,
        "more": len(question.values or {}) - len(arguments),
        "cut": any(each.cut for each in arguments) or len(question.values or {}) > len(arguments),
        "hints": rendering.hints(question),
    }


def disclose(person: User, approval: Approval) -> None:
    """Record that the person reads what was sent, and when they first saw what is asked of them."""
    readings.read_call(approval, person)
    links = ApprovalLink.objects.filter(approval=approval, person=person, opened_at=None)
    links.update(opened_at=timezone.now())


def decision_of(approval: Approval) -> DecisionRecord | None:
    """The pending decision that asked."""
    rows = DecisionRecord.objects.filter(log_id=approval.workspace.log_id, index=approval.entry_index)
    return rows.only("pk").first()
