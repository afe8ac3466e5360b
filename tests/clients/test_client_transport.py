"""How the client gets to the gate: addresses, keys, proxies, certificates, repetitions."""

import socket
import threading
import time
from pathlib import Path

import pytest
from countersign import Countersign, CountersignError, Misused, Refused, Unreachable

from tests.clients.faulty_server import (
    Behavior,
    Gate,
    Request,
    Server,
    allow,
    always,
    asking,
    problem,
    read_request,
    response,
    script,
    self_signed,
    torn,
    torn_in_the_body,
)


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with Server(script(b"")) as server:
        pass
    with pytest.raises(Unreachable, match="cannot be reached"):
        asking(server).check("read")


def test_a_host_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot be"):
        Countersign("https://gate.invalid", "csk_good", timeout=2).check("read")


def test_a_late_answer_leaves_no_connection_behind() -> None:
    gone = threading.Event()

    def drip(request: Request, connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"H")
                time.sleep(0.02)
        except OSError:
            gone.set()

    with Server(drip) as server:
        with pytest.raises(Unreachable, match="in time"):
            asking(server, timeout=0.3).check("read")
        assert gone.wait(20)


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
