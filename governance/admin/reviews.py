"""Access reviews: the list with the form that starts one, a review's page, and its summary to print."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from governance import campaigns
from governance.last_use import last_touches, last_uses
from governance.models import AccessReview, ReviewItem
from workspaces.access import may
from workspaces.access.admin import person_of, sentences
from workspaces.access.pages import workspace_page
from workspaces.models import Agent, Resource, User, Workspace

SHOWN = 200  # items of a page
REVIEWS = 50
REFUSALS = (campaigns.NotYours, campaigns.Settled, ValidationError)


class StartForm(forms.Form):
    """A review to be started; without agents it is about all of them."""

    title = forms.CharField(max_length=200)
    due = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}), label="Answers until the end of")
    undecided = forms.ChoiceField(choices=AccessReview.Undecided, label="What nobody answers")
    agents = forms.CharField(
        required=False, label="Agents (names, separated by commas; empty: all)", max_length=5000
    )

    def chosen(self, workspace: Workspace) -> list[Agent] | None:
        """The agents that are named. Raises ValidationError for one that is not there."""
        names = {name.strip() for name in self.cleaned_data["agents"].split(",")} - {""}
        if not names:
            return None
        found = list(Agent.objects.filter(workspace=workspace, name__in=names))
        if missing := names - {agent.name for agent in found}:
            raise ValidationError({"agents": f"There is no agent {', '.join(sorted(missing))} here."})
        return found

    def end(self, workspace: Workspace) -> datetime:
        """The end of the day, where the workspace is."""
        day = self.cleaned_data["due"] + timedelta(days=1)
        return datetime.combine(day, time(tzinfo=ZoneInfo(workspace.timezone)))


@workspace_page()
@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Reviews, newest first, and the form."""
    person = person_of(request)
    form = StartForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            review = campaigns.start(
                workspace,
                title=form.cleaned_data["title"],
                due=form.end(workspace),
                undecided=form.cleaned_data["undecided"],
                chosen=form.chosen(workspace),
                person=person,
            )
        except REFUSALS as refusal:
            for field, sentence in sentences(refusal):
                form.add_error(field if field in form.fields else None, sentence)
        else:
            return HttpResponseRedirect(reverse("access_review", args=[workspace.slug, review.public_id]))
    done = Count("items", filter=~Q(items__outcome=""))
    reviews = workspace.access_reviews.select_related("started_by").annotate(total=Count("items"), done=done)
    context = {
        "title": f"Access reviews: {workspace}",
        "workspace": workspace,
        "reviews": reviews.order_by("-pk")[:REVIEWS],
        "form": form,
        "may_start": may(person, campaigns.START, workspace),
    }
    return show(request, "reviews", context, status=400 if form.errors else 200)


def show(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """A page of reviews."""
    page = {**admin.site.each_context(request), **context}
    return render(request, f"admin/access/{template}.html", page, status=status)


def find(workspace: Workspace, public_id: str) -> AccessReview:
    """The workspace's review of this id. Raises Http404."""
    reviews = workspace.access_reviews.select_related("workspace", "started_by", "signed_by")
    review = reviews.filter(public_id=public_id).first()
    if review is None:
        raise Http404("There is no such review here.")
    return review


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace, review_id: str) -> HttpResponse:
    """A review: how far it is, and what waits for the viewer's answer, or what an owner was asked."""
    review, person = find(workspace, review_id), person_of(request)
    owner = request.GET.get("owner", "")
    if not owner and review.items.filter(agent__owner=person).exists():
        owner = person.public_id
    items = review.items.filter(agent__owner__public_id=owner) if owner else review.items.all()
    number = request.GET.get("after", "")
    after = int(number) if number.isdecimal() and len(number) < 18 else 0
    related = items.select_related("agent__workspace", "agent__owner", "answered_by").filter(pk__gt=after)
    shown = list(related.order_by("pk")[:SHOWN])
    open_now = review.lapsed_at is None and review.due > timezone.now()
    gone = campaigns.gone_owners(workspace)
    context = {
        **progress(review),
        "title": review.title,
        "workspace": workspace,
        "owner": User.objects.filter(public_id=owner, agents__workspace=workspace).first() if owner else None,
        "items": told(workspace, shown, person, gone=gone, open_now=open_now),
        "answerable": open_now and any(campaigns.may_answer(person, item.agent, gone) for item in shown),
        "rest": shown[-1].pk if len(shown) == SHOWN else None,
        "asked_owner": owner,
        "may_sign": review.signed_at is None and campaigns.may_sign(person, review),
    }
    return show(request, "review", context)


