"""Who may do what: grants of agents, permissions of people, and what a person may see."""

from workspaces.access.grants import (
    AgentGrants,
    GrantLine,
    NoSuchPermission,
    grant,
    grants_of,
    load_agent,
    own_grants,
    revoke,
    set_grants,
)
from workspaces.access.roles import PERMISSIONS, VIEW, permissions_for
from workspaces.access.scoping import (
    Forbidden,
    NotVisible,
    forget,
    get_agent,
    get_workspace,
    holders,
    may,
    may_somewhere,
    operates,
    readable,
    workspaces_for,
)

__all__ = [
    "PERMISSIONS",
    "VIEW",
    "AgentGrants",
    "Forbidden",
    "GrantLine",
    "NoSuchPermission",
    "NotVisible",
    "forget",
    "get_agent",
    "get_workspace",
    "grant",
    "grants_of",
    "holders",
    "load_agent",
    "may",
    "may_somewhere",
    "operates",
    "own_grants",
    "permissions_for",
    "readable",
    "revoke",
    "set_grants",
    "workspaces_for",
]
