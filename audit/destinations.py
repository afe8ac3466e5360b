"""Where a webhook may go, and one POST there: to nothing inside, to the address that was judged, and within limits.

Whoever sets up a stream names a host, and this machine calls it; it could name what only this machine reaches. So every
address of the name must be public, the connection goes to one of those that were judged and to no other, redirects are
not followed, and little of the answer is read. COUNTERSIGN_STREAM_ALLOW names hosts of one's own that are meant.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

TIMEOUT = 10.0  # seconds without a byte
DEADLINE = 20.0  # seconds for the whole exchange, however the bytes come
ANSWER = 1024  # bytes of an answer that are read
AGENT = "Countersign"
WIRE_SERVER = ipaddress.ip_address("168.63.129.16")  # Azure's own, public by its number alone
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 behind NAT64 (RFC 6052)
ALLOCATED = ipaddress.ip_network(
    "2000::/3"
)  # all that is anybody's of IPv6; site-local addresses are not in it
ASSIGNMENTS = ipaddress.ip_network("192.0.0.0/24")  # IETF protocol assignments; Oracle's cloud answers there


class NotAllowed(ValueError):
    """An address where no stream may go; the message says what to do."""

    code, status = "destination_refused", 400


class Unreachable(OSError):
    """Nobody answered, or not in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, a redirect's target, the wish to be asked later (seconds), and the first bytes."""

    status: int
    location: str
    retry_after: int
    text: str


def judged(url: str) -> SplitResult:
    """The parts of an address that looks as if a stream might go there. Asks no name server. Raises NotAllowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise NotAllowed("Give an address such as https://siem.example.com/countersign.") from None
    if not host or not url.isascii() or any(each <= " " or each == "\x7f" for each in url) or port == 0:
        raise NotAllowed("Give an address such as https://siem.example.com/countersign.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise NotAllowed("Leave user name, password and fragment out of the address.")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in allowed()):
        raise NotAllowed(
            "A stream goes to https addresses. Plain http is for hosts that COUNTERSIGN_STREAM_ALLOW names."
        )
    if host not in allowed():
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return parts
        require_public(host, literal)
    return parts


def allowed() -> frozenset[str]:
    """Hosts of one's own network that are meant."""
    return frozenset(host.lower() for host in settings.STREAM_ALLOW)


def require_public(host: str, address: Address) -> None:
    """Raises NotAllowed for an address that is not anybody's on the Internet."""
    inner: Address = address
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in TRANSLATED:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        inner = embedded or address
    special = inner in ASSIGNMENTS if inner.version == 4 else inner not in ALLOCATED
    if special or not inner.is_global or inner.is_multicast or inner.is_reserved or inner == WIRE_SERVER:
        raise NotAllowed(
            f"{host} is an address inside ({address}); if it is meant, the installation's operator names it in "
            "COUNTERSIGN_STREAM_ALLOW."
        )


def resolve(host: str, port: int) -> str:
    """One of the host's addresses, after all of them were judged. Raises NotAllowed, Unreachable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} has no address: {error}") from error
    addresses = [str(each[4][0]) for each in found]
    if host not in allowed():
        for each in addresses:
            require_public(host, ipaddress.ip_address(each.partition("%")[0]))
    return addresses[0]


class Pinned(http.client.HTTPConnection):
    """A connection to the address that was judged, whatever the name resolves to by now."""

    def __init__(self, parts: SplitResult, address: str, port: int) -> None:
        super().__init__(parts.hostname or "", port, timeout=TIMEOUT)
        self.address, self.tls = address, parts.scheme == "https"
        self.was_cut = False

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        if not self.tls:
            self.sock = plain
            return
        try:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def cut(self) -> None:
        """End the exchange from another thread. What was read so far may look like an answer, and is none."""
        self.was_cut = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself


def post(url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """POST once. Raises NotAllowed, Unreachable."""
    parts = judged(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    connection = Pinned(parts, resolve(host, port), port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timer = threading.Timer(DEADLINE, connection.cut)
    timer.daemon = True
    timer.start()
    try:
        connection.request(
            "POST",
            target,
            body,
            {"Host": parts.netloc, "User-Agent": AGENT, "Connection": "close", **headers},
        )
        answer = connection.getresponse()
        text = answer.read(ANSWER)
        if connection.was_cut:
            raise TimeoutError
    except (OSError, http.client.HTTPException) as error:
        told = f"{type(error).__name__}: {error}"
        if connection.was_cut:
            told = f"no answer within {DEADLINE:.0f} s"
        raise Unreachable(f"{host}: {told}") from error
    finally:
        timer.cancel()
        connection.close()
    after = answer.getheader("Retry-After", "")
    return Answer(
        answer.status,
        answer.getheader("Location", ""),
        int(after) if after.isdecimal() and len(after) < 9 else 0,
        text.decode(errors="replace"),
    )
