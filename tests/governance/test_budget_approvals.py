"""An approval that raises a budget, as people see it: on its page, in the mail, behind the link, in the inbox."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing import limits
from governance import absences, approvals, batch_answers, leavers, letters, links, reviewers
from governance.models import Approval, ApprovalLink, Vote
from tests.approving import ask
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter, page, press

pytestmark = pytest.mark.django_db

DOLLAR = 10**9


@pytest.fixture
def waiting(cast: Cast) -> Approval:
    """A mail that needs $2 of a budget of $1."""
    budget = limits.set_budget(
        cast.acme, agent=cast.support_bot, window="ever", limit_amount=DOLLAR, when_short="ask", actor=ACTOR
    ).row
    lift = f"budget:{budget.public_id}"
    raised = {
        "title": "Budget of this agent for ever",
        "account": "ever",
        "generation": 0,
        "limit": DOLLAR,
        "needs": 2 * DOLLAR,
        "short": DOLLAR,
        "most": 2 * DOLLAR,
        "told": "$2.00",
        "ends": None,
    }
    demand = {
        "rule": raised["title"],
        "digest": lift,
        "ask": "May this budget be raised for this call, by at most $2.00?",
        "message": "",
        "reviewers": [cast.olga.pk],
        "direct": [cast.olga.pk],
        "groups": {},
        "owner": cast.olga.pk,
        "owner_counts": True,
        "quorum": 1,
        "veto": True,
        "escalate": [],
        "permission": "manage_budgets",
    }
    row = ask(cast.support_bot, [demand], risk="low")
    row.raises, row.lifts = {lift: raised}, [lift]
    row.save()
    approvals.start(row)
    return Approval.objects.select_related("workspace", "agent").get(pk=row.pk)


def test_an_owner_sees_what_it_raises_and_answers(cast: Cast, waiting: Approval) -> None:
    client = enter(cast.olga)
    assert "waits for you" in page(client, "governance_approval_changelist")
    shown = page(client, "governance_approval_change", waiting.pk)
    for words in (
        "What it would raise",
        waiting.requirements[0]["rule"],
        "$2.00",
        "$1.00",
        "for good",
        "at most",
    ):
        assert words in shown, words
    assert "Edit the call" not in shown
    assert "Approve calls like this one ahead" not in shown
    press(client, "governance_approval_decide", waiting.pk, decision="approve", round=1)
    waiting.refresh_from_db()
    assert waiting.status == Approval.Status.APPROVED


def test_who_decides_calls_only_looks_on(cast: Cast, waiting: Approval) -> None:
    client = enter(cast.rita)
    assert "Nothing waits for you" in page(client, "governance_approval_changelist")
    shown = page(client, "governance_approval_change", waiting.pk)
    assert "What it would raise" in shown
    assert "You were not asked" in shown


def test_a_budget_that_was_lowered_says_that_nothing_comes_of_a_yes(cast: Cast, waiting: Approval) -> None:
    client, warning = enter(cast.olga), "raises it no more"
    assert warning not in page(client, "governance_approval_change", waiting.pk)
    limits.set_budget(
        cast.acme, agent=cast.support_bot, window="ever", limit_amount=1, when_short="ask", actor=ACTOR
    )
    assert warning in page(client, "governance_approval_change", waiting.pk)


def test_the_mail_says_what_is_raised_and_its_link_leads_to_the_portal(cast: Cast, waiting: Approval) -> None:
    link = ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person").get()
    assert link.person == cast.olga
    issued = links.issue(link, now=timezone.now())
    letter = letters.invitation(link, issued, why="", now=timezone.now())
    html = str(letter.alternatives[0][0])
    for text in (str(letter.body), html):
        assert "What it would raise" in text
        assert "at most $2.00" in text
        assert "Budgets are raised by who is signed in" in text
        assert issued.code not in text
    shown = Client().get(f"/a/{issued.token}/").content.decode()
    assert "Sign in and decide" in shown
    assert "at most $2.00" in shown


def test_it_is_not_ticked_among_others(cast: Cast, waiting: Approval) -> None:
    (answered,) = batch_answers.answer_all(
        [waiting], person=cast.olga, approve=True, comment="", known_by=Vote.KnownBy.SESSION, actor=ACTOR
    )
    assert answered.code == "raises_budget"


def test_a_deputy_manages_budgets_too(cast: Cast, waiting: Approval) -> None:
    now = timezone.now()
    for deputy, counts in ((cast.rita, False), (employ(cast.acme, "owen@acme.test", "Owen", "owner"), True)):
        absence = absences.record(
            cast.acme, cast.olga, starts=now, ends=now + timedelta(days=1), deputy=deputy, actor=ACTOR
        )
        assert reviewers.may_decide(deputy, waiting, timezone.now()) is counts
        assert reviewers.is_reachable(waiting, timezone.now()) is counts
        absences.end(absence, actor=ACTOR)


def test_owners_are_asked_instead_of_one_who_leaves(cast: Cast, waiting: Approval) -> None:
    owen = employ(cast.acme, "owen@acme.test", "Owen", "owner")
    leavers.leave_workspace(cast.acme, cast.olga, reason="A new job.", actor=ACTOR)
    waiting.refresh_from_db()
    assert reviewers.may_decide(owen, waiting, timezone.now())
    assert not reviewers.may_decide(cast.olga, waiting, timezone.now())


def test_it_stands_on_an_owners_desk(cast: Cast, waiting: Approval) -> None:
    assert "Waiting for you" in page(enter(cast.olga), "index")
    assert "Nothing waits for you" in page(enter(cast.rita), "index")
