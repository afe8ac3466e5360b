"""An agent that takes calls back while it asks for others, all in one batch of admission, to have more of them wait."""

import json
from typing import Any

import pytest

from governance import checks
from governance.models import Approval
from governance.requests import ApprovalCancel
from tests.asking import check, publish, request, waiting
from tests.cast import Cast
from workspaces import agents

pytestmark = pytest.mark.django_db
RULES: list[dict[str, Any]] = [
    {
        "name": "Refunds are looked at",
        "tools": ["billing.refund"],
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test"]},
    }
]


def refund(number: int) -> dict[str, Any]:
    return {"invoice": str(number), "amount": 20}


def test_what_is_taken_back_makes_room_for_one_call(cast: Cast) -> None:
    publish(cast.acme, RULES)
    agents.change_agent(cast.support_bot, most_waiting=3, actor="system")
    bot, key = cast.support_bot, cast.support_bot_key
    first = waiting(check(bot, key, "billing.refund", refund(0)))
    calls = [request(bot, key, "billing.refund", refund(number)) for number in range(1, 9)]
    cancel = ApprovalCancel(calls[0].caller, first.public_id, "Never mind.")
    answers = checks.admit(cast.acme.log_id, [*calls[:4], cancel, *calls[3:]])
    told = [json.loads(bytes(answer)) for answer in answers]  # type: ignore[arg-type]
    assert [answer.get("status", answer.get("decision")) for answer in told] == [
        "pending", "pending", "deny", "deny", "cancelled", "pending", "deny", "deny", "deny", "deny",
    ]  # fmt: skip
    assert Approval.objects.filter(status="pending").count() == 3


def test_the_same_call_folds_after_another_was_taken_back(cast: Cast) -> None:
    publish(cast.acme, RULES)
    bot, key = cast.support_bot, cast.support_bot_key
    first = waiting(check(bot, key, "billing.refund", refund(0)))
    call = request(bot, key, "billing.refund", refund(1))
    checks.admit(cast.acme.log_id, [call, ApprovalCancel(call.caller, first.public_id, ""), call])
    assert Approval.objects.get(status="pending").asks == 2
