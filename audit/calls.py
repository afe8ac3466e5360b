"""One POST to an address that the operator configured: bounded in time and size, and no redirect is followed."""

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

DEADLINE = 8.0  # seconds for the whole exchange, however the bytes come
LARGEST = 1_000_000  # bytes of an answer


class Unreachable(OSError):
    """No usable answer came in time; the message says what happened, and names no path or password."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    body: bytes


def is_address(url: str) -> bool:
    """Whether one can POST there."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isascii()
        )
    except ValueError:
        return False


def post(url: str, body: bytes, kind: str, *, deadline: float = DEADLINE) -> Answer:
    """Send a body of this media type. Raises Unreachable."""
    if not is_address(url):
        raise Unreachable("The address is none: it begins with https:// or http://.")
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=deadline, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=deadline)
    )
    late = threading.Event()
    timer = threading.Timer(deadline, cut, [connection, late])
    timer.start()
    try:
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("POST", path, body, {"Content-Type": kind, "User-Agent": "Countersign"})
        answer = connection.getresponse()
        found = answer.read(LARGEST + 1)
        if len(found) > LARGEST:
            raise Unreachable(f"{host} answered more than {LARGEST:,} bytes.")
        return Answer(answer.status, answer.getheader("Content-Type", ""), found)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, Unreachable):
            raise
        if late.is_set() or isinstance(error, TimeoutError):
            raise Unreachable(f"{host} did not answer within {deadline:.0f} s.") from error
        raise Unreachable(f"{host} cannot be asked: {str(error) or type(error).__name__}.") from error
    finally:
        timer.cancel()
        connection.close()


def cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End an exchange that takes too long."""
    late.set()
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
