"""The stop button of every page: this agent, a workspace, or everything. Two clicks and a reason.

The button is a link to a page that works by itself; with JavaScript the same page opens as a dialog.
"""

from dataclasses import dataclass, field

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from governance import containment
from governance.admin.standing import REFUSALS
from workspaces import tenancy
from workspaces.access import get_agent, get_workspace, may, operates, workspaces_for
from workspaces.access.admin import actor_in, filled, person_of
from workspaces.access.pages import signed_in_page
from workspaces.access.scoping import OWN_AGENTS, Forbidden
from workspaces.models import Agent, Installation, Standing, User, Workspace
from workspaces.people import actor_of

OFFERED = 300  # agents that are offered by name while typing; every other one can be typed too
EVERYTHING = "installation"
BY_NAME = "named"


@dataclass
class Choices:
    """What a person may stop, as the page offers it; ``agent`` is the one that the page was about."""

    agent: Agent | None = None
    workspaces: list[Workspace] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    everything: bool = False
    chosen: str = ""

    @property
    def any(self) -> bool:
        return bool(self.agent or self.workspaces or self.names or self.everything)


class StopForm(forms.Form):
    """What is to be stopped, and why."""

    what = forms.CharField(max_length=80, label="What")
    name = forms.CharField(max_length=200, required=False, label="Name of the agent")
    reason = forms.CharField(max_length=containment.LONGEST_REASON)


def stoppable(person: User) -> QuerySet[Agent]:
    """The agents that a person may stop and that are not stopped yet."""
    own = Q(workspace__in=workspaces_for(person, "tighten" + OWN_AGENTS).values("pk"), owner=person)
    all_of = Q(workspace__in=workspaces_for(person, "tighten").values("pk"))
    stopped = [Standing.SUSPENDED, Standing.REVOKED]
    return Agent.objects.filter(own | all_of).exclude(standing__in=stopped).select_related("workspace")


def offered(person: User, about: str, workspace: str) -> Choices:
    """What the page offers, the narrowest that it is about chosen already. Raises NotVisible."""
    choices = Choices(everything=operates(person))
    choices.workspaces = list(workspaces_for(person, "tighten").order_by("name")[:50])
    agents = list(stoppable(person).order_by("name", "pk")[:OFFERED])
    several = len({agent.workspace_id for agent in agents}) > 1
    choices.names = [f"{agent.workspace.slug}/{agent.name}" if several else agent.name for agent in agents]
    if about:
        agent = get_agent(person, about)
        choices.agent = agent if may(person, "tighten", agent) else None
    if choices.agent:
        choices.chosen = f"agent:{choices.agent.public_id}"
    elif workspace and any(each.slug == workspace for each in choices.workspaces):
        choices.chosen = f"workspace:{workspace}"
    else:
        choices.chosen = BY_NAME if choices.names else ""
    return choices


def find(person: User, what: str, name: str) -> containment.Scope:
    """What was chosen. Raises NotVisible, Forbidden and ValidationError."""
    kind, _, key = what.partition(":")
    if kind == "agent":
        return get_agent(person, key)
    if kind == "workspace":
        return get_workspace(person, key)
    if kind == BY_NAME:
        return agent_named(person, name.strip())
    if what != EVERYTHING or not operates(person):
        raise Http404("There is no such choice.")
    return tenancy.install(actor=actor_of(person))


def agent_named(person: User, name: str) -> Agent:
    """The agent of this name, ``workspace/name`` or public id, among those that the person may stop."""
    slug, _, bare = name.rpartition("/")
    agents = stoppable(person).filter(Q(name=bare) | Q(public_id=bare))
    found = list((agents.filter(workspace__slug=slug) if slug else agents)[:2])
    if not found:
        raise ValidationError(
            {"name": "No agent of this name is there for you to stop; choose one of those offered."}
        )
    if len(found) > 1:
        raise ValidationError(
            {"name": "Several workspaces have an agent of this name; write workspace/name."}
        )
    return found[0]


@signed_in_page
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The button's page; ``?agent=`` and ``?workspace=`` say what the page before was about."""
    person, sent = person_of(request), request.POST
    choices = offered(person, request.GET.get("agent", ""), request.GET.get("workspace", ""))
    context = {"choices": choices, "longest_reason": containment.LONGEST_REASON}
    if request.method != "POST":
        return answer(request, context)
    choices.chosen = sent.get("what", choices.chosen)
    context |= {"name": sent.get("name", ""), "reason": sent.get("reason", "")}
    try:
        values = filled(StopForm(sent))
        scope = find(person, values["what"], values["name"])
        step = containment.set_standing(
            scope, Standing.SUSPENDED, reason=values["reason"], actor=actor_in(request), person=person
        )
    except ValidationError as refusal:
        return answer(request, {**context, "problems": refusal.messages}, status=400)
    except (Forbidden, *REFUSALS) as refusal:
        status = getattr(refusal, "status", 403)
        return answer(request, {**context, "problems": [str(refusal)]}, status=status)
    what = "The whole installation" if values["what"] == EVERYTHING else str(step.row)
    return answer(request, {**context, "step": step, "what": what, "way_back": page_of(scope)})


def page_of(scope: containment.Scope) -> str:
    """Where the scope is let go on."""
    if isinstance(scope, Installation):
        return reverse("admin:workspaces_installation_changelist")
    return reverse(f"admin:workspaces_{scope._meta.model_name}_change", args=[scope.pk])


def answer(request: HttpRequest, context: dict[str, object], status: int = 200) -> HttpResponse:
    """The page, or, for the dialog, only what stands in it."""
    if request.headers.get("X-Part") == "dialog":
        return render(request, "admin/portal/stop_form.html", context, status=status)
    frame = {**admin.site.each_context(request), "title": "Stop"}
    return render(request, "admin/portal/stop.html", {**frame, **context}, status=status)
