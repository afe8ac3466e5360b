"""What people can be allowed to do in a workspace: codename, and the words for it."""

from typing import Any

PERMISSIONS: list[tuple[str, Any]] = [  # Any: what Django lets translate
    ("view_content", "See arguments and messages"),
    ("view_content_own_agents", "See arguments and messages of own agents"),
    ("decide", "Decide approvals"),
    ("tighten", "Tighten containment"),
    ("tighten_own_agents", "Tighten containment of own agents"),
    ("loosen", "Loosen containment"),
    ("manage_agents", "Manage agents"),
    ("manage_tools", "Manage tools and resources"),
    ("draft_policy", "Draft policies"),
    ("publish_policy", "Publish policies"),
    ("manage_members", "Manage members"),
    ("manage_budgets", "Manage budgets"),
    ("view_log", "Read the log"),
    ("export_log", "Export the log"),
    ("legal_hold", "Put data on legal hold"),
    ("erase", "Erase personal data"),
]
