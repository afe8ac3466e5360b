"""Legal holds: while one stands, nothing of its workspace's log is pruned, and erasures wait."""

from django.db.models import QuerySet

from audit import log
from workspaces.changes import Change
from workspaces.models import LegalHold, User, Workspace
from workspaces.people import actor_of

LONGEST_REASON = 500


def place(workspace: Workspace, *, reason: str, person: User) -> LegalHold:
    """Put a workspace on hold from now on. Each hold stands by itself: the last release ends it.

    Raises ValidationError without a reason."""
    with log.write(workspace.log_id) as entries:
        hold = LegalHold(workspace=workspace, reason=reason.strip(), started_by=person, started=entries.now)
        hold.full_clean()
        hold.save()
        entries.record(
            "workspaces.hold.placed", actor=actor_of(person), saved=[hold], data={"hold": hold.public_id}
        )
    return hold


def release(hold: LegalHold, *, person: User) -> Change:
    """End a hold now. Whether another still stands is for ``standing`` to say."""
    with log.write(hold.workspace.log_id) as entries:
        hold.refresh_from_db()
        if hold.released is not None:
            return Change.UNCHANGED
        hold.released, hold.released_by = entries.now, person
        hold.save(update_fields=["released", "released_by"])
        entries.record(
            "workspaces.hold.released", actor=actor_of(person), saved=[hold], data={"hold": hold.public_id}
        )
    return Change.CHANGED


def standing(log_id: int) -> QuerySet[LegalHold]:
    """The holds that stand on a workspace, by its log; asked under the log's head by whoever deletes."""
    return LegalHold.objects.filter(workspace__log_id=log_id, released=None).order_by("started")
