"""Approvals in advance that people could give, seen in what they approved again and again. Nothing is given by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from audit.details import read_details
from governance import bounds, policies
from governance.bounds import Bounds
from governance.coverage import MOST_RESOURCES
from governance.decide import is_for_one_call
from governance.models import Approval, StandingApproval
from governance.outcomes import is_void
from workspaces.arguments import is_withheld
from workspaces.declarations import Risk
from workspaces.models import Workspace

SPAN = timedelta(days=30)
LOOKED_THROUGH = 2000  # the newest approvals of a workspace
ENOUGH = 3  # approved, and none rejected
MOST = 10  # suggestions
COMPARED = 20  # the newest calls of one, whose arguments are read

Group: TypeAlias = tuple[int, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Calls of one agent and tool that the same rules asked about and that people approved each time. ``approval`` is
    the newest, from which one could be given; ``bounds`` and ``resources`` are the narrowest that hold those of
    ``entries``."""

    approval: Approval
    count: int
    rules: list[str]
    bounds: Bounds
    resources: list[str]
    entries: list[int]


def suggestions(workspace: Workspace, now: datetime, *, like: Approval | None = None) -> list[Suggestion]:
    """What could be given, the most often approved first; ``like``: for calls like this one only."""
    version = policies.in_force(workspace)
    rows = Approval.objects.filter(workspace=workspace, created__gt=now - SPAN)
    if like is not None:
        rows = rows.filter(agent=like.agent_id, tool=like.tool)
    settled = rows.filter(status__in=[Approval.Status.APPROVED, Approval.Status.REJECTED])
    newest = settled.select_related("agent", "workspace").order_by("-created", "-pk")[:LOOKED_THROUGH]
    groups: dict[Group, list[Approval]] = {}
    for row in newest:
        groups.setdefault(group_of(row), []).append(row)
    given = given_ahead(workspace, now)
    found = [
        each
        for group, each in groups.items()
        if len(each) >= ENOUGH
        and all(row.status == Approval.Status.APPROVED for row in each)
        and version is not None
        and can_give(each[0], version.digest)
        and not any(lifts >= set(group[2]) for lifts in given.get(group[:2], ()))
        and (like is None or group == group_of(like))
    ]
    found.sort(key=len, reverse=True)
    return [each for rows_ in found[:MOST] if (each := compare(rows_)) is not None]


def suggestion_for(approval: Approval, now: datetime) -> Suggestion | None:
    """What could be given for calls like this one."""
    found = suggestions(approval.workspace, now, like=approval)
    return found[0] if found else None


def group_of(approval: Approval) -> Group:
    """What calls have in common that one could be given for."""
    return approval.agent_id, approval.tool, tuple(sorted(approval.lifts))


def can_give(approval: Approval, policy: str) -> bool:
    """Whether one could be given from this approval as things are now, by somebody who answered it alone."""
    return (
        approval.risk != Risk.CRITICAL.value
        and bool(approval.lifts)
        and not any(is_for_one_call(lift) for lift in approval.lifts)
        and approval.policy == policy
        and not is_void(approval)
        and all(requirement["quorum"] == 1 for requirement in approval.requirements)
    )


def given_ahead(workspace: Workspace, now: datetime) -> dict[tuple[int, str], list[set[str]]]:
    """What is lifted in advance already, by agent and tool."""
    rows = StandingApproval.objects.filter(workspace=workspace, revoked_at=None, expires_at__gt=now)
    found: dict[tuple[int, str], list[set[str]]] = {}
    for agent, tool, lifts in rows.values_list("agent_id", "tool", "lifts"):
        found.setdefault((agent, tool), []).append(set(lifts))
    return found


def compare(rows: Sequence[Approval]) -> Suggestion | None:
    """The suggestion of calls that were approved, the newest first; None where they have too little in common."""
    indexes = [row.call_index for row in rows[:COMPARED]]
    details = [detail for _, detail in read_details(rows[0].workspace.log_id, indexes)]
    calls = [detail["arguments"] for detail in details if "arguments" in detail]
    limits = bounds.narrowest(calls) if len(calls) == len(indexes) else None
    resources = list(dict.fromkeys(each for detail in details for each in detail.get("resources", ())))
    if limits is None or len(resources) > MOST_RESOURCES:
        return None
    opened: dict[str, Any] = {
        pointer: {"any": True} if is_withheld(bound) else bound for pointer, bound in limits.items()
    }
    rules = list(dict.fromkeys(requirement["rule"] for requirement in rows[0].requirements))
    return Suggestion(rows[0], len(rows), rules, opened, resources, indexes)
