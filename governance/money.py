"""What a check costs, and whether the budgets bear it: between the decision and its record."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from billing import warnings
from billing.budgets import FREE, Call, Cost, Shortage, dollars
from billing.model_names import same_model
from governance import raises
from governance.decide import Verdict
from governance.expenses import cost_in
from governance.requests import CheckRequest, OutcomeReport, Request
from governance.snapshot import Snapshot
from governance.subjects import AgentEntry

if TYPE_CHECKING:
    from governance.checks import Batch
    from governance.presented import Hearing
    from governance.records import Draft


def look_up(current: Snapshot, requests: Sequence[Request]) -> None:
    """Find the prices of the models that are named, before anything is locked: the first time takes long."""
    models = {r.model for r in requests if isinstance(r, CheckRequest | OutcomeReport)} - {""}
    for model in models:
        current.prices.of(model, timezone.now().date())
        current.budgets.models.meant(model)


def call_of(agent: AgentEntry, request: CheckRequest, model: str | None = None) -> Call:
    """A check as budgets and charges see it; ``model`` instead of the one that it names."""
    return Call(
        agent.id,
        request.session,
        request.tool,
        request.model if model is None else model,
        agent.owner_id,
        agent.cost_center,
    )


def price(batch: "Batch", request: CheckRequest, model: str | None = None) -> Cost:
    """What a check is expected to cost; ``model`` instead of the one that it names."""
    return cost_in(
        batch.snapshot,
        batch.ledger.day,
        request.tool,
        estimated=request.estimated_nanos,
        model=request.model if model is None else model,
        usage=request.estimated_usage,
    )


def reserve(hearing: "Hearing", verdict: Verdict, decision: str) -> Cost:
    """Hold what an allowed call costs, or turn the verdict into a denial or a pending one; budgets bind under
    ``observe`` too. What people raise for it is raised here, by exactly what it is short of. Returns what is held."""
    if (cost := fits(hearing, verdict)) is None:
        return FREE
    call = call_of(hearing.agent, hearing.request)
    verdict.raised = hearing.batch.ledger.hold(call, cost, decision, lifted=frozenset(verdict.passed))
    return cost


def fits(hearing: "Hearing", verdict: Verdict) -> Cost | None:
    """What an allowed call would hold, or None where the budgets do not bear it, which the verdict says then. What
    people are asked to raise is lifted only together: a budget that says no otherwise still does."""
    batch, agent, request = hearing.batch, hearing.agent, hearing.request
    call, cost = call_of(agent, request), price(batch, request)
    shortage = batch.ledger.check(call, cost)
    if shortage is not None and not request.dry_run:
        for account in shortage.exhausted:
            warnings.refused(account, batch.entries)
    if shortage is not None and shortage.asks:
        wanted = raises.wanted(batch.ledger, call, cost, shortage)
        if not hearing.lifts(verdict, wanted, shortage.code, shortage.message, budget=shortage.budget):
            return None
        shortage = batch.ledger.check(call, cost, lifted=frozenset(wanted))
    if shortage is not None:
        fall_short(batch, agent, request, verdict, shortage)
        return None
    return cost


def record_raises(batch: "Batch", verdict: Verdict, draft: "Draft") -> None:
    """The entries of what was raised for an allowed call, and that in its own."""
    draft.entry["data"]["raised"] = verdict.raised
    raises.record(
        batch.entries,
        verdict,
        approval=draft.entry["data"]["used_approval"],
        decision=draft.decision,
        entry=draft.entry,
    )


def fall_short(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, shortage: Shortage
) -> None:
    """Deny what does not fit, and say what to do instead."""
    more: dict[str, Any] = {"budget": shortage.budget} if shortage.budget else {}
    if shortage.downgrade and (cheaper := downgrade(batch, agent, request, shortage.downgrade)):
        more["downgrade"] = verdict.downgrade = cheaper
    verdict.fall_short(shortage.code, shortage.message, **more)
    verdict.retry_after = shortage.retry_after


def downgrade(batch: "Batch", agent: AgentEntry, request: CheckRequest, model: str) -> dict[str, str]:
    """The cheaper model to ask again with, and what it would hold; empty where the same call does not fit with it
    either, or named no model."""
    if not request.model or same_model(model, request.model):
        return {}
    cost = price(batch, request, model)
    if cost.nanos is None or batch.ledger.check(call_of(agent, request, model), cost):
        return {}
    return {"model": model, "held_usd": dollars(cost.nanos)}
