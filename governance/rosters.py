"""Who is what around some approvals at one time: groups, absences, roles, and who is shut out of which. Reads only."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

from django.db.models import Q

from governance.models import Absence, Approval, RuleOrigin
from workspaces.access import holders_by_workspace
from workspaces.models import AgentKey, ReviewerGroupMember, User
from workspaces.people import PERSON

Requirement: TypeAlias = dict[str, Any]

DECIDE, RAISE = "decide", "manage_budgets"  # who answers a rule, and who answers for a budget
ANSWERING = (DECIDE, RAISE)

# Why a person's answer never counts for an approval, as it stands in Approval.excluded.
ACTED_FOR, KEY_CREATOR, RULE_AUTHOR, OWNER = "acted_for", "key_creator", "rule_author", "owner"


@dataclass(frozen=True, slots=True)
class Away:
    """That a person is away, who stands in for them, and who recorded it if another person did (primary keys)."""

    deputy: int | None
    recorded_by: int | None


@dataclass(frozen=True, slots=True)
class Roster:
    """What decides whose answer counts, read with a constant number of queries however many approvals there are.

    ``deciders`` are active people who may answer, by permission and workspace; ``members`` the people of reviewer
    groups, by group; ``away`` is by workspace and person; ``excluded`` says who is shut out of an approval and why, by
    its public id.
    """

    now: datetime
    deciders: Mapping[str, Mapping[int, frozenset[int]]]
    members: Mapping[int, frozenset[int]]
    away: Mapping[int, Mapping[int, Away]]
    excluded: Mapping[str, Mapping[int, str]]

    @classmethod
    def of(cls, approvals: Iterable[Approval], now: datetime) -> "Roster":
        """The roster for these approvals, with at most seven queries."""
        approvals = list(approvals)
        workspaces = {approval.workspace_id for approval in approvals}
        return cls(
            now=now,
            deciders={
                permission: holders_by_workspace(workspaces, permission)
                for permission in permissions_in(approvals)
            },
            members=members_of({group for approval in approvals for group in groups_in(approval)}),
            away=absences_of(workspaces, now),
            excluded=exclusions(approvals),
        )

    def without(self, person_id: int) -> "Roster":
        """The same, had this person no role anywhere."""
        left = {
            permission: {workspace: people - {person_id} for workspace, people in held.items()}
            for permission, held in self.deciders.items()
        }
        return replace(self, deciders=left)

    def may_answer(self, requirement: Requirement, workspace_id: int, person_id: int) -> bool:
        """Whether the person's roles let them answer for a requirement."""
        return person_id in self.deciders.get(permission_for(requirement), {}).get(workspace_id, ())

    def is_member(self, group: int, person_id: int) -> bool:
        return person_id in self.members.get(group, ())

    def absence(self, workspace_id: int, person_id: int) -> Away | None:
        """That the person is away now, if they are."""
        return self.away.get(workspace_id, {}).get(person_id)

    def represented_by(self, workspace_id: int, person_id: int) -> list[int]:
        """Those who named this person as their deputy and are away now; nobody, while the deputy is away too."""
        away = self.away.get(workspace_id, {})
        if person_id in away:
            return []
        return sorted(absent for absent, how in away.items() if how.deputy == person_id)


def permission_for(requirement: Requirement) -> str:
    """What somebody must hold for their answer to count: to decide, or for a budget to manage budgets."""
    permission: str = requirement.get("permission", DECIDE)
    return permission


def permissions_in(approvals: Iterable[Approval]) -> set[str]:
    """What answers to these approvals rest on."""
    return {permission_for(each) for approval in approvals for each in approval.requirements}


def groups_in(approval: Approval) -> set[int]:
    """Keys of the reviewer groups through which an approval asks, later rungs included."""
    parts = [
        part
        for requirement in approval.requirements
        for part in (requirement, *requirement.get("escalate", ()))
    ]
    return {int(group) for part in parts for group in part.get("groups", {})}


