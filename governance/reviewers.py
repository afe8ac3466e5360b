"""Whose answer counts, in whose place, and what is still missing. Reads only.

Each requirement of an approval has seats: the people who were asked for it. A person fills their own seat, or that of
somebody who is away and named them as deputy; a seat is filled once, and a person answers once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from governance.models import Approval, ApprovalLink
from governance.outcomes import Status, refusal
from governance.requirements import (
    counts,
    direct_of,
    missing_from,
    seat_of,
    votes_of,
    why_excluded,
    widen,
    with_rungs_ahead,
)
from governance.rosters import (
    ACTED_FOR,
    ANSWERING,
    KEY_CREATOR,
    OWNER,
    RULE_AUTHOR,
    Requirement,
    Roster,
    exclusions,
    exclusions_now,
    permission_for,
    permissions_in,
)
from workspaces import access
from workspaces.models import User, Workspace

LOOKED_THROUGH = 1000  # approvals that wait for one person and are judged for their inbox

EXCLUSIONS = {
    ACTED_FOR: "the agent acts for you",
    KEY_CREATOR: "you made the key that the agent asked with",
    RULE_AUTHOR: "you wrote the rule that asks",
    OWNER: "you own the agent, or did when it asked",
}


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a person's answer would be: whose seat it fills, and the indexes of the requirements it counts for."""

    seat: int
    counts_for: tuple[int, ...]


