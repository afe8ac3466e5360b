"""What happens to a call that waits for people, from its opening to its end."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone
from viewflow.workflow import PROCESS, STATUS
from viewflow.workflow.models import Task

from audit import log
from audit.details import read_detail
from audit.models import Entry, Owed
from governance import approvals, asking, containment, mail, outcomes, reviewers, sweeps
from governance.approvals import NotAReviewer, NotPending
from governance.flows import ApprovalFlow
from governance.models import Approval, ApprovalLink, Vote
from tests.approving import ask, decide, requirement, types_in
from tests.cast import ACTOR, Cast, employ
from workspaces import people
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(acme: Workspace) -> User:
    return employ(acme, "ann@acme.test", "Ann Approver", "approver")


@pytest.fixture
def bob(acme: Workspace) -> User:
    return employ(acme, "bob@acme.test", "Bob Approver", "approver")


def body_of(approval: Approval, kind: str) -> Entry:
    return approval.workspace.log.entries.get(type=f"governance.approval.{kind}")


def tasks_of(approval: Approval) -> list[Task]:
    approval.refresh_from_db()
    return list(Task.objects.filter(process_id=approval.process_id, flow_task=ApprovalFlow.review))


def process_status(approval: Approval) -> str:
    assert approval.process is not None
    return str(approval.process.status)


def refused(approval: Approval, person: User, approve: bool = True) -> str:
    with pytest.raises(NotPending) as error:
        decide(approval, person, approve)
    assert str(error.value).endswith(".")
    return error.value.code


def test_opening_only_owes_the_start(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    assert approval.status == "pending"
    assert approval.process_id is None
    owed = Owed.objects.get()
    assert (owed.kind, owed.payload) == (approvals.START, {"approval": approval.public_id})


def test_the_start_asks_each_reviewer_once(cast: Cast, rita: User, ann: User, otto: User, sam: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann), requirement(rita, otto, sam, rule="Another")])
    mail.start_approval({"approval": approval.public_id})
    mail.start_approval({"approval": approval.public_id})
    assert [task.status for task in tasks_of(approval)] == [STATUS.NEW]
    # otto may not decide and sam is a stranger: rules may name them, but they are not asked until they may.
    asked = {ann.public_id, rita.public_id}
    assert {row.payload["person"] for row in Owed.objects.filter(kind=asking.MAIL)} == asked
    assert set(ApprovalLink.objects.values_list("person", flat=True)) == {ann.pk, rita.pk, otto.pk, sam.pk}
    assert not reviewers.inbox(sam, timezone.now()).exists()
    assert types_in(approval) == ["started"]
    assert set(reviewers.reviewers_of(approval, timezone.now())) == {ann, rita}


def test_one_approval_is_enough_where_one_is_asked_for(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    approval = decide(approval, rita, comment="I rang the customer.")
    assert approval.status == "approved"
    assert approval.settled_at is not None
    assert process_status(approval) == PROCESS.DONE
    assert types_in(approval) == ["started", "voted", "settled"]
    assert body_of(approval, "settled").outcome == "approved"


def test_the_vote_tells_who_and_how_but_not_the_comment(cast: Cast, rita: User) -> None:
    approval = decide(ask(cast.report_bot, [requirement(rita)]), rita, comment="I rang the customer.")
    entry = body_of(approval, "voted")
    body = bytes(entry.body).decode()
    assert '"known_by":"session"' in body
    assert '"satisfied":["Mail is looked at"]' in body
    assert rita.public_id in body
    assert "I rang" not in body
    assert "rita@" not in body
    assert read_detail(approval.workspace.log_id, entry.index) == {"comment": "I rang the customer."}
    assert Vote.objects.get().entry_index == entry.index


def test_a_decision_need_not_wait_for_the_worker(cast: Cast, rita: User) -> None:
    approval = decide(ask(cast.report_bot, [requirement(rita)]), rita)
    assert approval.status == "approved"
    assert types_in(approval) == ["started", "voted", "settled"]
    mail.start_approval({"approval": approval.public_id})
    assert types_in(approval) == ["started", "voted", "settled"]


def test_a_quorum_of_two_needs_two_people(cast: Cast, rita: User, ann: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann, quorum=2)])
    assert decide(approval, rita).status == "pending"
    assert [task.status for task in tasks_of(approval)].count(STATUS.NEW) == 1
    assert decide(approval, ann).status == "approved"
    assert STATUS.NEW not in [task.status for task in tasks_of(approval)]


def test_nobody_votes_twice(cast: Cast, rita: User, ann: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann, quorum=2)])
    decide(approval, rita)
    with pytest.raises(NotAReviewer):
        decide(approval, rita)
    assert Vote.objects.count() == 1


def test_every_rule_needs_its_own_reviewers(cast: Cast, rita: User, ann: User, bob: User) -> None:
    both = [requirement(rita, ann, rule="One", quorum=2), requirement(bob, rule="Two")]
    approval = ask(cast.report_bot, both)
    assert decide(approval, rita).status == "pending"
    assert decide(approval, ann).status == "pending"
    assert decide(approval, bob).status == "approved"


def test_one_vote_counts_for_each_rule_that_names_the_person(cast: Cast, rita: User, ann: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, rule="One"), requirement(rita, ann, rule="Two")])
    assert decide(approval, rita).status == "approved"


def test_who_is_named_in_a_satisfied_rule_only_is_not_asked_any_more(
    cast: Cast, rita: User, ann: User, bob: User
) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann, rule="One"), requirement(bob, rule="Two")])
    decide(approval, rita)
    with pytest.raises(NotAReviewer):
        decide(approval, ann)
    assert reviewers.reviewers_of(approval, timezone.now()) == [bob]


def test_a_single_rejection_ends_it(cast: Cast, rita: User, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita, ann, bob, quorum=3)])
    decide(approval, rita)
    assert decide(approval, ann, approve=False).status == "rejected"
    assert refused(approval, bob) == "approval_settled"
    assert body_of(approval, "settled").outcome == "rejected"


def test_the_agents_owner_counts_only_where_the_rule_names_the_owner(
    cast: Cast, olga: User, rita: User
) -> None:
    people.set_roles(cast.acme, olga, roles=["owner", "approver"], actor=ACTOR)
    approval = ask(cast.report_bot, [requirement(olga, rita)])
    with pytest.raises(NotAReviewer):
        decide(approval, olga)
    named = ask(cast.report_bot, [requirement(olga, owner=True)])
    assert decide(named, olga).status == "approved"


def test_the_person_acted_for_never_counts(cast: Cast, rita: User) -> None:
    approval = ask(cast.support_bot, [requirement(rita, owner=True)], on_behalf_of=rita)
    with pytest.raises(NotAReviewer):
        decide(approval, rita)
    assert not reviewers.inbox(rita, timezone.now()).exists()


def test_being_named_is_not_enough_without_the_permission(
    cast: Cast, otto: User, sam: User, gina: User
) -> None:
    sam.is_superuser = True
    for person in (otto, sam, gina):
        approval = ask(cast.report_bot, [requirement(person)])
        with pytest.raises(NotAReviewer):
            decide(approval, person)
        assert not reviewers.inbox(person, timezone.now()).exists()


def test_who_has_lost_the_role_or_left_no_longer_counts(cast: Cast, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(ann, bob)])
    assert reviewers.may_decide(ann, approval, timezone.now())
    people.set_roles(cast.acme, ann, roles=["auditor"], actor=ACTOR)
    people.deactivate(bob, actor=ACTOR)
    for person in (ann, bob):
        with pytest.raises(NotAReviewer):
            decide(approval, person)


def test_a_late_answer_is_refused_before_any_sweep(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)], expires_in=timedelta(seconds=-1))
    assert refused(approval, rita) == "approval_expired"
    assert not reviewers.inbox(rita, timezone.now()).exists()


def test_expiry_means_no(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)], expires_in=timedelta(milliseconds=200))
    approvals.start(approval)
    assert approvals.expire(approval) is False
    Approval.objects.update(expires_at=timezone.now())
    assert sweeps.expire_due() == 1
    approval.refresh_from_db()
    assert approval.status == "expired"
    assert process_status(approval) == PROCESS.DONE
    assert [task.status for task in tasks_of(approval)] == [STATUS.DONE]
    assert types_in(approval) == ["started", "settled"]
    assert refused(approval, rita) == "approval_expired"
    assert sweeps.expire_due() == 0


def test_what_never_started_expires_too(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)], expires_in=timedelta(seconds=-1))
    assert sweeps.expire_due() == 1
    approvals.start(approval)
    approval.refresh_from_db()
    assert (approval.status, approval.process_id) == ("expired", None)


def test_cancelled_is_over(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    cancelled = approvals.cancel(approval, actor="system", reason="Asked by mistake.")
    assert cancelled.status == "cancelled"
    assert process_status(cancelled) == PROCESS.CANCELED
    assert [task.status for task in tasks_of(approval)] == [STATUS.CANCELED]
    entry = body_of(approval, "settled")
    assert b"mistake" not in bytes(entry.body)
    assert read_detail(approval.workspace.log_id, entry.index) == {"reason": "Asked by mistake."}
    assert refused(approval, rita) == "approval_settled"
    with pytest.raises(NotPending):
        approvals.cancel(approval, actor="system", reason="Again.")


def test_a_containment_step_voids_what_waits_at_once(cast: Cast, rita: User) -> None:
    before = ask(cast.report_bot, [requirement(rita)])
    approvals.start(before)
    containment.set_standing(
        cast.report_bot, "suspended", reason="It behaves oddly.", actor="cli:test@host", person=None
    )
    assert not reviewers.inbox(rita, timezone.now()).exists()
    assert refused(before, rita) == "approval_void"
    after = ask(cast.report_bot, [requirement(rita)])
    assert sweeps.cancel_void() == 1
    assert sweeps.cancel_void() == 0
    before.refresh_from_db()
    after.refresh_from_db()
    assert (before.status, after.status) == ("cancelled", "pending")
    assert list(reviewers.inbox(rita, timezone.now())) == [after]


def test_the_inbox_has_the_oldest_deadline_first_and_only_what_is_mine(
    cast: Cast, rita: User, ann: User
) -> None:
    late = ask(cast.report_bot, [requirement(rita)], expires_in=timedelta(hours=3))
    soon = ask(cast.support_bot, [requirement(rita, ann, quorum=2)], expires_in=timedelta(hours=1))
    ask(cast.report_bot, [requirement(ann)])
    assert list(reviewers.inbox(rita, timezone.now())) == [soon, late]
    decide(soon, rita)
    assert list(reviewers.inbox(rita, timezone.now())) == [late]


def test_a_failing_effect_takes_the_vote_and_its_entry_back(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    size = log.newest(cast.acme.log_id)
    with connection.cursor() as cursor:
        refuse_status(cursor)
        try:
            with pytest.raises(DatabaseError):
                decide(approval, rita)
        finally:
            accept_status(cursor)
    assert log.newest(cast.acme.log_id) == size
    assert not Vote.objects.exists()
    assert [task.status for task in tasks_of(approval)] == [STATUS.NEW]
    assert decide(approval, rita).status == "approved"


def refuse_status(cursor) -> None:
    """Make the database refuse that an approval's status changes."""
    if connection.vendor == "sqlite":
        cursor.execute(
            "CREATE TRIGGER refuse_status BEFORE UPDATE OF status ON governance_approval"
            " BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        )
        return
    cursor.execute(
        "CREATE FUNCTION refuse_status() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$"
    )
    cursor.execute(
        "CREATE TRIGGER refuse_status BEFORE UPDATE OF status ON governance_approval"
        " FOR EACH ROW EXECUTE FUNCTION refuse_status()"
    )


def accept_status(cursor) -> None:
    """Undo refuse_status."""
    if connection.vendor == "sqlite":
        cursor.execute("DROP TRIGGER refuse_status")
    else:
        cursor.execute("DROP FUNCTION refuse_status CASCADE")


def test_viewflows_own_rule_asks_who_counts(cast: Cast, rita: User, otto: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    approvals.start(approval)
    (task,) = tasks_of(approval)
    assert ApprovalFlow.review.can_assign(rita, task)
    assert not ApprovalFlow.review.can_assign(otto, task)
    assert not ApprovalFlow.review.can_assign(None, task)


def test_a_settled_status_is_never_written_again(cast: Cast, rita: User) -> None:
    approval = decide(ask(cast.report_bot, [requirement(rita)]), rita)
    with pytest.raises(NotPending):
        outcomes.settle(approval, Approval.Status.REJECTED, actor="system")
    approval.refresh_from_db()
    assert approval.status == "approved"


def test_a_change_of_the_whole_installation_does_not_confuse_the_log(cast: Cast, rita: User) -> None:
    """A vote inside a write of several logs lands in the approval's own."""
    approval = ask(cast.report_bot, [requirement(rita)])
    with log.write(log.installation_log_id(), cast.acme.log_id, cast.globex.log_id):
        decide(approval, rita)
    assert types_in(approval) == ["started", "voted", "settled"]


def test_the_inbox_finds_mine_however_much_waits_for_others(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewers, "LOOKED_THROUGH", 2)
    for _ in range(3):
        ask(cast.report_bot, [requirement(cast.otto)])
    mine = [
        ask(cast.report_bot, [requirement(cast.otto), requirement(cast.olga, cast.rita, rule="Other")])
        for _ in range(3)
    ]
    for approval in Approval.objects.all():
        approvals.start(approval)
    assert (
        list(reviewers.inbox(cast.rita, timezone.now())) == mine[:2]
    )  # the most urgent, if there are more than anybody reads
