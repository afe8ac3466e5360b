"""Personal links: a reviewer answers from the mail, without signing in.

Mail scanners open links and submit forms, and mail is forwarded: so a link alone shows, and decides nothing.
To decide without a session takes the four characters that stand in the mail beside the link and never on its
page; and for calls of high or critical risk there is the portal alone.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from audit import log
from governance import approvals, outcomes, reviewers
from governance.approvals import ReasonNeeded, SecondFactorNeeded
from governance.models import Approval, ApprovalLink, Mailing, Vote
from workspaces.identifiers import random_text
from workspaces.models import User
from workspaces.people import actor_of

TOKEN_LENGTH = 24  # base62: 142 random bits
CODE_LENGTH = 4
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that reads like something else
ATTEMPTS = 5  # of 31⁴ codes, over all mails about one approval
REPEATED = timedelta(
    hours=1
)  # a link that is refused again for the same reason is not recorded again so soon
# Refusals that leave an entry, and the entry's outcome. What is missing in a form is none: people press too early.
OUTCOMES = {
    "link_used": "used",
    "link_replaced": "replaced",
    "link_locked": "locked",
    "approval_expired": "expired",
    "approval_settled": "settled",
    "approval_void": "void",
    "not_a_reviewer": "not_a_reviewer",
    "other_person": "other_person",
    "wrong_code": "wrong_code",
}


class LinkRefused(Exception):
    """The link cannot be used (so). ``status`` is the HTTP status that says it best."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Issued:
    """A mail to be sent, with what it alone knows."""

    mailing: Mailing
    token: str
    code: str


def issue(link: ApprovalLink, *, now: datetime) -> Issued:
    """A new token and code for a mail; only their hashes are stored. The links of earlier mails live until this
    mail is sent."""
    token = random_text(TOKEN_LENGTH)
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    mailing = Mailing.objects.create(
        link=link,
        person=link.person,
        agent=link.approval.agent,
        message=random_text(TOKEN_LENGTH),
        digest=token_digest(token),
        code_digest=code_digest(token, code),
        created=now,
    )
    return Issued(mailing, token, code)


def address(token: str) -> str:
    """The absolute address of a link's page."""
    return f"{settings.PUBLIC_URL}/a/{token}/"


def token_digest(token: str) -> bytes:
    """SHA-256 of a token; its 142 random bits need no salt."""
    return hashlib.sha256(token.encode()).digest()


def code_digest(token: str, code: str) -> bytes:
    """HMAC-SHA-256 of a code under its token, so that the hashes alone do not give the code away."""
    return hmac.digest(token.encode(), code.encode(), "sha256")


def find(token: str) -> Mailing | None:
    """The mail of a token, with its approval and person."""
    rows = Mailing.objects.select_related(
        "link__approval__workspace", "link__approval__agent", "link__person"
    )
    return rows.filter(digest=token_digest(token)).first()


def required(token: str) -> tuple[Mailing, ApprovalLink]:
    """The mail of a token, and whom it asks what. Raises LinkRefused for an unknown one."""
    mailing = find(token)
    if mailing is None or mailing.link is None:
        raise LinkRefused(404, "link_unknown", "This link is not known here. Open the newest mail about it.")
    return mailing, mailing.link


def needs_sign_in(approval: Approval) -> bool:
    """Whether the risk is too high to be decided by a link and a code. A budget is raised by who is signed in, as it is
    by hand."""
    return approval.risk in approvals.CONFIRMED_RISKS or bool(approval.raises)


def obstacle(mailing: Mailing, link: ApprovalLink, now: datetime) -> LinkRefused | None:
    """Why the link is dead at this time; None while it lives."""
    approval = link.approval
    voted = approval.votes.filter(person=link.person_id, round=approval.round)
    if mailing.used_at is not None or voted.exists():
        return LinkRefused(410, "link_used", "You have answered this already. Thank you.")
    if refused := outcomes.refusal(approval, now):
        return LinkRefused(410, refused.code, str(refused))
    if is_replaced(mailing):
        sentence = "A newer mail about this call has taken the place of this one. Open the link in that mail."
        return LinkRefused(410, "link_replaced", sentence)
    if not reviewers.may_decide(link.person, approval, now):
        return LinkRefused(410, "not_a_reviewer", "Your answer is no longer asked for here.")
    if link.attempts >= ATTEMPTS:
        sentence = f"This link was closed after {ATTEMPTS} wrong codes. Sign in to the portal to answer."
        return LinkRefused(410, "link_locked", sentence)
    return None


def is_replaced(mailing: Mailing) -> bool:
    """Whether a newer mail about the same was sent."""
    return Mailing.objects.filter(link=mailing.link_id, pk__gt=mailing.pk, sent_at__isnull=False).exists()


def stranger(link: ApprovalLink, visitor: User | None) -> LinkRefused | None:
    """Why who is signed in may not look: the mail was for somebody else. None for nobody, and for its own person."""
    if visitor is None or visitor.pk == link.person_id:
        return None
    sentence = "You are signed in as somebody whom this mail was not for. If it was for you, sign out first."
    return LinkRefused(403, "other_person", sentence)


def note_shown(mailing: Mailing, link: ApprovalLink, visitor: User | None) -> None:
    """Write the entry that the arguments were shown by this mail's link, once, however often it is opened; and that
    its person saw them, if it is certain that it was they."""
    if visitor is not None:
        note_opened(link, at=None)
    if mailing.shown_at is not None:
        return
    approval = link.approval
    with log.write(approval.workspace.log_id) as entries:
        if Mailing.objects.filter(pk=mailing.pk, shown_at=None).update(shown_at=entries.now):
            entries.append(
                "governance.detail.read",
                actor=actor_of(link.person),
                agent=approval.agent.public_id,
                tool=approval.tool,
                data={"entry": approval.entry_index, "approval": approval.public_id, "known_by": "link"},
            )


