"""Two small HTTP servers on real sockets: one does as it is told, one keeps to the agents' wire format."""

import asyncio
import ipaddress
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from countersign import Countersign
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

WHOLE_SECOND = datetime.now(UTC).replace(microsecond=0)


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def question(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read


Behavior = Callable[[Request, socket.socket], None]


class Server:
    """Answers every connection with one call of `behave(request, connection)`; keeps the requests it read."""

    def __init__(self, behave: Behavior) -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._tls: ssl.SSLContext | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def speak_tls(self, certificate: Path) -> None:
        """Speak TLS from now on, with the key and certificate of one PEM file."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self._tls = context
        self.url = f"https://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with (
                self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as connection
            ):
                request = read_request(connection)
                self.requests.append(request)
                self.behave(request, connection)
        except OSError:
            pass  # the client has gone, as it should from most of these servers


def read_request(connection: socket.socket) -> Request:
    with connection.makefile("rb") as stream:
        method, path, _ = stream.readline().decode().split(" ")
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Request(method, path, headers, stream.read(int(headers.get("content-length", 0))))


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def response(
    body: bytes | dict[str, Any], status: str = "200 OK", date: datetime | None = None, headers: str = ""
) -> bytes:
    """Return a whole response, dated now unless told otherwise."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status}\r\nDate: {http_date(date or datetime.now(UTC))}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    )
    return head.encode() + content


def problem(status: str, code: str, detail: str, headers: str = "") -> bytes:
    body = {"type": "about:blank", "title": code, "status": int(status[:3]), "code": code, "detail": detail}
    return response(body, status, headers=headers)


def allow(number: int = 1, now: datetime | None = None, **changed: Any) -> dict[str, Any]:
    """Return the body of an allow good for a minute, with some fields changed, or left out where None."""
    now = now or datetime.now(UTC)
    body = {
        "id": f"dec_{number}",
        "decision": "allow",
        "code": "granted",
        "expires_at": (now + timedelta(seconds=60)).isoformat().replace("+00:00", "Z"),
        "agent_seq": number,
        "reasons": [],
        "resources": ["file:///reports/q3.csv"],
        "approval": None,
        "budget": {"held_usd": "0.02", "remaining_usd": "4.10"},
        "policy": "pol_1",
        "revision": 77,
        "receipt": {"log": "https://gate.test/ws/1", "index": number, "leaf": "00" * 32},
    }
    body.update(changed)
    return {name: value for name, value in body.items() if value is not None or name == "approval"}


def self_signed(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that it signed itself into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gate.test")])
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.add_extension(loopback, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def always(answer: bytes) -> Behavior:
    return lambda request, connection: connection.sendall(answer)


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def asking(server: Server, **options: Any) -> Countersign:
    return Countersign(server.url, "csk_good", **{"timeout": 5.0, **options})


def script(*answers: bytes | Behavior) -> Behavior:
    """Answer each connection with the next of `answers`, the last one for ever."""
    left = list(answers)

    def behave(request: Request, connection: socket.socket) -> None:
        answer = left.pop(0) if len(left) > 1 else left[0]
        (always(answer) if isinstance(answer, bytes) else answer)(request, connection)

    return behave


def torn(request: Request, connection: socket.socket) -> None:
    reset(connection)


def torn_in_the_body(request: Request, connection: socket.socket) -> None:
    connection.sendall(response(allow())[:-20])
    reset(connection)


def dated(seconds: float, **options: Any) -> bytes:
    """Return an allow that expires this many seconds after its Date header."""
    return response(allow(now=WHOLE_SECOND + timedelta(seconds=seconds - 60)), date=WHOLE_SECOND, **options)


class Gate(Server):
    """A gate that keeps to the wire format: `read` is allowed, `refund` needs a person, others are denied."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.outcomes: list[tuple[str, dict[str, Any]]] = []
        self.approvals: dict[str, str] = {}
        self.changed = threading.Condition()
        self.skew = timedelta(0)
        self.numbers = 0

    def decide(self, status: str) -> None:
        """Be the person who settles every pending approval."""
        with self.changed:
            self.approvals = dict.fromkeys(self.approvals, status)
            self.changed.notify_all()

    def answer(self, request: Request, connection: socket.socket) -> None:
        now = datetime.now(UTC) + self.skew
        if request.headers.get("authorization") != "Bearer csk_good":
            connection.sendall(problem("401 Unauthorized", "key_expired", "This key has expired."))
        elif request.path == "/v1/check":
            connection.sendall(response(self.check(request.question, now), date=now))
        elif request.path.startswith("/v1/approvals/"):
            connection.sendall(response(self.approval(request.path), date=now))
        elif request.path.endswith("/outcome"):
            self.outcomes.append((request.path.split("/")[3], request.question))
            connection.sendall(response({"id": request.path.split("/")[3], "recorded": True}, date=now))
        else:
            connection.sendall(response({"agent": "report-bot", "standing": "active"}, date=now))

    def check(self, question: dict[str, Any], now: datetime) -> dict[str, Any]:
        with self.changed:
            self.numbers += 1
            number, approval = self.numbers, question.get("approval", "")
            if question["tool"] == "read" or self.approvals.get(approval) == "approved":
                named = {"id": approval, "status": "used"} if approval else None
                return allow(number, now, approval=named)
            if question["tool"] != "refund":
                return allow(number, now, decision="deny", code="unknown_tool", expires_at=None)
            self.approvals[f"apr_{number}"] = "pending"
            named = {"id": f"apr_{number}", "status": "pending", "url": None, "expires_at": None}
            reasons = [{"code": "rule", "rule": "Large refunds", "message": "Finance must agree."}]
            return allow(number, now, decision="pending", code="rule", approval=named, reasons=reasons)

    def approval(self, path: str) -> dict[str, Any]:
        name, _, wait = path.removeprefix("/v1/approvals/").partition("?wait=")
        with self.changed:
            self.changed.wait_for(lambda: self.approvals[name] != "pending", timeout=float(wait or 0))
            return {"id": name, "status": self.approvals[name], "expires_at": None}


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
