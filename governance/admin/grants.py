"""From what an agent lacked to grants: of one denial or of all that an observation saw. A person ticks and confirms."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, reverse
from django.utils import timezone

from audit.models import Entry
from governance import observed
from governance.admin.standing import BADGES
from governance.observed import Holdings, Proposal, Reading
from workspaces import allowances
from workspaces.access.admin import REFUSALS, ScopedAdmin, actor_in, person_of, sentences
from workspaces.access.scoping import Forbidden, may
from workspaces.admin.agents import UntilForm
from workspaces.allowances import Need
from workspaces.models import Agent
from workspaces.patterns import PatternError

REFUSED: tuple[type[Exception], ...] = (*REFUSALS, PatternError)
DAYS = 7  # that a grant lasts where nobody says otherwise


class GrantPages(ScopedAdmin):
    """The pages ``<pk>/denied/`` and ``<pk>/observed/`` of agents: a draft of the least grants, to be confirmed.

    They show what was sent, so that opening one is an entry, as reading any Detail is."""

    def get_urls(self) -> list[URLPattern]:
        pages = [self.beside("denied", self.denied_view), self.beside("observed", self.observed_view)]
        return pages + super().get_urls()

    def denied_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the denial ``?entry=<index>`` lacked, ticked, and what earlier ones of its tool lacked."""
        agent = self.drafting(request, object_id)
        entry = number_in(request, "entry")
        if entry is None:
            raise Http404("Name the denial: ?entry=<index>.")
        reading = observed.denied(agent, person=person_of(request), index=entry)
        first = {need for call in reading.calls if call.index == entry for need in call.needs}
        return self.draft_page(request, agent, reading, ticked=first, entry=entry)

    def observed_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the calls that an observation let through lacked, all of it ticked."""
        agent = self.drafting(request, object_id)
        before = number_in(request, "before")
        reading = observed.observed(agent, person=person_of(request), before=before)
        return self.draft_page(request, agent, reading, ticked=None, before=before)

    def drafting(self, request: HttpRequest, object_id: str) -> Agent:
        """The agent, where the person may see what it sends and grant it things. Raises Http404 and Forbidden."""
        agent: Agent = self.find(request, object_id)
        self.require(request, "manage_agents", agent)
        self.require(request, "manage_tools", agent)
        if not may(request.user, "view_content", agent):
            raise Forbidden(
                "What an agent was denied stands in what it sent, and your roles do not show that of "
                f"{agent.name}; ask its owner, or an owner of the workspace."
            )
        return agent

    def draft_page(
        self: Any,
        request: HttpRequest,
        agent: Agent,
        reading: Reading,
        *,
        ticked: set[Need] | None,
        **query: Any,
    ) -> HttpResponse:
        """Show the draft; when it is posted, grant what is ticked and go back to the agent."""
        draft = observed.draft(reading.calls, Holdings(agent, timezone.now()))
        if request.method == "POST" and self.confirm(request, agent, draft):
            return HttpResponseRedirect(self.page_of(agent))
        day = timezone.now().astimezone(ZoneInfo(agent.workspace.timezone)).date() + timedelta(days=DAYS)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Grants for {agent.name}",
            "agent": agent,
            "page": self.page_of(agent),
            "badge": BADGES[agent.standing],
            "draft": draft,
            "exact": [told(each, ticked is None or each.need in ticked) for each in draft.exact],
            "wider": [told(each, False) for each in draft.wider],
            "reading": reading,
            "until": day.isoformat(),
            "observing": ticked is None,
            "entry": query.get("entry"),
            "before": query.get("before"),
            "decision": decision_page(agent, query.get("entry")),
        }
        response = render(request, "admin/workspaces/agent_grants.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    def confirm(self, request: HttpRequest, agent: Agent, draft: observed.Draft) -> bool:
        """Grant what is ticked of the draft; False, with a message, where nothing was granted."""
        ticked = [need for text in request.POST.getlist("need") if (need := observed.need_of(text))]
        needs = observed.chosen(draft, ticked)
        if not needs:
            messages.error(
                request, "Tick what the agent is to have. What was granted meanwhile is not listed any more."
            )
            return False
        try:
            until = UntilForm(request.POST).end(agent.workspace)
            given = allowances.allow(agent, needs, expires_at=until, actor=actor_in(request))
        except REFUSED as refusal:
            for _, sentence in sentences(refusal):
                messages.error(request, sentence)
            return False
        messages.success(
            request,
            f"{agent.name} has {len(given)} new grant{'' if len(given) == 1 else 's'}, "
            + (f"until {until:%Y-%m-%d %H:%M} UTC." if until else "without an end."),
        )
        return True


def told(proposal: Proposal, ticked: bool) -> dict[str, Any]:
    """A proposal as the page shows it."""
    need = proposal.need
    return {
        "value": f"{need.permission} {need.of}",
        "permission": need.permission,
        "of": need.of,
        "is_tool": need.is_tool,
        "calls": proposal.calls,
        "resources": proposal.resources,
        "ticked": ticked,
    }


def number_in(request: HttpRequest, name: str) -> int | None:
    """An index in the query or the form; None where there is none."""
    text = request.POST.get(name) or request.GET.get(name) or ""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def decision_page(agent: Agent, index: int | None) -> str:
    """The address of the decision with this index, if one is meant."""
    if index is None:
        return ""
    key = (
        Entry.objects.filter(log_id=agent.workspace.log_id, index=index).values_list("pk", flat=True).first()
    )
    return reverse("admin:governance_decisionrecord_change", args=[key]) if key else ""