def members_of(groups: set[int]) -> dict[int, frozenset[int]]:
    """Who is in these reviewer groups now."""
    found: dict[int, set[int]] = defaultdict(set)
    if groups:
        rows = ReviewerGroupMember.objects.filter(reviewer_group__in=groups)
        for group, person in rows.values_list("reviewer_group_id", "person_id"):
            found[group].add(person)
    return {group: frozenset(people) for group, people in found.items()}


def absences_of(workspaces: set[int], now: datetime) -> dict[int, dict[int, Away]]:
    """Who is away now, by workspace."""
    rows = list(
        Absence.objects.filter(workspace__in=workspaces, starts__lte=now, ends__gt=now)
        .order_by("pk")
        .values_list("workspace_id", "person_id", "deputy_id", "created_by", "person__public_id")
    )
    others = {
        created_by.removeprefix(PERSON) for *_, created_by, person in rows if created_by != PERSON + person
    }
    keys = dict(User.objects.filter(public_id__in=others).values_list("public_id", "pk")) if others else {}
    found: dict[int, dict[int, Away]] = defaultdict(dict)
    for workspace, person, deputy, created_by, _ in rows:
        found[workspace][person] = Away(deputy, keys.get(created_by.removeprefix(PERSON)))
    return found


def exclusions(approvals: Iterable[Approval]) -> dict[str, dict[int, str]]:
    """Who is shut out of each approval and why, by its public id: as it was written when people were first asked, else
    as it is now."""
    approvals = list(approvals)
    found = exclusions_now(approval for approval in approvals if not approval.excluded)
    for approval in approvals:
        people = found.setdefault(approval.public_id, {})
        people |= {int(person): why for person, why in approval.excluded.items()}
        if approval.on_behalf_of_id is not None:
            people[approval.on_behalf_of_id] = ACTED_FOR
    return found


def exclusions_now(approvals: Iterable[Approval]) -> dict[str, dict[int, str]]:
    """Who made the keys that these approvals were asked with, and who wrote the rules that ask; by public id."""
    approvals = list(approvals)
    creators = key_creators({approval.key for approval in approvals if approval.key})
    authors = rule_authors(approvals)
    found: dict[str, dict[int, str]] = {}
    for approval in approvals:
        people = found.setdefault(approval.public_id, {})
        for requirement in approval.requirements:
            if author := authors.get((approval.workspace_id, requirement.get("digest", ""))):
                people[author] = RULE_AUTHOR
        if creator := creators.get((approval.agent_id, approval.key)):
            people[creator] = KEY_CREATOR
    return found


def key_creators(prefixes: set[str]) -> dict[tuple[int, str], int]:
    """Who created the keys of these prefixes, by agent and prefix."""
    if not prefixes:
        return {}
    keys = AgentKey.objects.filter(prefix__in=prefixes, created_by__isnull=False).select_related("created_by")
    return {(key.agent_id, key.prefix): key.created_by.pk for key in keys if key.created_by is not None}


def rule_authors(approvals: Iterable[Approval]) -> dict[tuple[int, str], int]:
    """Who wrote the rules that ask, by workspace and digest: the person who drafted the first version with them."""
    wanted: dict[int, set[str]] = defaultdict(set)
    for approval in approvals:
        wanted[approval.workspace_id] |= {
            each["digest"] for each in approval.requirements if each.get("digest")
        }
    asked = Q()
    for workspace, digests in wanted.items():
        if digests:
            asked |= Q(workspace=workspace, digest__in=digests)
    if not asked:
        return {}
    rows = RuleOrigin.objects.filter(asked, version__drafted_by__startswith=PERSON)
    drafted = list(rows.values_list("workspace_id", "digest", "version__drafted_by"))
    names = {actor.removeprefix(PERSON) for *_, actor in drafted}
    keys = dict(User.objects.filter(public_id__in=names).values_list("public_id", "pk")) if names else {}
    return {
        (workspace, digest): keys[actor.removeprefix(PERSON)]
        for workspace, digest, actor in drafted
        if actor.removeprefix(PERSON) in keys
    }
