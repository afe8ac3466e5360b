"""Who decides a proposal: people whom it names, or who hold a permission; never who proposed it.

A requirement is a dict of ``Proposal.requirements``: ``people`` are the only ones who count, or, where it is empty,
everybody who holds ``permission``. ``alone`` is set where the workspace has one person, who then decides alone.
"""

from collections.abc import Iterable
from typing import Any

from governance.models import Proposal
from workspaces.access import VIEW, holders, may
from workspaces.models import Membership, User, Workspace
from workspaces.people import person_behind

PUBLISH = "publish_policy"  # owners and compliance officers, and nobody else, hold it
MANY = 50  # people who are asked about one proposal
Kind = Proposal.Kind


def requirement(
    who: str, *, people: Iterable[User] = (), permission: str = VIEW, alone: bool = False
) -> dict[str, Any]:
    """One answer that a proposal needs, ``who`` in words."""
    pks = sorted({person.pk for person in people})
    return {"who": who, "people": pks, "permission": permission, "quorum": 1} | (
        {"alone": True} if alone else {}
    )


def excluded_of(proposal: Proposal) -> set[int]:
    """Who never decides it: whoever proposed it, drafted the policy, or is to own the agent."""
    out = {proposal.proposed_by_id}
    if proposal.version is not None and (drafter := person_behind(proposal.version.drafted_by)):
        out.add(drafter.pk)
    if proposal.kind == Kind.ONBOARDING:
        out |= set(
            User.objects.filter(public_id=proposal.content["plan"]["owner"]).values_list("pk", flat=True)
        )
    return {pk for pk in out if pk is not None}


def counts(wanted: dict[str, Any], person: User, proposal: Proposal, excluded: set[int]) -> bool:
    """Whether a person's answer counts for a requirement now."""
    if person.pk in excluded and not (wanted.get("alone") and only_person(proposal.workspace) == person.pk):
        return False
    if wanted["people"] and person.pk not in wanted["people"]:
        return False
    if proposal.kind != Kind.ACCESS and not may(person, PUBLISH, proposal.workspace):
        return False  # whatever the row says: a gate inserts requests for access
    return may(person, VIEW, proposal.workspace) and may(person, wanted["permission"], proposal.workspace)


def only_person(workspace: Workspace) -> int | None:
    """The one active person of a workspace; None where there are several."""
    here = Membership.objects.filter(workspace=workspace, person__is_active=True)
    people = list(here.values_list("person_id", flat=True).distinct()[:2])
    return people[0] if len(people) == 1 else None


def approvers(proposal: Proposal) -> list[User]:
    """Who approved it so far, in order."""
    return [
        vote.person for vote in proposal.votes.filter(approve=True).select_related("person").order_by("pk")
    ]


def open_requirements(proposal: Proposal) -> list[dict[str, Any]]:
    """What is not agreed to yet. One person's answer counts once for each requirement that they meet."""
    agreed, excluded = approvers(proposal), excluded_of(proposal)
    return [
        wanted
        for wanted in proposal.requirements
        if sum(counts(wanted, person, proposal, excluded) for person in agreed) < wanted["quorum"]
    ]


def is_vetoed(proposal: Proposal) -> bool:
    """Whether somebody said no; one is enough."""
    return proposal.votes.filter(approve=False).exists()


def why_not(person: User, proposal: Proposal) -> str:
    """Why the person's answer would not count now; empty where it would."""
    if proposal.votes.filter(person=person).exists():
        return "You have answered already."
    excluded = excluded_of(proposal)
    if any(counts(wanted, person, proposal, excluded) for wanted in open_requirements(proposal)):
        return ""
    if person.pk in excluded:
        return "Nobody decides what they proposed, drafted or will own; somebody else answers."
    return "Others are asked: " + ", ".join(wanted["who"] for wanted in open_requirements(proposal)) + "."


def may_decide(person: User, proposal: Proposal) -> bool:
    """Whether the person's answer would count now, superusers like everybody."""
    return not why_not(person, proposal)


def candidates(wanted: dict[str, Any], proposal: Proposal, *, but: set[int] | None = None) -> list[User]:
    """Whose answers would count for a requirement, leaving out ``but``."""
    able = holders(proposal.workspace, wanted["permission"])
    if wanted["people"]:
        able = able.filter(pk__in=wanted["people"])
    excluded = excluded_of(proposal) | (but or set())
    if wanted.get("alone"):
        excluded -= {only_person(proposal.workspace) or 0}
    return list(able.exclude(pk__in=excluded).order_by("pk")[:MANY])


def asked(proposal: Proposal) -> list[User]:
    """Everybody whose answer is still missing, each once."""
    voted = set(proposal.votes.values_list("person_id", flat=True))
    found = {
        person.pk: person
        for wanted in open_requirements(proposal)
        for person in candidates(wanted, proposal, but=voted)
    }
    return [found[pk] for pk in sorted(found)]
