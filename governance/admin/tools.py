"""Tools: the pages of ``workspaces.admin.catalog``, what rules make of a call, and proposals to give one more room."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from governance import policy_changes
from governance.proposals import NobodyElse
from workspaces.admin.catalog import ToolForm, ToolPages
from workspaces.changes import Guarded
from workspaces.models import Tool

PROPOSE = "_propose"  # the button's name


class ProposingToolForm(ToolForm):
    """A tool's declaration; what one person may not declare alone can be proposed."""

    guarded = False
    refusals = (*ToolForm.refusals, NobodyElse)

    def apply(self, values: dict[str, Any]) -> Model:
        tool: Any = self.instance
        row: Model = tool
        try:
            return super().apply(values)
        except Guarded:
            if tool.pk is None:
                raise
            if PROPOSE not in self.data:
                self.guarded = True
                raise
        tool.proposal = policy_changes.propose_tool(
            tool.workspace, self.declared(values, tool.name), person=self.person
        )
        return row


@admin.register(Tool)
class ToolAdmin(ToolPages):
    """What tools declare."""

    form = ProposingToolForm
    change_form_template = "admin/portal/tool.html"

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {**super().panels(request, obj), "may_try": self.allows(request, "draft_policy", obj)}

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """To the proposal, where one was made of what was posted."""
        if proposal := getattr(obj, "proposal", None):
            return redirect("proposal", obj.workspace.slug, proposal.public_id)
        answer: HttpResponse = super().response_change(request, obj)
        return answer
