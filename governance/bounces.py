"""Reading what a mail server sends back: delivery status notifications (RFC 3464), and what older servers write. Pure.

Whatever comes may be junk: nothing in here raises for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

MAIL_NAME = "X-Countersign-Mail"  # header of a mail that names its row, as its Message-ID does
NAME = re.compile(r"[0-9A-Za-z]{24}")
MESSAGE_ID = re.compile(r"<([0-9A-Za-z]{24})\.countersign@")
LONGEST = 1024 * 1024  # bytes of a message that are read
MOST_PARTS = 50
TEXT = 20_000  # characters of a part without a form of its own that are looked through
DAEMON = re.compile(r"mailer-daemon|postmaster|mail delivery|<>", re.IGNORECASE)
WHY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Bounce:
    """That a mail of ours was not delivered for good: its name, and why as the mail server says."""

    mail: str
    why: str


def read(raw: bytes) -> Bounce | None:
    """What a message says of a mail of ours; None for anything else, also for a delay and for somebody's answer."""
    try:
        return judged(message_from_bytes(raw[:LONGEST]))
    except RecursionError:  # parts within parts within parts
        return None


def judged(message: Message) -> Bounce | None:
    """What a parsed message says."""
    parts = list(parts_of(message))
    mail = returned_mail(parts)
    if not mail:
        return None
    reports = [each for each in parts if each.get_content_type().endswith("delivery-status")]
    if reports:
        failed = [fields for report in reports for fields in recipients(report) if has_failed(fields)]
        return Bounce(mail, why_of(failed[0])) if failed else None
    if header(message, "X-Failed-Recipients"):
        return Bounce(mail, "The mail server could not deliver it.")
    if is_from_a_daemon(message):
        return Bounce(mail, complaint(parts))
    return None


def parts_of(message: Message) -> Iterator[Message]:
    """The message and what is in it, as far as anybody would go."""
    for count, part in enumerate(message.walk()):
        if count == MOST_PARTS:
            return
        yield part


def returned_mail(parts: list[Message]) -> str:
    """The name of the mail of ours that came back, whole or as headers or quoted; empty where none did."""
    for part in parts[1:]:
        if name := header(part, MAIL_NAME):
            return name if NAME.fullmatch(name) else ""
        if found := MESSAGE_ID.search(header(part, "Message-ID")):
            return found[1]
    for part in parts:
        if not part.is_multipart():
            text = text_of(part)
            if found := MESSAGE_ID.search(text) or re.search(rf"{MAIL_NAME}:\s*({NAME.pattern})\b", text):
                return found[1]
    return ""


def recipients(report: Message) -> Iterator[Message]:
    """The groups of fields in a delivery status, which the parser takes for messages: the first is about the message,
    and each other about one recipient."""
    payload = report.get_payload()
    groups = [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []
    yield from (each for each in groups if header(each, "Action") or header(each, "Status"))


def has_failed(fields: Message) -> bool:
    """Whether delivery to a recipient failed for good. A status of class 5 says so where the action is missing."""
    action = header(fields, "Action").lower()
    return action == "failed" or (not action and header(fields, "Status").startswith("5"))


def why_of(fields: Message) -> str:
    """The status and what the other server said."""
    said = header(fields, "Diagnostic-Code").partition(";")[2] or header(fields, "Diagnostic-Code")
    return shortened(f"{header(fields, 'Status')} {said}") or "The mail server could not deliver it."


def is_from_a_daemon(message: Message) -> bool:
    """Whether a mail server wrote it by itself: its return path is empty or its sender a daemon; and it is neither
    a person's answer nor a holiday's."""
    if header(message, "Auto-Submitted").lower().startswith("auto-replied"):
        return False
    sender = f"{header(message, 'Return-Path')} {header(message, 'From')}"
    return DAEMON.search(sender) is not None


def complaint(parts: list[Message]) -> str:
    """The line of a text that sounds most like a reason."""
    for part in parts:
        if part.get_content_type() == "text/plain":
            for line in text_of(part).splitlines():
                if re.search(r"\b5\d\d\b|\b5\.\d+\.\d+\b", line):
                    return shortened(line)
    return "The mail server could not deliver it."


def text_of(part: Message) -> str:
    """The text of a part, whatever it claims to be written in."""
    payload = part.get_payload(decode=True)
    return payload.decode(errors="replace")[:TEXT] if isinstance(payload, bytes) else ""


def header(part: Message, name: str) -> str:
    """A header in one line; empty where there is none."""
    try:
        value = part.get(name, "")
        return " ".join(str(make_header(decode_header(value))).split())
    except (LookupError, MessageError, ValueError):  # an encoding that nobody knows
        return " ".join(str(part.get(name, "")).split())


def shortened(text: str) -> str:
    """In one line of some length."""
    return " ".join(text.split())[:WHY_LENGTH]
