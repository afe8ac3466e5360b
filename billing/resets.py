"""Resets of budgets: what was spent stays with the old accounts, and what calls in flight hold goes to new ones."""

from collections.abc import Mapping

from django.db.models import F, Value
from django.db.models.functions import Greatest

from billing.models import Account, Budget, Hold


def move_holds(budget: Budget) -> int:
    """Begin the accounts of a budget anew whose generation was just raised by one; how many held something. The caller
    holds the log's head.

    A charge that is settled stays where it was, and so does what corrects it later. Of a hold in flight nothing is
    forgotten: it counts against the new account of the same window, so that the sum of what runs stays under the
    limit. What approvals raised ends with the old account.
    """
    begun = Account.objects.filter(budget=budget, held__gt=0)
    olds = list(begun.order_by("pk").values_list("pk", "key", "held"))
    begun.update(held=0, overage=Greatest(F("spent") - F("limit_amount"), Value(0)))
    news = Account.objects.bulk_create(
        Account(
            budget=budget,
            key=next_key(key, budget.generation),
            limit_amount=budget.limit_amount,
            held=held,
            overage=max(0, held - budget.limit_amount),
        )
        for _, key, held in olds
    )
    moved = {old: new.pk for (old, _, _), new in zip(olds, news, strict=True)}
    follow(budget, moved)
    return len(moved)


def next_key(key: str, generation: int) -> str:
    """The key of an account after its budget was reset: ``2026-11-01|7|run`` becomes ``2026-11-01|r1|7|run``."""
    start, _, whose = key.partition("|")
    whose = whose.removeprefix(f"r{generation - 1}").removeprefix("|") if generation > 1 else whose
    return f"{start}|r{generation}|{whose}" if whose else f"{start}|r{generation}"


def follow(budget: Budget, moved: Mapping[int, int]) -> None:
    """Let the workspace's holds in flight name the new accounts instead of the old ones."""
    if not moved:
        return
    changed: list[Hold] = []
    in_flight = Hold.objects.filter(workspace=budget.workspace_id, state=Hold.State.HELD)
    for hold in in_flight.only("accounts"):
        if not moved.keys().isdisjoint(hold.accounts):
            hold.accounts = [moved.get(key, key) for key in hold.accounts]
            changed.append(hold)
    Hold.objects.bulk_update(changed, ["accounts"], batch_size=500)
