"""Pages of what a workspace has. Agents and the workspace itself are registered by governance, which knows
how they stand."""

from workspaces.admin import catalog, people

__all__ = ["catalog", "people"]
