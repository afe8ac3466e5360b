"""Approvals and decisions as one person may read them, whatever door they come through."""

from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from audit.details import read_detail
from audit.models import Entry
from governance import disclosures, outcomes, presentation, reviewers
from governance.models import Approval, ApprovalLink, PolicyVersion
from governance.rosters import Roster
from governance.rules import RuleErrors
from governance.ruleset import RuleSet
from workspaces.access import may
from workspaces.models import Agent, Resource, User, Workspace
from workspaces.patterns import PatternError

VERDICTS = {
    "governance.check.allowed": ("allowed", "success"),
    "governance.check.denied": ("denied", "danger"),
    "governance.check.pending": ("waits", "warning"),
    "governance.check.simulated": ("simulated", "info"),
    "governance.check.throttled": ("throttled", "warning"),
}
CHECKS = tuple(VERDICTS)
# The codes of decisions, in words for people; docs/api.md tells agents what to do about each.
WHY = {
    "granted": "granted",
    "observed": "observed",
    "unknown_tool": "no such tool here",
    "no_permission": "no grant for it",
    "rule": "a rule",
    "rate_limited": "a limit is reached",
    "budget_exhausted": "the budget is spent",
    "budget_busy": "the budget is held by calls in flight",
    "contained": "contained",
    "approval_rejected": "a reviewer said no",
    "approval_expired": "its approval lapsed",
    "approval_mismatch": "approved for another call",
    "approval_used": "its approval was used before",
    "unknown_price": "nobody knows what it costs",
    "too_many_pending": "too many calls of it wait already",
    "loop_detected": "it went round in circles",
    "invalid_arguments": "its arguments do not fit the tool",
    "ambiguous_resource": "its resource is not named plainly",
}
RESULTS = {"m": "matched", ".": "did not match", "e": "its condition failed, which counts as matched"}


def waits_at(now: datetime) -> Q:
    """Approvals that can still be decided: not those which a containment step has voided, or that ran out,
    whether or not the sweep has come round."""
    epoch = F("agent__epoch") + F("workspace__epoch")
    return Q(status=Approval.Status.PENDING, expires_at__gt=now, epoch=epoch)


def of_status(word: str, now: datetime) -> Q:
    """Approvals of a status, as ``status_of`` tells it."""
    status, pending = Approval.Status, Q(status=Approval.Status.PENDING)
    match word:
        case "waiting":
            return waits_at(now)
        case status.EXPIRED:
            return Q(status=status.EXPIRED) | pending & Q(expires_at__lte=now)
        case status.CANCELLED:
            return Q(status=status.CANCELLED) | pending & Q(expires_at__gt=now) & ~waits_at(now)
    return Q(status=word)


def sees_content(person: User, approval: Approval) -> bool:
    """Whether the person may see arguments: by their role, or because their vote counts or counted here."""
    if may(person, "view_content", approval.agent):
        return True
    if not reviewers.may_answer(person, approval):
        return False
    return reviewers.is_concerned(person, approval, timezone.now())


def status_of(approval: Approval, now: datetime) -> str:
    """The status in a word: what ran out or is void says so before the sweep has come round."""
    if approval.status != Approval.Status.PENDING:
        return str(approval.status)
    if approval.expires_at <= now:
        return "expired"
    return "cancelled" if outcomes.is_void(approval) else "waiting"


def progress(approval: Approval, now: datetime) -> list[dict[str, Any]]:
    """Each requirement: how many approvals it has of how many, and who may still give one."""
    panel = reviewers.Panel(approval, Roster.of([approval], now))
    waits = status_of(approval, now) == "waiting"
    ballots = panel.ballots() if waits else {}
    people = {person.pk: presentation.visible(str(person)) for person in User.objects.filter(pk__in=ballots)}
    shown = []
    for index, requirement in enumerate(approval.requirements):
        lacking = panel.missing.get(index, 0)
        able = [people[key] for key, ballot in ballots.items() if index in ballot.counts_for]
        shown.append(
            {
                "rule": presentation.visible(requirement["rule"]),
                "quorum": requirement["quorum"],
                "got": requirement["quorum"] - lacking,
                "met": not lacking,
                "missing": sorted(able) if lacking else [],
            }
        )
    return shown


