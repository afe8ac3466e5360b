"""Who counts: by name or in a group as it is now, and never those who asked, wrote the rule, or own the agent."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance import absences, approvals, policies, reviewers
from governance.approvals import NotAReviewer
from governance.models import Approval, ApprovalLink
from governance.pending import requirements
from governance.rosters import Roster
from governance.snapshot import Snapshot
from tests.approving import ask, decide, requirement
from tests.cast import ACTOR, Cast, employ
from workspaces import agents, people
from workspaces.models import ReviewerGroup, User, Workspace
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
LADDER = [{"after": 1200, "reviewers": [], "direct": [], "groups": {}}]


@pytest.fixture
def ann(acme: Workspace) -> User:
    return employ(acme, "ann@acme.test", "Ann Approver", "approver")


@pytest.fixture
def bob(acme: Workspace) -> User:
    return employ(acme, "bob@acme.test", "Bob Approver", "approver")


@pytest.fixture
def carl(acme: Workspace) -> User:
    return employ(acme, "carl@acme.test", "Carl Approver", "approver")


def group(workspace: Workspace, *members: User, name: str = "leads") -> ReviewerGroup:
    return people.set_reviewer_group(workspace, name=name, people=members, actor=ACTOR).row


def through(asked: ReviewerGroup, *direct: User, **more: Any) -> dict[str, Any]:
    """A requirement that asks the people of a group as it is now, and others by name."""
    members = list(asked.members.order_by("person").values_list("person_id", flat=True))
    named = [person.pk for person in direct]
    base = requirement(*direct, quorum=more.pop("quorum", 1))
    return {
        **base,
        "reviewers": sorted({*named, *members}),
        "direct": named,
        "groups": {str(asked.pk): members},
    } | more


def rule(name: str = "Mail is looked at", *reviewers: str) -> dict[str, Any]:
    return {
        "name": name,
        "tools": ["mail.send"],
        "effect": "require_approval",
        "approval": {"reviewers": list(reviewers) or ["group:finance"]},
    }


def counts(person: User, approval: Approval) -> bool:
    """Whether the person's answer would count, which the sentence why not agrees with."""
    now = timezone.now()
    row = approvals.read(approval)
    answer = reviewers.may_decide(person, row, now)
    assert answer == (reviewers.why_not(person, row, now) == "")
    return answer


def reason(person: User, approval: Approval) -> str:
    assert not counts(person, approval)
    return reviewers.why_not(person, approvals.read(approval), timezone.now())


# Groups


def test_a_group_is_asked_as_it_was_and_counts_as_it_is(cast: Cast, ann: User, bob: User, carl: User) -> None:
    leads = group(cast.acme, ann, bob)
    approval = ask(cast.report_bot, [through(leads)])
    approvals.start(approval)
    group(cast.acme, bob, carl)
    assert "left the group" in reason(ann, approval)
    assert counts(bob, approval)
    assert "not asked" in reason(carl, approval)
    group(cast.acme, ann, carl)
    assert counts(ann, approval)  # she is back, and was asked
    assert not counts(bob, approval)


def test_who_is_named_beside_the_group_counts_without_it(cast: Cast, ann: User, bob: User) -> None:
    leads = group(cast.acme, ann, bob)
    approval = ask(cast.report_bot, [through(leads, ann)])
    people.remove_reviewer_group(leads, actor=ACTOR)
    assert counts(ann, approval)
    assert not counts(bob, approval)


def test_what_a_rule_names_is_read_into_people_groups_and_rungs(cast: Cast, ann: User) -> None:
    written = rule("Mail is looked at", "ann@acme.test", "group:finance", "owner")
    written["approval"] |= {
        "veto": False,
        "escalate": [{"after": "20m", "reviewers": ["group:leads"]}],
        "expires_in": "1h",
    }
    leads = group(cast.acme, ann)
    finance = ReviewerGroup.objects.get(name="finance")
    policies.publish(policies.draft(cast.acme, [written], actor=ACTOR), actor=ACTOR)
    snapshot = Snapshot(cast.acme.log_id)
    agent = snapshot.agent(cast.report_bot.pk)
    assert agent is not None
    (found,) = requirements(cast.acme.pk, agent, snapshot.rules.rules, supervised=False)
    members = sorted([cast.rita.pk, cast.olga.pk])
    assert found["reviewers"] == sorted([*members, ann.pk])
    assert found["direct"] == sorted([ann.pk, cast.olga.pk])
    assert found["groups"] == {str(finance.pk): members}
    assert (found["owner_counts"], found["veto"]) == (True, False)
    (rung,) = found["escalate"]
    assert rung == {"after": 1200, "reviewers": [ann.pk], "direct": [], "groups": {str(leads.pk): [ann.pk]}}
    assert found["digest"] == snapshot.rules.rules[0].digest


# Who is shut out


