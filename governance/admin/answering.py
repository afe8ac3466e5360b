"""The other answers to a call that waits: an edited one, a question to its agent, approval of more like it, and one
answer to several of low risk."""

import hashlib
import json
import re
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from governance import (
    approvals,
    batch_answers,
    bounds,
    disclosures,
    edits,
    presentation,
    remarks,
    reviewers,
    standing,
)
from governance.admin.ahead import StandingForm
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.batch_answers import TooMany
from governance.bounds import BadBounds
from governance.coverage import StandingRefused, approved_call
from governance.decide import is_for_one_call
from governance.edits import EditRefused, Judged
from governance.models import Approval, ApprovalLink, Vote
from governance.policies import WorkspaceChanging
from governance.remarks import RemarkRefused
from governance.requirements import votes_of
from governance.reviewers import why_not
from governance.rosters import DECIDE
from governance.suggestions import suggestion_for
from workspaces import factors
from workspaces.access import Forbidden, may
from workspaces.access.admin import ScopedAdmin, act, filled, person_of
from workspaces.declarations import Risk
from workspaces.models import User
from workspaces.people import actor_of

COMMENT_LENGTH = 2000
TICKED = re.compile("([0-9]{1,18})-([0-9]{1,5})").fullmatch
EDIT_REFUSALS = (EditRefused, NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded, WorkspaceChanging)
GIFT_REFUSALS = (StandingRefused, BadBounds, NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded)


