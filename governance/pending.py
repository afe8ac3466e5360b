"""Turning a verdict that needs people into an approval, inside admission's transaction."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from governance.approvals import Ask, approval_of
from governance.decide import BUDGET, LOOP, SUPERVISION, Verdict
from governance.models import Approval
from governance.records import Draft
from governance.requests import CheckRequest
from governance.rosters import RAISE
from governance.rules import Review
from governance.ruleset import CompiledRule
from governance.subjects import AgentEntry
from workspaces.access import holders_by_workspace
from workspaces.identifiers import public_id
from workspaces.models import Membership, ReviewerGroupMember, User

if TYPE_CHECKING:
    from governance.checks import Batch

MOST_OPEN = 20
GROUP = "group:"
SUPERVISION_REVIEW = Review(reviewers=(), quorum=1)


def wait_for_people(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, draft: Draft
) -> Approval | None:
    """What a pending verdict waits for: an approval that was asked for before for this very call, or a new one. None
    after turning the verdict into a denial, since too many calls of the agent wait already."""
    waiting = batch.records.waiting_of(agent.id, batch.epoch(agent))
    ask = asked(batch, agent, request, verdict, draft)
    for known in waiting:
        if is_same(known, ask):
            batch.records.asks_again[known.public_id] += 1
            draft.entry["data"]["folded"] = True
            return batch.recall.approvals.setdefault(known.public_id, known)
    most = agent.most_waiting or MOST_OPEN
    if len(waiting) >= most:
        refuse(batch, agent, verdict, draft, most)
        return None
    ask = replace(
        ask,
        requirements=requirements(
            batch.snapshot.workspace_id, agent, verdict.asks, supervised=verdict.supervised
        )
        + further_requirements(batch, agent, verdict),
    )
    batch.records.asks.append(ask)
    approval = batch.recall.approvals[ask.public_id] = approval_of(ask)
    waiting.append(approval)
    return approval


def is_same(known: Approval, ask: Ask) -> bool:
    """Whether an approval that waits would lift all that is asked for, for this very call and the same person."""
    return (
        hmac.compare_digest(known.binding, ask.binding)
        and known.on_behalf_of_id == ask.on_behalf_of_id
        and set(ask.lifts) <= set(known.lifts)
        and all(is_within(known.raises[lift], raised) for lift, raised in ask.raises.items())
    )


def is_within(known: dict[str, Any], raised: dict[str, Any]) -> bool:
    """Whether who is asked to raise a budget so is asked about this as well."""
    same: bool = known["account"] == raised["account"] and known["limit"] <= raised["limit"]
    return same and bool(raised["most"] <= known["most"] and raised["needs"] <= known["needs"])


def refuse(batch: "Batch", agent: AgentEntry, verdict: Verdict, draft: Draft, most: int) -> None:
    """Turn a verdict into a denial, and count that for people: one line, however many there are."""
    message = f"{most} calls of this agent wait for people already; wait until some were answered."
    verdict.decision, verdict.code = "deny", "too_many_pending"
    verdict.reasons = [{"code": "too_many_pending", "effect": "deny", "message": message}]
    draft.entry["data"]["facts"]["waiting"] = most
    batch.records.overflows[agent.id] += 1
    batch.records.retell(draft, verdict)


def asked(batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, draft: Draft) -> Ask:
    """What people would be asked, without whom."""
    tool = batch.snapshot.tools[request.tool].compiled.declaration
    seconds = min(
        (review_of(rule).expires_in for rule in verdict.asks), default=SUPERVISION_REVIEW.expires_in
    )
    raises = {lift: raised for lift, raised in verdict.further.items() if lift.startswith(BUDGET)}
    until = batch.now + timedelta(seconds=seconds)
    ends = [datetime.fromisoformat(each["ends"]) for each in raises.values() if each["ends"]]
    return Ask(
        public_id=public_id("apr"),
        workspace_id=batch.snapshot.workspace_id,
        agent_id=agent.id,
        decision=draft.decision,
        tool=request.tool,
        action=verdict.action,
        risk=tool.risk.value,
        session=request.session,
        key=request.caller.prefix,
        binding=batch.records.binding(agent, request, verdict),
        policy=batch.snapshot.policy,
        lifts=[rule.digest for rule in verdict.asks]
        + [SUPERVISION] * verdict.supervised
        + [*verdict.further],
        raises=raises,
        requirements=[],
        on_behalf_of_id=batch.recall.principal(agent.id, request.on_behalf_of),
        epoch=batch.epoch(agent),
        created=batch.now,
        expires_at=min([until, *ends]),
        entry_index=batch.entries.head().size + len(batch.entries.head().entries),
    )


def review_of(rule: CompiledRule) -> Review:
    """Who reviews for a rule that asks; its shape was checked when it was saved."""
    return rule.rule.approval or SUPERVISION_REVIEW


def requirements(
    workspace_id: int, agent: AgentEntry, rules: Sequence[CompiledRule], *, supervised: bool
) -> list[dict[str, Any]]:
    """One per rule: who is asked as primary keys of people, read now. Whose vote counts is judged at the vote."""
    reviews = [review_of(rule) for rule in rules]
    named = people(workspace_id, agent, [name for review in reviews for name in review.everybody])
    found = [
        {
            "rule": rule.rule.name,
            "digest": rule.digest,
            "message": rule.rule.message,
            "ask": rule.rule.ask,
            **named.asked(review.reviewers),
            "owner": agent.owner_id,
            "owner_counts": "owner" in review.everybody,
            "quorum": review.quorum,
            "veto": review.veto,
            "escalate": [{"after": rung.after, **named.asked(rung.reviewers)} for rung in review.escalate],
        }
        for rule, review in zip(rules, reviews, strict=True)
    ]
    if supervised:
        found.append(
            requirement(
                agent,
                approvers(workspace_id),
                rule="Supervised agent",
                message="This agent is supervised: a person approves everything but reads.",
                ask="Should this agent do this now?",
            )
        )
    return found


def further_requirements(batch: "Batch", agent: AgentEntry, verdict: Verdict) -> list[dict[str, Any]]:
    """One for each thing that stops a call beside its rules: approvers say whether a loop may go on, and who manages
    budgets whether one is raised, the agent's owner too, as they could raise it by hand."""
    workspace_id = batch.snapshot.workspace_id
    found = []
    if LOOP in verdict.further:
        found.append(
            requirement(
                agent,
                approvers(workspace_id),
                rule="Loop",
                digest=LOOP,
                message="This agent seems to go round in circles.",
                ask="Should this agent go on with it once more?",
            )
        )
    named = [lift for lift in verdict.further if lift.startswith(BUDGET)]
    managers = holders_by_workspace([workspace_id], RAISE).get(workspace_id, frozenset()) if named else ()
    for lift in named:
        raised = verdict.further[lift]
        found.append(
            requirement(
                agent,
                sorted(managers),
                rule=raised["title"],
                digest=lift,
                message="Who manages budgets may raise this one once, for this call.",
                ask=f"May this budget be raised for this call, by at most {raised['told']}?",
            )
            | {"permission": RAISE, "owner_counts": True}
        )
    return found


