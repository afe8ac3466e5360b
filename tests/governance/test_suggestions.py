"""What people approve again and again is suggested, and never given by itself."""

from typing import Any

import pytest
from django.utils import timezone

from governance import standing
from governance.models import StandingApproval
from governance.suggestions import suggestion_for, suggestions
from tests.approving import decide
from tests.asking import waiting
from tests.governance.test_standing_approvals import MAIL, Desk, desk  # noqa: F401

pytestmark = pytest.mark.django_db


def approve(desk: Desk, *calls: dict[str, Any], yes: bool = True) -> None:  # noqa: F811
    for call in calls:
        decide(waiting(desk.check(MAIL | call)), desk.cast.rita, approve=yes)


def found(desk: Desk) -> list[dict[str, Any]]:  # noqa: F811
    return [dict(each.bounds) for each in suggestions(desk.cast.acme, timezone.now())]


def test_three_in_a_row_are_suggested_within_the_narrowest_bounds(desk: Desk) -> None:  # noqa: F811
    approve(desk, {"body": "1"}, {"body": "2"})
    assert found(desk) == []
    approve(desk, {"body": "3", "to": "bob@customers.test"})
    (seen,) = suggestions(desk.cast.acme, timezone.now())
    assert (seen.count, seen.rules) == (3, ["Mail is looked at"])
    assert seen.bounds["/subject"] == {"is": "Your refund"}
    assert sorted(seen.bounds["/body"]["in"]) == ["1", "2", "3"]
    assert sorted(seen.resources) == ["mailto:ann@customers.test", "mailto:bob@customers.test"]
    assert suggestion_for(seen.approval, timezone.now()) == seen
    assert not StandingApproval.objects.exists()
    given = desk.give_from(seen.approval, bounds=seen.bounds, resources=seen.resources)
    assert desk.verdict(MAIL | {"body": "2", "to": "bob@customers.test"}) == "allow"
    assert found(desk) == []
    standing.revoke(given, actor="system")
    assert len(found(desk)) == 1


def test_one_rejection_and_nothing_is_suggested(desk: Desk) -> None:  # noqa: F811
    approve(desk, {"body": "no"}, yes=False)
    approve(desk, {}, {}, {}, {})
    assert found(desk) == []


def test_calls_with_little_in_common_suggest_nothing(desk: Desk) -> None:  # noqa: F811
    approve(desk, {}, {"cc": "bob@customers.test"}, {})
    assert found(desk) == []