def progress(review: AccessReview) -> dict[str, Any]:
    """How far a review is, in all and by owner."""
    counts = campaigns.outcomes(review)
    total, still = sum(counts.values()), counts[ReviewItem.Outcome.OPEN]
    return {
        "review": review,
        "total": total,
        "done": total - still,
        "counts": [(label, counts[value]) for value, label in ReviewItem.Outcome.choices],
        "owners": campaigns.by_owner(review),
        "undecided": review.items.filter(answered_by=None).exclude(outcome="").count(),
    }


def told(
    workspace: Workspace, items: list[ReviewItem], person: User, *, gone: set[int], open_now: bool
) -> list[dict[str, Any]]:
    """Items with when each was last used, and whether the viewer answers them now."""
    agents = list({item.agent for item in items})
    uses, touches = last_uses(workspace, agents), last_touches(workspace, agents)
    names = {item.name for item in items if item.kind == ReviewItem.Kind.RESOURCE}
    resources = dict(
        Resource.objects.filter(workspace=workspace, name__in=names).values_list("name", "public_id")
    )
    rows = []
    for item in items:
        used = None
        if item.kind == ReviewItem.Kind.TOOL:
            used = uses.get((item.agent.public_id, item.name))
        elif item.kind == ReviewItem.Kind.RESOURCE:
            used = touches.get((item.agent.public_id, resources.get(item.name, ""), item.permission))
        settled = item.outcome in (ReviewItem.Outcome.REVOKED, ReviewItem.Outcome.GONE)
        yours = open_now and not settled and campaigns.may_answer(person, item.agent, gone)
        known = item.kind in (ReviewItem.Kind.TOOL, ReviewItem.Kind.RESOURCE)
        rows.append({"item": item, "used": used, "known": known, "yours": yours})
    return rows


@workspace_page()
@require_POST
def answer(request: HttpRequest, workspace: Workspace, review_id: str) -> HttpResponse:
    """Take the posted answers: fields ``item-<key>`` with ``keep`` or ``revoke``."""
    review, person = find(workspace, review_id), person_of(request)
    wanted = {
        int(name.removeprefix("item-")): value == "keep"
        for name, value in request.POST.items()
        if name.startswith("item-")
        and name[5:].isdecimal()
        and len(name) < 23
        and value in ("keep", "revoke")
    }
    done = 0
    for item in review.items.filter(pk__in=list(wanted)[:SHOWN]).select_related("review__workspace"):
        try:
            campaigns.answer(item, keep=wanted[item.pk], person=person)
            done += 1
        except REFUSALS as refusal:
            messages.error(request, f"{item}: {refusal}")
    messages.success(request, f"{done} answer{'' if done == 1 else 's'} taken.")
    return HttpResponseRedirect(reverse("access_review", args=[workspace.slug, review_id]))


@workspace_page()
@require_POST
def sign(request: HttpRequest, workspace: Workspace, review_id: str) -> HttpResponse:
    """Sign the review off."""
    try:
        campaigns.sign(find(workspace, review_id), person=person_of(request))
        messages.success(request, "Signed off.")
    except REFUSALS as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("access_review", args=[workspace.slug, review_id]))


@workspace_page()
@require_GET
def summary(request: HttpRequest, workspace: Workspace, review_id: str) -> HttpResponse:
    """What came of it, on paper: figures, owners, and all that was revoked or that nobody answered."""
    review = find(workspace, review_id)
    listed = review.items.select_related("agent", "answered_by").order_by("agent__name", "pk")
    context = {
        **progress(review),
        "title": f"Access review: {review.title}",
        "workspace": workspace,
        "revoked": listed.filter(outcome=ReviewItem.Outcome.REVOKED)[:SHOWN],
        "unanswered": listed.filter(answered_by=None)[:SHOWN],
        "most": SHOWN,
    }
    return render(request, "admin/access/review_summary.html", context)
