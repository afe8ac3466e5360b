"""What becomes of a call that nobody answers: reminders, ladders, expiry, and when nobody is left."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from viewflow.workflow import PROCESS, STATUS
from viewflow.workflow.models import Task

from audit import log
from audit.models import Entry, Owed
from governance import approvals, asking, containment, reviewers, schedule, sweeps
from governance.flows import ApprovalFlow
from governance.models import Absence, Approval, ApprovalLink, Asking
from tests.approving import ask, decide, pass_time, requirement, types_in
from tests.cast import ACTOR, Cast, employ
from workspaces import people
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ann(acme: Workspace) -> User:
    return employ(acme, "ann@acme.test", "Ann Approver", "approver")


@pytest.fixture
def bob(acme: Workspace) -> User:
    return employ(acme, "bob@acme.test", "Bob Approver", "approver")


def ladder(*reviewers: User, rungs: dict[int, list[User]], quorum: int = 1) -> dict[str, Any]:
    """A requirement that asks further people after so many seconds."""
    asked = [{"after": after, "reviewers": [each.pk for each in later]} for after, later in rungs.items()]
    return {**requirement(*reviewers, quorum=quorum), "escalate": asked}


def begun(cast: Cast, *requirements: dict[str, Any], expires_in: timedelta = HOUR) -> Approval:
    approval = ask(cast.report_bot, requirements, expires_in=expires_in)
    approvals.start(approval)
    return approval


def mailed(kind: str) -> list[str]:
    """Names of the people to whom mails of a kind are owed, in order."""
    rows = Owed.objects.filter(kind=kind).order_by("pk")
    names = dict(User.objects.values_list("public_id", "name"))
    return [names[row.payload["person"]].split()[0] for row in rows]


def waiting(approval: Approval) -> set[str]:
    links = ApprovalLink.objects.filter(approval=approval, waiting=True)
    return {name.split()[0] for name in links.values_list("person__name", flat=True)}


def test_a_plan_reminds_at_half_and_nine_tenths_and_climbs_between() -> None:
    rungs = [{"after": 1200, "reviewers": [1]}, {"after": 2400, "reviewers": [2]}]
    steps = schedule.plan(NOON, NOON + HOUR, [{"escalate": rungs}, {}])
    assert [(schedule.time_of(step) - NOON, step["do"]) for step in steps] == [
        (timedelta(minutes=20), "escalate"),
        (timedelta(minutes=30), "remind"),
        (timedelta(minutes=40), "escalate"),
        (timedelta(minutes=54), "remind"),
    ]
    assert [step.get("rung") for step in steps] == [0, None, 1, None]


def test_a_rung_beyond_the_window_is_never_reached() -> None:
    steps = schedule.plan(NOON, NOON + HOUR, [{"escalate": [{"after": 3600, "reviewers": [1]}]}])
    assert [step["do"] for step in steps] == ["remind", "remind"]


def test_who_begins_late_skips_reminders_and_no_rung() -> None:
    steps = schedule.plan(NOON, NOON + HOUR, [{"escalate": [{"after": 60, "reviewers": [1]}]}])
    left = schedule.ahead(steps, NOON + timedelta(minutes=31))
    assert [step["do"] for step in left] == ["escalate", "remind"]


def test_reminders_that_are_due_together_are_one() -> None:
    steps = schedule.plan(NOON, NOON + HOUR, [])
    assert schedule.due(steps, NOON) is None
    assert schedule.after(steps, NOON + timedelta(minutes=55)) == []
    assert schedule.after(steps, NOON + timedelta(minutes=31)) == steps[1:]


def test_the_start_writes_down_what_the_life_of_it_needs(cast: Cast, rita: User, ann: User) -> None:
    approval = begun(cast, requirement(rita), requirement(ann, rule="Another"))
    approval.refresh_from_db()
    assert [step["do"] for step in approval.plan] == ["remind", "remind"]
    assert approval.next_step_at == approval.created + HOUR / 2
    assert waiting(approval) == {"Rita", "Ann"}
    assert set(ApprovalLink.objects.values_list("deadline", flat=True)) == {approval.expires_at}
    assert sorted(Asking.objects.values_list("rule", flat=True)) == ["Another", "Mail is looked at"]


def test_who_has_not_answered_is_reminded_twice(cast: Cast, rita: User, ann: User, bob: User) -> None:
    approval = begun(cast, requirement(rita, ann, bob, quorum=2))
    decide(approval, rita)
    assert sweeps.step_due() == 0
    pass_time(HOUR / 2)
    assert sweeps.step_due() == 1
    assert sweeps.step_due() == 0
    assert mailed(asking.REMIND) == ["Ann", "Bob"]
    pass_time(HOUR * 0.4)
    assert sweeps.step_due() == 1
    assert mailed(asking.REMIND) == ["Ann", "Bob"] * 2
    assert types_in(approval) == ["started", "voted", "reminded", "reminded"]
    approval.refresh_from_db()
    assert (approval.plan, approval.next_step_at, approval.status) == ([], None, "pending")
    assert decide(approval, ann).status == "approved"


def test_a_reminder_goes_through_the_flow(cast: Cast, rita: User) -> None:
    approval = begun(cast, requirement(rita))
    pass_time(HOUR / 2)
    sweeps.step_due()
    approval.refresh_from_db()
    tasks = Task.objects.filter(process=approval.process).order_by("pk")
    nodes = [(task.flow_task.name, task.status) for task in tasks]
    assert nodes[1:] == [
        ("review", STATUS.DONE),
        ("tally", STATUS.DONE),
        ("remind", STATUS.DONE),
        ("review", STATUS.NEW),
    ]


def test_a_ladder_asks_more_people_later(cast: Cast, rita: User, ann: User, bob: User) -> None:
    approval = begun(cast, ladder(rita, rungs={1200: [ann], 2400: [bob]}))
    assert not reviewers.may_decide(ann, approval, approval.created)
    pass_time(timedelta(minutes=21))
    assert sweeps.step_due() == 1
    assert mailed(asking.MAIL) == ["Rita", "Ann"]
    assert waiting(approval) == {"Rita", "Ann"}
    assert ApprovalLink.objects.get(person=ann).source == "escalated"
    assert list(reviewers.inbox(ann, timezone.now())) == [approval]
    assert decide(approval, ann).status == "approved"
    assert types_in(approval) == ["started", "escalated", "voted", "settled"]
    pass_time(HOUR)
    assert sweeps.step_due() == 0
    assert not reviewers.inbox(bob, timezone.now()).exists()


def test_rungs_that_were_missed_are_climbed_one_by_one(cast: Cast, rita: User, ann: User, bob: User) -> None:
    approval = begun(cast, ladder(rita, rungs={1200: [ann], 2400: [bob]}))
    pass_time(timedelta(minutes=50))
    assert [sweeps.step_due() for _ in range(4)] == [1, 1, 1, 0]
    assert types_in(approval) == ["started", "escalated", "reminded", "escalated"]
    assert mailed(asking.MAIL) == ["Rita", "Ann", "Bob"]
    assert waiting(approval) == {"Rita", "Ann", "Bob"}


def test_no_step_is_taken_when_it_is_over(cast: Cast, rita: User, ann: User) -> None:
    settled = begun(cast, ladder(rita, rungs={1200: [ann]}))
    decide(settled, rita)
    late = begun(cast, ladder(rita, rungs={1200: [ann]}))
    pass_time(HOUR)
    assert sweeps.step_due() == 0
    assert approvals.step(late) is False
    assert approvals.step(settled) is False
    assert sweeps.expire_due() == 1
    assert types_in(late) == ["started", "settled"]
    contained = begun(cast, requirement(rita))
    containment.set_standing(
        cast.report_bot, "suspended", reason="It behaves oddly.", actor="cli:test@host", person=None
    )
    pass_time(HOUR / 2)
    assert sweeps.step_due() == 0
    assert approvals.step(contained) is False


def test_nothing_that_never_started_takes_a_step(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)])
    pass_time(HOUR / 2)
    assert sweeps.step_due() == 0
    approvals.start(approval)
    approval.refresh_from_db()
    assert [schedule.time_of(step) - approval.created for step in approval.plan] == [HOUR * 0.9]


def test_when_nobody_is_left_owner_and_agent_learn_it_once(cast: Cast, rita: User) -> None:
    approval = begun(cast, requirement(rita))
    approval.refresh_from_db()
    version = approval.version
    people.set_roles(cast.acme, rita, roles=["auditor"], actor=ACTOR)
    asking.owe_recheck(cast.acme, due=approval.created)
    row = Owed.objects.get(kind=asking.RECHECK)
    for _ in range(2):
        sweeps.recheck(row.payload)
    approval.refresh_from_db()
    assert approval.unreachable_since is not None
    assert approval.version == version + 1
    assert Owed.objects.filter(kind=asking.UNREACHABLE).count() == 1
    assert types_in(approval) == ["started", "unreachable"]
    people.set_roles(cast.acme, rita, roles=["approver"], actor=ACTOR)
    sweeps.recheck(row.payload)
    again = Approval.objects.get(pk=approval.pk)
    assert (again.unreachable_since, again.version) == (None, version + 2)
    assert list(reviewers.inbox(rita, timezone.now())) == [approval]


def test_nobody_at_all_is_told_at_the_start(cast: Cast, otto: User) -> None:
    approval = begun(cast, requirement(otto))
    assert types_in(approval) == ["started", "unreachable"]


def test_a_rung_ahead_is_somebody_who_is_left(cast: Cast, otto: User, ann: User) -> None:
    approval = begun(cast, ladder(otto, rungs={1200: [ann]}))
    assert types_in(approval) == ["started"]
    people.deactivate(ann, actor=ACTOR)
    pass_time(timedelta(minutes=21))
    sweeps.step_due()
    assert types_in(approval) == ["started", "escalated", "unreachable"]


def test_a_recheck_asks_the_deputy_of_who_is_away(cast: Cast, rita: User, ann: User) -> None:
    approval = begun(cast, requirement(rita))
    with log.write(cast.acme.log_id) as entries:
        Absence.objects.create(
            workspace=cast.acme, person=rita, deputy=ann, starts=entries.now, ends=entries.now + HOUR,
            created=entries.now, created_by=f"person:{rita.public_id}",
        )  # fmt: skip
    sweeps.recheck({"workspace": cast.acme.pk})
    sweeps.recheck({"workspace": cast.acme.pk})
    assert mailed(asking.MAIL) == ["Rita", "Ann"]
    assert ApprovalLink.objects.get(person=ann).source == "deputy"
    after = decide(approval, ann)
    assert after.status == "approved"
    assert after.votes.get().seat == rita
    assert waiting(approval) == set()


def test_a_recheck_of_many_goes_on_where_it_stopped(
    cast: Cast, rita: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "SWEEP", 2)
    for _ in range(3):
        begun(cast, requirement(rita))
    people.set_roles(cast.acme, rita, roles=["auditor"], actor=ACTOR)
    sweeps.recheck({"workspace": cast.acme.pk})
    assert Approval.objects.filter(unreachable_since__isnull=False).count() == 2
    sweeps.recheck(Owed.objects.get(kind=asking.RECHECK).payload)
    assert Approval.objects.filter(unreachable_since__isnull=False).count() == 3


def test_what_the_agent_withdraws_in_a_batch_is_tidied_by_a_worker(cast: Cast, rita: User) -> None:
    approval = begun(cast, requirement(rita))
    with log.write(cast.acme.log_id) as entries:
        fresh = approvals.read(approval)
        approvals.withdraw(
            fresh, actor=f"agent:{cast.report_bot.public_id}", reason="Not needed.", entries=entries
        )
    approval.refresh_from_db()
    assert (approval.status, waiting(approval)) == ("cancelled", set())
    assert approval.process is not None
    assert approval.process.status == PROCESS.NEW
    ending = Owed.objects.get(kind=approvals.TIDY)
    for _ in range(2):
        approvals.tidy(ending.payload)
    approval.process.refresh_from_db()
    assert approval.process.status == PROCESS.CANCELED
    assert not Task.objects.filter(flow_task=ApprovalFlow.review, status=STATUS.NEW).exists()


def test_each_change_that_the_agent_is_told_raises_the_version(cast: Cast, rita: User, ann: User) -> None:
    approval = begun(cast, requirement(rita, ann, quorum=2))
    before = approvals.read(approval).version
    assert decide(approval, rita).version == before
    assert decide(approval, ann).version == before + 1


def test_the_log_tells_steps_without_names(cast: Cast, rita: User, ann: User) -> None:
    approval = begun(cast, ladder(rita, rungs={60: [ann]}))
    pass_time(HOUR * 0.55)
    while sweeps.step_due():
        pass
    for entry in Entry.objects.filter(
        type__in=["governance.approval.reminded", "governance.approval.escalated"]
    ):
        body = bytes(entry.body).decode()
        assert approval.public_id in body
        assert "Rita" not in body
        assert "@" not in body
