"""The witness over HTTP: one path, with bounds on everything that a stranger can send.

It speaks plain HTTP. What it is sent and what it answers is signed; a proxy with TLS may stand in front.
"""

import io
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from audit.lines import printable
from audit.witness.ledger import Ledger, LedgerError
from audit.witness.requests import Answer

LARGEST_BODY = 256 * 1024
LARGEST_HEAD = 16 * 1024
IDLE = 10.0  # seconds without a byte
LONGEST = 60.0  # seconds that one connection may last
MOST_CONNECTIONS = 64
MOST_OF_ONE = 16  # connections of one address, so that one alone keeps nobody else out
log = logging.getLogger(__name__)


class TooLarge(Exception):
    """A request's head has more bytes than LARGEST_HEAD."""


class Bounded(io.BufferedReader):
    """A connection of which only so many bytes are read line by line."""

    left = LARGEST_HEAD

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line, in which the head's bytes are counted down. Raises TooLarge."""
        line = super().readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise TooLarge
        return line


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "witness", ""
    timeout = IDLE
    rbufsize = 0  # Bounded has the buffer
    server: "Server"
    rfile: Bounded

    def setup(self) -> None:
        super().setup()
        self.rfile = Bounded(cast(io.RawIOBase, self.rfile))

    def handle_one_request(self) -> None:
        self.rfile.left = LARGEST_HEAD
        try:
            super().handle_one_request()
        except TooLarge:
            self.requestline, self.command = "", ""
            self.send_error(431, "the head of the request is too large")
        except OSError:  # who asked is gone, or too slow
            self.close_connection = True

    def do_POST(self) -> None:
        """add-checkpoint, and nothing else."""
        if self.path != "/add-checkpoint":
            self.answer(Answer(404, "the only path is /add-checkpoint\n"), last=True)
            return
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self.answer(Answer(411, "say Content-Length\n"), last=True)
            return
        if len(length) > 9 or int(length) > LARGEST_BODY:
            self.answer(Answer(413, f"a request has at most {LARGEST_BODY} bytes\n"), last=True)
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        self.answer(self.judged(body))

    def do_GET(self) -> None:
        """Nothing is read here; /healthz tells that the witness is up."""
        if self.path == "/healthz":
            self.answer(Answer(200, "ok\n"))
        else:
            self.answer(Answer(404, "the only path is /add-checkpoint\n"), last=True)

    def judged(self, body: bytes) -> Answer:
        """What the ledger says; 500 where it could not be asked."""
        try:
            return self.server.ledger.add_checkpoint(body)
        except (OSError, LedgerError) as error:
            log.error("%s", error)
            return Answer(500, "the witness cannot store what it signs\n")

    def answer(self, answer: Answer, *, last: bool = False) -> None:
        """Send an answer; ``last`` where what follows on the connection cannot be understood."""
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        if last:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.request_version = (
            self.protocol_version
        )  # or what no HTTP version knows would be answered without a head
        self.answer(Answer(code, f"{message or 'the request cannot be understood'}\n"), last=True)

    def log_message(self, format: str, *args: Any) -> None:
        log.info("%s %s", self.client_address[0], printable(format % args))


class Server(ThreadingHTTPServer):
    """A thread for each connection, of which there are only so many, each for only so long."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS
    block_on_close = False

    def __init__(self, address: tuple[str, int], ledger: Ledger, *, longest: float = LONGEST) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.ledger, self.longest = ledger, longest
        self.open: dict[socket.socket, tuple[str, float]] = {}  # whose, and until when
        self.guard = threading.Lock()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.guard:
            of_one = sum(host == client_address[0] for host, _ in self.open.values())
            full = len(self.open) >= MOST_CONNECTIONS or of_one >= MOST_OF_ONE
            if not full:
                self.open[request] = client_address[0], time.monotonic() + self.longest
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.guard:
            self.open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second: end the connections whose time is over."""
        now = time.monotonic()
        with self.guard:
            over = [each for each, (_, until) in self.open.items() if until < now]
        for each in over:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("A connection ended by itself.")

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("A request failed.")
