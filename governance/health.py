"""How the installation is: its worker, mail, logs, disk and database. Names no workspace and nobody in one."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Max, Min, Sum

from audit import outside
from audit.durability import durability
from audit.heartbeats import LATE
from audit.models import Head, Owed, Worker
from audit.policy import PolicyError
from workspaces.models import Workspace

PATIENCE = timedelta(seconds=60)  # owed work that is due for longer means that the worker is behind
UNCONFIRMED = timedelta(minutes=10)  # a checkpoint without its quorum for so long is told
LITTLE, VERY_LITTLE = 0.15, 0.05  # of the disk
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``state``: success, warning or danger; ``todo`` says what to do about it."""

    name: str
    state: str
    said: str
    todo: str = ""

    @property
    def word(self) -> str:
        return {"success": "well", "warning": "look", "danger": "act"}[self.state]


def findings(now: datetime) -> list[Finding]:
    """Every line; one that cannot be told says so and hides no other."""
    return [told(name, look, now) for name, look in LOOKS.items()]


def told(name: str, look: Callable[[datetime], Finding], now: datetime) -> Finding:
    """What one look found."""
    try:
        with transaction.atomic():
            return look(now)
    except (DatabaseError, ImproperlyConfigured, OSError) as error:
        return Finding(name, "danger", f"It cannot be told: {type(error).__name__}.", "Ask /readyz.")


def worker(now: datetime) -> Finding:
    """Whether a worker runs, and whether it keeps up."""
    seen = Worker.objects.aggregate(at=Max("seen"), count=Count("pk"))["at"]
    live = Worker.objects.filter(seen__gte=now - LATE).count()
    late = Owed.objects.filter(done_at=None, due__lt=now - PATIENCE, attempts=0)
    owed = late.aggregate(count=Count("pk"), oldest=Min("due"))
    if not live:
        last = f"last heard of {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "none was ever heard of"
        return Finding(
            "Worker", "danger", f"No worker runs; {last}.", "Start manage.py work. What is owed is kept."
        )
    if owed["count"]:
        minutes = int((now - owed["oldest"]).total_seconds() // 60)
        said = f"{live} running, {owed['count']} overdue, the oldest for {minutes} minutes."
        return Finding(
            "Worker", "warning", said, "Start more workers (PostgreSQL), or read this one's stderr."
        )
    return Finding("Worker", "success", f"{live} running, nothing overdue.")


def mail(now: datetime) -> Finding:
    """Whether mails go out."""
    failing = Owed.objects.filter(done_at=None, attempts__gt=0, kind__endswith=".mail").exclude(error="")
    found = failing.aggregate(count=Count("pk"), most=Max("attempts"))
    if not found["count"]:
        return Finding("Mail", "success", "No mail is failing.")
    newest = failing.order_by("-due").values_list("error", flat=True)[0]
    kind = newest.partition(":")[0]  # what follows may hold somebody's address
    said = f"{found['count']} mails failed, one of them {found['most']} times; last: {kind}."
    return Finding("Mail", "danger", said, "Look at COUNTERSIGN_SMTP_URL and the worker's stderr.")


def logs(now: datetime) -> Finding:
    """How many entries there are, and when the last one was written."""
    heads = Head.objects.aggregate(count=Count("pk"), entries=Sum("size"), last=Max("time"))
    behind = Head.objects.filter(time__gt=now + PATIENCE).count()
    said = f"{heads['entries'] or 0:,} entries in {heads['count']} logs"
    if behind:
        todo = "Set the machines' clocks; entries keep the later time until it has passed."
        return Finding("Logs", "warning", f"{said}; {behind} are ahead of this clock.", todo)
    if heads["last"] is None:
        return Finding("Logs", "danger", "There is no log.", "Run manage.py migrate.")
    return Finding("Logs", "success", f"{said}; the newest is of {heads['last']:%Y-%m-%d %H:%M:%S} UTC.")


def witnesses(now: datetime) -> Finding:
    """How far the log is confirmed by who holds neither its database nor its key, and who of them is away."""
    try:
        policy = outside.policy()
    except PolicyError as error:
        todo = "Mend the file that COUNTERSIGN_WITNESS_POLICY names."
        return Finding("Witnesses", "danger", f"The trust policy cannot be read: {error}", todo)
    if not settings.TIMESTAMP_URL and (policy is None or not policy.witnesses):
        said = "None: who holds database and signing key could write another past, and nobody could tell."
        return Finding(
            "Witnesses", "warning", said, "Set COUNTERSIGN_WITNESS_POLICY; see Witnesses in the manual."
        )
    found = outside.confirmation(policy)
    if found.newest is None:
        return Finding("Witnesses", "success", "No checkpoint is published yet.")
    size = found.covered.size if found.covered else 0
    away = " ".join(
        f"{each.name} has not since {each.failing:%Y-%m-%d %H:%M} UTC: {each.error}" for each in found.away
    )
    said = f"{size:,} of {found.newest.size:,} entries of the installation's log are confirmed from outside. {away}"
    if any(each.contradicts for each in found.away):
        todo = "Find out what happened to the database before anything else; see the threat model."
        return Finding("Witnesses", "danger", said, todo)
    patience = UNCONFIRMED if outside.needs_witness(policy) else 2 * settings.TIMESTAMP_INTERVAL + UNCONFIRMED
    if found.since and found.since < now - patience:
        todo = "Too few witnesses answer. Look at the worker's stderr, and ask who runs them."
        return Finding("Witnesses", "danger", f"{said} Waiting since {found.since:%Y-%m-%d %H:%M} UTC.", todo)
    return Finding("Witnesses", "warning" if away else "success", said.rstrip())


def disk(now: datetime) -> Finding:
    """How much room is left where the data lies."""
    usage = shutil.disk_usage(settings.DATA_DIR)
    share = usage.free / usage.total
    said = f"{usage.free // MEGABYTE:,} MB free, {share:.0%} of the data folder's disk."
    if connection.vendor == "sqlite":
        size = Path(connection.settings_dict["NAME"]).stat().st_size
        said += f" The database has {size // MEGABYTE:,} MB."
    if share >= LITTLE:
        return Finding("Disk", "success", said)
    state = "warning" if share >= VERY_LITTLE else "danger"
    return Finding("Disk", state, said, "Make room: when it is full, no check is allowed.")


def database(now: datetime) -> Finding:
    """Whether what is committed survives a crash."""
    problems = durability()
    if problems:
        return Finding("Database", "danger", " ".join(problems), "Until then decisions could be lost.")
    return Finding("Database", "success", f"{connection.display_name} answers, and keeps what it commits.")


def size(now: datetime) -> Finding:
    """How many workspaces there are."""
    count = Workspace.objects.count()
    said = (
        f"{count} workspace{'' if count == 1 else 's'}. Operators hold none of them, so none is named here."
    )
    return Finding("Workspaces", "success", said)


LOOKS = {
    "Worker": worker,
    "Mail": mail,
    "Logs": logs,
    "Witnesses": witnesses,
    "Disk": disk,
    "Database": database,
    "Workspaces": size,
}
