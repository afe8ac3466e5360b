"""Resets of budgets: what was spent stays with the old accounts, and what calls in flight hold goes to new ones."""

from collections.abc import Mapping

from billing.models import Account, Budget, Hold


def move_holds(budget: Budget) -> int:
    """Begin the accounts of a budget anew whose generation was just raised by one; how many held something. The caller
    holds the log's head.

    A charge that is settled stays where it was, and so does what corrects it later. Of a hold in flight nothing is
    forgotten: it counts against the new account of the same window, so that the sum of what runs stays under the
    limit. What approvals raised ends with the old account.
    """
    moved: dict[int, int] = {}
    changed: list[Account] = []
    for old in Account.objects.filter(budget=budget, held__gt=0).order_by("pk"):
        key = next_key(old.key, budget.generation)
        new = Account.objects.filter(budget=budget, key=key).first() or Account(budget=budget, key=key)
        new.limit_amount = budget.limit_amount + new.raised
        new.held += old.held
        old.held = 0
        for account in (new, old):
            account.overage = max(0, account.spent + account.held - account.limit_amount)
        if new._state.adding:
            new.save()
        else:
            changed.append(new)
        changed.append(old)
        moved[old.pk] = new.pk
    Account.objects.bulk_update(changed, ["limit_amount", "held", "overage"])
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
    for hold in Hold.objects.filter(workspace=budget.workspace_id, state=Hold.State.HELD):
        if not moved.keys().isdisjoint(hold.accounts):
            hold.accounts = [moved.get(key, key) for key in hold.accounts]
            changed.append(hold)
    Hold.objects.bulk_update(changed, ["accounts"], batch_size=500)
