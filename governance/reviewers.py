"""Whose vote counts, and what is still missing. Reads only."""

from datetime import datetime
from typing import Any, TypeAlias

from django.db.models import BooleanField, F, Func, QuerySet

from governance.models import Approval
from governance.outcomes import Status, refusal
from workspaces import access
from workspaces.models import User

Requirement: TypeAlias = dict[str, Any]

LOOKED_THROUGH = 200  # approvals in which a person is named; the sidebar's count asks on every page


def counts(requirement: Requirement, person_id: int, approval: Approval) -> bool:
    """Whether a person's vote counts for one requirement: named in it, not the person acted for, and the
    agent's owner, as it asked or as it is now, only where the rule says ``owner``."""
    if person_id not in requirement["reviewers"] or person_id == approval.on_behalf_of_id:
        return False
    owners = (approval.agent.owner_id, requirement.get("owner"))
    return person_id not in owners or bool(requirement.get("owner_counts"))


def approvers(approval: Approval) -> set[int]:
    """Keys of the people who approved so far."""
    return {vote.person_id for vote in approval.votes.all() if vote.approve}


def open_requirements(approval: Approval, approved_by: set[int] | None = None) -> list[Requirement]:
    """The requirements whose quorum these people (default: those who approved so far) do not reach."""
    approved_by = approvers(approval) if approved_by is None else approved_by
    return [
        requirement
        for requirement in approval.requirements
        if sum(counts(requirement, person_id, approval) for person_id in approved_by) < requirement["quorum"]
    ]


def is_vetoed(approval: Approval) -> bool:
    """Whether anybody rejected; one is enough."""
    return any(not vote.approve for vote in approval.votes.all())


def asked_now(approval: Approval, now: datetime) -> set[int]:
    """Keys of those whom what is still missing names and who have not voted; whether their roles let them decide
    is another question. Costs a query for votes unless fetched."""
    if refusal(approval, now) is not None:
        return set()
    voted = {vote.person_id for vote in approval.votes.all()}
    return {
        person_id
        for requirement in open_requirements(approval)
        for person_id in requirement["reviewers"]
        if person_id not in voted and counts(requirement, person_id, approval)
    }


def may_decide(person: User, approval: Approval, now: datetime) -> bool:
    """Whether this person's vote would count now. Costs queries for votes and permissions unless fetched."""
    return person.pk in asked_now(approval, now) and access.may(person, "decide", approval.workspace)


def reviewers_of(approval: Approval, now: datetime) -> list[User]:
    """The people who may decide it now, by name."""
    people = access.holders(approval.workspace, "decide").filter(pk__in=asked_now(approval, now))
    return list(people.order_by("name", "email"))


class Named(Func):
    """Whether the requirements in a column name this person as a reviewer."""

    output_field = BooleanField()

    def __init__(self, requirements: Any, person_id: int) -> None:
        super().__init__(requirements, person=person_id)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "EXISTS (SELECT 1 FROM json_each(%(expressions)s) one, json_each(one.value, '$.reviewers') seat"
            " WHERE seat.value = %(person)d)"
        )
        return self.as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = """(%(expressions)s @> '[{"reviewers": [%(person)d]}]'::jsonb)"""
        return self.as_sql(compiler, connection, template=template, **context)


def inbox(person: User, now: datetime) -> QuerySet[Approval]:
    """What this person may decide now, oldest deadline first; of more than LOOKED_THROUGH the most urgent."""
    waiting = Approval.objects.filter(
        workspace__in=access.workspaces_for(person, "decide"), status=Status.PENDING, expires_at__gt=now
    )
    named = waiting.filter(Named(F("requirements"), person.pk)).order_by("expires_at", "pk")[:LOOKED_THROUGH]
    candidates = named.select_related("agent", "workspace").prefetch_related("votes")
    mine = [approval.pk for approval in candidates if may_decide(person, approval, now)]
    return Approval.objects.filter(pk__in=mine).order_by("expires_at", "pk")
