"""What an agent is answered, and what the log keeps of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.details import read_detail
from audit.models import Entry, Head
from governance.models import Approval, Decision
from governance.reports import close_unreported
from tests.cast import Cast
from tests.details import opened
from tests.gate.conftest import REFUND, Bot
from workspaces import access

pytestmark = pytest.mark.django_db(transaction=True)
ALLOWED = {"path": "/srv/reports/q3.csv"}


def bodies(cast: Cast, prefix: str = "governance.check") -> list[dict[str, Any]]:
    rows = Entry.objects.filter(log_id=cast.acme.log_id, type__startswith=prefix).order_by("index")
    return [json.loads(bytes(row.body)) for row in rows]


def test_what_is_granted_is_allowed_and_recorded(reporter: Bot, cast: Cast) -> None:
    answer = reporter.check("files.read", ALLOWED)
    assert (answer["decision"], answer["code"]) == ("allow", "granted")
    assert answer["resources"] == ["file:///srv/reports/q3.csv"]
    entry = Entry.objects.get(log_id=cast.acme.log_id, index=answer["receipt"]["index"])
    assert bytes(entry.leaf).hex() == answer["receipt"]["leaf"]
    assert (entry.type, entry.agent, entry.tool) == (
        "governance.check.allowed", cast.report_bot.public_id, "files.read",
    )  # fmt: skip
    assert json.loads(bytes(entry.body))["data"]["decision"] == answer["id"]


def test_an_allow_is_good_for_a_minute(reporter: Bot) -> None:
    ends = datetime.fromisoformat(reporter.check("files.read", ALLOWED)["expires_at"])
    assert timedelta(seconds=50) < ends - datetime.now(UTC) <= timedelta(seconds=60)


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("files.read", {"path": "/srv/reports/../secret"}, "no_permission"),
        ("files.read", {"path": "/srv/reports/%2e%2e/secret"}, "ambiguous_resource"),
        ("files.delete", {"path": "/srv/reports/q3.csv"}, "unknown_tool"),
        ("mail.send", {"to": "a@customers.test", "subject": "x", "body": "y"}, "no_permission"),
        (REFUND, {"invoice": "17"}, "invalid_arguments"),
    ],
)
def test_a_denial_says_why(
    reporter: Bot, cast: Cast, tool: str, arguments: dict[str, str], code: str
) -> None:
    answer = reporter.check(tool, arguments)
    assert (answer["decision"], answer["code"]) == ("deny", code)
    assert answer["reasons"][0]["message"]
    assert answer["expires_at"] is None
    assert bodies(cast)[-1]["outcome"] == code


def test_each_agents_decisions_are_numbered_without_gaps(reporter: Bot, support: Bot) -> None:
    seen = [reporter.check("files.read", ALLOWED)["agent_seq"], reporter.check("nothing")["agent_seq"]]
    assert support.check("files.read", ALLOWED)["agent_seq"] == 1
    assert [*seen, reporter.check("files.read", ALLOWED)["agent_seq"]] == [1, 2, 3]


def test_a_grant_that_is_taken_away_is_gone_at_the_next_call(reporter: Bot, cast: Cast) -> None:
    assert reporter.check("files.read", ALLOWED)["decision"] == "allow"
    access.revoke(cast.roles["analyst"], permission="read", obj=cast.resources["reports"], actor="system")
    answer = reporter.check("files.read", ALLOWED)
    assert (answer["decision"], answer["code"]) == ("deny", "no_permission")
    access.grant(cast.report_bot, permission="read", obj=cast.resources["reports"], actor="system")
    assert reporter.check("files.read", ALLOWED)["decision"] == "allow"


def test_nothing_personal_stands_in_the_body(support: Bot, policy: None, cast: Cast) -> None:
    support.check(
        "mail.send",
        {"to": "ann@customers.test", "subject": "Hello Ann", "body": "Dear Ann"},
        reason="Ann asked",
    )
    (body,) = bodies(cast)
    assert not re.search(r"\bann\b", json.dumps(body), re.IGNORECASE)
    values = read_detail(cast.acme.log_id, body["index"])
    assert values["arguments"]["to"] == "ann@customers.test"
    assert values["reason"] == "Ann asked"


def test_secrets_and_sensitive_arguments_are_withheld(support: Bot, policy: None, cast: Cast) -> None:
    secret = "ghp_" + "a1B2" * 9
    support.check(
        REFUND, {"invoice": "1", "amount": 5, "card_number": "4111 1111 1111 1111"}, reason=f"with {secret}"
    )
    support.check("mail.send", {"to": "ann@customers.test", "subject": "x", "body": f"use {secret}"})
    stored = b" ".join(opened(cast.acme.log_id))
    stored += b" ".join(bytes(row.body) for row in Entry.objects.filter(log_id=cast.acme.log_id))
    assert secret.encode() not in stored
    assert b"4111 1111" not in stored
    assert bodies(cast)[-1]["data"]["withheld"]


def test_untrusted_content_follows_the_agent_into_a_new_session(support: Bot, policy: None) -> None:
    mail = {"to": "ann@customers.test", "subject": "x", "body": "y"}
    assert support.check("mail.send", mail, session="clean")["decision"] == "allow"
    assert support.check("web.fetch", {"url": "https://example.test/"}, session="run")["decision"] == "allow"
    for session in ("run", "another name", ""):
        assert support.check("mail.send", mail, session=session)["decision"] == "deny"


def test_a_limit_holds_across_sessions(support: Bot, policy: None) -> None:
    codes = [
        support.check(REFUND, {"invoice": str(number), "amount": 5}, session=f"s{number}")["code"]
        for number in range(7)
    ]
    assert codes == ["granted"] * 5 + ["rate_limited"] * 2


def test_a_dry_run_leaves_one_simulated_entry_and_nothing_else(
    support: Bot, policy: None, cast: Cast
) -> None:
    answer = support.check(REFUND, {"invoice": "1", "amount": 500}, dry_run=True)
    assert (answer["decision"], answer["agent_seq"]) == ("pending", 0)
    assert not Approval.objects.exists()
    assert [body["type"] for body in bodies(cast)] == ["governance.check.simulated"]
    assert support.check(REFUND, {"invoice": "1", "amount": 5})["agent_seq"] == 1


def test_the_same_call_id_finds_its_decision(support: Bot, policy: None, cast: Cast) -> None:
    call: dict[str, Any] = {
        "tool": REFUND,
        "arguments": {"invoice": "1", "amount": 5},
        "session": "s",
        "call_id": "c1",
    }
    first = support.check(**call)
    assert support.check(**call) == first
    assert len(bodies(cast)) == 1
    other = {**call, "arguments": {"invoice": "1", "amount": 6}}
    assert support.problem("POST", "/v1/check", json=other) == (409, "call_id_reused")


def test_a_waiting_call_is_asked_for_once(support: Bot, policy: None) -> None:
    call: dict[str, Any] = {"tool": REFUND, "arguments": {"invoice": "1", "amount": 500}, "call_id": "c1"}
    first = support.check(**call)
    assert first["decision"] == "pending"
    assert support.check(**call)["approval"]["id"] == first["approval"]["id"]
    assert Approval.objects.count() == 1


def test_an_idempotency_key_returns_the_stored_answer(support: Bot, policy: None, cast: Cast) -> None:
    headers = {"idempotency-key": "k1"}
    first = support.check(REFUND, {"invoice": "1", "amount": 5}, headers=headers)
    assert support.check(REFUND, {"invoice": "1", "amount": 5}, headers=headers) == first
    assert len(bodies(cast)) == 1
    other = {"tool": REFUND, "arguments": {"invoice": "2", "amount": 5}}
    assert support.problem("POST", "/v1/check", json=other, headers=headers) == (
        409,
        "idempotency_key_reused",
    )


def test_an_answer_is_not_given_again_once_its_call_is_over(support: Bot, policy: None) -> None:
    headers = {"idempotency-key": "k1"}
    first = support.check(REFUND, {"invoice": "1", "amount": 5}, headers=headers)
    support.report(first["id"], status="succeeded")
    second = support.check(REFUND, {"invoice": "1", "amount": 5}, headers=headers)
    assert second["id"] != first["id"]


def test_an_outcome_is_recorded_once(support: Bot, policy: None, cast: Cast) -> None:
    decision = support.check(REFUND, {"invoice": "1", "amount": 5})["id"]
    assert support.report(decision, status="running")["outcome"] == "running"
    assert support.report(decision, status="succeeded", summary="done")["outcome"] == "succeeded"
    assert support.report(decision, status="succeeded")["outcome"] == "succeeded"
    path = f"/v1/decisions/{decision}/outcome"
    assert support.problem("POST", path, json={"status": "failed"}) == (409, "outcome_already_reported")
    assert [body["outcome"] for body in bodies(cast, "governance.outcome")] == ["running", "succeeded"]


def test_another_agents_decision_is_not_there(support: Bot, reporter: Bot, policy: None) -> None:
    decision = support.check(REFUND, {"invoice": "1", "amount": 5})["id"]
    path = f"/v1/decisions/{decision}/outcome"
    assert reporter.problem("POST", path, json={"status": "failed"}) == (404, "not_found")


def test_a_call_without_an_outcome_is_closed_as_unreported(support: Bot, policy: None, cast: Cast) -> None:
    decision = support.check(REFUND, {"invoice": "1", "amount": 5})["id"]
    assert close_unreported() == 0
    Decision.objects.filter(public_id=decision).update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert close_unreported() == 1
    assert Decision.objects.get(public_id=decision).outcome == "unreported"
    assert bodies(cast, "governance.outcome.unreported")


def test_an_agent_may_ask_for_its_own_standing(support: Bot, policy: None, cast: Cast) -> None:
    me = support.client.get("/v1/me", headers=support.headers).json()
    assert me["agent"] == cast.support_bot.public_id
    assert me["tools"] == ["billing.refund", "files.read", "mail.send", "web.fetch"]
    assert me["asks_a_person"] == ["billing.refund"]
    assert me["permissions"]["spend"] == ["invoice://*"]


def test_the_answer_names_the_revision_that_judged_it(support: Bot, policy: None, cast: Cast) -> None:
    answer = support.check("files.read", ALLOWED)
    assert answer["revision"] == Head.objects.get(log_id=cast.acme.log_id).revision
    assert answer["policy"].startswith("pol_")
