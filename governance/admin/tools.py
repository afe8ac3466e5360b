"""Tools: the pages of ``workspaces.admin.catalog``."""

from django.contrib import admin

from workspaces.admin.catalog import ToolPages
from workspaces.models import Tool


@admin.register(Tool)
class ToolAdmin(ToolPages):
    """What tools declare."""