def votes(approval: Approval, *, content: bool) -> list[dict[str, Any]]:
    """Who answered what and in whose place, how they were known, and their words for who may see content. What an
    edit made lapse says so."""
    log_id = approval.workspace.log_id
    return [
        {
            "person": presentation.visible(str(vote.person)),
            "seat": presentation.visible(str(vote.seat))
            if vote.seat_id not in (None, vote.person_id)
            else "",
            "approve": vote.approve,
            "lapsed": vote.round != approval.round,
            "known_by": vote.get_known_by_display(),
            "second_factor": vote.second_factor,
            "created": vote.created,
            "comment": presentation.visible(
                str(read_detail(log_id, vote.entry_index).get("comment", "")), keep=" \n"
            )
            if content
            else "",
        }
        for vote in approval.votes.select_related("person", "seat").order_by("pk")
    ]


def read_call(approval: Approval, person: User) -> dict[str, Any]:
    """What was sent, with the arguments and resources of the last edit in place of the agent's own. That this person
    reads it is recorded; whether they may is for the caller to ask."""
    detail: dict[str, Any] = {}
    for index in (approval.entry_index, approval.edit_index):
        if index is not None:
            detail |= disclosures.disclose(
                approval.workspace.log_id,
                index,
                person=person,
                agent=approval.agent.public_id,
                tool=approval.tool,
            )
    return detail


def remarks(approval: Approval, *, content: bool) -> list[dict[str, Any]]:
    """Reviewers' questions and the agent's answers, in their order, with their words for who may see content."""
    log_id = approval.workspace.log_id
    return [
        {
            "person": presentation.visible(str(remark.person)) if remark.person else "",
            "created": remark.created,
            "text": presentation.visible(
                str(read_detail(log_id, remark.entry_index).get("text", "")), keep=" \n"
            )
            if content
            else "",
        }
        for remark in approval.remarks.select_related("person").order_by("pk")
    ]


def changes(approval: Approval) -> list[dict[str, str]]:
    """What the last edit changed: path, and the values before and after as text."""
    if approval.edit_index is None:
        return []
    detail = read_detail(approval.workspace.log_id, approval.edit_index)
    return [
        {
            "path": presentation.visible(str(change.get("path", ""))),
            "before": presentation.pretty(change["from"]) if "from" in change else "",
            "after": presentation.pretty(change["to"]) if "to" in change else "",
        }
        for change in detail.get("changes", ())
    ]


def waiting_for(person: User, now: datetime) -> QuerySet[ApprovalLink]:
    """That approvals wait for this person, as their rows say: found by index, and judged nowhere."""
    epoch = F("approval__agent__epoch") + F("approval__workspace__epoch")
    return ApprovalLink.objects.filter(
        person=person,
        waiting=True,
        deadline__gt=now,
        approval__status=Approval.Status.PENDING,
        approval__epoch=epoch,
        approval__workspace__in=reviewers.workspaces_of(person),
    )


def judged(
    data: dict[str, Any], entry: Entry, agent: Agent | None, workspace: Workspace
) -> list[tuple[str, str, str]]:
    """(rule, effect, result) of every candidate rule, from the version that judged. Empty where the agent has
    changed so that the candidates cannot be told any more."""
    version = PolicyVersion.objects.filter(workspace=workspace, digest=data.get("policy", "")).first()
    results = data.get("rules", "")
    if version is None or agent is None or not results:
        return []
    patterns = dict(Resource.objects.filter(workspace=workspace).values_list("name", "pattern"))
    try:
        rules = RuleSet(version.content, patterns)
    except (RuleErrors, PatternError):
        return []
    candidates = rules.candidates(entry.tool, agent.name, frozenset(agent.labels))
    if len(candidates) != len(results):
        return []
    return [
        (each.rule.name, each.rule.effect.value, RESULTS[letter])
        for each, letter in zip(candidates, results, strict=True)
    ]


def named_resources(data: dict[str, Any], workspace: Workspace) -> list[str]:
    """Names of the granted resources that an entry lists by public id."""
    ids = data.get("resources", ())
    names = dict(
        Resource.objects.filter(workspace=workspace, public_id__in=ids).values_list("public_id", "name")
    )
    return [names.get(each, each) for each in dict.fromkeys(ids)]
