"""Workspaces, people, agents and what they are given, by concept; imported from here."""

from workspaces.models.agents import ActsFor, Agent, AgentKey, AgentRole, KeyUse, Role
from workspaces.models.catalog import ACTIONS, RISKS, RemovedTool, Resource, Tool
from workspaces.models.columns import Standing, id_field
from workspaces.models.grants import Grant, ResourceGrant, ToolGrant
from workspaces.models.people import CodeGuesses, SigninLink, User, UserManager
from workspaces.models.tenancy import (
    SHORTEST_RETENTION,
    BrokenGlass,
    Installation,
    LegalHold,
    Membership,
    NamedList,
    ReviewerGroup,
    ReviewerGroupMember,
    Workspace,
    WorkspacePermission,
)
from workspaces.models.tokens import ApiToken, ApiTokenUse

__all__ = [
    "ACTIONS",
    "RISKS",
    "SHORTEST_RETENTION",
    "ActsFor",
    "Agent",
    "AgentKey",
    "AgentRole",
    "ApiToken",
    "ApiTokenUse",
    "BrokenGlass",
    "CodeGuesses",
    "Grant",
    "Installation",
    "KeyUse",
    "LegalHold",
    "Membership",
    "NamedList",
    "RemovedTool",
    "Resource",
    "ResourceGrant",
    "ReviewerGroup",
    "ReviewerGroupMember",
    "Role",
    "SigninLink",
    "Standing",
    "Tool",
    "ToolGrant",
    "User",
    "UserManager",
    "Workspace",
    "WorkspacePermission",
    "id_field",
]
