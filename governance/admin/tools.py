"""Tools: the pages of ``workspaces.admin.catalog``, and what rules make of a call."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from workspaces.admin.catalog import ToolPages
from workspaces.models import Tool


@admin.register(Tool)
class ToolAdmin(ToolPages):
    """What tools declare."""

    change_form_template = "admin/portal/tool.html"

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {**super().panels(request, obj), "may_try": self.allows(request, "draft_policy", obj)}