def test_the_creator_of_the_key_that_asked_never_counts(cast: Cast, ann: User, bob: User) -> None:
    key, _ = agents.create_key(cast.report_bot, actor=ACTOR, created_by=ann)
    approval = ask(cast.report_bot, [requirement(ann, bob)])
    Approval.objects.update(key=key.prefix)
    assert "made the key" in reason(ann, approval)
    approvals.start(approvals.read(approval))
    key.delete()  # what was judged at the asking stays
    assert not counts(ann, approval)
    with pytest.raises(NotAReviewer, match="made the key"):
        decide(approval, ann)
    assert decide(approval, bob).status == "approved"
    other = ask(cast.report_bot, [requirement(ann)])
    assert counts(ann, other)  # asked with another key


def test_the_author_of_a_rule_is_who_first_drafted_it_word_for_word(cast: Cast, ann: User, bob: User) -> None:
    first = policies.draft(cast.acme, [rule()], actor=actor_of(ann))
    policies.publish(first, actor=actor_of(bob))
    digest = Snapshot(cast.acme.log_id).rules.rules[0].digest
    policies.publish(policies.draft(cast.acme, [rule("Other")], actor=actor_of(bob)), actor=ACTOR)
    # Taken out and put back in by somebody else, among others: it is the same rule.
    again = policies.draft(cast.acme, [rule("Third"), rule()], actor=actor_of(bob))
    policies.publish(again, actor=ACTOR)
    approval = ask(cast.report_bot, [{**requirement(ann, bob), "digest": digest}])
    assert "wrote the rule" in reason(ann, approval)
    assert counts(bob, approval)
    third = Snapshot(cast.acme.log_id).rules.rules[0].digest
    approval = ask(cast.report_bot, [{**requirement(ann, bob), "digest": third}])
    assert counts(ann, approval)
    assert not counts(bob, approval)


def test_a_rule_of_the_command_line_has_no_author(cast: Cast, ann: User) -> None:
    policies.publish(policies.draft(cast.acme, [rule()], actor="cli:ann@host"), actor=ACTOR)
    digest = Snapshot(cast.acme.log_id).rules.rules[0].digest
    assert counts(ann, ask(cast.report_bot, [{**requirement(ann), "digest": digest}]))


def test_one_authors_rule_shuts_them_out_of_every_rules_answer(cast: Cast, ann: User, bob: User) -> None:
    policies.publish(policies.draft(cast.acme, [rule()], actor=actor_of(ann)), actor=ACTOR)
    digest = Snapshot(cast.acme.log_id).rules.rules[0].digest
    rules = [{**requirement(bob, rule="One"), "digest": digest}, requirement(ann, bob, rule="Two")]
    approval = ask(cast.report_bot, rules)
    assert not counts(ann, approval)
    assert decide(approval, bob).status == "approved"


def test_after_an_edit_more_are_shut_out_and_nobody_is_let_in(cast: Cast, ann: User, bob: User) -> None:
    policies.publish(policies.draft(cast.acme, [rule()], actor=actor_of(bob)), actor=ACTOR)
    digest = Snapshot(cast.acme.log_id).rules.rules[0].digest
    key, _ = agents.create_key(cast.report_bot, actor=ACTOR, created_by=ann)
    approval = ask(cast.report_bot, [requirement(ann, bob)])
    Approval.objects.update(key=key.prefix)
    approvals.start(approvals.read(approval))
    key.delete()
    row = approvals.read(approval)
    assert row.excluded == {str(ann.pk): "key_creator"}
    row.requirements.append({**requirement(bob, rule="Two"), "digest": digest})
    assert reviewers.excluded_of(row) == {str(ann.pk): "key_creator", str(bob.pk): "rule_author"}


def test_a_vote_falls_when_its_voter_becomes_the_agents_owner(cast: Cast, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(ann, bob, cast.rita, quorum=2)])
    decide(approval, ann)
    agents.change_agent(cast.report_bot, owner=ann, actor=ACTOR)
    assert decide(approvals.read(approval), bob).status == "pending"
    assert decide(approval, cast.rita).status == "approved"


def test_a_deputy_of_somebody_who_is_shut_out_has_no_seat(cast: Cast, ann: User, bob: User) -> None:
    now = timezone.now()
    approval = ask(cast.report_bot, [requirement(ann, cast.rita)], on_behalf_of=ann)
    absences.record(cast.acme, ann, starts=now, ends=now + timedelta(days=1), deputy=bob, actor=actor_of(ann))
    assert not counts(bob, approval)


def test_who_is_shut_out_does_not_say_who_answers_in_anothers_place(
    cast: Cast, ann: User, bob: User, olga: User
) -> None:
    """The agent's owner, who owns the workspace, sends a reviewer on leave and names a friend."""
    now = timezone.now()
    ends = now + timedelta(days=1)
    approval = ask(cast.report_bot, [requirement(ann)], expires_in=timedelta(days=3))
    row = absences.record(cast.acme, ann, starts=now, ends=ends, deputy=bob, actor=actor_of(olga))
    assert not counts(bob, approval)
    assert counts(ann, approval)
    absences.end(row, actor=actor_of(ann))
    absences.record(cast.acme, ann, starts=timezone.now(), ends=ends, deputy=bob, actor=actor_of(ann))
    assert counts(bob, approval)


# Vetoes


