"""The installation and its workspaces."""

from typing import TypedDict, Unpack
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.db import transaction

from audit import log
from audit.models import Log
from workspaces.changes import Applied, Change, Guarded, assign
from workspaces.models import SHORTEST_RETENTION, Installation, Workspace

USUAL_RETENTION = 400  # days
LONGEST_RETENTION = 36_500


class WorkspaceSettings(TypedDict, total=False):
    """What may be changed of a workspace; its slug and its standing are not among it."""

    name: str
    timezone: str
    two_people: bool
    retention_days: int


def install(*, actor: str) -> Installation:
    """The installation's one row, made when first asked for."""
    log_id = log.installation_log_id()
    with log.write(log_id) as entries:
        row = Installation.objects.filter(log_id=log_id).first()
        if row is None:
            row = Installation.objects.create(log_id=log_id)
            entries.record("workspaces.installation.created", actor=actor, saved=[row])
    return row


def create_workspace(
    slug: str,
    *,
    name: str = "",
    timezone: str = "UTC",
    two_people: bool = False,
    retention_days: int = USUAL_RETENTION,
    actor: str,
) -> Workspace:
    """A new workspace with a log of its own, and an entry in the installation's log as well.

    It locks a head that did not exist before, so it cannot sit inside a ``log.write``: wrap it and the write
    that follows in ``transaction.atomic`` where both must happen or neither. Raises ValidationError.
    """
    installation = log.installation_log_id()
    with transaction.atomic():
        own = log.create_log(Log.Kind.WORKSPACE)
        with log.write(installation, own.pk) as entries:
            workspace = Workspace(
                slug=slug,
                name=name or slug,
                timezone=timezone,
                two_people=two_people,
                retention_days=retention_days,
                log=own,
            )
            check(workspace)
            workspace.save()
            entries.record("workspaces.workspace.created", actor=actor, saved=[workspace], log_id=own.pk)
            entries.append(
                "workspaces.workspace.created",
                actor=actor,
                data={"workspace": workspace.public_id, "log": str(own.uuid)},
                log_id=installation,
            )
    return workspace


def change_workspace(
    workspace: Workspace, *, actor: str, **settings: Unpack[WorkspaceSettings]
) -> Applied[Workspace]:
    """Change the settings that are given. Raises ValidationError, and Guarded where a person would alone let one
    person decide again what two must: that takes who may apply a file on the server."""
    with log.write(workspace.log_id) as entries:
        workspace.refresh_from_db()
        alone = workspace.two_people and settings.get("two_people") is False
        if alone and actor.startswith("person:"):
            raise Guarded(
                "Nobody switches the second person off alone. Set two_people: false in the workspace's file, and have "
                "it applied on the server: manage.py apply."
            )
        if not assign(workspace, settings):
            return Applied(workspace, Change.UNCHANGED)
        check(workspace)
        workspace.save()
        entries.record("workspaces.workspace.changed", actor=actor, saved=[workspace])
    return Applied(workspace, Change.CHANGED)


def check(workspace: Workspace) -> None:
    """Raise ValidationError for a row that cannot stand."""
    if not SHORTEST_RETENTION <= workspace.retention_days <= LONGEST_RETENTION:
        raise ValidationError(
            {
                "retention_days": f"Entries are kept {SHORTEST_RETENTION} to {LONGEST_RETENTION} days; "
                "choose a number between."
            }
        )
    try:
        ZoneInfo(workspace.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValidationError(
            {"timezone": f"{workspace.timezone!r} is no time zone; write one like Europe/Berlin."}
        ) from None
    workspace.full_clean()