class EditForm(forms.Form):
    """Another version of a call. ``seen`` names the version whose difference was shown."""

    tool = forms.CharField(max_length=200)
    arguments = forms.CharField(
        max_length=edits.LONGEST, strip=False, widget=forms.Textarea(attrs={"rows": 16})
    )
    comment = forms.CharField(
        required=False, max_length=COMMENT_LENGTH, widget=forms.Textarea(attrs={"rows": 3})
    )
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def version(self, approval: Approval) -> str:
        """What names this version of this round of an approval. The form must be valid."""
        said = [approval.public_id, approval.round, self.cleaned_data["tool"], self.cleaned_data["arguments"]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class QuestionForm(forms.Form):
    """A question to the agent."""

    question = forms.CharField(max_length=remarks.LONGEST)


class BatchForm(forms.Form):
    """One answer to those that were ticked. Each value is an approval's key and its round."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    comment = forms.CharField(required=False, max_length=COMMENT_LENGTH)


class Answering(ScopedAdmin):
    """What the approvals' admin has beside yes and no."""

    def get_urls(self) -> list[URLPattern]:
        several: URLPattern = path(
            "answers/", self.admin_site.admin_view(self.answer_several), name="governance_approval_answers"
        )
        return [
            several,
            self.beside("edit", self.edit),
            self.beside("ahead", self.ahead),
            *super().get_urls(),
        ]

    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The call as a form; pressed once, what would change; pressed again, the edited call is approved."""
        approval = self.find(request, object_id)
        person = self.reviewer(request, approval)
        if person is None:
            return HttpResponseRedirect(self.page_of(approval))
        values = {"tool": approval.tool, "arguments": shown_call(person, approval)}
        form = EditForm(request.POST or None, initial=values)
        judged = None
        if request.method == "POST" and form.is_valid():
            try:
                judged = self.look_or_edit(request, approval, person, form)
            except EDIT_REFUSALS as refused:
                form.add_error(None, str(refused))
            else:
                if judged is None:
                    return HttpResponseRedirect(self.page_of(approval))
        context = {
            "form": form,
            "judged": judged,
            "seen": form.version(approval) if judged else "",
            "changes": shown_changes(judged) if judged else [],
            "confirm": self.confirm_for(request, judged.risk) if judged else "",
        }
        return self.shown(request, approval, "Edit this call", "approval_edit.html", context)

    def look_or_edit(
        self, request: HttpRequest, approval: Approval, person: User, form: EditForm
    ) -> Judged | None:
        """What the edit would change, or None once it is made: only what was shown before is."""
        values = form.cleaned_data
        call = {"tool": values["tool"], "arguments": edits.parse(values["arguments"])}
        if values["seen"] != form.version(approval):
            return edits.preview(approval, person=person, **call)
        after = edits.edit(
            approval,
            person=person,
            comment=values["comment"],
            actor=actor_of(person),
            second_factor=factors.fresh(request),
            opened_at=opened_at(person, approval),
            seen=approval.round,
            **call,
        )
        waits = (
            "Others have to answer as well."
            if after.status == Approval.Status.PENDING
            else "It may be made once."
        )
        messages.success(
            request, f"You edited the call and approved that. {waits} The agent is told what changed."
        )
        return None

    def ahead(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of an approval in advance, for calls like this one."""
        approval = self.find(request, object_id)
        person = person_of(request)
        if not may_give(person, approval):
            raise Forbidden("Who alone approves this call may approve others like it ahead.")
        try:
            call = approved_call(approval)
        except StandingRefused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(self.page_of(approval))
        seen = suggestion_for(approval, timezone.now())
        for index in [*(seen.entries if seen else ()), approval.call_index]:
            disclose(person, approval, index)
        limits = seen.bounds if seen else bounds.exact(call.arguments)
        resources = "\n".join(seen.resources if seen else call.resources)
        form = StandingForm(limits, request.POST or None, initial={"resources": resources})
        if request.method == "POST" and form.is_valid():
            try:
                given = give(request, approval, person, form)
            except GIFT_REFUSALS as refused:
                form.add_error(None, str(refused))
            else:
                messages.success(request, f"Given: at most {given.max_uses} times, and revocable at once.")
                return HttpResponseRedirect(
                    reverse("admin:governance_standingapproval_change", args=[given.pk])
                )
        waiting = approval.status == Approval.Status.PENDING
        confirm = self.confirm_for(request, approval.risk)
        context = {"form": form, "suggestion": seen, "waiting": waiting, "confirm": confirm}
        return self.shown(
            request, approval, "Approve calls like this one ahead", "approval_ahead.html", context
        )

    @act("ask", RemarkRefused, NotPending)
    def ask(self, request: HttpRequest, approval: Approval) -> None:
        """Ask the agent something. Raises Forbidden for somebody who does not decide here."""
        question = filled(QuestionForm(request.POST))["question"]
        person = person_of(request)
        try:
            remarks.ask(approval, person=person, text=question, actor=actor_of(person))
        except NotAReviewer as refused:
            self.refuse(request, person, approval, refused)
            return
        messages.success(request, "The agent sees your question while it waits. Nothing is decided.")

    def answer_several(self, request: HttpRequest) -> HttpResponse:
        """Give one answer to several calls of low risk, and say what became of each."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        person, form = person_of(request), BatchForm(request.POST)
        rounds = ticked(request.POST.getlist("approval"))
        rows = list(self.get_queryset(request).filter(pk__in=rounds).order_by("pk"))
        for row in rows:
            row.round = rounds[row.pk]  # as it was when the list was shown
        try:
            values = filled(form)
            answered = batch_answers.answer_all(
                rows,
                person=person,
                approve=values["decision"] == "approve",
                comment=values["comment"],
                known_by=Vote.KnownBy.SESSION,
                actor=actor_of(person),
            )
        except (ValidationError, TooMany) as refused:
            messages.error(request, "; ".join(getattr(refused, "messages", [str(refused)])))
            answered = []
        counted = sum(not each.code for each in answered)
        if counted:
            messages.success(request, f"{counted} answered.")
        for each in answered:
            if each.code:
                messages.error(request, presentation.visible(each.message))
        return HttpResponseRedirect(reverse("admin:governance_approval_changelist"))

    def reviewer(self, request: HttpRequest, approval: Approval) -> User | None:
        """Who is signed in, if their answer counts; None, with a message, where it does not. Raises Forbidden for
        somebody who does not decide here at all."""
        person, now = person_of(request), timezone.now()
        if reviewers.may_decide(person, approval, now):
            return person
        self.refuse(request, person, approval, NotAReviewer(why_not(person, approval, now)))
        return None

    def refuse(self, request: HttpRequest, person: User, approval: Approval, refused: NotAReviewer) -> None:
        """Say why an answer does not count. Raises Forbidden for somebody who does not decide here at all."""
        if not reviewers.may_answer(person, approval):
            raise Forbidden(str(refused)) from refused
        messages.error(request, str(refused))

    def confirm_for(self, request: HttpRequest, risk: str) -> str:
        """Where the person confirms who they are before this risk; empty where nothing is missing."""
        missing = risk in approvals.CONFIRMED_RISKS and not factors.fresh(request)
        return factors.confirm_address(request.path) if missing else ""

    def shown(
        self, request: HttpRequest, approval: Approval, title: str, template: str, context: dict[str, Any]
    ) -> HttpResponse:
        """A page beside an approval's, kept nowhere."""
        whole = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "approval": approval,
            "page": self.page_of(approval),
            **context,
        }
        response = TemplateResponse(request, f"admin/portal/{template}", whole)
        response["Cache-Control"] = "no-store, private"
        return response


