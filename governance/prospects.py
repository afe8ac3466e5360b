"""What becomes of a call when a person approves or rejects it, in a sentence each, before they do."""

from dataclasses import dataclass
from datetime import datetime

from governance.models import Approval
from governance.presentation import visible
from governance.recall import APPROVAL_USE
from governance.requirements import votes_of
from governance.reviewers import Ballot, Panel
from governance.rosters import Roster
from workspaces.models import User

NAMED = 4  # people in a sentence
MINUTES = int(APPROVAL_USE.total_seconds()) // 60


@dataclass(frozen=True, slots=True)
class Prospects:
    """``place`` is empty unless the person answers for somebody who is away."""

    place: str
    approve: str
    reject: str


def prospects(person: User, approval: Approval, now: datetime) -> Prospects | None:
    """What this person's answer would do now; None where it would not count. Whether they may decide at all is judged
    by the roster."""
    panel = Panel(approval, Roster.of([approval], now))
    ballot = panel.ballot(person.pk)
    if ballot is None:
        return None
    others = {key: each for key, each in panel.ballots().items() if key != person.pk}
    names = {each.pk: visible(str(each)) for each in User.objects.filter(pk__in={*others, ballot.seat})}
    away = (
        "" if ballot.seat == person.pk else f"You answer in the place of {names[ballot.seat]}, who is away."
    )
    return Prospects(away, after_yes(panel, ballot, others, names), after_no(panel, ballot, others))


def after_yes(panel: Panel, ballot: Ballot, others: dict[int, Ballot], names: dict[int, str]) -> str:
    """What an approval leads to."""
    left = {index: count - (index in ballot.counts_for) for index, count in panel.missing.items()}
    left = {index: count for index, count in left.items() if count > 0}
    if not left:
        yes = f"Nobody else is needed: the agent may make this one call, once, within {MINUTES} minutes."
        return " ".join([yes, *raising(panel.approval)])
    so_far = sum(vote.approve for vote in votes_of(panel.approval))
    parts = []
    for index, count in left.items():
        able = [names[key] for key, each in others.items() if index in each.counts_for]
        rule = visible(panel.requirements[index]["rule"])
        of = f" of {either(able)}" if able else ", and nobody is there who can give it"
        parts.append(f"“{rule}” then needs {count} more{of}")
    total = so_far + 1 + max(left.values())
    return f"You are the {ordinal(so_far + 1)} of {total}: {'; '.join(parts)}."


def raising(approval: Approval) -> list[str]:
    """What becomes of each budget that is raised."""
    return [
        f"“{visible(each['title'])}” is raised then by what it is short of, at most {each['told']}, "
        + ("until its window ends." if each["ends"] else "for good.")
        for each in approval.raises.values()
    ]


def after_no(panel: Panel, ballot: Ballot, others: dict[int, Ballot]) -> str:
    """What a rejection leads to."""
    for index in ballot.counts_for:
        if panel.requirements[index].get("veto", True):
            return "It ends here: the agent is told no, and reads your reason."
        seats = {each.seat for each in others.values() if index in each.counts_for} - {ballot.seat}
        if panel.missing.get(index, 0) > len(seats):
            return "It ends here, as those who are left cannot reach the quorum; the agent reads your reason."
    return "It does not end by that alone: others can still reach the quorum."


def either(names: list[str]) -> str:
    """Names as a choice."""
    shown = [*names[:NAMED], *([f"{len(names) - NAMED} others"] if len(names) > NAMED else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def ordinal(number: int) -> str:
    """first, second, …"""
    words = ["first", "second", "third", "fourth", "fifth"]
    return words[number - 1] if number <= len(words) else f"{number}th"
