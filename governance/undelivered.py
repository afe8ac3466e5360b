"""Mails that did not reach a reviewer: noted where people see it, and recorded."""

from collections.abc import Sequence
from datetime import datetime
from smtplib import SMTPDataError, SMTPNotSupportedError, SMTPRecipientsRefused

from django.db.models import QuerySet

from audit import log
from audit.lines import printable
from governance import bounces
from governance.models import Approval, ApprovalLink, Mailing
from governance.presentation import visible
from workspaces.models import User, Workspace

ERROR_LENGTH = 300
PERMANENT = 500  # and above: replies by which a mail server refuses for good (RFC 5321, 4.2.1)


def is_refusal(error: Exception) -> bool:
    """Whether a mail server refused this mail or its recipient for good, so that another try would be in vain."""
    if isinstance(error, SMTPRecipientsRefused):
        replies = error.recipients.values()
        return bool(replies) and all(code >= PERMANENT for code, _ in replies)
    if isinstance(error, SMTPDataError):
        return error.smtp_code >= PERMANENT
    return isinstance(error, SMTPNotSupportedError)


def why_of(error: Exception) -> str:
    """What the mail server said, or what went wrong before it could."""
    if isinstance(error, SMTPRecipientsRefused):
        return "; ".join(f"{code} {plain(text)}" for code, text in error.recipients.values())
    if isinstance(error, SMTPDataError):
        return f"{error.smtp_code} {plain(error.smtp_error)}"
    return f"{type(error).__name__}: {error}"


def plain(text: bytes | str) -> str:
    """A server's text, which comes as bytes."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def note(links: Sequence[ApprovalLink], why: str, *, at: datetime) -> None:
    """Keep that a mail about these was not delivered, until one is."""
    said = printable(" ".join(why.split()))[:ERROR_LENGTH]
    ApprovalLink.objects.filter(pk__in=[link.pk for link in links]).update(failed_at=at, error=said)


def record(links: Sequence[ApprovalLink], *, outcome: str) -> None:
    """Write an entry for each mail that will not be tried again; ``outcome``: refused or bounced."""
    for link in links:
        approval = link.approval
        with log.write(approval.workspace.log_id) as entries:
            entries.append(
                "governance.approval.undelivered",
                actor="system",
                agent=approval.agent.public_id,
                tool=approval.tool,
                session=approval.session,
                outcome=outcome,
                data={"approval": approval.public_id, "person": link.person.public_id},
            )


def note_bounce(raw: bytes) -> str:
    """Note what a message from a mail server says of a mail of ours; returns a line that tells what became of it."""
    bounce = bounces.read(raw)
    if bounce is None:
        return "This is no notification about a mail of ours that failed; nothing was noted."
    mailing = Mailing.objects.filter(message=bounce.mail).first()
    if mailing is None:
        return "The mail that came back is not known here; nothing was noted."
    links = about(mailing)
    now = log.database_time()
    fresh = [link for link in links if link.failed_at is None or link.failed_at < mailing.created]
    note(fresh, bounce.why, at=now)
    record(fresh, outcome="bounced")
    return f"Noted for {len(fresh)} of the mail's {len(links)} approvals: {printable(visible(bounce.why))}"


def about(mailing: Mailing) -> list[ApprovalLink]:
    """What a mail asked its reviewer for: of a mail that collects, what waits for them still."""
    rows = ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person")
    if mailing.link_id is not None:
        return list(rows.filter(pk=mailing.link_id))
    return list(rows.filter(person=mailing.person_id, approval__agent=mailing.agent_id, waiting=True))


def mail_trouble(approval: Approval) -> list[tuple[User, str, datetime]]:
    """Who could not be mailed about an approval, why, and since when; the newest first."""
    rows = approval.links.filter(failed_at__isnull=False).select_related("person").order_by("-failed_at")
    return [(link.person, visible(link.error), link.failed_at) for link in rows if link.failed_at]


def waiting(workspaces: Sequence[Workspace]) -> QuerySet[ApprovalLink]:
    """Reviewers who could not be mailed about what still waits for them, the most urgent first."""
    return (
        ApprovalLink.objects.filter(
            failed_at__isnull=False,
            waiting=True,
            approval__workspace__in=workspaces,
            approval__status=Approval.Status.PENDING,
        )
        .select_related("approval__agent", "approval__workspace", "person")
        .order_by("deadline", "pk")
    )