def approvers(workspace_id: int) -> list[int]:
    """Keys of everybody with the role of an approver."""
    rows = Membership.objects.filter(workspace_id=workspace_id, role=Membership.Role.APPROVER)
    return sorted(rows.values_list("person_id", flat=True))


def requirement(
    agent: AgentEntry, keys: list[int], *, rule: str, message: str, ask: str, digest: str = ""
) -> dict[str, Any]:
    """What no rule but the system asks: one of these people, of whom one says no for all."""
    return {
        "rule": rule,
        "digest": digest,
        "message": message,
        "ask": ask,
        "reviewers": keys,
        "direct": keys,
        "groups": {},
        "owner": agent.owner_id,
        "owner_counts": False,
        "quorum": 1,
        "veto": True,
        "escalate": [],
    }


@dataclass(frozen=True, slots=True)
class Named:
    """Whom rules name: keys of people by address or ``owner``, and of ``group:<name>`` its key and people."""

    people: dict[str, int]
    groups: dict[str, tuple[int, list[int]]]

    def asked(self, reviewers: Sequence[str]) -> dict[str, Any]:
        """These reviewers as a requirement has them: ``reviewers`` everybody, ``direct`` who is named alone, and
        ``groups`` who is asked through which one."""
        direct = {self.people[name.lower()] for name in reviewers if name.lower() in self.people}
        groups = dict(self.groups[name] for name in reviewers if name in self.groups)
        return {
            "reviewers": sorted(direct.union(*groups.values())),
            "direct": sorted(direct),
            "groups": {str(group): members for group, members in groups.items()},
        }


def people(workspace_id: int, agent: AgentEntry, reviewers: Sequence[str]) -> Named:
    """The people behind these names, as they are now: two queries."""
    groups: dict[str, tuple[int, list[int]]] = {}
    if names := {name.removeprefix(GROUP) for name in reviewers if name.startswith(GROUP)}:
        seats = ReviewerGroupMember.objects.filter(
            reviewer_group__workspace_id=workspace_id, reviewer_group__name__in=names
        )
        rows = seats.order_by("person").values_list("reviewer_group__name", "reviewer_group_id", "person_id")
        for name, group, person in rows:
            groups.setdefault(GROUP + name, (group, []))[1].append(person)
    emails = {name.lower() for name in reviewers if "@" in name}
    found = dict(User.objects.filter(email__in=emails).values_list("email", "pk")) if emails else {}
    return Named({**found, "owner": agent.owner_id}, groups)
