"""What each requirement of an approval asks, and how many answers it lacks: out of the approval's row and its votes.
Reads only; who could still answer is for ``reviewers`` to say."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from governance.models import Approval, Vote
from governance.rosters import ACTED_FOR, DECIDE, OWNER, Requirement, permission_for


def direct_of(requirement: Requirement) -> list[int]:
    """Who was asked by name; everybody, in rows that say nothing of groups."""
    asked: list[int] = requirement["direct"] if "direct" in requirement else requirement["reviewers"]
    return asked


def why_excluded(requirement: Requirement, person_id: int, approval: Approval, why: str) -> str:
    """Why a person never counts for a requirement; ``why`` is what holds for the whole approval."""
    if person_id == approval.on_behalf_of_id:
        return ACTED_FOR
    if permission_for(requirement) != DECIDE:
        return ""  # who manages budgets could raise this one without being asked
    if not why and person_id in (approval.agent.owner_id, requirement.get("owner")):
        return "" if requirement.get("owner_counts") else OWNER
    return why


def widen(requirement: Requirement, rung: Requirement) -> Requirement:
    """The requirement with the people of a rung of its ladder asked too: all of its ``reviewers``, of whom those in
    ``groups`` count while they are members."""
    groups = dict(requirement.get("groups", {}))
    for group, people in rung.get("groups", {}).items():
        groups[group] = sorted({*groups.get(group, ()), *people})
    direct = {*direct_of(requirement), *direct_of(rung)}
    return {
        **requirement,
        "reviewers": sorted({*requirement["reviewers"], *rung["reviewers"]}),
        "direct": sorted(direct),
        "groups": groups,
    }


def without(requirement: Requirement, person_id: int) -> Requirement:
    """The requirement without one of the people who were asked."""
    groups = requirement.get("groups", {}).items()
    return {
        **requirement,
        "reviewers": [each for each in requirement["reviewers"] if each != person_id],
        "direct": [each for each in direct_of(requirement) if each != person_id],
        "groups": {group: [each for each in people if each != person_id] for group, people in groups},
    }


def with_rungs_ahead(requirement: Requirement, approval: Approval) -> Requirement:
    """The requirement with everybody asked whom its ladder would still ask before the time is over."""
    window = approval.expires_at - approval.created
    for rung in requirement.get("escalate", ()):
        if timedelta(seconds=rung["after"]) < window:
            requirement = widen(requirement, rung)
    return requirement


def votes_of(approval: Approval) -> list[Vote]:
    """The answers of the current round; those before an edit have lapsed."""
    return [vote for vote in approval.votes.all() if vote.round == approval.round]


def seat_of(vote: Vote) -> int:
    """Whose seat a vote fills."""
    return vote.person_id if vote.seat_id is None else vote.seat_id


def counts(requirement: Requirement, index: int, vote: Vote, approval: Approval) -> bool:
    """Whether a vote counts for a requirement: as was judged when it was given, but never of or for somebody who has
    been shut out since."""
    named = vote.counts_for is None and seat_of(vote) in requirement["reviewers"]
    if not named and index not in (vote.counts_for or ()):
        return False
    people = {vote.person_id, seat_of(vote)}
    return not any(
        why_excluded(requirement, person, approval, approval.excluded.get(str(person), ""))
        for person in people
    )


def approvals_of(index: int, approval: Approval, votes: Iterable[Vote] | None = None) -> list[Vote]:
    """The votes that approve and count for the requirement of this index."""
    requirement = approval.requirements[index]
    given = votes_of(approval) if votes is None else votes
    return [vote for vote in given if vote.approve and counts(requirement, index, vote, approval)]


def missing_from(approval: Approval, votes: Sequence[Vote]) -> dict[int, int]:
    """How many answers each requirement still lacks, by its index; those that lack none are left out."""
    lacking = {
        index: requirement["quorum"] - len(approvals_of(index, approval, votes))
        for index, requirement in enumerate(approval.requirements)
    }
    return {index: count for index, count in lacking.items() if count > 0}


def open_requirements(approval: Approval, votes: Sequence[Vote] | None = None) -> list[Requirement]:
    """The requirements whose quorum these votes (default: those of the current round) do not reach."""
    missing = missing_from(approval, votes_of(approval) if votes is None else votes)
    return [approval.requirements[index] for index in missing]


def is_quorate(approval: Approval) -> bool:
    """Whether nothing is missing any more."""
    return not open_requirements(approval)