def test_without_a_veto_it_takes_as_many_rejections_as_end_all_hope(
    cast: Cast, ann: User, bob: User, carl: User
) -> None:
    approval = ask(cast.report_bot, [{**requirement(ann, bob, carl, quorum=2), "veto": False}])
    assert decide(approval, ann, approve=False).status == "pending"
    assert decide(approval, bob).status == "pending"
    assert decide(approval, carl, approve=False).status == "rejected"


def test_those_who_are_away_or_asked_later_are_still_hope(
    cast: Cast, ann: User, bob: User, carl: User
) -> None:
    now = timezone.now()
    later = [{**LADDER[0], "reviewers": [carl.pk], "direct": [carl.pk]}]
    approval = ask(cast.report_bot, [{**requirement(ann), "veto": False, "escalate": later}])
    assert decide(approval, ann, approve=False).status == "pending"
    absences.record(cast.acme, bob, starts=now, ends=now + timedelta(days=1), actor=ACTOR)
    approval = ask(cast.report_bot, [{**requirement(ann, bob), "veto": False}])
    assert decide(approval, ann, approve=False).status == "pending"


def test_a_veto_of_one_rule_ends_it_whatever_the_others_say(cast: Cast, ann: User, bob: User) -> None:
    rules = [{**requirement(ann, bob, rule="One"), "veto": False}, requirement(ann, bob, rule="Two")]
    approval = ask(cast.report_bot, rules)
    assert decide(approval, ann, approve=False).status == "rejected"


# Whether anybody is left


def reachable(approval: Approval) -> bool:
    return reviewers.is_reachable(approvals.read(approval), timezone.now())


def test_nobody_is_left_when_all_are_away_gone_or_shut_out(
    cast: Cast, ann: User, bob: User, carl: User
) -> None:
    now = timezone.now()
    approval = ask(cast.report_bot, [requirement(ann, bob)], on_behalf_of=bob)
    assert reachable(approval)
    row = absences.record(cast.acme, ann, starts=now, ends=now + timedelta(days=1), actor=actor_of(ann))
    assert not reachable(approval)
    absences.end(row, actor=actor_of(ann))
    assert reachable(approval)
    absences.record(
        cast.acme, ann, starts=timezone.now(), ends=now + timedelta(days=1), deputy=carl, actor=actor_of(ann)
    )
    assert reachable(approval)
    people.set_roles(cast.acme, ann, roles=["auditor"], actor=ACTOR)
    assert not reachable(approval)  # a seat that does not count is nobody's to fill


def test_a_rung_ahead_is_hope_if_it_comes_in_time(cast: Cast, ann: User, carl: User) -> None:
    people.set_roles(cast.acme, ann, roles=["auditor"], actor=ACTOR)
    later = [{**LADDER[0], "reviewers": [carl.pk], "direct": [carl.pk]}]
    assert reachable(ask(cast.report_bot, [{**requirement(ann), "escalate": later}]))
    too_short = timedelta(minutes=19)
    assert not reachable(
        ask(cast.report_bot, [{**requirement(ann), "escalate": later}], expires_in=too_short)
    )


def test_a_quorum_needs_as_many_people_not_as_many_seats(
    cast: Cast, ann: User, bob: User, carl: User
) -> None:
    now = timezone.now()
    approval = ask(cast.report_bot, [requirement(ann, bob, quorum=2)])
    for person in (ann, bob):
        absences.record(
            cast.acme, person, starts=now, ends=now + timedelta(days=1), deputy=carl, actor=actor_of(person)
        )
    assert not reachable(approval)


# Queries


def queries(work: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_the_roster_and_the_inbox_ask_as_often_for_many_as_for_few(cast: Cast, ann: User, bob: User) -> None:
    now = timezone.now()
    leads = group(cast.acme, ann, bob)
    key, _ = agents.create_key(cast.report_bot, actor=ACTOR, created_by=bob)
    policies.publish(policies.draft(cast.acme, [rule()], actor=actor_of(bob)), actor=ACTOR)
    digest = Snapshot(cast.acme.log_id).rules.rules[0].digest
    absences.record(
        cast.acme, bob, starts=now, ends=now + timedelta(days=1), deputy=ann, actor=actor_of(cast.olga)
    )

    def more(count: int) -> None:
        for _ in range(count):
            approval = ask(cast.report_bot, [through(leads, digest=digest)])
            Approval.objects.filter(pk=approval.pk).update(key=key.prefix)
            approvals.start(approvals.read(approval))

    def roster() -> None:
        Roster.of(Approval.objects.all(), timezone.now())

    def inbox() -> None:
        found = list(reviewers.inbox(User.objects.get(pk=ann.pk), timezone.now()))
        assert len(found) == Approval.objects.count()

    more(2)
    few = queries(roster), queries(inbox)
    more(10)
    assert (queries(roster), queries(inbox)) == few
    assert few[0] <= 8


def test_an_inbox_is_found_by_its_index(cast: Cast, ann: User) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the plan is read as SQLite tells it")
    rows = ApprovalLink.objects.filter(person=ann, waiting=True, deadline__gt=timezone.now())
    assert "inbox_by_deadline" in rows.order_by("deadline", "pk").explain()
