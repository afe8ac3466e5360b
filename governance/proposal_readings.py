"""Proposals as one person may read them, whatever door they come through."""

from dataclasses import dataclass
from typing import Any

from audit.details import read_detail, read_details
from billing.budgets import dollars
from governance import deciders, proposals, replays, risk_answers
from governance.models import Proposal, ProposalVote, Replay
from workspaces.access import may
from workspaces.models import User

Kind = Proposal.Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's answer; ``comment`` is empty where none was given or the reader may not see it."""

    vote: ProposalVote
    comment: str


def sees_words(person: User, proposal: Proposal) -> bool:
    """Whether the person may see what was asked in clear, and what people wrote: who proposed it, who is or was asked,
    and by their role."""
    if may(person, "view_content", proposal.agent or proposal.workspace):
        return True
    if proposal.proposed_by_id == person.pk or proposal.votes.filter(person=person).exists():
        return True
    excluded = deciders.excluded_of(proposal)
    return any(deciders.counts(wanted, person, proposal, excluded) for wanted in proposal.requirements)


def words_of(proposal: Proposal) -> dict[str, Any]:
    """What was said and asked for when it was opened: note, or reason and needs; without what was erased."""
    return read_detail(proposal.workspace.log_id, proposal.content["entry"])


def answers_of(proposal: Proposal, *, with_comments: bool) -> list[Answer]:
    """Who answered what, in order."""
    votes = list(proposal.votes.select_related("person").order_by("pk"))
    details: dict[int, dict[str, Any]] = {}
    if with_comments and votes:
        details = dict(read_details(proposal.workspace.log_id, [vote.entry_index for vote in votes]))
    return [Answer(vote, details.get(vote.entry_index, {}).get("comment", "")) for vote in votes]


def missing(proposal: Proposal) -> list[tuple[str, list[User]]]:
    """What is not agreed to yet: in words, and whose answers would count."""
    if proposal.status != Proposal.Status.PENDING:
        return []
    voted = set(proposal.votes.values_list("person_id", flat=True))
    return [
        (wanted["who"], deciders.candidates(wanted, proposal, but=voted))
        for wanted in deciders.open_requirements(proposal)
    ]


def replay_of(person: User, proposal: Proposal) -> Replay | None:
    """The replay of a policy, where the person may see what came out."""
    if proposal.replay_id is None:
        return None
    return replays.visible_to(person, proposal.workspace).filter(pk=proposal.replay_id).defer("state").first()


def needs_of(proposal: Proposal, *, in_clear: bool) -> list[dict[str, Any]]:
    """What an agent asks for: permission, the name and pattern it means here, and what was denied where it may be
    seen."""
    asked = words_of(proposal).get("needs", []) if in_clear else []
    found = [dict(need) for need in proposal.content["needs"]]
    for number, need in enumerate(found):
        need["denied"] = asked[number]["of"] if number < len(asked) else ""
    return found


def registered(proposal: Proposal) -> dict[str, Any]:
    """A new agent as it was registered: the plan with its owner's name, and the answers about its risk."""
    plan = proposal.content["plan"]
    owner = User.objects.filter(public_id=plan["owner"]).first()
    return {
        "plan": plan,
        "owner": owner,
        "usd": None if plan["daily_nanos"] is None else dollars(plan["daily_nanos"]),
        "answers_of_risk": risk_answers.in_words(proposal.content["answers"]),
    }


def state(person: User, proposal: Proposal) -> dict[str, Any]:
    """What the person can do about it now: ``may_decide``, else ``why_not``, and ``may_cancel``."""
    pending = proposal.status == Proposal.Status.PENDING
    why = deciders.why_not(person, proposal) if pending else ""
    running = pending and proposal.kind == Kind.POLICY and proposal.content.get("backtest") == "running"
    if running and not why:
        why = "Recorded calls are being judged by it; answer when that is done."
    return {
        "may_decide": pending and not why,
        "why_not": why,
        "running": running,
        "may_cancel": pending and proposals.may_cancel(person, proposal),
    }
