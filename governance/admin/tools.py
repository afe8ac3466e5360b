"""Tools: the pages of ``workspaces.admin.catalog``, where two people must agree to give one more room."""

from django.contrib import admin
from django.core.exceptions import ValidationError

from governance.loosening import loosened
from workspaces.admin.catalog import ToolForm, ToolPages
from workspaces.declarations import ToolDeclaration
from workspaces.models import Tool


class GuardedToolForm(ToolForm):
    """A declaration that only tightens where the workspace wants two people."""

    class Meta(ToolForm.Meta):
        pass

    def check(self, before: ToolDeclaration, after: ToolDeclaration) -> None:
        """Raise ValidationError for a change that one person may not make."""
        if self.instance.workspace.two_people and (fields := loosened(before, after)):
            raise ValidationError(
                f"Two people guard this workspace, and this gives {before.name} more room by its "
                f"{', '.join(fields)}. Declare a stricter tool, or a new one and grant that."
            )


@admin.register(Tool)
class ToolAdmin(ToolPages):
    """What tools declare."""

    form = GuardedToolForm
