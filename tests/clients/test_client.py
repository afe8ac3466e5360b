"""What the client sends and reads, alone and while people decide."""

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from countersign import Countersign, Denied, Misused, Pending, Refused

from tests.clients.faulty_server import (
    Gate,
    Request,
    Server,
    allow,
    asking,
    guarded_both_ways,
    response,
    script,
    torn,
)


def test_a_refused_request_is_a_problem_with_its_code(gate: Gate) -> None:
    stranger = Countersign(gate.url, "csk_bad")
    ran, calls = guarded_both_ways(stranger)
    for call in [*calls, lambda: stranger.check("read"), stranger.me]:
        with pytest.raises(Refused, match="This key has expired") as raised:
            call()
        assert (raised.value.status, raised.value.code) == (401, "key_expired")
    assert ran == []


def test_a_check_sends_what_was_given_and_reads_the_whole_answer(gate: Gate) -> None:
    client = Countersign(gate.url + "/", "csk_good", session="run-42")
    decision = client.check(
        "read", {"path": "q3.csv"}, call_id="call_7", reason="asked for", on_behalf_of="alice@example.com",
        estimated_cost_usd="0.02", context={"ticket": 1}, resource="file:///q3.csv", action="read", model="gpt-4o",
        estimated_usage={"input_tokens": 9}, retry_count=1,
    )  # fmt: skip
    assert gate.requests[0].path == "/v1/check"
    assert gate.requests[0].question == {
        "tool": "read", "arguments": {"path": "q3.csv"}, "session": "run-42", "call_id": "call_7",
        "reason": "asked for", "on_behalf_of": "alice@example.com", "estimated_cost_usd": "0.02",
        "context": {"ticket": 1}, "resource": "file:///q3.csv", "action": "read", "model": "gpt-4o",
        "estimated_usage": {"input_tokens": 9}, "retry_count": 1,
    }  # fmt: skip
    assert decision.allowed
    assert (decision.id, decision.code, decision.agent_seq, decision.policy) == (
        "dec_1",
        "granted",
        1,
        "pol_1",
    )
    assert decision.resources == ["file:///reports/q3.csv"]
    assert decision.receipt == decision.raw["receipt"]
    assert decision.expires_at is not None
    assert decision.expires_at.tzinfo is not None


def test_a_denial_is_a_decision_and_says_what_to_do_next(client: Countersign) -> None:
    decision = client.check("launch")
    assert (decision.decision, decision.allowed) == ("deny", False)
    assert decision.message() == (
        "launch is denied (unknown_tool). Declare the tool in the workspace, or correct its name."
    )
    with pytest.raises(Denied, match="launch is denied") as raised:
        client.guarded("launch")(lambda: None)()
    assert raised.value.decision.code == "unknown_tool"


def test_outcomes_and_me_reach_the_gate(gate: Gate, client: Countersign) -> None:
    decision = client.check("read")
    client.outcome(decision, "running")
    client.outcome(decision, "succeeded", summary="read it", changes=["none"], cost_usd="0.018")
    client.outcome(
        decision,
        "failed",
        model="gpt-4o",
        usage={"output_tokens": 2},
        result="sha256:0",
        error="no such file",
    )
    assert gate.outcomes == [
        (decision.id, {"status": "running"}),
        (
            decision.id,
            {"status": "succeeded", "summary": "read it", "changes": ["none"], "cost_usd": "0.018"},
        ),
        (
            decision.id,
            {
                "status": "failed",
                "model": "gpt-4o",
                "usage": {"output_tokens": 2},
                "result": "sha256:0",
                "error": "no such file",
            },
        ),
    ]
    assert client.me()["standing"] == "active"


@pytest.mark.parametrize("arguments", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}, {("a",): 1}])
def test_arguments_that_are_not_json_are_not_sent(
    gate: Gate, client: Countersign, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Misused, match="JSON"):
        client.check("read", arguments)
    with pytest.raises(Misused, match="Decimal"):
        client.check("read", estimated_cost_usd=0.1)  # type: ignore[arg-type]  # what the test is about
    assert gate.requests == []


def approve_when_asked(gate: Gate, status: str) -> threading.Thread:
    """Settle the pending approvals as soon as somebody waits for one."""

    def person() -> None:
        while not any(sent.path.startswith("/v1/approvals/") for sent in gate.requests):
            time.sleep(0.01)
        gate.decide(status)

    thread = threading.Thread(target=person)
    thread.start()
    return thread


def test_pending_then_approved_then_allowed(gate: Gate, client: Countersign) -> None:
    person = approve_when_asked(gate, "approved")
    decision = client.check_and_wait("refund", {"amount": 200}, session="run-42", wait=30)
    person.join()
    assert decision.allowed
    first, poll, second = gate.requests
    assert poll.path.startswith("/v1/approvals/apr_1?wait=")
    assert second.question == {**first.question, "approval": "apr_1"}


@pytest.mark.parametrize("status", ["rejected", "expired", "cancelled"])
def test_an_approval_settled_otherwise_is_a_denial(gate: Gate, client: Countersign, status: str) -> None:
    person = approve_when_asked(gate, status)
    decision = client.check_and_wait("refund", wait=30)
    person.join()
    assert (decision.decision, decision.code, decision.allowed) == ("deny", f"approval_{status}", False)
    ran: list[str] = []
    with pytest.raises(Denied):
        client.guarded("refund", wait=0.1)(lambda: ran.append("ran"))()
    assert ran == []


