"""Rows that nothing will ask for again are deleted, so that tables grow with what happens now and not with time.

The log keeps what happened; nothing here is evidence. Each round looks at the next few rows of each table by primary
key, so a round costs the same however large the tables are.
"""

from datetime import datetime, timedelta
from time import monotonic

from django.db.models import Model, Q
from django.utils import timezone

from audit.models import Owed
from governance.models import Call, Decision, Idempotency, Mailing, Session
from governance.recall import IDEMPOTENCY_AGE

CHUNK = 1_000
PAUSE = 10.0
KEPT = timedelta(days=7)
CLOSED = ("succeeded", "failed", "skipped", "unreported")

positions: dict[type[Model], int] = {}
rounds = {"next": 0.0}


def stale(now: datetime) -> dict[type[Model], Q]:
    """What is too old to matter, by table."""
    return {
        Idempotency: Q(created__lt=now - IDEMPOTENCY_AGE),
        Call: Q(expires_at__lt=now - KEPT),
        Session: Q(last_at__lt=now - KEPT),
        Decision: Q(outcome__in=CLOSED, lease_until__lt=now - KEPT),
        Owed: Q(done_at__lt=now - KEPT),
        Mailing: Q(link=None, created__lt=now - KEPT),  # those with a link go with their approval
    }


def tidy() -> int:
    """A round at most every ten seconds; returns how many rows it deleted."""
    if monotonic() < rounds["next"]:
        return 0
    rounds["next"] = monotonic() + PAUSE
    return sum(tidy_table(model, old) for model, old in stale(timezone.now()).items())


def tidy_table(model: type[Model], old: Q) -> int:
    """Delete what is old among the next rows of a table; begins again after the last."""
    rows = model._default_manager
    keys = list(
        rows.filter(pk__gt=positions.get(model, 0)).order_by("pk").values_list("pk", flat=True)[:CHUNK]
    )
    positions[model] = keys[-1] if len(keys) == CHUNK else 0
    found = list(rows.filter(old, pk__in=keys).values_list("pk", flat=True)) if keys else []
    return rows.filter(pk__in=found).delete()[0] if found else 0
