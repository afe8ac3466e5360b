"""Approvals given in advance: for one agent and tool, within bounds, until a time, a number of times.

One is given from a call that a person approved, and lifts what that approval lifted. It is never a grant, and rests on
much: the version of the policy, the tool as it was declared, the agent's grants, its standing, and that whoever gave
it may decide still and would not be left out of deciding on this call. What it rests on is compared each time it is
used, under the log's lock, and not tidied up by something that could come late.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from audit import log, secrets
from audit.log import Writer
from governance import approvals, bounds
from governance.approvals import SHORTEST_REASON, ReasonNeeded
from governance.coverage import StandingRefused as StandingRefused
from governance.coverage import (
    approved_call,
    current_tool,
    grants_behind,
    is_covered,
    is_tool,
    within,
)
from governance.decide import SUPERVISION, Verdict, is_for_one_call
from governance.models import Approval, PolicyVersion, StandingApproval, StandingUse, Vote
from governance.outcomes import NotPending, is_void
from governance.requests import CheckRequest
from governance.subjects import AgentEntry
from workspaces import access
from workspaces.arguments import Tool
from workspaces.declarations import Risk
from workspaces.models import AgentKey, User, Workspace
from workspaces.patterns import Pattern

if TYPE_CHECKING:
    from governance.checks import Batch

GIVEN = "governance.standing_approval.given"
REVOKED = "governance.standing_approval.revoked"
LONGEST = timedelta(days=30)
MOST_USES = 1000
LONGEST_REASON = 2000


class AlreadyRevoked(Exception):
    """It was revoked before."""

    code, status = "already_revoked", 409


def give(
    approval: Approval,
    *,
    person: User,
    resources: Sequence[str] | None = None,
    bounds: Mapping[str, Any] | None = None,
    session: str | None = None,
    until: datetime,
    max_uses: int,
    reason: str,
    actor: str,
    second_factor: str = "",
    known_by: Vote.KnownBy = Vote.KnownBy.SESSION,
    opened_at: datetime | None = None,
    seen: int | None = None,
) -> StandingApproval:
    """Let an agent do again what this approval allows, within bounds. A call that still waits is approved by it.

    ``resources`` are patterns and ``bounds`` a bound for each argument; without them exactly the approved ones.
    ``session`` confines it to one of the agent's sessions. Raises what ``approvals.decide`` does, StandingRefused and
    BadBounds.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise ReasonNeeded(
            f"Say why, in {SHORTEST_REASON} to {LONGEST_REASON:,} characters: it allows many calls."
        )
    with log.write(approval.workspace.log_id) as entries:
        row = approvals.read(approval)
        if row.status == Approval.Status.PENDING:
            row = approvals.decide(
                row,
                person=person,
                approve=True,
                comment=reason,
                known_by=known_by,
                actor=actor,
                second_factor=second_factor,
                opened_at=opened_at,
                seen=seen,
            )
        approvals.require_confirmation(row.risk, approve=True, reason=reason, second_factor=second_factor)
        require_giver(row, person)
        require_measure(until, max_uses, entries.now)
        standing = resting_on(row, resources, bounds, entries.now)
        standing.given_by, standing.max_uses, standing.expires_at = person, max_uses, until
        standing.session, standing.any_session = session or "", session is None
        record_given(standing, reason=reason, second_factor=second_factor, actor=actor, entries=entries)
    return standing


def resting_on(
    approval: Approval, resources: Sequence[str] | None, bounds: Mapping[str, Any] | None, now: datetime
) -> StandingApproval:
    """What it covers and all that it rests on, not saved yet. Raises StandingRefused and BadBounds."""
    tool, call = current_tool(approval), approved_call(approval)
    patterns, limits = within(approval, call, tool, resources, bounds)
    return StandingApproval(
        workspace=approval.workspace,
        agent=approval.agent,
        tool=approval.tool,
        declaration=call.declaration,
        resources=patterns,
        bounds=limits,
        lifts=sorted(approval.lifts),
        policy=call.policy,
        grants=grants_behind(approval, tool, patterns, now),
        epoch=approval.epoch,
        approval=approval,
        created=now,
    )


def record_given(
    standing: StandingApproval, *, reason: str, second_factor: str, actor: str, entries: Writer
) -> None:
    """Save the row with its entry."""
    standing.save()
    StandingUse.objects.create(standing=standing)
    assert standing.approval is not None
    entries.record(
        GIVEN,
        actor=actor,
        saved=[standing],
        agent=standing.agent.public_id,
        tool=standing.tool,
        data={
            "standing_approval": standing.public_id,
            "approval": standing.approval.public_id,
            "person": standing.given_by.public_id,
            "second_factor": second_factor,
        },
        detail={"reason": withheld(reason)},
        log_id=standing.workspace.log_id,
    )


def revoke(standing: StandingApproval, *, actor: str, reason: str = "") -> StandingApproval:
    """End it, from this moment. Raises AlreadyRevoked."""
    with log.write(standing.workspace.log_id) as entries:
        row = StandingApproval.objects.select_related("workspace", "agent").get(pk=standing.pk)
        if row.revoked_at is not None:
            raise AlreadyRevoked("This standing approval was revoked already.")
        row.revoked_at = entries.now
        row.save(update_fields=["revoked_at"])
        entries.record(
            REVOKED,
            actor=actor,
            saved=[row],
            agent=row.agent.public_id,
            tool=row.tool,
            data={"standing_approval": row.public_id},
            detail={"reason": withheld(reason)} if reason else None,
            log_id=row.workspace.log_id,
        )
    return row


