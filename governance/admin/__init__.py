"""The portal's pages: how agents stand, policies, approvals, decisions, the log, and the desk before them."""

from governance.admin import (
    agents,
    approvals,
    charges,
    entries,
    log,
    places,
    policies,
    standing_approvals,
    tools,
)

__all__ = [
    "agents",
    "approvals",
    "charges",
    "entries",
    "log",
    "places",
    "policies",
    "standing_approvals",
    "tools",
]
