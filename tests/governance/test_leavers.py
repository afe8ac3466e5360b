"""A person leaves: sessions, links, tokens, waiting calls and agents, in one transaction."""

import io
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit import log
from audit.canonical import CanonicalError
from audit.models import Entry, Owed
from governance import approvals, leavers, links, reviewers
from governance.models import Approval, ApprovalLink
from tests import approving
from tests.cast import ACTOR, Cast, employ
from tests.portal import body_of, enter
from tests.workspaces.journal import Journal
from workspaces import agents, people
from workspaces.access import tokens
from workspaces.models import Agent, Membership, User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
Status = Approval.Status


def leave(person: User) -> leavers.Leaving:
    return leavers.leave(person, reason="left the company", actor=ACTOR)


def now_of(approval: Approval) -> Approval:
    return Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)


def test_everything_that_lets_in_ends_and_coming_back_brings_nothing_back(cast: Cast) -> None:
    browser = enter(cast.rita)
    tokens.create_token(cast.rita, name="script", actor=people.actor_of(cast.rita))
    people.signin_link(cast.rita, actor=ACTOR)
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita, cast.olga)])
    approvals.start(approval)
    link = ApprovalLink.objects.get(approval=approval, person=cast.rita)
    token = links.issue(link, now=timezone.now()).token
    before = leavers.preview(cast.rita)
    done = leave(cast.rita)
    assert (before.signin_links, before.tokens) == (done.signin_links, done.tokens) == (1, 1)
    people.reactivate(cast.rita, actor=ACTOR)
    assert browser.get("/admin/").status_code == 302
    assert links.find(token) is None
    assert not tokens.live_tokens(cast.rita, now=timezone.now()).exists()
    people.deactivate(cast.rita, actor=ACTOR)
    with pytest.raises(leavers.CannotLeave):
        leave(cast.rita)


def test_a_call_with_another_reviewer_goes_on(cast: Cast) -> None:
    bob = employ(cast.acme, "bob@acme.test", "Bob", "approver")
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita, bob)])
    approvals.start(approval)
    done = leave(cast.rita)
    assert [each.approval for each in done.go_on] == [approval]
    assert approving.decide(now_of(approval), bob).status == Status.APPROVED


def test_a_call_that_nobody_else_may_decide_falls_to_owners_who_may(cast: Cast) -> None:
    ines = employ(cast.acme, "ines@acme.test", "Ines", "owner", "approver")
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    approvals.start(approval)
    done = leave(cast.rita)
    (rerouting,) = done.fall_to_owners
    assert rerouting.asked == {"Mail is looked at": [ines]}
    entry = Entry.objects.filter(log_id=cast.acme.log_id, type="governance.approval.rerouted").get()
    assert body_of(entry)["data"]["to"] == {"Mail is looked at": [ines.public_id]}
    assert Owed.objects.filter(payload__person=ines.public_id).exists()
    assert reviewers.reviewers_of(now_of(approval), timezone.now()) == [ines]
    assert approving.decide(now_of(approval), ines).status == Status.APPROVED


def test_a_call_that_did_not_start_yet_invites_the_owners_when_it_does(cast: Cast) -> None:
    ines = employ(cast.acme, "ines@acme.test", "Ines", "owner", "approver")
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    leave(cast.rita)
    approvals.start(now_of(approval))
    assert [link.person for link in now_of(approval).links.all()] == [ines]