def test_a_guarded_function_waits_for_people_and_runs_once(gate: Gate, client: Countersign) -> None:
    person = approve_when_asked(gate, "approved")
    assert client.guarded("refund", wait=30)(lambda amount: amount + 1)(1) == 2
    person.join()
    assert [report["status"] for _, report in gate.outcomes] == ["succeeded"]


def test_an_impatient_call_is_pending_and_does_not_run(gate: Gate, client: Countersign) -> None:
    ran: list[str] = []
    for wait in (None, 0.2):
        with pytest.raises(Pending, match="Finance must agree") as raised:
            client.guarded("refund", wait=wait)(lambda: ran.append("ran"))()
        assert raised.value.decision.approval is not None
    assert ran == []
    assert gate.outcomes == []


def test_a_wait_survives_a_gate_that_restarts() -> None:
    busy = response(b"", "503 Service Unavailable")
    approved = response({"id": "apr_1", "status": "approved"})
    pending = response({"id": "apr_1", "status": "pending"})
    with Server(script(torn, busy, pending, torn, torn, approved)) as server:
        assert asking(server, timeout=20).wait("apr_1", timeout=60).status == "approved"


def test_a_wait_needs_an_approval(client: Countersign) -> None:
    for asked in ("dec_1", "apr_1/../../me", client.check("read")):
        with pytest.raises(Misused):
            client.wait(asked)


def test_a_skipped_number_is_told_to_the_only_user_of_a_key() -> None:
    with Server(script(*[response(allow(number)) for number in (7, 8, 11, 12)])) as server:
        gaps: list[tuple[int, int]] = []
        client = asking(
            server, sole_user_of_key=True, on_gap=lambda expected, got: gaps.append((expected, got))
        )
        for _ in range(4):
            client.check("read")
    assert gaps == [(9, 11)]


@pytest.mark.filterwarnings("error")
def test_processes_that_share_a_key_are_not_told() -> None:
    with Server(script(response(allow(1)), response(allow(9)))) as server:
        client = asking(server)
        client.check("read")
        client.check("read")


def test_the_only_user_of_a_key_is_warned_by_default() -> None:
    with Server(script(response(allow(1)), response(allow(9)))) as server:
        client = asking(server, sole_user_of_key=True)
        client.check("read")
        with pytest.warns(UserWarning, match="decision 2 was due and 9 came"):
            client.check("read")


def test_threads_that_overtake_each_other_are_no_gap() -> None:
    overtaken, under_way = threading.Event(), threading.Event()

    def behave(request: Request, connection: socket.socket) -> None:
        tool = request.question["tool"]
        if tool == "slow":
            under_way.set()
            overtaken.wait(10)
        connection.sendall(response(allow({"first": 1, "slow": 2, "fast": 3}[tool])))

    gaps: list[tuple[int, int]] = []
    with Server(behave) as server:
        client = asking(server, timeout=20, sole_user_of_key=True, on_gap=lambda *gap: gaps.append(gap))
        client.check("first")
        slow = threading.Thread(target=client.check, args=("slow",))
        slow.start()
        under_way.wait(10)
        client.check("fast")
        overtaken.set()
        slow.join()
    assert gaps == []


def test_receipts_are_kept_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "receipts.jsonl"
    with Server(script(response(allow(1)), response(allow(2)))) as server:
        client = asking(server, receipts=file)
        decisions = [client.check("read"), client.check("read")]
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [each["receipt"] for each in kept] == [decision.receipt for decision in decisions]
    assert [(each["decision"], each["agent_seq"]) for each in kept] == [
        (each.id, each.agent_seq) for each in decisions
    ]
    assert file.stat().st_mode & 0o077 == 0


def test_a_receipt_that_cannot_be_kept_is_a_warning_and_no_refusal(tmp_path: Path) -> None:
    with Server(script(response(allow(1)))) as server:
        client = asking(server, receipts=tmp_path)
        with pytest.warns(UserWarning, match="could not be kept"):
            assert client.check("read").allowed


def busy(number: int, **changed: Any) -> bytes:
    denial = {"decision": "deny", "code": "budget_busy", "expires_at": None, "retry_after": 0}
    return response(allow(number, **denial | changed))


def test_a_busy_budget_is_asked_again_for_as_long_as_one_waits() -> None:
    with Server(script(busy(1), busy(2), response(allow(3)))) as server:
        assert asking(server).check_and_wait("read", wait=20).allowed
        assert len(server.requests) == 3
        assert len({each.headers["idempotency-key"] for each in server.requests}) == 3
    with Server(script(busy(1), response(allow(2)))) as server:
        assert asking(server).guarded("read", wait=20)(lambda: "done")() == "done"


@pytest.mark.parametrize(
    ("changed", "wait"),
    [({"retry_after": 60}, 20), ({}, 0), ({"downgrade": {"model": "small", "held_usd": "0.01"}}, 20)],
)
def test_what_takes_longer_or_offers_a_cheaper_model_is_answered_at_once(
    changed: dict[str, Any], wait: float
) -> None:
    with Server(script(busy(1, **changed), response(allow(2)))) as server:
        assert asking(server).check_and_wait("read", wait=wait).code == "budget_busy"
        assert len(server.requests) == 1
