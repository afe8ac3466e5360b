"""The agents' client against a server that keeps to the wire format, and one that breaks it in every way."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from countersign import (
    Countersign,
    CountersignError,
    Decision,
    Denied,
    Misused,
    Pending,
    Refused,
    Unreachable,
    current_decision,
)

from tests.clients.faulty_server import (
    Behavior,
    Gate,
    Request,
    Server,
    allow,
    always,
    http_date,
    problem,
    read_request,
    reset,
    response,
    self_signed,
)

WHOLE_SECOND = datetime.now(UTC).replace(microsecond=0)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: "
    + http_date(WHOLE_SECOND).encode()
    + b"\r\n\r\n"
)
UNDATED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COUNTERSIGN_URL", "COUNTERSIGN_KEY", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as running:
        yield running


@pytest.fixture
def client(gate: Gate) -> Countersign:
    return Countersign(gate.url, "csk_good", timeout=20)


def asking(server: Server, **options: Any) -> Countersign:
    return Countersign(server.url, "csk_good", **{"timeout": 5.0, **options})


def script(*answers: bytes | Behavior) -> Behavior:
    """Answer each connection with the next of `answers`, the last one for ever."""
    left = list(answers)

    def behave(request: Request, connection: socket.socket) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        (always(answer) if isinstance(answer, bytes) else answer)(request, connection)

    return behave


def silent(request: Request, connection: socket.socket) -> None:
    connection.recv(1)  # until the client has gone


def torn(request: Request, connection: socket.socket) -> None:
    reset(connection)


def torn_in_the_body(request: Request, connection: socket.socket) -> None:
    connection.sendall(response(allow())[:-20])
    reset(connection)


def dripping(content: bytes) -> Behavior:
    def behave(request: Request, connection: socket.socket) -> None:
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return behave


def endless(request: Request, connection: socket.socket) -> None:
    connection.sendall(UNDATED + b"{")
    while True:
        connection.sendall(b" " * 65536)


def chunk(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def dated(seconds: float, **options: Any) -> bytes:
    """Return an allow that expires this many seconds after its Date header."""
    return response(allow(now=WHOLE_SECOND + timedelta(seconds=seconds - 60)), date=WHOLE_SECOND, **options)


# What goes wrong, the answer, and what the error must say.
FAULTS: list[tuple[str, bytes | Behavior, str]] = [
    ("late", silent, "in time"),
    ("drips its body", dripping(response(allow())), "in time"),
    ("drips its headers", dripping(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 90), "in time"),
    ("resets", torn, "cannot be reached"),
    ("resets in the body", torn_in_the_body, "cannot be reached"),
    ("closes without a word", lambda request, connection: None, "cannot be reached"),
    ("speaks no HTTP", always(b"220 mail.example.com ESMTP\r\n"), "cannot be reached"),
    ("cuts a chunked body", always(CHUNKED + chunk(allow())), "IncompleteRead"),
    ("cuts a measured body", always(response(allow()).replace(b"Length: ", b"Length: 1")), "IncompleteRead"),
    ("never stops", endless, "larger than"),
    ("answers too much", response(json.dumps(allow()).encode() + b" " * (1 << 20)), "larger than"),
    ("500", response(allow(), "500 Internal Server Error"), "failed (500)"),
    ("502", response(allow(), "502 Bad Gateway"), "not available (502)"),
    ("503", response(allow(), "503 Service Unavailable"), "not available (503)"),
    ("201", response(allow(), "201 Created"), "failed (201)"),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", "failed (204)"),
    ("301", response(allow(), "301 Moved", headers="Location: /v1/check\r\n"), "redirects (301)"),
    ("404 without a problem", response(b"<h1>Not found</h1>", "404 Not Found"), "not JSON"),
    ("404 without a code", response(allow(code=None), "404 Not Found"), "'code'"),
    ("empty", response(b""), "empty"),
    ("malformed", response(b'{"decision": "allow",'), "not JSON"),
    ("HTML", response(b"<html><body>Sign in to the Wi-Fi</body></html>"), "not JSON"),
    ("not UTF-8", response(json.dumps(allow()).encode("utf-16")), "not JSON"),
    ("NaN", response(json.dumps(allow(budget={"held_usd": float("nan")})).encode()), "not JSON"),
    ("a list", response(json.dumps([allow()]).encode()), "not a JSON object"),
    ("too deep", response(b'{"decision": "allow", "reasons": ' + b"[" * 200_000), "not JSON"),
    ("says both", response(json.dumps(allow()).encode()[:-1] + b', "decision": "deny"}'), "not JSON"),
    ("stale", dated(-1), "stale"),
    ("stale within the second", dated(0.9), "stale"),
    ("undated", UNDATED + json.dumps(allow()).encode(), "cannot be dated"),
    ("misdated", response(allow()).replace(b"Date: ", b"Date: some "), "cannot be dated"),
    ("without expiry", response(allow(expires_at=None)), "cannot be dated"),
    ("never expires", response(allow(expires_at="never")), "'expires_at'"),
    ("expires nowhere", response(allow(expires_at="2999-01-01T00:00:00")), "'expires_at'"),
    ("expires in seconds", response(allow(expires_at=60)), "'expires_at'"),
    ("unknown decision", response(allow(decision="allowed")), "neither allow"),
    ("loud decision", response(allow(decision="ALLOW")), "neither allow"),
    ("true decision", response(allow(decision=True)), "'decision'"),
    ("approval of another call", response(allow(approval={"id": "dec_1", "status": "approved"})), "apr_"),
    ("numbered id", response(allow(id=1)), "'id'"),
    ("id of another kind", response(allow(id="apr_1")), "dec_"),
    ("id with a path", response(allow(id="dec_1/../2")), "dec_"),
    ("one resource as text", response(allow(resources="file:///a")), "'resources'"),
    ("numbered resources", response(allow(resources=[1])), "'resources'"),
    ("reasons as an object", response(allow(reasons={})), "'reasons'"),
    ("agent_seq as text", response(allow(agent_seq="1")), "'agent_seq'"),
    ("agent_seq as truth", response(allow(agent_seq=True)), "'agent_seq'"),
    ("revision as a fraction", response(allow(revision=1.5)), "'revision'"),
    ("receipt as text", response(allow(receipt="yes")), "'receipt'"),
    ("pending on nobody", response(allow(decision="pending")), "without an approval"),
    *[
        (
            f"without {name}",
            response({key: value for key, value in allow().items() if key != name}),
            f"'{name}'",
        )
        for name in ("id", "decision", "code", "reasons", "resources", "agent_seq", "revision", "receipt")
    ],
]
SLOW = ("late", "drips its body", "drips its headers")


def guarded_both_ways(client: Countersign, **options: Any) -> tuple[list[str], list[Callable[[], Any]]]:
    """Return what ran, and a sync and an async guarded function to call."""
    ran: list[str] = []

    @client.guarded("read", **options)
    def read(path: str) -> str:
        ran.append(path)
        return path.upper()

    @client.guarded("read", **options)
    async def read_async(path: str) -> str:
        ran.append(path)
        return path.upper()

    return ran, [lambda: read("a"), lambda: asyncio.run(read_async("b"))]


@pytest.mark.parametrize(
    ("answer", "says"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_guarded_function_never_runs_on_a_faulty_answer(
    answer: bytes | Behavior, says: str, request: pytest.FixtureRequest
) -> None:
    slow = request.node.callspec.id in SLOW
    with Server(script(answer)) as server:
        client = asking(server, timeout=0.4 if slow else 20)
        ran, calls = guarded_both_ways(client, wait=1)
        for call in calls:
            with pytest.raises(Unreachable) as raised:
                call()
            assert says in str(raised.value)
    assert ran == []
    assert {sent.path for sent in server.requests} == {"/v1/check"}
    assert not client.unreported


def test_the_same_server_without_a_fault_lets_it_run() -> None:
    with Server(script(response(allow(1)), response({}), response(allow(2)), response({}))) as server:
        ran, calls = guarded_both_ways(asking(server))
        assert [call() for call in calls] == ["A", "B"]
    assert ran == ["a", "b"]


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with Server(script(b"")) as server:
        pass
    with pytest.raises(Unreachable, match="cannot be reached"):
        asking(server).check("read")


def test_a_host_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot be"):
        Countersign("https://gate.invalid", "csk_good", timeout=2).check("read")


def test_a_redirect_does_not_carry_the_key_elsewhere() -> None:
    with Server(always(response(allow()))) as elsewhere:
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            location = f"Location: http://localhost:{elsewhere.port}/v1/check\r\n"
            with (
                Server(always(response(b"", status, headers=location))) as server,
                pytest.raises(Unreachable),
            ):
                asking(server).check("read")
            assert len(server.requests) == 1
    assert elsewhere.requests == []


def test_a_refused_request_is_a_problem_with_its_code(gate: Gate) -> None:
    stranger = Countersign(gate.url, "csk_bad")
    ran, calls = guarded_both_ways(stranger)
    for call in [*calls, lambda: stranger.check("read"), stranger.me]:
        with pytest.raises(Refused, match="This key has expired") as raised:
            call()
        assert (raised.value.status, raised.value.code) == (401, "key_expired")
    assert ran == []


# Freshness


@pytest.mark.parametrize("hours", [-30, 0, 30])
def test_a_fresh_allow_is_fresh_whatever_the_servers_clock_says(
    gate: Gate, client: Countersign, hours: int
) -> None:
    gate.skew = timedelta(hours=hours)
    assert client.check("read").allowed


def test_a_stale_allow_of_a_server_ahead_is_stale_though_our_clock_disagrees() -> None:
    ahead = WHOLE_SECOND + timedelta(hours=1)
    body = allow(now=ahead - timedelta(seconds=90))
    assert datetime.fromisoformat(body["expires_at"]) > datetime.now(UTC)
    with Server(always(response(body, date=ahead))) as server, pytest.raises(Unreachable, match="stale"):
        asking(server).check("read")


def test_the_later_of_two_dates_counts() -> None:
    later = http_date(WHOLE_SECOND + timedelta(hours=1))
    with (
        Server(always(dated(60, headers=f"Date: {later}\r\n"))) as server,
        pytest.raises(Unreachable, match="stale"),
    ):
        asking(server).check("read")


def test_an_allow_ages_while_its_answer_is_under_way() -> None:
    def hesitate(request: Request, connection: socket.socket) -> None:
        if request.path == "/v1/check":
            answer = dated(1.3)  # 0.3 s, after a Date header's uncertainty of one second
            connection.sendall(answer[:-1])
            time.sleep(0.5)
            connection.sendall(answer[-1:])
        else:
            connection.sendall(response({}))

    with Server(hesitate) as server:
        client = asking(server, timeout=20)
        ran: list[str] = []
        with pytest.raises(Denied, match="expired before the work began") as raised:
            client.guarded("read")(lambda: ran.append("ran"))()
        assert raised.value.decision.decision == "allow"
        assert raised.value.decision.expired
        assert not raised.value.decision.allowed
    assert ran == []
    assert [sent.question["status"] for sent in server.requests[1:]] == ["skipped"]


def test_a_dry_run_permits_nothing() -> None:
    rehearsal = allow(agent_seq=None, receipt=None)
    with Server(always(response(rehearsal))) as server:
        decision = asking(server).check("read", dry_run=True)
    assert server.requests[0].question["dry_run"] is True
    assert decision.decision == "allow"
    assert not decision.allowed
    assert "would be allowed" in decision.message()


# Answers to other questions


def test_an_answer_given_to_another_call_is_refused() -> None:
    with Server(always(response(allow()))) as server:
        client = asking(server)
        assert client.check("read", {"path": "a"}, call_id="1").allowed
        assert client.check("read", {"path": "a"}, call_id="1").allowed
        for tool, path, call_id in [
            ("read", "b", "1"),
            ("write", "a", "1"),
            ("read", "a", "2"),
            ("read", "a", None),
        ]:
            with pytest.raises(Unreachable, match="another call's answer"):
                client.check(tool, {"path": path}, call_id=call_id)


def test_a_call_asked_twice_without_a_call_id_is_two_calls() -> None:
    with Server(always(response(allow()))) as server:
        client = asking(server)
        client.check("read", {"path": "a"})
        with pytest.raises(Unreachable, match="another call's answer"):
            client.check("read", {"path": "a"})


def test_one_call_is_not_allowed_under_two_ids_while_the_first_is_open() -> None:
    with Server(
        script(*[response(allow(number)) for number in (1, 2)], response({}), response(allow(3)))
    ) as server:
        client = asking(server)
        first = client.check("read", call_id="1")
        with pytest.raises(Unreachable, match="allowed one call twice"):
            client.check("read", call_id="1")
        client.outcome(first, "succeeded")
        assert client.check("read", call_id="1").id == "dec_3"


def test_an_allow_under_another_approval_is_refused() -> None:
    other = {"id": "apr_2", "status": "used"}
    with Server(always(response(allow(approval=other)))) as server, pytest.raises(Unreachable, match="apr_2"):
        asking(server).check("refund", approval="apr_1")


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "apr_2", "status": "approved"},
        {"status": "approved"},
        {"id": "apr_1"},
        {"id": "apr_1", "status": 1},
    ],
)
def test_a_wait_answered_about_something_else_is_no_approval(answer: dict[str, Any]) -> None:
    with Server(always(response(answer))) as server, pytest.raises(Unreachable):
        asking(server).wait("apr_1", timeout=1)


def test_an_outcome_answered_about_another_decision_is_refused() -> None:
    with (
        Server(always(response({"id": "dec_2"}))) as server,
        pytest.raises(Unreachable, match="another decision"),
    ):
        asking(server).outcome("dec_1", "succeeded")


# Repetitions


@pytest.mark.parametrize(
    "first",
    [
        torn,
        torn_in_the_body,
        response(b"", "502 Bad Gateway"),
        response(b"", "503 Service Unavailable", headers="Retry-After: 0\r\n"),
        problem("429 Too Many Requests", "too_many_requests", "Slow down.", "Retry-After: 0\r\n"),
    ],
    ids=["reset", "reset in the body", "502", "503", "429"],
)
def test_an_interrupted_check_is_repeated_once_under_the_same_idempotency_key(
    first: bytes | Behavior,
) -> None:
    with Server(script(first, response(allow()))) as server:
        assert asking(server, timeout=20).check("read").allowed
    once, again = server.requests
    assert once.body == again.body
    assert once.headers["idempotency-key"] == again.headers["idempotency-key"]


@pytest.mark.parametrize(
    ("answer", "error", "asked"),
    [
        (torn, Unreachable, 2),
        (response(b"", "503 Service Unavailable"), Unreachable, 2),
        (response(b"", "503 Service Unavailable", headers="Retry-After: 3600\r\n"), Unreachable, 1),
        (response(b"", "500 Internal Server Error"), Unreachable, 1),
        (response(b""), Unreachable, 1),
        (problem("429 Too Many Requests", "too_many_requests", "Slow down."), Refused, 1),
        (problem("429 Too Many Requests", "x", "Slow down.", "Retry-After: 3600\r\n"), Refused, 1),
        (problem("409 Conflict", "call_id_reused", "Another call has this id."), Refused, 1),
    ],
)
def test_nothing_is_asked_more_often_than_may_help(
    answer: bytes | Behavior, error: type[CountersignError], asked: int
) -> None:
    with Server(script(answer)) as server, pytest.raises(error):
        asking(server, timeout=20).check("read")
    assert len(server.requests) == asked


def test_two_checks_have_two_idempotency_keys(gate: Gate, client: Countersign) -> None:
    client.check("read")
    client.check("read")
    first, second = (sent.headers["idempotency-key"] for sent in gate.requests)
    assert first != second


# The wire format


def test_a_check_sends_what_was_given_and_reads_the_whole_answer(gate: Gate) -> None:
    client = Countersign(gate.url + "/", "csk_good", session="run-42")
    decision = client.check(
        "read", {"path": "q3.csv"}, call_id="call_7", reason="asked for", on_behalf_of="alice@example.com",
        estimated_cost_usd="0.02", context={"ticket": 1}, resource="file:///q3.csv", action="read",
    )  # fmt: skip
    assert gate.requests[0].path == "/v1/check"
    assert gate.requests[0].question == {
        "tool": "read", "arguments": {"path": "q3.csv"}, "session": "run-42", "call_id": "call_7",
        "reason": "asked for", "on_behalf_of": "alice@example.com", "estimated_cost_usd": "0.02",
        "context": {"ticket": 1}, "resource": "file:///q3.csv", "action": "read",
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
    assert gate.outcomes == [
        (decision.id, {"status": "running"}),
        (
            decision.id,
            {"status": "succeeded", "summary": "read it", "changes": ["none"], "cost_usd": "0.018"},
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


# People


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


# Guarded functions


def test_arguments_are_the_bound_parameters_by_name(gate: Gate, client: Countersign) -> None:
    @client.guarded("read", session="run-42")
    def read(path: str, *more: str, limit: int = 10, **options: str) -> str:
        return path

    assert read("a", "b", mode="r") == "a"
    assert gate.requests[0].question["arguments"] == {"path": "a", "more": ["b"], "limit": 10, "mode": "r"}
    assert gate.requests[0].question["session"] == "run-42"


def test_arguments_may_be_named_as_the_tool_names_them(gate: Gate, client: Countersign) -> None:
    class Shelf:
        @client.guarded("read", arguments=lambda self, path, limit: {"file": path, "rows": limit})
        def read(self, path: str, limit: int = 10) -> str:
            return path

    assert Shelf().read("a") == "a"
    assert gate.requests[0].question["arguments"] == {"file": "a", "rows": 10}


def test_a_guarded_function_sees_the_decision_it_runs_under(client: Countersign) -> None:
    @client.guarded("read")
    def read() -> Decision:
        return current_decision()

    @client.guarded("read")
    async def read_async() -> Decision:
        await asyncio.sleep(0)
        return current_decision()

    assert read().resources == ["file:///reports/q3.csv"]
    assert asyncio.run(read_async()).resources == ["file:///reports/q3.csv"]
    with pytest.raises(Misused):
        current_decision()


def test_a_failure_is_reported_and_raised(gate: Gate, client: Countersign) -> None:
    @client.guarded("read")
    def read() -> None:
        raise FileNotFoundError("/secret/path")

    @client.guarded("read")
    async def read_async() -> None:
        raise asyncio.CancelledError

    with pytest.raises(FileNotFoundError):
        read()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(read_async())
    assert [report for _, report in gate.outcomes] == [
        {"status": "failed", "summary": "FileNotFoundError"},
        {"status": "failed", "summary": "CancelledError"},
    ]


def test_an_outcome_that_cannot_be_reported_does_not_hide_the_result() -> None:
    def check_only(request: Request, connection: socket.socket) -> None:
        number = len(server.requests)
        fine = request.path == "/v1/check"
        connection.sendall(response(allow(number)) if fine else response(b"", "500 Internal Server Error"))

    with Server(check_only) as server:
        client = asking(server)
        ran, calls = guarded_both_ways(client)
        assert [call() for call in calls] == ["A", "B"]
        with pytest.raises(ZeroDivisionError):
            client.guarded("read")(lambda: 1 / 0)()
    assert ran == ["a", "b"]
    assert [kept.status for kept in client.unreported] == ["succeeded", "succeeded", "failed"]
    assert all(isinstance(kept.error, Unreachable) for kept in client.unreported)


def test_a_generator_cannot_be_guarded(client: Countersign) -> None:
    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(Misused, match="generator"):
        client.guarded("read")(rows)


# Numbers


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


# The way to the gate


def test_address_and_key_come_from_the_environment(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misused, match="COUNTERSIGN_URL"):
        Countersign()
    monkeypatch.setenv("COUNTERSIGN_URL", gate.url)
    monkeypatch.setenv("COUNTERSIGN_KEY", "csk_good")
    assert Countersign().me()["agent"] == "report-bot"


@pytest.mark.parametrize(
    "url",
    ["http://gate.example.com", "http://10.0.0.1", "ftp://gate.example.com", "gate.example.com", "https://",
     "https://user:word@gate.example.com", "https://gate.example.com/?a=1", "https://gate.example.com:port"],
)  # fmt: skip
def test_an_address_that_would_give_the_key_away_is_refused(url: str) -> None:
    with pytest.raises(Misused):
        Countersign(url, "csk_good")


def test_a_certificate_that_nobody_vouches_for_gets_no_key(tmp_path: Path) -> None:
    with Server(always(response(allow()))) as server:
        server.speak_tls(self_signed(tmp_path))
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            Countersign(server.url, "csk_good").check("read")
    assert server.requests == []


def test_a_certificate_that_the_system_trusts_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(self_signed(tmp_path)))
    with Server(always(response(allow()))) as server:
        server.speak_tls(tmp_path / "server.pem")
        assert Countersign(server.url, "csk_good").check("read").allowed


def test_the_key_is_never_shown() -> None:
    client = Countersign("http://gate.example.com/base/", "csk_good", allow_http=True)
    assert repr(client) == "Countersign('http://gate.example.com/base')"
    for key in ("csk_good\r\nX-Other: 1", "csk good", "csk_gööd"):
        with pytest.raises(Misused) as raised:
            Countersign("https://gate.example.com", key)
        assert "csk" not in str(raised.value)


def test_a_proxy_is_not_used_for_loopback(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(always(response(allow()))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert Countersign(gate.url, "csk_good").check("read").allowed
        assert Countersign(f"http://localhost:{gate.port}", "csk_good").check("read").allowed
    assert proxy.requests == []


def test_a_proxy_is_a_tunnel_that_does_not_see_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[Request] = []

    def tunnel(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        inside.append(read_request(connection))
        connection.sendall(response(allow()))

    with Server(tunnel) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{proxy.port}")
        assert Countersign("http://gate.invalid", "csk_good", allow_http=True).check("read").allowed
    assert (proxy.requests[0].method, proxy.requests[0].path) == ("CONNECT", "gate.invalid:80")
    assert "authorization" not in proxy.requests[0].headers
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6d29yZA=="
    assert inside[0].headers["authorization"] == "Bearer csk_good"
