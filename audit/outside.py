"""Who confirms checkpoints from outside, and how they answer: the rows of `Witness`.

A row's ``due`` is the claim: the worker that sets it ahead asks, and no other does meanwhile.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit.lines import printable
from audit.log import database_time
from audit.models import Checkpoint, Log, Witness
from audit.policy import Policy

logger = logging.getLogger(__name__)

CLAIM = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=1)  # between two questions to who does not answer
RECENT = 50  # confirmed checkpoints among which the newest with a quorum is looked for
SHORTEST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why somebody confirmed nothing. ``contradicts``: what they have seen is not what this log says."""

    error: str
    contradicts: bool = False


def policy() -> Policy | None:
    """The installation's policy file, as it is now; None where none is configured. Raises PolicyError, OSError."""
    if not settings.WITNESS_POLICY:
        return None
    return Policy.parse(Path(settings.WITNESS_POLICY).read_bytes())


def authority() -> str:
    """The time stamp authority's address without what may be secret in it; empty where none is configured."""
    parts = urlsplit(settings.TIMESTAMP_URL)
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"[:255]


def newest() -> Checkpoint | None:
    """The newest checkpoint of the installation's log, in its present epoch."""
    own = Checkpoint.objects.filter(log__kind=Log.Kind.INSTALLATION, epoch=F("log__epoch"))
    return own.order_by("-size").first()


def claim(names: Iterable[str]) -> list[str]:
    """Those of these that are due, for this process to ask within CLAIM."""
    wanted = list(names)
    now = database_time()
    known = dict(Witness.objects.filter(name__in=wanted).values_list("name", "due"))
    if all(name in known and known[name] > now for name in wanted):
        return []
    with transaction.atomic():
        Witness.objects.bulk_create(
            [Witness(name=name, due=now) for name in wanted if name not in known], ignore_conflicts=True
        )
        return [
            name for name in wanted if Witness.objects.filter(name=name, due__lte=now).update(due=now + CLAIM)
        ]


def settle(name: str, failure: Failure | None, now: datetime, *, pause: timedelta = timedelta(0)) -> None:
    """Note how somebody answered, and when they are asked next: after ``pause``, or after a failure ever later."""
    row = Witness.objects.get(name=name)
    error = printable(failure.error)[:300] if failure else ""
    if failure is None:
        row.answered, row.failing, row.error, row.contradicts = now, None, "", False
        row.due = now + pause
    else:
        if row.error != error:
            level = logging.CRITICAL if failure.contradicts else logging.WARNING
            logger.log(level, "%s confirms nothing. %s", name, error)
        row.failing = row.failing or now
        row.error, row.contradicts = error, failure.contradicts
        row.due = now + min(max(now - row.failing, SHORTEST_PAUSE), LONGEST_PAUSE)
    row.save()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How far the installation's log is confirmed. ``covered`` is the newest checkpoint that the quorum signed, or that
    anybody did where the policy needs no witness; ``since`` is when the oldest one after it was published."""

    newest: Checkpoint | None
    covered: Checkpoint | None
    since: datetime | None
    away: list[Witness]


def confirmation(policy: Policy | None) -> Confirmation:
    """As it is stored now."""
    last = newest()
    if last is None:
        return Confirmation(None, None, None, [])
    own = Checkpoint.objects.filter(log_id=last.log_id, epoch=last.epoch)
    signed = Q(cosignatures__isnull=False)
    if not needs_witness(policy):
        signed |= Q(timestamps__isnull=False)
    recent = own.filter(signed).distinct().order_by("-size").prefetch_related("cosignatures")[:RECENT]
    covered = next((each for each in recent if policy is None or is_quorum(policy, each)), None)
    after = own.filter(size__gt=covered.size) if covered else own
    since = after.order_by("size").values_list("time", flat=True).first()
    asked = [authority(), *(each.verifier.name for each in (policy.witnesses.values() if policy else ()))]
    away = Witness.objects.filter(name__in=asked).exclude(failing=None).order_by("name")
    return Confirmation(last, covered, since, list(away))


def needs_witness(policy: Policy | None) -> bool:
    """Whether a time stamp alone is not enough."""
    return policy is not None and not policy.satisfied_by([])


def is_quorum(policy: Policy, checkpoint: Checkpoint) -> bool:
    """Whether the witnesses that signed this checkpoint are enough for the policy."""
    signed = {each.witness for each in checkpoint.cosignatures.all()}
    return policy.satisfied_by(
        [name for name, each in policy.witnesses.items() if each.verifier.name in signed]
    )
