"""Replays of policies: started from a version's page, watched, and read call by call."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from audit.admin.pages import BoundedPaginator
from governance import replays
from governance.models import PolicyVersion, Replay, ReplayDifference
from governance.naming import names_of
from workspaces.access import Forbidden
from workspaces.access.admin import person_of
from workspaces.access.pages import workspace_page
from workspaces.models import Agent, Workspace

SHOWN = 100  # differing calls a page
LISTED = 10  # replays on a version's page
STATUS_COLORS = {
    "waiting": "info",
    "running": "info",
    "done": "success",
    "cancelled": "default",
    "failed": "danger",
}
Kind = ReplayDifference.Kind
KIND_COLORS = {Kind.BLOCK: "danger", Kind.ASK: "warning", Kind.ALLOW: "info"}
DECISIONS = {"allow": "allowed", "deny": "denied", "pending": "asks a person"}


class ReplayForm(forms.Form):
    """What to replay a version over."""

    most = forms.IntegerField(label="Calls", min_value=1, max_value=replays.MOST_CALLS)
    days = forms.IntegerField(label="Days", required=False, min_value=1, max_value=replays.LONGEST_DAYS)
    agent = forms.CharField(label="Agent", required=False, max_length=100)

    def chosen(self, version: PolicyVersion) -> dict[str, Any]:
        """Options of ``replays.start``. Raises ReplayRefused for an agent that is not there."""
        values = self.cleaned_data
        agent = None
        if name := values["agent"].strip():
            agent = Agent.objects.filter(workspace=version.workspace, name=name).first()
            if agent is None:
                raise replays.ReplayRefused(
                    f"There is no agent called {name} here; leave it out to mean all."
                )
        return {"most": values["most"], "days": values["days"], "agent": agent}


def of_version(request: HttpRequest, version: PolicyVersion) -> list[Replay]:
    """The latest replays of a version that the person may see, ready for its page."""
    visible = replays.visible_to(person_of(request), version.workspace).filter(version=version)
    return [dress(row) for row in visible.defer("state").order_by("-pk")[:LISTED]]


def dress(replay: Any) -> Any:
    """A replay with what pages show of it."""
    replay.color = STATUS_COLORS[replay.status]
    replay.open = replay.status in replays.OPEN
    replay.total = {
        name: replay.counts.get(name, 0) for name in ("calls", "block", "ask", "allow", "elsewhere")
    }
    replay.told = {name: f"{count:,}" for name, count in replay.total.items()}
    replay.told_most = f"{replay.most:,}"
    replay.address = reverse("policy_replay", args=[replay.workspace.slug, replay.public_id])
    replay.done_share = replays.share(replay)
    return replay


def find(request: HttpRequest, workspace: Workspace, public_id: str) -> Replay:
    """A replay that the person may see. Raises Http404."""
    row = replays.visible_to(person_of(request), workspace).filter(public_id=public_id).defer("state").first()
    if row is None:
        raise Http404("There is no such replay, or it is not yours to see.")
    return row


@workspace_page("draft_policy")
@never_cache
@require_GET
def page(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """One replay: how far it is, what came out, and the calls that would be decided otherwise."""
    replay = dress(find(request, workspace, public_id))
    kind = request.GET.get("kind", "")
    found = replay.differences.order_by("index", "pk")
    rows = BoundedPaginator(found.filter(kind=kind) if kind in Kind.values else found, SHOWN)
    listed = rows.get_page(request.GET.get("page"))
    dressed = list(listed.object_list)
    names = names_of(row.agent for row in dressed)
    for row in dressed:
        row.agent_name = names.get(row.agent, row.agent)
        row.color = KIND_COLORS[Kind(row.kind)]
        row.was, row.would_be = DECISIONS[row.before], DECISIONS[row.after]
    context = {
        **admin.site.each_context(request),
        "title": f"Version {replay.version.number} over recorded calls",
        "subtitle": str(workspace),
        "workspace": workspace,
        "replay": replay,
        "rows": dressed,
        "listed": listed,
        "kind": kind,
        "kinds": [(value, label, replay.told[value]) for value, label in Kind.choices],
        "kept": f"{replays.KEPT:,}",
        "reasons": sorted(
            (name.removeprefix("not: "), f"{count:,}")
            for name, count in replay.counts.items()
            if name.startswith("not: ")
        ),
        "changed": replay.status == Replay.Status.DONE and replays.changed_since(replay),
        "may_cancel": replay.open and replays.may_cancel(person_of(request), replay),
    }
    return render(request, "admin/portal/policy_replay.html", context)


@workspace_page("draft_policy")
@never_cache
@require_GET
def progress(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """How far a replay is, as JSON for its page."""
    replay = dress(find(request, workspace, public_id))
    return JsonResponse(
        {"status": replay.status, "open": replay.open, "percent": replay.done_share, "counts": replay.total}
    )


@workspace_page("draft_policy")
@require_POST
def cancel(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Stop a replay: whoever started it, or may publish policies."""
    replay = find(request, workspace, public_id)
    if not replays.may_cancel(person_of(request), replay):
        raise Forbidden("Whoever started a replay cancels it, or somebody who may publish policies.")
    if replays.cancel(replay):
        messages.success(request, "The replay is cancelled; what it found so far stays.")
    else:
        messages.info(request, "The replay was over already.")
    return HttpResponseRedirect(reverse("policy_replay", args=[workspace.slug, public_id]))
