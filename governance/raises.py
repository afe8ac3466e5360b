"""Budgets that people raise once for one call: what they are asked, what was raised, and what a reviewer is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import FloatField, Sum
from django.db.models.functions import Cast, Coalesce

from audit.log import Writer, stamp
from billing.budgets import PREFIX, BudgetSpec, Call, Cost, Ledger, Shortage, dollars, window_end
from billing.models import Account, Budget, Hold
from governance.models import Approval

if TYPE_CHECKING:
    from governance.decide import Verdict

RAISED = "billing.budget.raised"
LATELY = timedelta(hours=24)
WHOSE = {"agent": "of this agent", "session": "of this session"}
WINDOWS = {"day": " per day", "week": " per week", "month": " per month"}


def wanted(ledger: Ledger, call: Call, cost: Cost, shortage: Shortage) -> dict[str, dict[str, Any]]:
    """What people would be asked to raise for a call, by the names that approvals have for it. The most that a budget
    is raised by is what the call would hold: other calls may take until then what is left now."""
    accounts = {account.budget.id: account for account in ledger.of(call)}
    found = {}
    for spec, short in shortage.asks:
        end = window_end(spec.window, ledger.now, ledger.timezone)
        needs = cost.of(spec.unit) or 0
        most = max(short, needs)
        found[PREFIX + spec.public_id] = {
            "title": title(spec),
            "account": accounts[spec.id].key,
            "generation": spec.generation,
            "limit": spec.limit,
            "needs": needs,
            "short": short,
            "most": most,
            "told": spec.amount(most),
            "ends": end.isoformat() if end else None,
        }
    return found


def title(budget: BudgetSpec | Budget) -> str:
    """A budget as a requirement is named after it; no two of a call's budgets have the same."""
    whose = WHOSE.get(budget.scope, "of the workspace")
    each = " of this agent" if budget.scope == "session" and budget.agent_id is not None else ""
    of = "".join(f", {name}" for name in (budget.tool, budget.model) if name)
    tokens = ", in tokens" if budget.unit == "tokens" else ""
    return f"Budget {whose}{each}{WINDOWS.get(budget.window, ' for ever')}{of}{tokens}"


def record(
    entries: Writer, verdict: "Verdict", *, approval: str, decision: str, entry: Mapping[str, Any]
) -> None:
    """The entries of what was raised for an allowed call, in its own write and before its own entry."""
    for public_id, amount in verdict.raised.items():
        entries.append(
            RAISED,
            actor="system",
            agent=entry["agent"],
            tool=entry["tool"],
            session=entry["session"],
            data={
                "budget": public_id,
                "account": verdict.passed[PREFIX + public_id]["account"],
                "amount": amount,
                "approval": approval,
                "decision": decision,
            },
        )


@dataclass(frozen=True, slots=True)
class Raise:
    """A budget that an approval would raise, or did. Amounts are texts with their unit, and numbers in ``amounts``;
    ``limit``, ``spent``, ``held`` and ``now`` (by how much it would be raised at this moment) are empty, and no
    numbers, where the budget is gone."""

    budget: str  # its public id
    title: str
    ends: datetime | None
    unit: str
    amounts: Mapping[str, int]
    needs: str
    most: str
    limit: str = ""
    spent: str = ""
    held: str = ""
    now: str = ""
    over: bool = True  # the window that people were asked about, or the limit that they saw, is gone


def shown(approval: Approval) -> list[Raise]:
    """What an approval would raise, with how the accounts stand now: two queries, none where it raises nothing."""
    if not approval.raises:
        return []
    ids = [lift.removeprefix(PREFIX) for lift in approval.raises]
    budgets = {row.public_id: row for row in Budget.objects.filter(public_id__in=ids)}
    keys = [raised["account"] for raised in approval.raises.values()]
    rows = Account.objects.filter(budget__in=budgets.values(), key__in=keys)
    accounts = {(row.budget_id, row.key): row for row in rows}
    found = []
    for lift, raised in approval.raises.items():
        budget = budgets.get(lift.removeprefix(PREFIX))
        account = accounts.get((budget.pk, raised["account"])) if budget else None
        found.append(one(lift, raised, budget, account))
    return found


def one(lift: str, raised: Mapping[str, Any], budget: Budget | None, account: Account | None) -> Raise:
    """One budget as it is shown. An account without a row has nothing spent or held."""
    unit = unit_of(raised)
    amounts, over = {"needs": raised["needs"], "most": raised["most"]}, True
    if budget is not None:
        spent, held, extra = (account.spent, account.held, account.raised) if account else (0, 0, 0)
        limit = budget.limit_amount + extra
        now = min(raised["most"], max(0, spent + held + raised["needs"] - limit))
        amounts |= {"limit": limit, "spent": spent, "held": held, "now": now}
        over = budget.limit_amount < raised["limit"] or budget.generation != raised["generation"]
    return Raise(
        budget=lift.removeprefix(PREFIX),
        title=raised["title"],
        ends=datetime.fromisoformat(raised["ends"]) if raised["ends"] else None,
        unit=unit,
        amounts=amounts,
        over=over,
        **{name: told(amount, unit) for name, amount in amounts.items()},
    )


def unit_of(raised: Mapping[str, Any]) -> str:
    """The unit of what an approval raises."""
    return "tokens" if raised["told"].endswith("tokens") else "usd"


def view(approval: Approval) -> list[dict[str, Any]]:
    """What an approval would raise, as its agent sees it, without a query: amounts in their unit."""
    found = []
    for lift, raised in approval.raises.items():
        unit = unit_of(raised)
        amounts = {f"{name}_{unit}": raised[name] for name in ("needs", "most")}
        if unit == Budget.Unit.USD:
            amounts = {name: dollars(amount) for name, amount in amounts.items()}
        names = {"budget": lift.removeprefix(PREFIX), "title": raised["title"], "unit": unit}
        ends = datetime.fromisoformat(raised["ends"]) if raised["ends"] else None
        found.append({**names, **amounts, "ends": stamp(ends) if ends else None})
    return found


def told(amount: int, unit: str) -> str:
    """An amount with its unit."""
    return f"{amount:,} tokens" if unit == Budget.Unit.TOKENS else f"${dollars(amount)}"


def spent_lately(approval: Approval, now: datetime) -> str:
    """What the agent's calls of the last LATELY were charged, or hold still: one query over its newest charges."""
    rows = Hold.objects.filter(agent=approval.agent_id, created__gt=now - LATELY)
    # As floats, which add up any number of them; exact to nine million dollars.
    each = Cast(Coalesce("charged_nanos", "held_nanos"), FloatField())
    return f"${dollars(int(rows.aggregate(sum=Sum(each))['sum'] or 0))}"
