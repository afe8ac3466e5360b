"""Several waiting calls answered at once, and only where little can go wrong."""

import pytest

from governance import batch_answers
from governance.batch_answers import TooMany
from governance.models import Approval, Vote
from tests.approving import ask, decide, requirement
from tests.cast import Cast
from workspaces.models import User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db


def answer(rows: list[Approval], person: User, approve: bool = True) -> list[str]:
    answered = batch_answers.answer_all(
        rows,
        person=person,
        approve=approve,
        comment="",
        known_by=Vote.KnownBy.SESSION,
        actor=actor_of(person),
    )
    assert all(each.message.endswith(".") for each in answered if each.code)
    return [each.code for each in answered]


def test_each_is_answered_as_if_alone_and_only_low_risk(cast: Cast, rita: User) -> None:
    low, gone, others = (ask(cast.report_bot, [requirement(rita)], risk="low") for _ in range(3))
    risky = [ask(cast.report_bot, [requirement(rita)], risk=risk) for risk in ("medium", "high", "critical")]
    decide(gone, rita, approve=False)
    Approval.objects.filter(pk=others.pk).update(requirements=[requirement(cast.otto)])
    codes = answer([low, gone, *risky, others], rita)
    assert codes == ["", "approval_settled", *["not_low_risk"] * 3, "not_a_reviewer"]
    statuses = Approval.objects.filter(pk__in=[low.pk, *(each.pk for each in risky)]).order_by("pk")
    assert [row.status for row in statuses] == ["approved", *["pending"] * 3]


def test_what_was_edited_meanwhile_is_looked_at_again(cast: Cast, rita: User) -> None:
    seen = ask(cast.report_bot, [requirement(rita)], risk="low")
    Approval.objects.filter(pk=seen.pk).update(binding="1" * 64, round=2)
    assert answer([seen], rita) == ["approval_edited"]
    assert not Vote.objects.exists()


def test_too_many_are_too_many(cast: Cast, rita: User) -> None:
    approval = ask(cast.report_bot, [requirement(rita)], risk="low")
    for rows in ([approval] * 2, [Approval(pk=key) for key in range(batch_answers.MOST + 1)]):
        with pytest.raises(TooMany):
            answer(rows, rita)
    assert answer([approval], rita, approve=False) == [""]
