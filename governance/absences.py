"""When reviewers are away, and who answers in their place meanwhile: recorded, limited in time, never handed on."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from audit import log
from governance import asking, reviewers
from governance.models import Absence
from workspaces.access import may
from workspaces.models import Membership, User, Workspace
from workspaces.people import actor_of

LONGEST = timedelta(days=366)
LONGEST_NOTE = 200


class AbsenceOver(Exception):
    """An absence that has ended cannot be ended again."""

    code, status = "absence_over", 409


def may_record(visitor: User, workspace: Workspace, person: User) -> bool:
    """Whether somebody may say that a person is away: everybody of themselves, owners of others."""
    return visitor.pk == person.pk or may(visitor, "manage_members", workspace)


def record(
    workspace: Workspace,
    person: User,
    *,
    starts: datetime,
    ends: datetime,
    deputy: User | None = None,
    note: str = "",
    actor: str,
) -> Absence:
    """Note that a person is away from ``starts``, at the earliest from now, until ``ends``. The deputy fills their
    seat wherever their own answer would count, and only there. Raises ValidationError."""
    with log.write(workspace.log_id) as entries:
        starts = max(starts, entries.now)
        check(workspace, person, deputy, starts=starts, ends=ends, actor=actor)
        row = Absence(
            workspace=workspace,
            person=person,
            deputy=deputy,
            starts=starts,
            ends=ends,
            note=note.strip(),
            created=entries.now,
            created_by=actor,
        )
        row.full_clean()
        row.save()
        entries.record(
            "governance.absence.recorded",
            actor=actor,
            saved=[row],
            data={
                "absence": row.public_id,
                "person": person.public_id,
                "deputy": deputy.public_id if deputy else None,
            },
        )
        asking.owe_recheck(workspace, due=starts)
        asking.owe_recheck(workspace, due=ends)
    return row


def check(
    workspace: Workspace, person: User, deputy: User | None, *, starts: datetime, ends: datetime, actor: str
) -> None:
    """Raise ValidationError for an absence that cannot be recorded. Nobody makes themselves another's deputy."""
    if not Membership.objects.filter(workspace=workspace, person=person).exists():
        raise ValidationError({"person": "Nobody of this workspace has this address."})
    if ends <= starts:
        raise ValidationError({"ends": "The end comes after the beginning, and after now."})
    if ends - starts > LONGEST:
        raise ValidationError({"ends": f"An absence is at most {LONGEST.days} days long."})
    if Absence.objects.filter(workspace=workspace, person=person, starts__lt=ends, ends__gt=starts).exists():
        raise ValidationError({"starts": "An absence is recorded for this time already; end that one first."})
    if deputy is None:
        return
    if deputy.pk == person.pk:
        raise ValidationError({"deputy": "Somebody else answers while you are away."})
    if actor == actor_of(deputy):
        raise ValidationError({"deputy": "Nobody makes themselves another person's deputy; ask them."})
    if not reviewers.answerers(workspace).filter(pk=deputy.pk).exists():
        raise ValidationError(
            {"deputy": "A deputy needs the role of an approver or owner in this workspace."}
        )


def end(absence: Absence, *, actor: str) -> None:
    """The person is back: end an absence now, or take back one that has not begun. Raises AbsenceOver."""
    with log.write(absence.workspace.log_id) as entries:
        row = Absence.objects.select_related("workspace", "person").filter(pk=absence.pk).first()
        if row is None or row.ends <= entries.now:
            raise AbsenceOver("This absence is over already.")
        begun = row.starts < entries.now
        if begun:
            row.ends = entries.now
            row.save(update_fields=["ends"])
        entries.record(
            "governance.absence.ended",
            actor=actor,
            saved=[row] if begun else [],
            removed=[] if begun else [row],
            data={"absence": row.public_id, "person": row.person.public_id},
        )
        if not begun:
            row.delete()
        asking.owe_recheck(absence.workspace, due=entries.now)


def ahead(workspace: Workspace, now: datetime) -> QuerySet[Absence]:
    """Absences of now and later, the next to begin first."""
    rows = Absence.objects.filter(workspace=workspace, ends__gt=now)
    return rows.select_related("workspace", "person", "deputy").order_by("starts", "pk")
