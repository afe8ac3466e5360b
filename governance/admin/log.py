"""The log: every entry of a workspace, searched, and each with what it says and what proves it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from audit import saved_views, search
from audit.admin.entries import SPANS, EntryPages
from audit.models import Entry
from audit.postings import CALL, ROW
from governance.admin.desk import halted
from governance.admin.evidence import evidence
from governance.admin.explorer import LABELS, Asked, NoTime, explore
from governance.readings import VERDICTS
from workspaces.access import may, workspaces_for
from workspaces.access.admin import person_of
from workspaces.models import Agent, Workspace

LONGEST = 300  # characters of what is searched for
MOST_VALUES = 10  # of one facet
KNOWN = frozenset(["workspace", "q", "since", "until", "before", *LABELS])


@admin.register(Entry)
class LogAdmin(EntryPages):
    """Every entry of the logs that the person may read whole."""

    list_filter: list[Any] = []

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The log of one workspace, searched."""
        if not self.has_view_permission(request):
            raise Http404("There is nothing here for you.")
        asked = asked_in(request)
        if not set(request.GET) <= KNOWN:
            return HttpResponseRedirect(f"{request.path}?{asked.query}")
        readable = list(workspaces_for(request.user, "view_log").order_by("name"))
        workspace = next((each for each in readable if each.slug == asked.workspace), None)
        if workspace is None and asked.workspace:
            raise Http404("There is no such workspace.")
        workspace = workspace or readable[0]
        asked = replace(asked, workspace=workspace.slug)
        context = {
            **self.admin_site.each_context(request),
            "title": "Log",
            "opts": self.opts,
            "asked": asked,
            "halted": halted([workspace]),
            "spans": SPANS,
            "recent": [(span, replace(asked, since=span, until="", before=None).query) for span in SPANS],
            "workspaces": readable,
            **self.searched(workspace, asked),
            "views": saved_views.of_person(person_of(request), workspace.log_id),
        }
        response = TemplateResponse(request, "admin/portal/log.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    def searched(self, workspace: Workspace, asked: Asked) -> dict[str, Any]:
        """What was found, or why nothing was looked for."""
        shown: dict[str, Any] = {"workspace": workspace, "query": asked.query}
        try:
            return {**shown, **explore(workspace, asked)}
        except (search.TooBroad, NoTime) as refused:
            return {**shown, "refused": str(refused)}

    def told(self, request: HttpRequest, entry: Any) -> dict[str, Any]:
        """What the page of an entry shows; its Detail only where the person asked for that, which is recorded."""
        workspace = Workspace.objects.get(log_id=entry.log_id)
        agent = Agent.objects.filter(public_id=entry.agent, workspace=workspace).first()
        return {
            **evidence(entry, workspace),
            "may_see_content": may(request.user, "view_content", agent or workspace),
            "decision_page": reverse("admin:governance_decisionrecord_change", args=[entry.pk])
            if entry.type in VERDICTS
            else "",
        }


def asked_in(request: HttpRequest) -> Asked:
    """The search that an address asks for. What no search can have is cut off."""
    facets = {
        "type": request.GET.getlist("type"),
        "outcome": request.GET.getlist("outcome"),
        "agent": request.GET.getlist("agent"),
        "tool": request.GET.getlist("tool"),
        "actor": request.GET.getlist("actor"),
        "session": request.GET.getlist("session"),
        "resource": request.GET.getlist("resource"),
        CALL: request.GET.getlist("call"),
        ROW: request.GET.getlist("row"),
    }
    before = request.GET.get("before", "")
    return Asked(
        workspace=cleaned(request.GET.get("workspace", "")),
        text=" ".join(cleaned(request.GET.get("q", "")).split()[: search.MOST_WORDS]),
        facets={facet: values for facet, given in facets.items() if (values := chosen(given))},
        since=cleaned(request.GET.get("since", "")),
        until=cleaned(request.GET.get("until", "")),
        before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None,
    )


def cleaned(text: str) -> str:
    """A text as a search takes it: no database stores a null, and nothing is this long."""
    return text.replace("\0", "").strip()[:LONGEST]


def chosen(values: Iterable[str]) -> list[str]:
    """A facet's values, each once."""
    return [value for value in dict.fromkeys(map(cleaned, values)) if value][:MOST_VALUES]
