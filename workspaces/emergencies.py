"""Breaking the glass: an operator of the installation looks into a workspace for an hour, and everybody knows."""

from datetime import timedelta

from audit import log, owed
from workspaces.access import forget, operates
from workspaces.models import BrokenGlass, Membership, User, Workspace

LASTS = timedelta(hours=1)
LONGEST_REASON = 500
MAIL = "workspaces.glass.mail"


class NotAnOperator(Exception):
    """Only an active operator of the installation breaks the glass."""


class NoReason(ValueError):
    """The owners are told why, so there has to be a reason of at most 500 characters."""


def break_glass(workspace: Workspace, person: User, *, reason: str, actor: str) -> BrokenGlass:
    """Let an operator see what an owner sees, for an hour; it ends by itself. An entry of the workspace's log and of
    the installation's, and a mail to each owner. Raises NotAnOperator and NoReason."""
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise NoReason(f"Give a reason of 1 to {LONGEST_REASON} characters; the owners will read it.")
    installation = log.installation_log_id()
    with log.write(installation, workspace.log_id) as entries:
        person.refresh_from_db()
        if not operates(person):
            raise NotAnOperator(f"{person.email} does not operate this installation; see manage.py operator.")
        until = entries.now + LASTS
        row = BrokenGlass.objects.create(workspace=workspace, person=person, reason=reason, until=until)
        told = {"person": person.public_id, "until": log.stamp(until)}
        entries.record(
            "workspaces.glass.broken", actor=actor, saved=[row], data=told, log_id=workspace.log_id
        )
        entries.append(
            "workspaces.glass.broken",
            actor=actor,
            data={**told, "workspace": workspace.public_id},
            log_id=installation,
        )
        owners = User.objects.filter(
            memberships__workspace=workspace, memberships__role=Membership.Role.OWNER, is_active=True
        )
        owed.owe(MAIL, [{"glass": row.pk, "person": owner.public_id} for owner in owners], due=entries.now)
    forget(person)
    return row
