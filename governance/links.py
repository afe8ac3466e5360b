"""Personal links: a reviewer answers from the mail, without signing in.

Mail scanners open links and submit forms, and mail is forwarded: so a link alone shows, and decides nothing.
To decide without a session takes the four characters that stand in the mail beside the link and never on its
page.
"""

import hashlib
import hmac
import secrets
from datetime import datetime

from django.conf import settings

from audit import log
from governance import approvals, outcomes
from governance.approvals import ReasonNeeded, SecondFactorNeeded
from governance.models import Approval, ApprovalLink, Vote
from workspaces.identifiers import random_text
from workspaces.models import User
from workspaces.people import actor_of

TOKEN_LENGTH = 24  # base62: 142 random bits
CODE_LENGTH = 4
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that reads like something else
ATTEMPTS = 5  # of 31⁴ codes


class LinkRefused(Exception):
    """The link cannot be used (so). ``status`` is the HTTP status that says it best."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def issue(link: ApprovalLink) -> tuple[str, str]:
    """A new token and code for a link, replacing older ones; only their hashes are stored."""
    token = random_text(TOKEN_LENGTH)
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    ApprovalLink.objects.filter(pk=link.pk).update(
        digest=token_digest(token), code_digest=code_digest(token, code)
    )
    return token, code


def note_opened(link: ApprovalLink) -> None:
    """Write the entry that the arguments were shown by this link: once, however often it is opened."""
    if link.opened_at is not None:
        return
    approval = link.approval
    with log.write(approval.workspace.log_id) as entries:
        if ApprovalLink.objects.filter(pk=link.pk, opened_at=None).update(opened_at=entries.now):
            entries.append(
                "governance.detail.read",
                actor=actor_of(link.person),
                agent=approval.agent.public_id,
                tool=approval.tool,
                data={"entry": approval.entry_index, "approval": approval.public_id, "known_by": "link"},
            )


def address(token: str) -> str:
    """The absolute address of a link's page."""
    return f"{settings.PUBLIC_URL}/a/{token}/"


def token_digest(token: str) -> bytes:
    """SHA-256 of a token; its 142 random bits need no salt."""
    return hashlib.sha256(token.encode()).digest()


def code_digest(token: str, code: str) -> bytes:
    """HMAC-SHA-256 of a code under its token, so that the hashes alone do not give the code away."""
    return hmac.digest(token.encode(), code.encode(), "sha256")


def find(token: str) -> ApprovalLink | None:
    """The link of a token, with its approval and person."""
    rows = ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person")
    return rows.filter(digest=token_digest(token)).first()


def needs_sign_in(approval: Approval) -> bool:
    """Whether the risk is too high to be decided by a link and a code."""
    return approval.risk in approvals.CONFIRMED_RISKS


def obstacle(link: ApprovalLink, now: datetime) -> LinkRefused | None:
    """Why the link is dead at this time; None while it lives."""
    if link.used_at is not None or link.approval.votes.filter(person=link.person_id).exists():
        return LinkRefused(410, "link_used", "You have answered this already. Thank you.")
    if refused := outcomes.refusal(link.approval, now):
        return LinkRefused(410, refused.code, str(refused))
    if not approvals.may_decide(link.person, link.approval, now):
        return LinkRefused(410, "not_a_reviewer", "Your answer is no longer asked for here.")
    if link.attempts >= ATTEMPTS:
        sentence = f"This link was closed after {ATTEMPTS} wrong codes. Sign in to the portal to answer."
        return LinkRefused(410, "link_locked", sentence)
    return None


def answer(token: str, *, visitor: User | None, code: str, approve: bool, comment: str) -> Approval:
    """Decide by a link. ``visitor`` is who is signed in, if anybody; its own person needs no code.

    Raises LinkRefused: 404 unknown, 410 dead, 403 for a wrong code, for who is signed in as somebody else or
    where a sign-in is needed, 400 without a code.
    """
    link = find(token)
    if link is None:
        raise LinkRefused(404, "link_unknown", "This link is not known here. Open the newest mail about it.")
    with log.write(link.approval.workspace.log_id) as entries:
        link = find(token)
        if link is None:
            raise LinkRefused(404, "link_unknown", "A newer mail replaced this link. Open that one.")
        if refused := obstacle(link, entries.now):
            raise refused
        signed_in = visitor is not None and visitor.pk == link.person_id
        if visitor is not None and not signed_in:
            sentence = (
                "You are signed in as somebody whom this mail was not for. If it was for you, sign out first."
            )
            raise LinkRefused(403, "other_person", sentence)
        wrong = None if signed_in else judge_code(link, token, code, entries)
        if wrong is None:
            approval = decide(link, signed_in=signed_in, approve=approve, comment=comment)
            ApprovalLink.objects.filter(pk=link.pk).update(used_at=entries.now)
            return approval
    raise wrong  # after the commit: the attempt counts


def judge_code(link: ApprovalLink, token: str, code: str, entries: log.Writer) -> LinkRefused | None:
    """Compare the code; a wrong one is counted and recorded. Raises LinkRefused for what is no attempt."""
    if needs_sign_in(link.approval):
        sentence = f"Calls of {link.approval.risk} risk are decided in the portal. Sign in to answer."
        raise LinkRefused(403, "sign_in_needed", sentence)
    typed = "".join(code.split()).replace("-", "").upper()
    if len(typed) != CODE_LENGTH:
        raise LinkRefused(
            400, "code_missing", "Type the four characters that stand in the mail beside the link."
        )
    if hmac.compare_digest(code_digest(token, typed), bytes(link.code_digest or b"")):
        return None
    link.attempts += 1
    link.save(update_fields=["attempts"])
    entries.append(
        "governance.approval.link_refused",
        actor="system",
        agent=link.approval.agent.public_id,
        tool=link.approval.tool,
        session=link.approval.session,
        outcome="wrong_code",
        data={
            "approval": link.approval.public_id,
            "person": link.person.public_id,
            "attempts": link.attempts,
        },
        log_id=link.approval.workspace.log_id,
    )
    left = ATTEMPTS - link.attempts
    if not left:
        return LinkRefused(
            403, "wrong_code", "That was the wrong code, and the last try. Sign in to the portal."
        )
    tries = "one more try" if left == 1 else f"{left} more tries"
    return LinkRefused(403, "wrong_code", f"That is not the code from the mail. You have {tries}.")


def decide(link: ApprovalLink, *, signed_in: bool, approve: bool, comment: str) -> Approval:
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
        )
    except (ReasonNeeded, SecondFactorNeeded) as refused:
        raise LinkRefused(refused.status, refused.code, str(refused)) from refused
