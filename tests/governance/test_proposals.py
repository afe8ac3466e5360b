"""Proposals: what one person may not do alone is asked of another, and done when they agree."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from viewflow.workflow.models import Task

from audit.models import Owed
from governance import (
    enactments,
    leavers,
    policies,
    policy_changes,
    proposal_mail,
    proposals,
    replays,
    sweeps,
)
from governance.models import PolicyVersion, Proposal
from governance.policies import PolicyRefused
from governance.proposals import NobodyElse, NotADecider, NotPending, NotReady
from tests.cast import Cast, employ
from tests.portal import body_of, latest
from workspaces import catalog, people, tenancy
from workspaces.changes import Guarded
from workspaces.declarations import Risk
from workspaces.models import User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
Status = Proposal.Status
RULES = [{"name": "No refunds", "effect": "deny", "tools": ["billing.refund"], "message": "Ask a person."}]


@pytest.fixture
def dora(cast: Cast) -> User:
    """A developer of acme, in which two people are wanted."""
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    return employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")


def work() -> None:
    """What the worker does: replays, and proposals that waited for them."""
    for row in Owed.objects.filter(kind=replays.SLICE, done_at=None):
        replays.go_on(row.payload)
        row.delete()
    policy_changes.go_on()


def proposed(cast: Cast, person: User, rules: Any = None) -> Proposal:
    version = policies.draft(cast.acme, rules or RULES, actor=actor_of(person))
    return policy_changes.propose_version(version, person=person, note="refunds went wrong")


def types(cast: Cast, most: int = 4) -> list[str]:
    rows = cast.acme.log.entries.order_by("-index")
    return list(rows.values_list("type", flat=True)[:most])[::-1]


def test_a_policy_is_replayed_and_then_published_by_a_second_person(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    proposal = proposed(cast, cast.olga)
    with pytest.raises(NotReady):
        proposals.decide(proposal, person=cast.rita, approve=True)
    work()
    settled = proposals.decide(proposal, person=cast.rita, approve=True, comment="As we said.")
    assert settled.status == Status.APPROVED
    version = policies.in_force(cast.acme)
    assert version is not None
    assert (version.pk, version.published_by) == (proposal.version_id, actor_of(cast.rita))
    assert types(cast, 3) == [
        "governance.proposal.voted", "governance.policy.published", "governance.proposal.settled",
    ]  # fmt: skip
    data = body_of(latest(cast.acme))["data"]
    assert (data["proposed_by"], data["approved_by"]) == (cast.olga.public_id, [cast.rita.public_id])
    assert proposal.replay is not None
    done = Task.objects.filter(process_id=proposal.process_id, status="DONE").order_by("pk")
    assert [task.flow_task.name for task in done] == [
        "draft", "kind", "replay", "second_person", "tally", "publish", "end",
    ]  # fmt: skip


def test_without_recorded_calls_it_goes_on_and_says_so(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    proposal.refresh_from_db()
    assert "No calls are recorded yet" in proposal.content["said"]


def test_a_replay_that_is_refused_does_not_hold_it_up(cast: Cast, dora: User) -> None:
    proposal = proposed(cast, dora)
    assert proposal.replay is None
    policy_changes.go_on()
    proposal.refresh_from_db()
    assert "no agent here whose calls you may read" in proposal.content["said"]
    assert proposals.decide(proposal, person=cast.rita, approve=True).status == Status.APPROVED


def test_nobody_decides_their_own(cast: Cast) -> None:
    people.set_operator(cast.olga, True, actor="system")
    olga = User.objects.get(pk=cast.olga.pk)
    proposal = proposed(cast, olga)
    work()
    employ(cast.acme, "cleo@acme.test", "Cleo Compliance", "compliance_officer")
    other = policies.draft(cast.acme, [], actor=actor_of(cast.rita))
    by_olga = policy_changes.propose_version(other, person=olga)
    policy_changes.go_on()
    for row in (proposal, by_olga):
        with pytest.raises(NotADecider, match="Nobody decides what they proposed"):
            proposals.decide(row, person=olga, approve=True)
    with pytest.raises(NotADecider):
        proposals.decide(by_olga, person=cast.rita, approve=True)
    for stranger in (cast.otto, cast.sam, cast.gina):
        with pytest.raises(NotADecider):
            proposals.decide(proposal, person=stranger, approve=True)
    assert not Proposal.objects.exclude(status=Status.PENDING).exists()


def test_one_no_ends_it_and_nothing_is_published(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    assert proposals.decide(proposal, person=cast.rita, approve=False).status == Status.REJECTED
    assert policies.in_force(cast.acme) is None
    with pytest.raises(NotPending):
        proposals.decide(proposal, person=cast.rita, approve=True)


def test_a_rule_that_became_dead_leaves_it_waiting(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    catalog.remove_tool(cast.tools["billing.refund"], actor="system")
    with pytest.raises(PolicyRefused):
        proposals.decide(proposal, person=cast.rita, approve=True)
    proposal.refresh_from_db()
    assert proposal.status == Status.PENDING
    assert not proposal.votes.exists()
    assert proposals.decide(proposal, person=cast.rita, approve=False).status == Status.REJECTED


def test_a_draft_that_was_overtaken_ends_with_the_reason(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    version = proposal.version
    assert version is not None
    policies.publish(version, actor=actor_of(cast.rita))
    policies.publish(policies.draft(cast.acme, [], actor="system"), actor=actor_of(cast.rita))
    settled = proposals.decide(proposal, person=cast.rita, approve=True)
    assert settled.status == Status.CANCELLED
    assert "was in force before" in settled.outcome
    current = policies.in_force(cast.acme)
    assert current is not None
    assert current.content == []


def test_a_draft_is_proposed_once(cast: Cast) -> None:
    first = proposed(cast, cast.olga)
    assert first.version is not None
    assert policy_changes.propose_version(first.version, person=cast.rita) == first
    assert Proposal.objects.count() == 1


def test_where_nobody_else_may_publish_it_says_so(cast: Cast) -> None:
    version = policies.draft(cast.globex, [], actor=actor_of(cast.gina))
    with pytest.raises(NobodyElse, match="nobody who could agree"):
        policy_changes.propose_version(version, person=cast.gina)
    assert not Proposal.objects.exists()


def test_a_tool_gets_more_room_by_two_people(cast: Cast, dora: User) -> None:
    looser = replace(cast.tools["billing.refund"].declaration(), risk=Risk.LOW)
    with pytest.raises(Guarded, match="Propose it"):
        catalog.set_tool(cast.acme, declaration=looser, actor=actor_of(dora))
    proposal = policy_changes.propose_tool(cast.acme, looser, person=dora)
    assert policy_changes.propose_tool(cast.acme, looser, person=dora) == proposal
    assert [name for name, _, _, changed in policy_changes.compared(proposal) if changed] == ["risk"]
    with pytest.raises(NotADecider):
        proposals.decide(proposal, person=dora, approve=True)
    assert proposals.decide(proposal, person=cast.olga, approve=True).status == Status.APPROVED
    tool = cast.tools["billing.refund"]
    tool.refresh_from_db()
    assert tool.risk == "low"
    assert cast.acme.log.entries.filter(type="workspaces.tool.changed").latest("index").actor == actor_of(
        cast.olga
    )
    with pytest.raises(Guarded):  # nothing else got through with it
        catalog.set_tool(
            cast.acme, declaration=replace(looser, labels=frozenset({"x"})), actor=actor_of(dora)
        )


def test_a_tool_that_changed_meanwhile_is_left_as_it_is(cast: Cast, dora: User) -> None:
    refund = cast.tools["billing.refund"].declaration()
    proposal = policy_changes.propose_tool(cast.acme, replace(refund, risk=Risk.LOW), person=dora)
    catalog.set_tool(cast.acme, declaration=replace(refund, risk=Risk.CRITICAL), actor=actor_of(dora))
    settled = proposals.decide(proposal, person=cast.rita, approve=True)
    assert (settled.status, settled.outcome) == (
        Status.CANCELLED,
        "It could not be done: billing.refund was changed since; propose it anew.",
    )
    assert cast.acme.tools.get(name="billing.refund").risk == "critical"


def test_no_answer_in_time_means_no(cast: Cast, dora: User) -> None:
    refund = cast.tools["billing.refund"].declaration()
    waiting = proposed(cast, cast.olga)  # still at its replay
    asked = policy_changes.propose_tool(cast.acme, replace(refund, risk=Risk.LOW), person=dora)
    assert sweeps.expire_proposals() == 0
    Proposal.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotPending, match="time to answer is over"):
        proposals.decide(asked, person=cast.rita, approve=True)
    assert sweeps.expire_proposals() == 2
    assert set(Proposal.objects.values_list("status", flat=True)) == {Status.EXPIRED}
    assert not Task.objects.filter(
        process_id__in=[waiting.process_id, asked.process_id], status="NEW"
    ).exists()


def test_whoever_proposed_it_takes_it_back(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    assert proposals.may_cancel(cast.olga, proposal)
    assert not proposals.may_cancel(cast.rita, proposal)
    proposals.cancel(proposal, actor=actor_of(cast.olga), reason="A typo.")
    assert "A typo" not in str(body_of(latest(cast.acme)))
    with pytest.raises(NotPending):
        proposals.cancel(proposal, actor=actor_of(cast.olga), reason="")


def test_who_is_asked_gets_a_mail_when_it_is_their_turn(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    mails = Owed.objects.filter(kind=enactments.MAIL)
    assert not mails.exists()
    work()
    payloads = [row.payload for row in mails]
    assert [each["person"] for each in payloads] == [cast.rita.public_id]
    assert proposal_mail.mail_person(payloads[0]).endswith("mailed")
    assert mail.outbox[0].to == ["rita@acme.test"]
    assert f"/admin/requests/acme/proposals/{proposal.public_id}/" in mail.outbox[0].body
    mails.delete()
    proposals.decide(proposal, person=cast.rita, approve=True)
    assert "not mailed" in proposal_mail.mail_person(payloads[0])
    (told,) = [row.payload for row in mails]
    proposal_mail.mail_person(told)
    assert mail.outbox[1].to == ["olga@acme.test"]
    assert "is in force" in mail.outbox[1].body


def test_when_the_last_who_could_answer_leaves_it_ends(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    leavers.leave_workspace(cast.acme, cast.rita, reason="moved", actor=actor_of(cast.olga))
    proposal.refresh_from_db()
    assert proposal.status == Status.CANCELLED
    assert "nobody is left" in proposal.outcome


def test_an_answer_needs_the_permission_when_it_is_given(cast: Cast) -> None:
    proposal = proposed(cast, cast.olga)
    work()
    rita = User.objects.get(pk=cast.rita.pk)
    people.set_roles(cast.acme, rita, roles=["approver"], actor="system")
    with pytest.raises(NotADecider):
        proposals.decide(proposal, person=cast.rita, approve=True)
    assert PolicyVersion.objects.get(proposals=proposal).status == PolicyVersion.Status.DRAFT
