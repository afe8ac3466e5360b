"""What a call of a tool is expected to cost, as its workspace declares and prices it."""

from datetime import date
from typing import Any

from billing.budgets import Cost
from billing.costs import cost_of
from governance.snapshot import Snapshot


def cost_in(current: Snapshot, day: date, tool_name: str, **said: Any) -> Cost:
    """What a call of this tool is expected to cost in a workspace on a day; ``said`` as ``cost_of`` takes it."""
    tool = current.tools.get(tool_name)
    if tool is None:
        return cost_of(current.prices, day, **said)
    declared = tool.compiled.declaration
    return cost_of(
        current.prices,
        day,
        declared=declared.cost_nanos,
        metered=declared.metered,
        trusted=declared.trust_reports,
        **said,
    )
