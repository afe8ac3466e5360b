"""Pages of what things cost, and of what they may cost."""

from billing.admin import budgets, spend

__all__ = ["budgets", "spend"]
