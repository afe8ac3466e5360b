"""What agents and roles were given."""

from django.db import models
from guardian.models import GroupObjectPermissionBase

from workspaces.models.catalog import Resource, Tool


class Grant(GroupObjectPermissionBase):
    """guardian's direct row with an end. guardian stores it; ``decide`` judges the end."""

    expires_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    granted_by = models.CharField(max_length=200, blank=True, help_text="Actor who granted or renewed it.")

    class Meta(GroupObjectPermissionBase.Meta):
        abstract = True


class ToolGrant(Grant):
    """``use`` on a tool, for an agent's own group or a role's."""

    content_object = models.ForeignKey(Tool, models.CASCADE, related_name="grants")


class ResourceGrant(Grant):
    """One action on a resource, for an agent's own group or a role's."""

    content_object = models.ForeignKey(Resource, models.CASCADE, related_name="grants")
