"""A budget in one sentence for people."""

from billing.models import Budget
from billing.spending import spoken

PERIODS = {
    Budget.Window.DAY: "a day",
    Budget.Window.WEEK: "a week",
    Budget.Window.MONTH: "a month",
    Budget.Window.EVER: "in all",
}
EDGES = {
    Budget.WhenShort.WAIT: "a call that does not fit is told when to ask again",
    Budget.WhenShort.DENY: "a call that does not fit is refused",
    Budget.WhenShort.DOWNGRADE: "a call that does not fit is offered {model}",
    Budget.WhenShort.ASK: "a call that does not fit waits for somebody who may raise it once",
}


def told(budget: Budget) -> str:
    """Such as “support-bot may spend $5.00 a day; a call that does not fit is refused.”"""
    name = budget.agent.name if budget.agent else ""
    who = name or "The whole workspace"
    if budget.scope == Budget.Scope.SESSION:
        who = f"Each session of {name or 'any agent'}"
    tokens = budget.unit == Budget.Unit.TOKENS
    amount = f"use {budget.limit_amount:,} tokens" if tokens else f"spend {spoken(budget.limit_amount)}"
    on = [f"the tool {budget.tool}"] if budget.tool else []
    on += [f"the model {budget.model}"] if budget.model else []
    what = f" on {' and '.join(on)}" if on else ""
    edge = EDGES[Budget.WhenShort(budget.when_short)].format(model=budget.downgrade_to)
    if not budget.hard:
        edge = "above that nothing is refused"
    shares = " and ".join(f"{percent} %" for percent in budget.warn_at)
    warned = f" Warnings are sent at {shares}." if shares else ""
    return f"{who} may {amount} {PERIODS[Budget.Window(budget.window)]}{what}; {edge}.{warned}"