class Panel:
    """The people around one approval. ``widened``: as if everybody were asked whom later rungs would ask; ``also``: as
    if these people were asked too, by the index of a requirement."""

    def __init__(
        self,
        approval: Approval,
        roster: Roster,
        *,
        widened: bool = False,
        also: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.approval = approval
        self.roster = roster
        self.workspace = approval.workspace_id
        self.requirements = list(approval.requirements)
        if widened:
            self.requirements = [with_rungs_ahead(each, approval) for each in self.requirements]
        for index, people in (also or {}).items():
            self.requirements[index] = widen(self.requirements[index], {"reviewers": people})
        self.votes = votes_of(approval)
        self.voted = {vote.person_id for vote in self.votes}
        self.taken = {seat_of(vote) for vote in self.votes}
        self.missing = missing_from(approval, self.votes)

    def shut_out(self, requirement: Requirement, person_id: int) -> str:
        """Why the person never counts for the requirement, empty where nothing speaks against them."""
        excluded = self.roster.excluded.get(self.approval.public_id, {})
        return why_excluded(requirement, person_id, self.approval, excluded.get(person_id, ""))

    def is_seat(self, requirement: Requirement, person_id: int) -> bool:
        """Whether the person has a seat here now: still named, allowed to decide, and not shut out."""
        return (
            is_named(requirement, person_id, self.roster)
            and self.roster.may_answer(requirement, self.workspace, person_id)
            and not self.shut_out(requirement, person_id)
        )

    def fills(self, requirement: Requirement, person_id: int, seat: int) -> bool:
        """Whether the person's answer, given in this seat, counts for the requirement."""
        if not self.is_seat(requirement, seat):
            return False
        return seat == person_id or self.stands_in(requirement, person_id, seat)

    def stands_in(self, requirement: Requirement, person_id: int, absent: int) -> bool:
        """Whether a deputy may answer in an absent person's place. Who is shut out neither does, nor says who does."""
        away = self.roster.absence(self.workspace, absent)
        if away is None or away.deputy != person_id or away.recorded_by == person_id:
            return False
        if away.recorded_by is not None and self.shut_out(requirement, away.recorded_by):
            return False
        able = self.roster.may_answer(requirement, self.workspace, person_id)
        return able and not self.shut_out(requirement, person_id)

    def ballot(self, person_id: int) -> Ballot | None:
        """What the person's answer would be now, None where it would not count: their own seat first, then that of an
        absent person for whom the most is still missing."""
        if person_id in self.voted:
            return None
        own = self.ballot_in(person_id, person_id)
        if own is not None:
            return own
        absent = self.roster.represented_by(self.workspace, person_id)
        ballots = [found for seat in absent if (found := self.ballot_in(person_id, seat))]
        return max(ballots, key=lambda each: len(self.missing.keys() & set(each.counts_for)), default=None)

    def ballot_in(self, person_id: int, seat: int) -> Ballot | None:
        """The person's answer in this seat, None where the seat is filled or nothing misses it."""
        if seat in self.taken:
            return None
        indexes = range(len(self.requirements))
        counts_for = tuple(
            index for index in indexes if self.fills(self.requirements[index], person_id, seat)
        )
        return Ballot(seat, counts_for) if self.missing.keys() & set(counts_for) else None

    def candidates(self) -> set[int]:
        """Keys of everybody who was asked, and of the deputies of those who are away."""
        asked = {person for requirement in self.requirements for person in requirement["reviewers"]}
        away = (self.roster.absence(self.workspace, person) for person in asked)
        return asked | {how.deputy for how in away if how is not None and how.deputy is not None}

    def ballots(self) -> dict[int, Ballot]:
        """What each person could answer now. Of an absent person and their deputy both may; the first one does."""
        found = {person: self.ballot(person) for person in sorted(self.candidates())}
        return {person: ballot for person, ballot in found.items() if ballot is not None}

    def shortfalls(self, *, with_absent: bool = False) -> dict[int, int]:
        """How many answers each open requirement would lack even if everybody said yes who can answer now, by its
        index. ``with_absent``: those count who are away and have no deputy; they may answer yet."""
        seats: dict[int, set[int]] = {index: set() for index in self.missing}
        for person, ballot in self.ballots().items():
            if with_absent or self.roster.absence(self.workspace, person) is None:
                for index in self.missing.keys() & set(ballot.counts_for):
                    seats[index].add(ballot.seat)
        return {index: max(0, lacking - len(seats[index])) for index, lacking in self.missing.items()}


def is_named(requirement: Requirement, person_id: int, roster: Roster) -> bool:
    """Whether the person was asked and still is: by name, or in a group in which they were then and are now."""
    if person_id not in requirement["reviewers"]:
        return False
    if person_id in direct_of(requirement):
        return True
    groups = requirement.get("groups", {}).items()
    return any(person_id in asked and roster.is_member(int(group), person_id) for group, asked in groups)


def excluded_of(approval: Approval) -> dict[str, str]:
    """Who is shut out of an approval and why, as it is stored when people are first asked and after each edit. Who was
    shut out before stays so."""
    people = exclusions_now([approval])[approval.public_id] | exclusions([approval])[approval.public_id]
    return {str(person): why for person, why in sorted(people.items())}


def is_vetoed(approval: Approval, now: datetime) -> bool:
    """Whether a rejection ends it: one is enough, unless the rule says otherwise; then it takes so many that those who
    are left cannot reach the quorum."""
    rejections = [vote for vote in votes_of(approval) if not vote.approve]
    refused = {
        index
        for index, requirement in enumerate(approval.requirements)
        if any(counts(requirement, index, vote, approval) for vote in rejections)
    }
    if any(approval.requirements[index].get("veto", True) for index in refused):
        return True
    if not refused:
        return False
    panel = Panel(approval, Roster.of([approval], now), widened=True)
    short = panel.shortfalls(with_absent=True)
    return any(short.get(index, 0) > 0 for index in refused)


def is_reachable(approval: Approval, now: datetime) -> bool:
    """Whether those who can answer, and those whom later rungs would ask, can still meet every quorum."""
    panel = Panel(approval, Roster.of([approval], now), widened=True)
    return not any(panel.shortfalls().values())


def ballot(person: User, approval: Approval, now: datetime, roster: Roster | None = None) -> Ballot | None:
    """What this person's answer would be now; None where it would not count. Costs queries for votes, permissions and
    the roster unless fetched or given."""
    if refusal(approval, now) is not None or not may_answer(person, approval):
        return None
    return Panel(approval, roster or Roster.of([approval], now)).ballot(person.pk)


def may_answer(person: User, approval: Approval) -> bool:
    """Whether the person's roles let them answer for a part of this approval, whoever was asked."""
    return any(access.may(person, each, approval.workspace) for each in permissions_in([approval]))


def answers_in(person: User, workspace: Workspace) -> bool:
    """Whether the person's roles let them answer approvals of a workspace."""
    return any(access.may(person, each, workspace) for each in ANSWERING)


def answers_somewhere(person: User) -> bool:
    """Whether the person's roles let them answer approvals of any workspace."""
    return any(access.may_somewhere(person, each) for each in ANSWERING)


def answerers(workspace: Workspace) -> QuerySet[User]:
    """Active people whose roles let them answer approvals of a workspace."""
    held = [access.holders(workspace, each).values("pk") for each in ANSWERING]
    return User.objects.filter(Q(pk__in=held[0]) | Q(pk__in=held[1]))


def workspaces_of(person: User) -> QuerySet[Workspace]:
    """The workspaces in which the person's roles let them answer approvals."""
    held = [access.workspaces_for(person, each).values("pk") for each in ANSWERING]
    return Workspace.objects.filter(Q(pk__in=held[0]) | Q(pk__in=held[1]))


def may_decide(person: User, approval: Approval, now: datetime) -> bool:
    """Whether this person's vote would count now."""
    return ballot(person, approval, now) is not None


def is_concerned(person: User, approval: Approval, now: datetime) -> bool:
    """Whether this person answered, or is among those who are asked, whether or not anything is missing still."""
    if any(vote.person_id == person.pk for vote in approval.votes.all()):
        return True
    roster = Roster.of([approval], now)
    panel = Panel(approval, roster)
    seats = [person.pk, *roster.represented_by(approval.workspace_id, person.pk)]
    return any(panel.fills(each, person.pk, seat) for each in panel.requirements for seat in seats)


def why_not(person: User, approval: Approval, now: datetime) -> str:
    """Why this person's answer would not count now, as a sentence; empty where it would."""
    if (over := refusal(approval, now)) is not None:
        return str(over)
    roster = Roster.of([approval], now)
    if ballot(person, approval, now, roster) is not None:
        return ""
    panel = Panel(approval, roster)
    if person.pk in panel.voted:
        return "You have answered this already."
    asked = [each for each in panel.requirements if person.pk in each["reviewers"]]
    if reason := next((why for each in asked if (why := panel.shut_out(each, person.pk))), ""):
        return f"Your answer does not count here: {EXCLUSIONS[reason]}."
    if not asked:
        return "You were not asked: no rule that asks names you, nor does anybody who is away."
    if not any(access.may(person, permission_for(each), approval.workspace) for each in asked):
        return "Your roles do not let you decide approvals any more; ask an owner of the workspace."
    if not any(is_named(each, person.pk, roster) for each in asked):
        return "You have left the group that was asked, so your answer does not count any more."
    if person.pk in panel.taken:
        return "Your deputy has answered in your place."
    return "Others have answered what you were asked; your answer is not needed any more."


def waits_for(approval: Approval, now: datetime) -> set[int]:
    """Keys of those in whose inbox it belongs: whose answer would count now, or would if their roles let them
    decide. Who is given a role later then finds what they were asked."""
    if refusal(approval, now) is not None:
        return set()
    panel = Panel(approval, Roster.of([approval], now))
    named = {
        person
        for index in panel.missing
        for person in panel.requirements[index]["reviewers"]
        if not panel.shut_out(panel.requirements[index], person)
    }
    return named - panel.voted - panel.taken | panel.ballots().keys()


def reviewers_of(approval: Approval, now: datetime) -> list[User]:
    """Whom to ask now, by name: those whose answer would count, but of who is away their deputy instead."""
    if refusal(approval, now) is not None:
        return []
    panel = Panel(approval, Roster.of([approval], now))
    ballots = panel.ballots()
    represented = {each.seat for person, each in ballots.items() if each.seat != person}
    return list(User.objects.filter(pk__in=ballots.keys() - represented).order_by("name", "email"))


def inbox(person: User, now: datetime) -> QuerySet[Approval]:
    """What this person may decide now, oldest deadline first; of more than LOOKED_THROUGH the most urgent."""
    linked = ApprovalLink.objects.filter(person=person, waiting=True, deadline__gt=now)
    links = linked.order_by("deadline", "pk").values_list("approval_id", flat=True)[:LOOKED_THROUGH]
    waiting = Approval.objects.filter(
        workspace__in=workspaces_of(person), status=Status.PENDING, expires_at__gt=now
    )
    # An approval whose process the worker has not started yet has no links.
    fresh = waiting.filter(process=None).order_by("pk").values_list("pk", flat=True)[:LOOKED_THROUGH]
    rows = (
        waiting.filter(pk__in=[*links, *fresh]).select_related("agent", "workspace").prefetch_related("votes")
    )
    candidates = list(rows)
    roster = Roster.of(candidates, now)
    mine = [each.pk for each in candidates if ballot(person, each, now, roster) is not None]
    return Approval.objects.filter(pk__in=mine).order_by("expires_at", "pk")