def note_opened(link: ApprovalLink, *, at: datetime | None) -> None:
    """Keep when its person first saw what is asked: ``at``, or now."""
    if link.opened_at is None:
        link.opened_at = at or log.database_time()
        ApprovalLink.objects.filter(pk=link.pk, opened_at=None).update(opened_at=link.opened_at)


def note_refused(token: str, refused: LinkRefused, visitor: User | None) -> None:
    """Write the entry that a link was refused; once an hour a link and reason, so that no scanner fills the log."""
    mailing, link = required(token)
    if not is_told(mailing, refused, log.database_time()):
        with log.write(link.approval.workspace.log_id) as entries:
            mailing, link = required(token)
            record_refusal(mailing, link, refused, visitor, entries)


def is_told(mailing: Mailing, refused: LinkRefused, now: datetime) -> bool:
    """Whether there is nothing to be recorded about this refusal, or it was just now."""
    outcome = OUTCOMES.get(refused.code)
    if outcome is None:
        return True
    last = mailing.refusals.get(outcome)
    return last is not None and datetime.fromisoformat(last) > now - REPEATED


def record_refusal(
    mailing: Mailing, link: ApprovalLink, refused: LinkRefused, visitor: User | None, entries: log.Writer
) -> None:
    """Write the entry of a refusal, under the head. Wrong codes are each recorded: there are few."""
    if refused.code != "wrong_code" and is_told(mailing, refused, entries.now):
        return
    outcome, approval = OUTCOMES[refused.code], link.approval
    mailing.refusals[outcome] = entries.now.isoformat()
    mailing.save(update_fields=["refusals"])
    data = {"approval": approval.public_id, "person": link.person.public_id, "attempts": link.attempts}
    if visitor is not None and visitor.pk != link.person_id:
        data["visitor"] = visitor.public_id
    entries.append(
        "governance.approval.link_refused",
        actor="system",
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        outcome=outcome,
        data=data,
        log_id=approval.workspace.log_id,
    )


def answer(
    token: str,
    *,
    visitor: User | None,
    code: str,
    approve: bool,
    comment: str,
    shown_at: datetime | None = None,
    seen: int | None = None,
) -> Approval:
    """Decide by a link. ``visitor`` is who is signed in, if anybody; its own person needs no code. ``shown_at``: when
    the page was shown whose form this is; ``seen``: the round of the call on it.

    Raises LinkRefused: 404 unknown, 410 dead, 403 for a wrong code, for who is signed in as somebody else or
    where a sign-in is needed, 400 without a code.
    """
    _, link = required(token)
    with log.write(link.approval.workspace.log_id) as entries:
        mailing, link = required(token)
        refused = obstacle(mailing, link, entries.now) or stranger(link, visitor) or too_risky(link)
        if refused is None and visitor is None:
            refused = judge_code(mailing, link, token, code)
        if refused is None:
            note_opened(link, at=shown_at)
            approval = decide(
                link, signed_in=visitor is not None, approve=approve, comment=comment, seen=seen
            )
            Mailing.objects.filter(pk=mailing.pk).update(used_at=entries.now)
            ApprovalLink.objects.filter(pk=link.pk).update(used_at=entries.now)
            return approval
        if refused.code == "wrong_code":
            record_refusal(mailing, link, refused, visitor, entries)
    if refused.code != "wrong_code":
        note_refused(token, refused, visitor)
    raise refused  # after the commit: the attempt counts


def too_risky(link: ApprovalLink) -> LinkRefused | None:
    """Why the portal alone will do."""
    if not needs_sign_in(link.approval):
        return None
    what = "Budgets are raised" if link.approval.raises else f"Calls of {link.approval.risk} risk are decided"
    sentence = f"{what} in the portal. Sign in to answer."
    return LinkRefused(403, "sign_in_needed", sentence)


def judge_code(mailing: Mailing, link: ApprovalLink, token: str, code: str) -> LinkRefused | None:
    """Compare the code; a wrong one is counted, what is none is not. None for the right one."""
    typed = "".join(code.split()).replace("-", "").upper()
    if len(typed) != CODE_LENGTH:
        sentence = f"Type the {CODE_LENGTH} characters that stand in the mail beside the link."
        return LinkRefused(400, "code_missing", sentence)
    if hmac.compare_digest(code_digest(token, typed), bytes(mailing.code_digest or b"")):
        return None
    link.attempts += 1
    link.save(update_fields=["attempts"])
    left = ATTEMPTS - link.attempts
    if not left:
        return LinkRefused(
            403, "wrong_code", "That was the wrong code, and the last try. Sign in to the portal."
        )
    tries = "one more try" if left == 1 else f"{left} more tries"
    return LinkRefused(403, "wrong_code", f"That is not the code from the mail. You have {tries}.")


def decide(link: ApprovalLink, *, signed_in: bool, approve: bool, comment: str, seen: int | None) -> Approval:
    """Vote in the name of the link's person."""
    try:
        return approvals.decide(
            link.approval,
            person=link.person,
            approve=approve,
            comment=comment,
            known_by=Vote.KnownBy.SESSION if signed_in else Vote.KnownBy.LINK,
            actor=actor_of(link.person),
            opened_at=link.opened_at,
            seen=seen,
        )
    except (ReasonNeeded, SecondFactorNeeded) as refused:
        raise LinkRefused(refused.status, refused.code, str(refused)) from refused
