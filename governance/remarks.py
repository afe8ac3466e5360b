"""A reviewer's questions about a waiting call, and its agent's answers. Neither decides anything.

The agent sees a question while it waits. Its answer is its own words: a reviewer is shown it as that.
"""

from audit import log
from audit.log import Writer
from audit.secrets import withhold
from governance import approvals, callbacks, outcomes, reviewers
from governance.approvals import NotAReviewer
from governance.models import Approval, Remark
from governance.requirements import votes_of
from workspaces.models import User

ASKED = "governance.approval.asked_agent"
REPLIED = "governance.approval.agent_replied"
MOST = 20  # remarks about one approval
LONGEST = 2000  # characters of one


class RemarkRefused(Exception):
    """A question or an answer that cannot be; ``code``: bad_remark, too_many_remarks or nothing_asked."""

    def __init__(self, code: str, sentence: str, status: int = 409) -> None:
        super().__init__(sentence)
        self.code, self.status = code, status


def ask(approval: Approval, *, person: User, text: str, actor: str) -> Remark:
    """Ask the agent something about a call that waits. Raises RemarkRefused, NotPending, and NotAReviewer for somebody
    who neither may decide nor has."""
    words = checked(text)
    with log.write(approval.workspace.log_id) as entries:
        row = approvals.read(approval)
        if refused := outcomes.refusal(row, entries.now):
            raise refused
        if not reviewers.may_decide(person, row, entries.now) and not has_answered(person, row):
            raise NotAReviewer(reviewers.why_not(person, row, entries.now))
        remark = put(row, words, person=person, actor=actor, entries=entries)
        row.version += 1
        row.save(update_fields=["version"])
        callbacks.owe_callback(row, "question", entries)
    return remark


def reply(approval: Approval, *, text: str, entries: Writer) -> Remark:
    """The agent's answer to what it was asked last, inside the caller's write; one to each question. ``approval`` is
    the caller's own, with its agent and workspace. Raises RemarkRefused and NotPending."""
    words = checked(text)
    if refused := outcomes.refusal(approval, entries.now):
        raise refused
    of_agent = [person is None for person in approval.remarks.values_list("person_id", flat=True)]
    if sum(of_agent) * 2 >= len(of_agent):
        raise RemarkRefused(
            "nothing_asked",
            "No question about this approval is open; reviewers are told what you answer to one.",
        )
    return put(approval, words, person=None, actor=f"agent:{approval.agent.public_id}", entries=entries)


def checked(text: str) -> str:
    """The words that are kept: without secrets, and not too many. Raises RemarkRefused."""
    words = text.strip()
    if not words or len(words) > LONGEST:
        raise RemarkRefused("bad_remark", f"Write between 1 and {LONGEST:,} characters.", status=400)
    kept: str = withhold(words)[0]
    return kept


def put(approval: Approval, words: str, *, person: User | None, actor: str, entries: Writer) -> Remark:
    """Insert a remark with its entry, whose Detail holds the words. Raises RemarkRefused where there are too many."""
    if approval.remarks.count() >= MOST:
        raise RemarkRefused(
            "too_many_remarks", f"There are {MOST} remarks already; now decide, or ring somebody."
        )
    data = {"approval": approval.public_id} | ({"person": person.public_id} if person else {})
    entry = entries.append(
        ASKED if person else REPLIED,
        actor=actor,
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        data=data,
        detail={"text": words},
        log_id=approval.workspace.log_id,
    )
    return Remark.objects.create(
        approval=approval, person=person, entry_index=entry.index, created=entries.now
    )


def has_answered(person: User, approval: Approval) -> bool:
    """Whether the person approved already and waits for others."""
    return any(vote.person_id == person.pk for vote in votes_of(approval))
