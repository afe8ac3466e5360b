"""What each role of a person may do, as data. The table of the design's section 3, column by column."""

from collections.abc import Iterable

from workspaces.models import Membership

VIEW = "view_workspace"
Roles = Membership.Role

PERMISSIONS: dict[Roles, frozenset[str]] = {
    Roles.OWNER: frozenset(
        [VIEW, "view_content", "tighten", "loosen", "manage_agents", "manage_tools", "draft_policy",
         "publish_policy", "manage_members", "manage_budgets", "view_log", "export_log"]
    ),
    Roles.COMPLIANCE_OFFICER: frozenset(
        [VIEW, "view_content", "tighten", "draft_policy", "publish_policy", "view_log", "export_log",
         "legal_hold", "erase"]
    ),
    # What an approver may see of a call comes with the approval that asks for it.
    Roles.APPROVER: frozenset([VIEW, "decide"]),
    Roles.OPERATOR: frozenset([VIEW, "tighten"]),
    Roles.DEVELOPER: frozenset(
        [VIEW, "view_content_own_agents", "tighten_own_agents", "manage_agents", "manage_tools",
         "draft_policy"]
    ),
    Roles.AUDITOR: frozenset([VIEW, "view_log", "export_log"]),
}  # fmt: skip


def permissions_for(roles: Iterable[str]) -> frozenset[str]:
    """Codenames on the workspace that these roles give together. Raises ValueError for an unknown role."""
    return frozenset().union(*(PERMISSIONS[Roles(role)] for role in roles))
