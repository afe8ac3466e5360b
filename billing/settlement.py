"""Settling holds: what a call really cost replaces what was held for it. The caller holds the log's head."""

from datetime import datetime

from billing.models import Account, Hold


def settle(decision: str, *, cost: int | None, trusted: bool, started: bool, now: datetime) -> Hold | None:
    """Charge a call. ``cost`` is what was reported (nano-dollars, None when nothing was); it lowers the charge only
    where ``trusted``, and raises it always. Settling again corrects the earlier charge. None without a hold."""
    hold = Hold.objects.filter(decision=decision).first()
    if hold is None:
        return None
    if trusted:
        charge = (cost or 0) if not started or cost is not None else hold.held_nanos
    else:
        charge = max(hold.held_nanos, cost or 0)
    state = Hold.State.SETTLED if started or charge else Hold.State.RELEASED
    return book(hold, charge, state, now)


def assume(decision: str, *, now: datetime) -> Hold | None:
    """Charge in full a call whose outcome never came, since it may have run."""
    hold = Hold.objects.filter(decision=decision, state=Hold.State.HELD).first()
    return book(hold, hold.held_nanos, Hold.State.ASSUMED, now) if hold else None


def book(hold: Hold, charge: int, state: Hold.State, now: datetime) -> Hold:
    """Move a hold's money in its accounts from held to spent, or from the earlier charge to this one."""
    held = hold.held_nanos if hold.state == Hold.State.HELD else 0
    earlier = hold.charged_nanos or 0
    for account in Account.objects.filter(pk__in=hold.accounts).order_by("pk"):
        account.held -= held
        account.spent += charge - earlier
        over = account.spent + account.held - account.limit_amount
        account.overage = max(0, over)
        account.save(update_fields=["held", "spent", "overage"])
    hold.state, hold.charged_nanos, hold.settled_at = state, charge, now
    hold.save(update_fields=["state", "charged_nanos", "settled_at"])
    return hold
