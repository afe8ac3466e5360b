"""The shop's mail server: it keeps what it is sent, and delivers nothing."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from demo.installation import HOST, free_port

LINK = re.compile(r"^(http\S+/a/\w+/)\s*$", re.M)
CODE = re.compile(r"^Code: (\w{4})\s*$", re.M)


@dataclass(frozen=True)
class Invitation:
    """What a reviewer needs of the mail that asks them."""

    link: str
    code: str


class Mailbox:
    """What arrived, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._mail: list[tuple[str, EmailMessage]] = []
        self._arrival = threading.Condition()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a message once for each recipient of its envelope. The name is aiosmtpd's."""
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        with self._arrival:
            self._mail += [(to, message) for to in envelope.rcpt_tos]
            self._arrival.notify_all()
        return "250 Kept"

    def sent_to(self, address: str) -> list[EmailMessage]:
        """The messages for this address, oldest first."""
        with self._arrival:
            return [message for to, message in self._mail if to == address]

    def invitation(self, address: str, within: float) -> Invitation:
        """Wait so many seconds for the mail that asks this person. Raises TimeoutError and LookupError."""
        with self._arrival:
            arrived = self._arrival.wait_for(lambda: any(to == address for to, _ in self._mail), within)
        if not arrived:
            raise TimeoutError(f"No mail for {address} arrived within {within:.0f} s.")
        body = self.sent_to(address)[-1].get_body(("plain",))
        text = str(body.get_content()) if body else ""
        link, code = LINK.search(text), CODE.search(text)
        if link is None or code is None:
            raise LookupError(f"The mail for {address} holds no link and code:\n{text}")
        return Invitation(link[1], code[1])


@contextmanager
def open_mailbox() -> Iterator[Mailbox]:
    """A mail server on a free port of this machine."""
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname=HOST, port=mailbox.port, ready_timeout=20)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@contextmanager
def closed_mailbox() -> Iterator[Mailbox]:
    """A mail server that is down: its port is taken, and refuses every connection."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        yield Mailbox(taken.getsockname()[1])
