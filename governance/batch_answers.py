"""Several waiting calls answered at once, where little can go wrong: each in a write of its own, as if alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from governance import approvals
from governance.approvals import NotAReviewer, NotPending
from governance.models import Approval, Vote
from workspaces.declarations import Risk
from workspaces.models import User

MOST = 100


class TooMany(ValueError):
    """More than are answered at once, or the same one twice."""

    code, status = "too_many_answers", 400


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one answer. ``code`` is empty where it counted, else why not, with ``message``."""

    approval: Approval
    code: str = ""
    message: str = ""


def answer_all(
    rows: Iterable[Approval],
    *,
    person: User,
    approve: bool,
    comment: str,
    known_by: Vote.KnownBy,
    actor: str,
) -> list[Answered]:
    """Give the same answer to each of these. What is of more than low risk is refused by name, for one looks at that
    alone. Raises TooMany."""
    asked = list(rows)
    if len(asked) > MOST or len({row.pk for row in asked}) < len(asked):
        raise TooMany(f"Answer at most {MOST} calls at once, each once.")
    return [
        answer(row, person=person, approve=approve, comment=comment, known_by=known_by, actor=actor)
        for row in asked
    ]


def answer(
    approval: Approval, *, person: User, approve: bool, comment: str, known_by: Vote.KnownBy, actor: str
) -> Answered:
    """The answer to one of them, to the call that the person chose: one that was edited since is looked at again."""
    row = approvals.read(approval)
    if row.risk != Risk.LOW.value or approval.risk != Risk.LOW.value:
        sentence = f"{row.tool} of {row.agent.name} is of {row.risk} risk; look at it alone."
        return Answered(row, "not_low_risk", sentence)
    if row.raises:
        return Answered(
            row, "raises_budget", f"{row.tool} of {row.agent.name} would raise a budget; look at it alone."
        )
    try:
        after = approvals.decide(
            row,
            person=person,
            approve=approve,
            comment=comment,
            known_by=known_by,
            actor=actor,
            seen=approval.round,
        )
    except (NotPending, NotAReviewer) as refused:
        return Answered(row, refused.code, str(refused))
    return Answered(after)
