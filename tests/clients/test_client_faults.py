"""Whatever a server does wrong, a guarded function does not run."""

import json
import socket
import time
from typing import Any

import pytest
from countersign import Unreachable

from tests.clients.faulty_server import (
    WHOLE_SECOND,
    Behavior,
    Request,
    Server,
    allow,
    always,
    asking,
    dated,
    guarded_both_ways,
    http_date,
    response,
    script,
    torn,
    torn_in_the_body,
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: "
    + http_date(WHOLE_SECOND).encode()
    + b"\r\n\r\n"
)
UNDATED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def silent(request: Request, connection: socket.socket) -> None:
    connection.recv(1)  # until the client has gone


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