def ticked(values: list[str]) -> dict[int, int]:
    """Key → round of the approvals that were ticked in a list, each value "key-round"."""
    pairs = [TICKED(value) for value in values[: batch_answers.MOST + 1]]
    return {int(pair[1]): int(pair[2]) for pair in pairs if pair}


def further(person: User, approval: Approval, *, may_decide: bool) -> dict[str, Any]:
    """What an approval's page needs to offer the other answers."""
    return {
        "may_edit": any(each.get("permission", DECIDE) == DECIDE for each in approval.requirements),
        "may_give_ahead": may_give(person, approval, may_decide=may_decide),
        "question_length": remarks.LONGEST,
    }


def may_give(person: User, approval: Approval, *, may_decide: bool | None = None) -> bool:
    """Whether an approval in advance could come from this person: their answer counts, or they approved it."""
    for_one = any(is_for_one_call(lift) for lift in approval.lifts)
    if for_one or approval.risk == Risk.CRITICAL.value or not may(person, DECIDE, approval.workspace):
        return False
    if may_decide is None:
        may_decide = reviewers.may_decide(person, approval, timezone.now())
    approved = approval.status == Approval.Status.APPROVED
    return may_decide or (approved and any(v.person_id == person.pk for v in votes_of(approval)))


def give(request: HttpRequest, approval: Approval, person: User, form: StandingForm) -> Any:
    """Give what the form says."""
    values = form.cleaned_data
    return standing.give(
        approval,
        person=person,
        resources=[line.strip() for line in values["resources"].splitlines() if line.strip()],
        bounds=form.wanted(),
        session=approval.session if values["session"] else None,
        until=timezone.now() + timedelta(hours=int(values["span"])),
        max_uses=values["uses"],
        reason=values["reason"],
        actor=actor_of(person),
        second_factor=factors.fresh(request),
        opened_at=opened_at(person, approval),
        seen=values["round"] or 1,
    )


def shown_call(person: User, approval: Approval) -> str:
    """The arguments of the call that waits, as JSON to be edited. The reading is recorded."""
    detail = disclose(person, approval, approval.call_index)
    return json.dumps(detail.get("arguments", {}), indent=2, ensure_ascii=False)


def disclose(person: User, approval: Approval, index: int) -> dict[str, Any]:
    """What one entry holds of a call, recorded as read."""
    agent = approval.agent.public_id
    return disclosures.disclose(
        approval.workspace.log_id, index, person=person, agent=agent, tool=approval.tool
    )


def shown_changes(judged: Judged) -> list[dict[str, str]]:
    """What an edit changes, as text in which nothing hides."""
    return [
        {
            "path": presentation.visible(each["path"]) or "everything",
            "before": presentation.pretty(each["from"]) if "from" in each else "",
            "after": presentation.pretty(each["to"]) if "to" in each else "",
        }
        for each in judged.changes
    ]


def opened_at(person: User, approval: Approval) -> Any:
    """When the person first saw what is asked."""
    link = ApprovalLink.objects.filter(approval=approval, person=person).first()
    return link.opened_at if link else None
