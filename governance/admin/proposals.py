"""Requests: what people and agents propose, and the answers of those who decide."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from governance import flow_charts, policies, policy_changes, proposal_readings, proposals, registrations
from governance.admin import replays as replay_pages
from governance.differences import differences
from governance.models import Proposal
from governance.policies import PolicyRefused, WorkspaceChanging
from governance.proposals import NotADecider, NotPending, NotReady
from workspaces.access import may
from workspaces.access.admin import actor_in, filled, person_of, sentences
from workspaces.access.pages import signed_in_page, workspace_page
from workspaces.agents import AgentRevoked, TooManyKeys
from workspaces.models import Workspace

SHOWN = 50  # settled ones of the list
CHANGES_SHOWN = 200
REFUSALS = (
    NotADecider,
    NotPending,
    NotReady,
    PolicyRefused,
    WorkspaceChanging,
    TooManyKeys,
    AgentRevoked,
    ValidationError,
)
COLORS = {"pending": "warning", "approved": "success", "rejected": "danger", "expired": "default",
          "cancelled": "default"}  # fmt: skip
CHANGES = {"added": "success", "removed": "danger", "changed": "warning", "renamed": "default"}


class AnswerForm(forms.Form):
    """An answer to a proposal."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")])
    comment = forms.CharField(required=False, max_length=2000)


class ReasonForm(forms.Form):
    """Why something is withdrawn."""

    reason = forms.CharField(required=False, max_length=500)


@signed_in_page
@never_cache
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    """What waits in every workspace that the person sees, theirs first, and what was settled lately."""
    person = person_of(request)
    waiting: list[Any] = list(proposals.waiting(person))
    settled = proposals.visible_to(person).exclude(status=Proposal.Status.PENDING).order_by("-pk")[:SHOWN]
    context = {
        **admin.site.each_context(request),
        "title": "Requests",
        "yours": [row for row in waiting if row.yours],
        "others": [row for row in waiting if not row.yours],
        "settled": [(row, COLORS[row.status]) for row in settled],
    }
    return render(request, "admin/portal/proposals.html", context)


def find(request: HttpRequest, workspace: Workspace, public_id: str) -> Proposal:
    """A proposal of the workspace. Raises Http404."""
    row = proposals.visible_to(person_of(request), workspace).filter(public_id=public_id).first()
    if row is None:
        raise Http404("There is no such request here.")
    return row


@workspace_page()
@never_cache
@require_GET
def page(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """One proposal: what would change, who answered, and where it stands."""
    proposal, person = find(request, workspace, public_id), person_of(request)
    in_clear = proposal_readings.sees_words(person, proposal)
    flow = proposals.FLOWS[proposal.kind][0]
    context = {
        **admin.site.each_context(request),
        **proposal_readings.state(person, proposal),
        "title": proposal.title,
        "subtitle": str(workspace),
        "workspace": workspace,
        "proposal": proposal,
        "color": COLORS[proposal.status],
        "in_clear": in_clear,
        "words": proposal_readings.words_of(proposal) if in_clear else {},
        "answers": proposal_readings.answers_of(proposal, with_comments=in_clear),
        "missing": proposal_readings.missing(proposal),
        "chart": flow_charts.chart(flow, proposal.process),
        "may_make_key": registrations.may_make_key(person, proposal),
        **PARTS[Proposal.Kind(proposal.kind)](request, proposal, in_clear),
    }
    return render(request, "admin/portal/proposal.html", context)


def policy_part(request: HttpRequest, proposal: Proposal, in_clear: bool) -> dict[str, Any]:
    """What a policy changes, what is wrong with it by now, and its replay."""
    version = proposal.version
    assert version is not None
    base = policies.compared_with(version)
    changed = differences(base.content if base else [], version.content)
    person = person_of(request)
    replay = proposal_readings.replay_of(person, proposal)
    draft = version.status == policies.Status.DRAFT and proposal.status == Proposal.Status.PENDING
    return {
        "version": version,
        "base": base,
        "changed": [(each, CHANGES[each.kind]) for each in changed[:CHANGES_SHOWN]],
        "changed_more": max(0, len(changed) - CHANGES_SHOWN),
        "problems": policies.review(version) if draft else [],
        "replay": replay_pages.dress(replay) if replay else None,
        "may_open_replay": may(person, "draft_policy", proposal.workspace),
    }


def tool_part(request: HttpRequest, proposal: Proposal, in_clear: bool) -> dict[str, Any]:
    """A tool before and after."""
    return {"compared": policy_changes.compared(proposal)}


def access_part(request: HttpRequest, proposal: Proposal, in_clear: bool) -> dict[str, Any]:
    """What an agent asks for."""
    return {"needs": proposal_readings.needs_of(proposal, in_clear=in_clear)}


def onboarding_part(request: HttpRequest, proposal: Proposal, in_clear: bool) -> dict[str, Any]:
    """What a new agent would be."""
    return proposal_readings.registered(proposal)


PARTS = {
    Proposal.Kind.POLICY: policy_part,
    Proposal.Kind.TOOL: tool_part,
    Proposal.Kind.ACCESS: access_part,
    Proposal.Kind.ONBOARDING: onboarding_part,
}


def back(proposal: Proposal) -> HttpResponse:
    """To the proposal's page."""
    return HttpResponseRedirect(reverse("proposal", args=[proposal.workspace.slug, proposal.public_id]))


def refuse(request: HttpRequest, refusal: Exception) -> None:
    """Say what was refused."""
    for _, sentence in sentences(refusal):
        messages.error(request, sentence)


@workspace_page()
@require_POST
def decide(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Take an answer."""
    proposal = find(request, workspace, public_id)
    try:
        values = filled(AnswerForm(request.POST))
        approve = values["decision"] == "approve"
        row = proposals.decide(
            proposal, person=person_of(request), approve=approve, comment=values["comment"]
        )
    except REFUSALS as refusal:
        refuse(request, refusal)
    else:
        if row.status == Proposal.Status.CANCELLED:
            messages.error(request, row.outcome)
        else:
            pending = row.status == Proposal.Status.PENDING
            messages.success(
                request, "Your answer is taken. " + ("Others are asked, too." if pending else row.outcome)
            )
    return back(proposal)


@workspace_page()
@require_POST
def cancel(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Withdraw what one proposed, or what one's agent asked for."""
    proposal = find(request, workspace, public_id)
    try:
        proposals.withdraw(
            proposal,
            person=person_of(request),
            actor=actor_in(request),
            reason=filled(ReasonForm(request.POST))["reason"],
        )
        messages.success(request, "It is withdrawn.")
    except REFUSALS as refusal:
        refuse(request, refusal)
    return back(proposal)


@workspace_page()
@require_POST
def make_key(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Make the first key of an agent that was approved, and show it this once."""
    proposal = find(request, workspace, public_id)
    try:
        key, text = registrations.make_key(proposal, person=person_of(request))
    except REFUSALS as refusal:
        refuse(request, refusal)
        return back(proposal)
    context = {
        **admin.site.each_context(request),
        "title": f"The key of {key.agent.name}",
        "agent": key.agent,
        "key": key,
        "text": text,
        "page": reverse("proposal", args=[workspace.slug, public_id]),
    }
    answer = render(request, "admin/workspaces/key.html", context)
    answer["Cache-Control"] = "no-store"
    return answer
