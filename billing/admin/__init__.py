"""Pages of what things cost, and of what they may cost."""

from billing.admin import budgets

__all__ = ["budgets"]
