"""Waiting at the gate: long polls, what an agent says meanwhile, and what a reviewer made of the call."""

import threading
from typing import Any

import pytest

from audit.models import Owed
from governance import approvals, edits, remarks
from governance.models import Approval, Vote
from tests.approving import decide, types_in
from tests.cast import Cast
from tests.gate.conftest import REFUND, Bot
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)
CALL: dict[str, Any] = {"invoice": "1", "amount": 500}


@pytest.fixture
def waiting(support: Bot, policy: None) -> Approval:
    """A refund that waits for Rita."""
    answer = support.check(REFUND, CALL, call_id="c1")
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=answer["approval"]["id"])
    approvals.start(approval)
    return approval


def view(bot: Bot, approval: Approval, query: str = "") -> dict[str, Any]:
    response = bot.client.get(f"/v1/approvals/{approval.public_id}{query}", headers=bot.headers)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def post(bot: Bot, approval: Approval, what: str, **body: Any) -> Any:
    return bot.client.post(f"/v1/approvals/{approval.public_id}/{what}", json=body, headers=bot.headers)


def edited(approval: Approval, rita: User, arguments: dict[str, Any]) -> Approval:
    """The approval after Rita put other arguments in the call's place, and approved that."""
    return edits.edit(
        approval,
        person=rita,
        arguments=arguments,
        comment="This much is owed.",
        actor=f"person:{rita.public_id}",
        second_factor="totp",
    )


def test_a_newer_version_is_answered_at_once(support: Bot, waiting: Approval, rita: User) -> None:
    assert view(support, waiting, "?wait=0")["version"] == 1
    remarks.ask(waiting, person=rita, text="Which order is it?", actor="system")
    told = view(support, waiting, "?wait=60&since=1")
    assert (told["version"], told["status"]) == (2, "pending")
    assert [(each["text"], each["answered"]) for each in told["questions"]] == [("Which order is it?", False)]


@pytest.mark.parametrize("query", ["?wait=60", "?wait=60&since=1"])
def test_a_wait_ends_with_what_is_new(support: Bot, waiting: Approval, cast: Cast, query: str) -> None:
    asking = threading.Timer(
        0.3, remarks.ask, [waiting], {"person": cast.rita, "text": "Which order is it?", "actor": "system"}
    )
    asking.start()
    told = view(support, waiting, query)
    asking.join()
    assert (told["version"], len(told["questions"])) == (2, 1)


def test_an_agent_answers_what_it_was_asked(support: Bot, waiting: Approval, rita: User) -> None:
    assert post(support, waiting, "reply", text="Order 17.").json()["code"] == "nothing_asked"
    remarks.ask(waiting, person=rita, text="Which order is it?", actor="system")
    told = post(support, waiting, "reply", text="Order 17.").json()
    assert told["questions"][0]["answered"]
    assert post(support, waiting, "reply", text="").json()["code"] == "missing_field"


def test_an_agent_takes_back_what_it_asked_for(support: Bot, waiting: Approval, rita: User) -> None:
    told = post(support, waiting, "cancel", reason="The customer withdrew.").json()
    assert (told["status"], told["version"]) == ("cancelled", 2)
    again = post(support, waiting, "cancel", reason="again")
    assert (again.status_code, again.json()["code"]) == (409, "approval_settled")
    with pytest.raises(approvals.NotPending):
        decide(waiting, rita)
    assert types_in(waiting)[-1] == "settled"
    assert Owed.objects.filter(kind="governance.approval.tidy").count() == 1
    assert support.check(REFUND, CALL, approval=waiting.public_id)["code"] == "approval_expired"


def test_nobody_else_cancels_or_answers(support: Bot, reporter: Bot, waiting: Approval) -> None:
    for what, body in (("cancel", {"reason": "x"}), ("reply", {"text": "x"})):
        assert post(reporter, waiting, what, **body).status_code == 404
    assert view(support, waiting)["status"] == "pending"


def test_an_edited_call_is_what_was_approved(support: Bot, waiting: Approval, rita: User) -> None:
    edited(waiting, rita, {"invoice": "1", "amount": 120})
    told = view(support, waiting)
    assert (told["status"], told["edited"], told["tool"]) == ("approved", True, REFUND)
    assert told["arguments"] == {"invoice": "1", "amount": 120}
    assert told["changes"] == [{"path": "/amount", "from": 500, "to": 120}]

    refused = support.check(REFUND, CALL, approval=waiting.public_id)
    assert (refused["decision"], refused["code"]) == ("deny", "approval_mismatch")
    assert "edited" in refused["reasons"][0]["message"]
    assert refused["reasons"][0]["approval"].endswith(waiting.public_id)
    assert support.check(REFUND, CALL, call_id="c1")["code"] == "approval_mismatch"

    other = {"call_id": "c1", "approval": waiting.public_id}
    assert support.check(REFUND, {"invoice": "1", "amount": 121}, **other)["code"] == "approval_mismatch"
    allowed = support.check(REFUND, told["arguments"], **other)
    assert (allowed["decision"], allowed["resources"]) == ("allow", ["invoice://1"])
    assert support.check(REFUND, told["arguments"], **other)["id"] == allowed["id"]
    without = {"tool": REFUND, "arguments": CALL, "call_id": "c1"}
    assert support.problem("POST", "/v1/check", json=without) == (409, "call_id_reused")


def test_comments_come_with_the_end(support: Bot, waiting: Approval, rita: User) -> None:
    approvals.decide(
        waiting, person=rita, approve=False, comment="It was paid already.", known_by=Vote.KnownBy.SESSION,
        actor=f"person:{rita.public_id}",
    )  # fmt: skip
    told = view(support, waiting, "?wait=60")
    assert (told["status"], told["comments"]) == ("rejected", ["It was paid already."])
