"""An allow is fresh by the server's clock, and for the call that was asked about."""

import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from countersign import Countersign, Denied, Unreachable

from tests.clients.faulty_server import (
    WHOLE_SECOND,
    Gate,
    Request,
    Server,
    allow,
    always,
    asking,
    dated,
    http_date,
    response,
    script,
)


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
