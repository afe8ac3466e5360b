"""Everybody at once: votes, links, expiry, cancelling and containment against each other, in threads."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from viewflow.workflow import PROCESS

from audit.models import Entry
from governance import approvals, containment, links, sweeps
from governance.models import Approval, ApprovalLink, ApprovalProcess, Vote
from tests.approving import ask, decide, requirement, types_in
from tests.cast import Cast, employ
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def race(*calls: Callable[[], Any]) -> list[str]:
    """Run the calls at once, each on a connection of its own; what became of each, sorted."""
    barrier = threading.Barrier(len(calls))
    results: list[str] = []

    def run(call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            call()
            results.append("done")
        except Exception as error:
            results.append(getattr(error, "code", f"{type(error).__name__}: {error}"))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def voter(approval: Approval, person: User, approve: bool = True) -> Callable[[], Approval]:
    mine = Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)
    me = User.objects.get(pk=person.pk)
    return lambda: decide(mine, me, approve)


def check(approval: Approval) -> str:
    """That rows and log tell one story; the approval's status."""
    approval.refresh_from_db()
    kinds = types_in(approval)
    assert kinds.count("settled") == (approval.status != "pending")
    assert kinds.count("voted") == approval.votes.count()
    assert kinds.count("started") == (approval.process_id is not None)
    assert ApprovalProcess.objects.count() == Approval.objects.filter(process__isnull=False).count()
    if approval.status in ("approved", "rejected", "expired") and approval.process is not None:
        assert approval.process.status == PROCESS.DONE
    indexes = list(
        Entry.objects.filter(log=approval.workspace.log).order_by("index").values_list("index", flat=True)
    )
    assert indexes == list(range(len(indexes)))
    return approval.status


@pytest.fixture
def ann(cast: Cast) -> User:
    return employ(cast.acme, "ann@acme.test", "Ann", "approver")


@pytest.mark.parametrize("started", [True, False])
def test_approve_against_reject_has_one_winner(cast: Cast, rita: User, ann: User, started: bool) -> None:
    for _ in range(5):
        approval = ask(cast.report_bot, [requirement(rita, ann)])
        if started:
            approvals.start(approval)
        assert race(voter(approval, rita), voter(approval, ann, approve=False)) == [
            "approval_settled",
            "done",
        ]
        assert check(approval) == ("approved" if Vote.objects.get(approval=approval).approve else "rejected")


def test_two_votes_of_a_quorum_both_count(cast: Cast, rita: User, ann: User) -> None:
    for _ in range(5):
        approval = ask(cast.report_bot, [requirement(rita, ann, quorum=2)])
        assert race(voter(approval, rita), voter(approval, ann)) == ["done", "done"]
        assert check(approval) == "approved"


def test_sixty_four_votes_at_once_count_as_the_quorum_says(cast: Cast) -> None:
    crowd = [employ(cast.acme, f"p{n}@acme.test", f"P{n}", "approver") for n in range(64)]
    approval = ask(cast.report_bot, [requirement(*crowd, quorum=5)])
    assert race(*(voter(approval, person) for person in crowd)) == ["approval_settled"] * 59 + ["done"] * 5
    assert check(approval) == "approved"
    assert approval.votes.count() == 5


def test_one_person_in_sixty_four_windows_votes_once(cast: Cast, rita: User, ann: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann, quorum=2)])
    assert race(*(voter(approval, rita) for _ in range(64))) == ["done"] + ["not_a_reviewer"] * 63
    assert check(approval) == "pending"


def test_many_workers_start_a_process_once(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    assert race(*(lambda: approvals.start(approval) for _ in range(8)), voter(approval, rita)) == ["done"] * 9
    assert check(approval) == "approved"
    assert ApprovalLink.objects.count() == 1


def test_cancel_against_approve_has_one_winner(cast: Cast, rita: User) -> None:
    for _ in range(5):
        approval = ask(cast.report_bot, [requirement(rita)])

        def cancel(approval: Approval = approval) -> None:
            approvals.cancel(approval, actor="system", reason="Asked by mistake.")

        assert race(voter(approval, rita), cancel) == ["approval_settled", "done"]
        assert check(approval) in ("approved", "cancelled")


def test_expiry_against_approve_has_one_winner(cast: Cast, rita: User) -> None:
    for _ in range(5):
        approval = ask(cast.report_bot, [requirement(rita)], expires_in=timedelta(milliseconds=150))
        approvals.start(approval)

        def expire() -> None:
            while sweeps.expire_due() == 0 and Approval.objects.filter(status="pending").exists():
                pass

        vote = voter(approval, rita)
        results = race(vote, expire, expire)
        assert results in (["done"] * 3, ["approval_expired", "done", "done"])
        assert check(approval) == ("approved" if results == ["done"] * 3 else "expired")


def test_no_vote_counts_after_a_containment_step(cast: Cast, rita: User) -> None:
    """In the log's order: what stands after the step's entry is no approval."""
    waiting = [ask(cast.report_bot, [requirement(rita)]) for _ in range(8)]

    def contain() -> None:
        containment.set_standing(
            cast.report_bot, "suspended", reason="It behaves oddly.", actor="cli:test@host", person=None
        )

    voters = [voter(approval, rita) for approval in waiting]
    results = race(*voters[:2], contain, *voters[2:])
    assert set(results) <= {"done", "approval_void"}
    step = Entry.objects.get(log=cast.acme.log, type="governance.containment.changed").index
    votes = Entry.objects.filter(log=cast.acme.log, type="governance.approval.voted")
    assert not votes.filter(index__gt=step).exists()
    assert sweeps.cancel_void() == results.count("approval_void")
    for approval in waiting:
        assert check(approval) in ("approved", "cancelled")


def test_sixty_four_guesses_at_once_are_five_tries(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    issued = links.issue(ApprovalLink.objects.get(), now=timezone.now())
    token, code = issued.token, issued.code
    guesses = [guess for guess in (f"22{a}{b}" for a in "23456789" for b in "23456789") if guess != code][:63]

    def guess(text: str) -> Callable[[], Any]:
        return lambda: links.answer(token, visitor=None, code=text, approve=True, comment="")

    results = race(*(guess(text) for text in guesses))
    assert results == ["link_locked"] * 58 + ["wrong_code"] * 5
    refused = Entry.objects.filter(type="governance.approval.link_refused", outcome="wrong_code")
    refused = refused.order_by("index")
    assert [json.loads(bytes(entry.body))["data"]["attempts"] for entry in refused] == [1, 2, 3, 4, 5]
    assert check(approval) == "pending"


def test_a_link_pressed_sixty_four_times_votes_once(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    issued = links.issue(ApprovalLink.objects.get(), now=timezone.now())

    def press() -> None:
        links.answer(issued.token, visitor=None, code=issued.code, approve=True, comment="")

    assert race(*(press for _ in range(64))) == ["done"] + ["link_used"] * 63
    assert check(approval) == "approved"
    link = ApprovalLink.objects.get()
    assert link.used_at is not None
    assert link.used_at <= timezone.now()