def lifting(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict
) -> StandingApproval | None:
    """What lifts all that a pending verdict asks people about; None, and people are asked. One query where the agent
    has none for this tool. The caller notes its use where the call is allowed in the end."""
    tool = batch.snapshot.tools[request.tool]
    if verdict.supervised or not verdict.asks or tool.compiled.declaration.risk is Risk.CRITICAL:
        return None
    asked = {rule.digest for rule in verdict.asks}
    principal = batch.recall.principal(agent.id, request.on_behalf_of) if request.on_behalf_of else None
    for row in usable(batch, agent, request, tool.compiled):
        if (
            asked <= set(row.lifts)
            and may_lift(row, agent, principal)
            and bounds.outside(row.bounds, verdict.arguments) is None
            and all(is_covered(item.resource, row.resources) for item in verdict.derived)
            and rests_on_grants(row, agent, tool.id, verdict, batch.now)
        ):
            return row
    return None


def usable(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, tool: Tool
) -> QuerySet[StandingApproval]:
    """The agent's standing approvals for this tool that are in force and have uses left, those that end first in
    front."""
    workspace = Workspace(pk=batch.snapshot.workspace_id)
    published = PolicyVersion.objects.filter(
        workspace=workspace, status=PolicyVersion.Status.IN_FORCE, published_at__lte=OuterRef("created")
    )
    own_key = AgentKey.objects.filter(prefix=request.caller.prefix, created_by=OuterRef("given_by"))
    rows = StandingApproval.objects.filter(
        Q(any_session=True) | Q(session=request.session),
        agent_id=agent.id,
        tool=request.tool,
        revoked_at=None,
        expires_at__gt=batch.now,
        declaration=tool.digest,
        policy=batch.snapshot.policy,
        epoch=batch.epoch(agent),
        given_by__in=access.holders(workspace, "decide").values("pk"),
    )
    rows = rows.filter(Exists(published), ~Exists(own_key)).annotate(used=Coalesce("use__count", 0))
    return rows.filter(used__lt=F("max_uses")).select_related("approval").order_by("expires_at", "pk")


def may_lift(standing: StandingApproval, agent: AgentEntry, principal: int | None) -> bool:
    """Whether who gave it would not be left out of deciding on this call: it is made for whom the approved call was
    made for, and they do not own the agent, but where all of its rules ask its owner."""
    approval = standing.approval
    if approval is None or principal != approval.on_behalf_of_id or standing.given_by_id == principal:
        return False
    owner_counts = all(requirement.get("owner_counts") for requirement in approval.requirements)
    return standing.given_by_id != agent.owner_id or owner_counts


def rests_on_grants(
    standing: StandingApproval, agent: AgentEntry, tool_id: int, verdict: Verdict, now: datetime
) -> bool:
    """Whether each grant that this call needs is one that the standing approval rests on, and is still there."""
    actions = {item.action.value for item in verdict.derived}
    behind = access.rows_behind(agent.id, tool_id, actions=actions, now=now)
    if not any(row in standing.grants["tool"] for row in behind.tool):
        return False
    known = [
        (action, Pattern.parse(pattern))
        for row, action, pattern in behind.resources
        if row in standing.grants["resources"]
    ]
    return all(
        is_tool(item.resource)
        or any(action == item.action.value and pattern.matches(item.resource) for action, pattern in known)
        for item in verdict.derived
    )


def note_use(standing: StandingApproval, now: datetime) -> None:
    """Count one use, in the transaction of the call that it lifted: the next call of the batch sees it."""
    used = StandingUse.objects.filter(standing=standing)
    if not used.update(count=F("count") + 1, last_at=now):
        StandingUse.objects.create(standing=standing, count=1, last_at=now)


def require_giver(approval: Approval, person: User) -> None:
    """Raise StandingRefused unless the person alone approved this call, and it counts still: what needs several
    people each time one of them cannot give for all times."""
    if approval.risk == Risk.CRITICAL.value:
        raise StandingRefused("critical_risk", "Calls of critical risk are approved one by one, always.")
    if approval.status != Approval.Status.APPROVED:
        raise StandingRefused(
            "not_approved",
            "Others have to approve this call as well, or it was not approved; so it gives nothing.",
        )
    if is_void(approval):
        raise NotPending(
            "approval_void", "The agent's standing was changed since it asked; approve its next call."
        )
    if SUPERVISION in approval.lifts or not approval.lifts:
        raise StandingRefused(
            "supervised", "A supervised agent is looked at each time; nothing is given ahead."
        )
    if any(is_for_one_call(lift) for lift in approval.lifts):
        raise StandingRefused(
            "for_one_call",
            "A budget is raised, and a loop goes on, for one call that a person looked at; nothing is given ahead.",
        )
    votes = list(approval.votes.filter(round=approval.round).values_list("person_id", "seat_id"))
    alone = votes in ([(person.pk, person.pk)], [(person.pk, None)])  # a deputy answers one call at a time
    if not alone or not access.may(person, "decide", approval.workspace):
        raise StandingRefused(
            "not_yours_alone",
            "Only who approved this call, alone, may approve others like it ahead; approve one of the next yourself.",
        )


def require_measure(until: datetime, max_uses: int, now: datetime) -> None:
    """Raise StandingRefused for a time or a number that is none, or too much."""
    if not now < until <= now + LONGEST:
        raise StandingRefused(
            "bad_end", f"It ends within {LONGEST.days} days, at a time that is still to come."
        )
    if not 1 <= max_uses <= MOST_USES:
        raise StandingRefused("bad_uses", f"It is good for 1 to {MOST_USES:,} uses.")


def withheld(text: str) -> str:
    """A person's words without secrets."""
    kept: str = secrets.withhold(text.strip())[0]
    return kept