def test_a_call_that_nobody_is_left_for_ends_at_once_and_says_why(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    approvals.start(approval)
    unstarted = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    done = leave(cast.rita)
    assert len(done.end) == 2
    assert {now_of(each).status for each in (approval, unstarted)} == {Status.CANCELLED}
    assert approving.types_in(approval)[-1] == "settled"


def test_the_agents_owner_does_not_stand_in_for_a_reviewer_of_their_own_agent(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.olga, roles=["owner", "approver"], actor=ACTOR)
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    assert len(leave(cast.rita).end) == 1
    assert now_of(approval).status == Status.CANCELLED


def test_a_quorum_that_the_others_cannot_reach_is_filled_up_or_ends(cast: Cast) -> None:
    bob = employ(cast.acme, "bob@acme.test", "Bob", "approver")
    two = approving.requirement(cast.rita, bob, quorum=2)
    approval = approving.ask(cast.support_bot, [two])
    assert leavers.preview(cast.rita).end[0].approval == approval
    employ(cast.acme, "ines@acme.test", "Ines", "owner", "approver")
    assert leavers.preview(cast.rita).fall_to_owners[0].approval == approval
    approving.decide(approval, cast.rita)
    assert leavers.preview(cast.rita).rerouted == []  # answered already, and the answer stands


def test_agents_lose_their_owner_and_are_supervised_after_seven_days(cast: Cast, monkeypatch: Any) -> None:
    leave(cast.olga)
    assert set(leavers.ownerless([cast.acme])) == {cast.report_bot, cast.support_bot}
    assert leavers.supervise_ownerless() == 0
    agents.change_agent(cast.support_bot, owner=cast.otto, actor=ACTOR)
    monkeypatch.setattr(leavers, "GRACE", timedelta(0))
    assert leavers.supervise_ownerless() == 1
    assert Agent.objects.get(pk=cast.report_bot.pk).standing == "supervised"
    assert Agent.objects.get(pk=cast.support_bot.pk).standing == "active"
    entry = Entry.objects.filter(log_id=cast.acme.log_id, type="governance.containment.changed").get()
    assert entry.actor == "system"
    assert leavers.supervise_ownerless() == 0


def test_an_owner_who_came_back_keeps_the_agent(cast: Cast, monkeypatch: Any) -> None:
    leave(cast.olga)
    people.reactivate(cast.olga, actor=ACTOR)
    monkeypatch.setattr(leavers, "GRACE", timedelta(0))
    assert leavers.supervise_ownerless() == 0
    assert not leavers.ownerless([cast.acme]).exists()


def test_every_log_that_it_concerns_says_who_left(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.rita, roles=["auditor"], actor=ACTOR)
    journals = [
        Journal(log_id) for log_id in (log.installation_log_id(), cast.acme.log_id, cast.globex.log_id)
    ]
    leave(cast.rita)
    for journal in journals:
        (left,) = [body for body in journal.new() if body["type"] == "governance.person.left"]
        assert left["data"]["person"] == cast.rita.public_id
        assert "left the company" not in str(left)
    assert journals[2].new()[0]["data"]["agents"] == 0


def test_when_its_entry_cannot_be_written_nothing_happens(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    with pytest.raises(CanonicalError):
        leavers.leave(cast.rita, reason="\ud800", actor=ACTOR)
    assert now_of(approval).status == Status.PENDING
    assert User.objects.get(pk=cast.rita.pk).is_active


def test_one_workspace_is_left_and_the_other_is_not(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.rita, roles=["approver"], actor=ACTOR)
    mine = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    other = approving.ask(cast.globex_bot, [approving.requirement(cast.rita)])
    browser = enter(cast.rita)
    leavers.leave_workspace(cast.acme, cast.rita, reason="moved", actor=ACTOR)
    assert [now_of(each).status for each in (mine, other)] == [Status.CANCELLED, Status.PENDING]
    assert browser.get("/admin/").status_code == 200
    assert set(Membership.objects.filter(person=cast.rita).values_list("workspace__slug", flat=True)) == {
        "globex"
    }
    with pytest.raises(leavers.CannotLeave):
        leavers.leave_workspace(cast.acme, cast.rita, reason="again", actor=ACTOR)


def test_nobody_lets_themselves_leave(cast: Cast) -> None:
    doors: tuple[Any, ...] = (leavers.leave, partial(leavers.leave_workspace, cast.acme))
    for door in doors:
        with pytest.raises(leavers.CannotLeave, match="themselves"):
            door(cast.olga, reason="had enough", actor=actor_of(cast.olga))
    cast.olga.refresh_from_db()
    assert cast.olga.is_active


def test_the_last_owner_is_noticed(cast: Cast) -> None:
    assert leavers.preview(cast.olga).headless == [cast.acme]
    employ(cast.acme, "ines@acme.test", "Ines", "owner")
    assert leavers.preview(cast.olga).headless == []


def test_the_command_says_what_it_does(cast: Cast) -> None:
    told = io.StringIO()
    call_command("leaver", "Olga@acme.test", reason="left", dry_run=True, stdout=told, stderr=io.StringIO())
    assert User.objects.get(pk=cast.olga.pk).is_active
    call_command("leaver", "olga@acme.test", reason="left", stdout=told, stderr=io.StringIO())
    assert "report-bot in Acme Support" in told.getvalue()
    assert not User.objects.get(pk=cast.olga.pk).is_active
    for email in ("olga@acme.test", "nobody@acme.test"):
        with pytest.raises(CommandError):
            call_command("leaver", email, reason="left", stdout=told)
