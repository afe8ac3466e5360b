"""What the gate's own tests cannot send: HTTP that is odd, endless, cut off or slow, to real servers. Nothing of it is
written, and other agents do not notice."""

import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.processes import GATE, PORTAL, Installation

BODY = json.dumps({"tool": "files.read", "arguments": {"path": "/srv/reports/q3.csv"}}).encode()
SLOW = 200
PATIENCE = 20.0


@dataclass
class Server:
    """A real server, and what its log holds."""

    name: str
    port: int
    world: Installation

    @property
    def key(self) -> bytes:
        return self.world.key("acme-0").encode()

    def entries(self) -> int:
        return len(self.world.entries("acme"))

    def post(self, *headers: bytes, body: bytes = BODY, line: bytes = b"POST /v1/check HTTP/1.1") -> bytes:
        lines = [line, b"Host: gate.test", b"Authorization: Bearer " + self.key, *headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def sized(self, body: bytes = BODY, *headers: bytes, line: bytes = b"POST /v1/check HTTP/1.1") -> bytes:
        """A request as it should be."""
        return self.post(b"Content-Length: %d" % len(body), *headers, body=body, line=line)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def exchange(
        self, *parts: bytes, answers: int = 1, leave: bool = False
    ) -> list[tuple[int, dict[str, Any]]]:
        """Send until there is an answer; statuses and bodies of so many answers, fewer where the server hangs up."""
        with self.connect() as line:
            for part in parts:
                if select.select([line], [], [], 0)[0]:
                    break
                try:
                    line.sendall(part)
                except OSError:  # the server has heard enough
                    break
            if leave:
                line.shutdown(socket.SHUT_WR)
            return read(line, answers)

    def works(self) -> bool:
        ((status, answer),) = self.exchange(self.sized())
        return status == 200 and answer["decision"] == "allow"


def read(line: socket.socket, wanted: int) -> list[tuple[int, dict[str, Any]]]:
    """Final answers as (status, body); a server's own refusal has no JSON and is an empty object."""
    raw = b""
    found: list[tuple[int, dict[str, Any]]] = []
    while len(found) < wanted:
        head, separator, rest = raw.partition(b"\r\n\r\n")
        if separator:
            status = int(head.split(b" ", 2)[1])
            lengths = [one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            if len(rest) >= length:
                raw = rest[length:]
                if status >= 200:
                    body = rest[:length]
                    found.append((status, json.loads(body) if body.startswith(b"{") else {}))
                continue
        try:
            received = line.recv(65536)
        except ConnectionResetError:
            break
        if not received:
            break
        raw += received
    return found


@pytest.fixture(scope="module", params=[("uvicorn", GATE), ("daphne", PORTAL)], ids=["uvicorn", "daphne"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    name, application = request.param
    world = Installation(tmp_path_factory.mktemp(name)).seed()
    try:
        yield Server(name, world.serve(application, server=name), world)
    finally:
        world.end()


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"10000\r\n" + b"x" * 65536 + b"\r\n"
    yield b"0\r\n\r\n"


def refusals(server: Server) -> dict[str, tuple[tuple[bytes, ...], set[int], str]]:
    """By name: what to send, the statuses that may come, and the gate's code where the gate itself refuses."""
    head = server.post(b"Transfer-Encoding: chunked", body=b"")
    return {
        "50 MiB in chunks": ((head, *chunks(800)), {413}, "body_too_large"),
        "50 MiB announced": ((server.post(b"Content-Length: 52428800", body=b""), *[bytes(1 << 20)] * 50), {413},
                             "body_too_large"),
        "a length that is no number": ((server.post(b"Content-Length: many"),), {400}, ""),
        "a negative length": ((server.post(b"Content-Length: -1"),), {400}, ""),
        "two lengths": ((server.post(b"Content-Length: 5", b"Content-Length: %d" % len(BODY)),), {400}, ""),
        "a length that cuts the body": ((server.post(b"Content-Length: 20"),), {400}, "malformed_json"),
        "a chunk that lies about its size": ((head, b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"), {400}, ""),
        "a header of 1 MiB": ((server.sized(BODY, b"X-Long: " + b"x" * (1 << 20)),), {400, 431}, "headers_too_large"),
        "many headers": ((server.sized(BODY, *[b"X-%d: %s" % (n, b"x" * 500) for n in range(400)]),), {400, 431},
                         "headers_too_large"),
        "no HTTP at all": ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",), {400}, ""),
        "a body that is compressed": ((server.sized(b"\x1f\x8b\x08\x00" + b"\x00" * 40, b"Content-Encoding: gzip"),),
                                      {400}, "invalid_unicode"),
    }  # fmt: skip


NAMES = (
    "50 MiB in chunks", "50 MiB announced", "a length that is no number", "a negative length", "two lengths",
    "a length that cuts the body", "a chunk that lies about its size", "a header of 1 MiB", "many headers",
    "no HTTP at all", "a body that is compressed",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_odd_http_is_refused_and_nothing_is_written(server: Server, name: str) -> None:
    parts, statuses, code = refusals(server)[name]
    before = server.entries()
    told = server.exchange(*parts)
    for status, body in told:  # daphne hangs up on a line that is too long
        assert status in statuses
        assert body.get("code", code) == code
    assert told or (server.name, name) == ("daphne", "a header of 1 MiB")
    assert server.entries() == before
    assert server.works()


@pytest.mark.parametrize("whole", [True, False])
def test_a_caller_who_leaves_before_the_end_has_asked_nothing(server: Server, whole: bool) -> None:
    before = server.entries()
    body = BODY if whole else BODY[:20]
    for head in (b"Content-Length: 500", b"Transfer-Encoding: chunked"):
        sent = b"%x\r\n%s\r\n" % (len(body), body) if head.startswith(b"Transfer") else body
        server.exchange(server.post(head, body=sent), leave=True)
    assert server.works()
    assert server.entries() == before + 1


def test_requests_in_a_row_are_answered_in_a_row(server: Server) -> None:
    bad = server.sized(b"{}")
    told = server.exchange(server.sized() + bad + server.sized(), answers=3)
    assert [status for status, _ in told] == [200, 400, 200]
    assert told[0][1]["agent_seq"] + 1 == told[2][1]["agent_seq"]


def test_old_http_and_expectations_are_served(server: Server) -> None:
    told = server.exchange(server.sized(line=b"POST /v1/check HTTP/1.0"))
    with server.connect() as line:
        line.sendall(server.post(b"Content-Length: %d" % len(BODY), b"Expect: 100-continue", body=b""))
        assert line.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(BODY)
        told += read(line, 1)
    assert [(status, answer["decision"]) for status, answer in told] == [(200, "allow")] * 2


def test_slow_callers_keep_nobody_waiting(server: Server) -> None:
    """Heads and bodies that trickle in hold a connection each, and no thread."""
    before = server.entries()
    request = server.post(b"Content-Length: 500")
    lines = []
    try:
        for number in range(SLOW):
            lines.append(server.connect())
            lines[-1].sendall(request[: 30 if number % 2 else len(request)])
        for _ in range(3):
            assert server.works()
            for line in lines:
                line.sendall(b" ")
            time.sleep(0.1)
    finally:
        for line in lines:
            line.close()
    assert server.works()
    assert server.entries() == before + 4
