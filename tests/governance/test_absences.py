"""Saying that one is away: who may, who answers meanwhile, and when it is over."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry, Owed
from governance import absences, approvals, asking, reviewers
from governance.models import Absence, Approval
from tests.api.caller import Caller
from tests.approving import ask, decide, requirement
from tests.cast import ACTOR, Cast, employ
from tests.governance.test_verify_log import findings, fresh_process
from tests.portal import body_of, enter
from workspaces import people
from workspaces.models import User, Workspace
from workspaces.people import actor_of

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def ann(acme: Workspace) -> User:
    return employ(acme, "ann@acme.test", "Ann Approver", "approver")


@pytest.fixture
def bob(acme: Workspace) -> User:
    return employ(acme, "bob@acme.test", "Bob Approver", "approver")


def away(person: User, deputy: User | None = None, *, actor: str = "", **times: datetime) -> Absence:
    """Somebody is away from now on for a day."""
    (membership,) = person.memberships.select_related("workspace")[:1]
    now = timezone.now()
    return absences.record(
        membership.workspace,
        person,
        starts=times.get("starts", now),
        ends=times.get("ends", now + DAY),
        deputy=deputy,
        actor=actor or actor_of(person),
    )


def refused(person: User, deputy: User | None = None, **more: Any) -> str:
    with pytest.raises(ValidationError) as refusal:
        away(person, deputy, **more)
    assert not Absence.objects.exists()
    return " ".join(refusal.value.messages)


def test_an_absence_is_configuration_with_its_entry_and_has_what_waits_looked_at(
    cast: Cast, ann: User, bob: User, fresh_process: None
) -> None:
    ends = timezone.now() + DAY
    row = absences.record(
        cast.acme, ann, starts=timezone.now(), ends=ends, deputy=bob, note="In Rome", actor=actor_of(ann)
    )
    entry = Entry.objects.get(type="governance.absence.recorded")
    assert body_of(entry)["data"]["deputy"] == bob.public_id
    assert b"Rome" not in bytes(entry.body)
    due = list(Owed.objects.filter(kind=asking.RECHECK).order_by("due").values_list("due", flat=True))
    assert due == [row.starts, ends]
    absences.end(row, actor=actor_of(ann))
    assert Owed.objects.filter(kind=asking.RECHECK).count() == 3
    row.refresh_from_db()
    assert row.ends <= timezone.now()
    with pytest.raises(absences.AbsenceOver):
        absences.end(row, actor=actor_of(ann))
    later = away(bob, starts=ends, ends=ends + DAY)
    absences.end(later, actor=actor_of(bob))
    assert not Absence.objects.filter(pk=later.pk).exists()
    assert not findings()


def test_who_cannot_be_away_or_stand_in_is_told_why(
    cast: Cast, ann: User, bob: User, otto: User, sam: User
) -> None:
    now = timezone.now()
    assert "somebody else" in refused(ann, ann).lower()
    assert "role of an approver" in refused(ann, otto)
    assert "role of an approver" in refused(ann, sam)
    assert "makes themselves" in refused(ann, bob, actor=actor_of(bob))
    assert "after now" in refused(ann, ends=now - DAY)
    assert "366 days" in refused(ann, ends=now + 400 * DAY)
    people.set_roles(cast.acme, bob, roles=["auditor"], actor=ACTOR)
    assert "role of an approver" in refused(ann, bob)
    with pytest.raises(ValidationError):
        absences.record(cast.globex, ann, starts=now, ends=now + DAY, actor=ACTOR)


def test_two_absences_of_one_person_do_not_overlap(ann: User) -> None:
    first = away(ann)
    with pytest.raises(ValidationError) as refusal:
        away(ann, ends=timezone.now() + 2 * DAY)
    assert "recorded for this time already" in str(refusal.value)
    away(ann, starts=first.ends, ends=first.ends + DAY)


def test_a_deputy_answers_in_the_seat_of_who_is_away(cast: Cast, rita: User, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(ann, rita, quorum=2)])
    approvals.start(approval)
    assert not reviewers.may_decide(bob, approval, timezone.now())
    away(ann, bob)
    assert reviewers.reviewers_of(approval, timezone.now()) == [bob, rita]
    decide(approval, bob)
    vote = Approval.objects.get(pk=approval.pk).votes.get()
    assert (vote.person, vote.seat) == (bob, ann)
    # The seat is filled: the one who was away cannot fill it again.
    assert "deputy has answered" in reviewers.why_not(ann, approval, timezone.now())
    assert decide(approval, rita).status == "approved"


def test_who_is_away_may_still_answer_and_then_the_deputy_has_nothing_to_say(
    cast: Cast, ann: User, bob: User, rita: User
) -> None:
    approval = ask(cast.report_bot, [requirement(ann, rita, quorum=2)])
    away(ann, bob)
    decide(approval, ann)
    assert not reviewers.may_decide(bob, approval, timezone.now())


def test_a_deputy_hands_nothing_on(cast: Cast, ann: User, bob: User, rita: User) -> None:
    carl = employ(cast.acme, "carl@acme.test", "Carl", "approver")
    approval = ask(cast.report_bot, [requirement(ann)])
    away(ann, bob)
    away(bob, carl)
    now = timezone.now()
    assert not reviewers.may_decide(bob, approval, now)
    assert not reviewers.may_decide(carl, approval, now)
    assert not reviewers.is_reachable(approval, now)
    assert reviewers.reviewers_of(approval, now) == [ann]


def test_one_person_fills_one_seat_and_their_own_first(cast: Cast, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(ann, bob, quorum=2)])
    away(ann, bob)
    assert not reviewers.is_reachable(approval, timezone.now())
    decide(approval, bob)
    vote = approval.votes.get()
    assert vote.seat == bob
    assert not reviewers.may_decide(bob, approval, timezone.now())


def test_of_two_seats_a_deputy_fills_the_one_for_which_more_is_missing(
    cast: Cast, rita: User, ann: User, bob: User
) -> None:
    rules = [requirement(rita, ann, rule="One"), requirement(ann, rule="Two")]
    approval = ask(cast.report_bot, rules)
    away(rita, bob)
    away(ann, bob)
    assert decide(approval, bob).status == "approved"
    assert approval.votes.get().seat == ann


def test_an_absence_ends_by_itself(cast: Cast, ann: User, bob: User) -> None:
    approval = ask(cast.report_bot, [requirement(ann)], expires_in=3 * DAY)
    row = away(ann, bob)
    assert reviewers.may_decide(bob, approval, row.starts)
    assert reviewers.may_decide(bob, approval, row.ends - timedelta(seconds=1))
    assert not reviewers.may_decide(bob, approval, row.ends)


def test_everybody_records_their_own_absence_on_the_page(cast: Cast, ann: User, bob: User) -> None:
    client = enter(ann)
    address = reverse("absences", args=["acme"])
    answer = client.get(address)
    assert "Nobody is away" in answer.content.decode()
    links = [each for group in answer.context["sidebar_navigation"] for each in group["items"]]
    assert [each["title"] for each in links if each["active"]] == ["Who is away"]
    ends = (timezone.now() + DAY).strftime("%Y-%m-%dT%H:%M")
    shown = client.post(address, {"ends": ends, "deputy": "bob@acme.test", "note": "In Rome"}, follow=True)
    text = shown.content.decode()
    assert "Ann Approver is away until" in text
    assert "In Rome" in text
    row = Absence.objects.get()
    assert (row.person, row.deputy, row.created_by) == (ann, bob, actor_of(ann))
    # Others see that she is away, and neither why nor a button.
    seen = enter(bob).get(address).content.decode()
    assert "Ann Approver" in seen
    assert "In Rome" not in seen
    end = reverse("absence_end", args=["acme", row.public_id])
    assert enter(bob).post(end).status_code == 403
    assert enter(cast.sam).post(end).status_code == 404
    assert "is back" in client.post(end, follow=True).content.decode()
    assert "over already" in client.post(end, follow=True).content.decode()


def test_only_owners_record_that_others_are_away(cast: Cast, ann: User, bob: User, olga: User) -> None:
    address = reverse("absences", args=["acme"])
    ends = (timezone.now() + DAY).strftime("%Y-%m-%dT%H:%M")
    enter(bob).post(address, {"person": "ann@acme.test", "ends": ends})
    assert Absence.objects.get().person == bob  # the field is not there for them: it is about themselves
    wrong = enter(olga).post(address, {"person": "sam@stranger.test", "ends": ends})
    assert wrong.status_code == 400
    assert "Nobody of this workspace" in wrong.content.decode()
    enter(olga).post(address, {"person": "ann@acme.test", "ends": ends, "deputy": "rita@acme.test"})
    row = Absence.objects.get(person=ann)
    assert row.created_by == actor_of(olga)


def test_the_api_says_who_is_away(cast: Cast, ann: User, bob: User, olga: User, rita: User) -> None:
    ends = (timezone.now() + DAY).isoformat()
    mine = Caller(ann)
    made = mine.post("workspaces/acme/absences", {"ends": ends, "deputy": bob.public_id, "note": "In Rome"})
    assert (made["person"], made["deputy"], made["note"]) == (ann.public_id, bob.public_id, "In Rome")
    (seen,) = Caller(rita).get("workspaces/acme/absences")["results"]
    assert (seen["id"], seen["note"]) == (made["id"], "")
    Caller(rita).post(f"workspaces/acme/absences/{made['id']}/end", status=403)
    mine.post(f"workspaces/acme/absences/{made['id']}/end", status=204)
    mine.post(f"workspaces/acme/absences/{made['id']}/end", status=404)
    Caller(rita).post("workspaces/acme/absences", {"ends": ends, "person": ann.public_id}, 403)
    Caller(olga).post("workspaces/acme/absences", {"ends": ends, "person": ann.public_id})
    mine.post("workspaces/acme/absences", {"ends": ends, "person": cast.sam.public_id}, 404)
