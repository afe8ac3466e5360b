"""The same call asked again waits for the same people; a flood of others reaches them as one line."""

from typing import Any

import pytest

from governance import containment
from governance.models import Approval, Overflow
from tests.cast import Cast
from tests.gate.conftest import REFUND, Bot
from workspaces import agents

pytestmark = pytest.mark.django_db(transaction=True)
CALL: dict[str, Any] = {"invoice": "1", "amount": 500}


def asked(bot: Bot, **more: Any) -> str:
    """The approval that the call waits for."""
    answer = bot.check(REFUND, more.pop("arguments", CALL), **more)
    assert answer["decision"] == "pending", answer
    found: str = answer["approval"]["id"]
    return found


def test_the_same_call_folds_into_one_approval(support: Bot, policy: None) -> None:
    first = asked(support, session="a")
    spelled = {"amount": 500.0, "invoice": "1"}
    assert {asked(support, session="b"), asked(support, arguments=spelled), asked(support, call_id="c")} == {
        first
    }
    assert Approval.objects.get().asks == 4
    assert asked(support, call_id="c") == first


def test_what_differs_is_asked_for_itself(support: Bot, policy: None) -> None:
    seen = {asked(support), asked(support, arguments={**CALL, "amount": 501})}
    assert len(seen | {asked(support, on_behalf_of="rita@acme.test")}) == 3


def test_an_approval_of_an_older_standing_takes_no_more_calls(support: Bot, policy: None, cast: Cast) -> None:
    first = asked(support)
    for standing in ("read_only", "active"):
        containment.set_standing(
            cast.support_bot, standing, reason="It behaves oddly.", actor="cli:test@host", person=None
        )
    assert asked(support) != first


def test_a_flood_is_one_line_for_people(support: Bot, policy: None, cast: Cast) -> None:
    agents.change_agent(cast.support_bot, most_waiting=2, actor="system")
    asked(support)
    asked(support, arguments={**CALL, "amount": 501})
    for number in range(3):
        answer = support.check(REFUND, {"invoice": str(number), "amount": 900})
        assert (answer["decision"], answer["code"]) == ("deny", "too_many_pending")
    assert Overflow.objects.get(agent=cast.support_bot).count == 3
    assert Approval.objects.count() == 2
    assert asked(support), "What waits already is no more of it."
