"""Decisions: entries with the names of whom they speak of."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from audit import details
from audit.admin.entries import (
    AgentFilter,
    EntryPages,
    LogFilter,
    OutcomeFilter,
    SessionFilter,
    SinceFilter,
    ToolFilter,
    TypeFilter,
)
from audit.admin.pages import PortalChangeList, display
from audit.models import Entry
from governance import disclosures, presentation
from governance.admin.evidence import judgment, timeline
from governance.models import DecisionRecord
from governance.naming import annotate, told
from governance.readings import CHECKS as CHECKS
from governance.readings import VERDICTS
from governance.templatetags.portal import moment
from workspaces.access import may, workspaces_for
from workspaces.access.admin import person_of
from workspaces.models import Agent, Workspace


class NamedEntries(PortalChangeList):
    """A page of entries that know the names of whom they speak of, with two more queries."""

    result_list: list[Any]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        annotate(self.result_list)


class NamedAgentFilter(AgentFilter):
    """The agents of the workspace that is read, by name."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        visible = workspaces_for(request.user).order_by("name")
        slug = request.GET.get("workspace")
        workspace = visible.filter(slug=slug).first() if slug else visible.first()
        if workspace is None:
            return []
        return list(workspace.agents.order_by("name").values_list("public_id", "name")[:200])


class EntryAdmin(EntryPages):
    """What both lists show."""

    list_filter = [
        LogFilter,
        SinceFilter,
        TypeFilter,
        NamedAgentFilter,
        ToolFilter,
        OutcomeFilter,
        SessionFilter,
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return NamedEntries

    @display(description="Time")
    def at(self, entry: Entry) -> str:
        return moment(entry.time, "second")

    @display(description="Agent")
    def agent_shown(self, entry: Any) -> str:
        return entry.agent_name or "–"

    @display(description="Tool")
    def tool_shown(self, entry: Entry) -> str:
        return presentation.visible(entry.tool) or "–"

    @display(description="Session")
    def session_shown(self, entry: Entry) -> str:
        return presentation.visible(entry.session) or "–"


@admin.register(DecisionRecord)
class DecisionAdmin(EntryAdmin):
    """What was decided. Everybody of the workspace sees that; what was sent, only who may see content."""

    list_display = ["at", "agent_shown", "tool_shown", "verdict", "outcome", "session_shown"]
    detail_template = "admin/portal/decision.html"

    def logs(self, request: HttpRequest) -> Iterable[int]:
        return workspaces_for(request.user).values_list("log_id", flat=True)

    def types(self) -> Iterable[str]:
        return CHECKS

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(type__in=CHECKS)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and (obj is None or obj.type in CHECKS)

    @display(description="Decision", label=dict(VERDICTS.values()))
    def verdict(self, entry: Entry) -> str:
        return VERDICTS[entry.type][0]

    def told(self, request: HttpRequest, entry: Any) -> dict[str, Any]:
        annotate([entry])
        body = json.loads(bytes(entry.body))
        data = body["data"]
        workspace = Workspace.objects.get(log_id=entry.log_id)
        agent = (
            Agent.objects.filter(public_id=entry.agent, workspace=workspace)
            .select_related("workspace")
            .first()
        )
        return {
            "title": f"{entry.agent_name}: {presentation.visible(entry.tool)}",
            "subtitle": VERDICTS[entry.type][0],
            "sentence": told(entry),
            "workspace": workspace,
            "agent": agent,
            "judgment": judgment(entry, data, agent, workspace),
            "same_session": timeline(workspace, agent=entry.agent, session=entry.session)
            if entry.session
            else "",
            "leaf": bytes(entry.leaf).hex(),
            "gone": details.gone(entry.log_id, entry.index, body.get("detail", ())),
            "log_page": self.log_page(request, entry, workspace),
            **self.content(request, entry, agent or workspace),
        }

    def log_page(self, request: HttpRequest, entry: Entry, workspace: Workspace) -> str:
        """The address of the same entry in the log, for those who may read that."""
        return (
            reverse("admin:audit_entry_change", args=[entry.pk])
            if may(request.user, "view_log", workspace)
            else ""
        )

    def content(self, request: HttpRequest, entry: Entry, subject: Agent | Workspace) -> dict[str, Any]:
        """What stands in the Detail, for who may see it; the reading is recorded."""
        if not may(request.user, "view_content", subject):
            return {"may_see_content": False}
        detail = disclosures.disclose(
            entry.log_id, entry.index, person=person_of(request), agent=entry.agent, tool=entry.tool
        )
        return {
            "may_see_content": True,
            "detail": bool(detail),
            "arguments": presentation.pretty(detail["arguments"]) if "arguments" in detail else None,
            "clear_resources": [presentation.visible(str(text)) for text in detail.get("resources", ())],
            "reason": presentation.visible(str(detail.get("reason", "")), keep=" \n"),
            "on_behalf_of": presentation.visible(str(detail.get("on_behalf_of", ""))),
            "context": presentation.pretty(detail["context"]) if detail.get("context") else "",
            "messages_told": [each.get("message", "") for each in detail.get("reasons", ())],
        }
