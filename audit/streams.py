"""Streams: a workspace's log sent on as it grows, to whoever keeps watch. What they are; ``delivery`` sends.

A stream is configuration: every change of one is an entry. Who may change them (``export_log`` and ``publish_policy``,
which owners and compliance officers hold together) is asked by who calls.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet, Subquery
from django.utils import timezone

from audit import chat, destinations, envelopes, keys, log, owed, registry, webhooks
from audit.models import Head, Owed, Stream, StreamCursor

TEST, AGAIN = "audit.stream.test", "audit.stream.again"
MOST = 20  # streams of a log
MOST_TYPES = 50
LONGEST_NAME = 100
Kind, Format = Stream.Kind, Stream.Format


class StreamRefused(ValueError):
    """A stream that cannot be so; the message says what to do."""

    code, status = "stream_refused", 409


def create(
    log_id: int,
    *,
    name: str,
    kind: str,
    actor: str,
    url: str = "",
    format: str = Format.JSONL,
    types: Sequence[str] = (),
    from_start: bool = False,
) -> tuple[Stream, str]:
    """A new stream and its secret as it is shown this once (empty for a file). It begins with the next entry, or
    ``from_start``, and sends entries of ``types`` only, if any are given. Raises StreamRefused, NotAllowed."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise StreamRefused(f"Give the stream a name of at most {LONGEST_NAME} characters.")
    if kind not in Kind.values or format not in Format.values:
        raise StreamRefused("There is no such kind or format of stream.")
    if format == Format.CHAT and kind != Kind.WEBHOOK:
        raise StreamRefused("Messages for a chat tool go to its incoming webhook, not into a file.")
    if types and kind != Kind.WEBHOOK:
        raise StreamRefused("A file holds every entry, since it says itself how far it is; limit a webhook.")
    types = judged_types(types, format)
    if kind == Kind.WEBHOOK:
        destinations.judged(url)
    elif url or not settings.STREAM_FOLDER:
        raise StreamRefused(
            "A stream into a file takes no address, and the installation's operator must have set "
            "COUNTERSIGN_STREAM_FOLDER."
        )
    secret = webhooks.new_secret() if kind == Kind.WEBHOOK else b""
    with log.write(log_id) as entries:
        if Stream.objects.filter(log_id=log_id).count() >= MOST:
            raise StreamRefused(f"A log has at most {MOST} streams; remove one first.")
        stream = Stream(log_id=log_id, name=name, kind=kind, url=url, format=format, types=types)
        stream.secret = seal(stream, secret)
        try:
            with transaction.atomic():
                stream.save()
        except IntegrityError:
            raise StreamRefused("There is a stream of this name here already.") from None
        # The entry of its own beginning is the first that it sends.
        first = 0 if from_start else entries.head().size + len(entries.head().entries)
        StreamCursor.objects.create(stream=stream, next=first, due=entries.now)
        entries.record("audit.stream.created", actor=actor, saved=[stream], outcome=kind, data=naming(stream))
    return stream, webhooks.shown(secret) if secret else ""


def judged_types(types: Sequence[str], format: str) -> list[str]:
    """The types that a stream is limited to, each once. Raises StreamRefused for what no entry is, and for what
    is not told in chats."""
    chosen = sorted({each.strip() for each in types if each.strip()})
    if len(chosen) > MOST_TYPES:
        raise StreamRefused(f"Name at most {MOST_TYPES} types of entries.")
    for each in chosen:
        found = named(each)
        if not found:
            raise StreamRefused(
                f"No entry is of the type {each[:LONGEST_NAME]!r}; docs/concepts/entries.md has them."
            )
        if format == Format.CHAT and not found & chat.tellers.keys():
            raise StreamRefused(f"Chats are told of these only: {', '.join(sorted(chat.tellers))}.")
    return chosen


def named(pattern: str) -> set[str]:
    """The types that a name stands for: itself, or all that begin as it does before a last ``*``."""
    if pattern.endswith(".*"):
        return {each for each in registry.entry_types if each.startswith(pattern[:-1])}
    return {pattern} & registry.entry_types.keys()


def types_of(stream: Stream) -> list[str] | None:
    """The types of the entries that a stream sends; None for all."""
    chosen = set().union(*(named(each) for each in stream.types)) if stream.types else None
    if stream.format == Format.CHAT:
        told = set(chat.tellers)
        chosen = told if chosen is None else chosen & told
    return None if chosen is None else sorted(chosen)


def pause(stream: Stream, *, actor: str) -> None:
    """Send nothing until it is resumed. Raises StreamRefused where it is paused."""
    set_paused(stream, True, actor=actor, outcome="paused")


def resume(stream: Stream, *, actor: str) -> None:
    """Go on where it was left, at once. Raises StreamRefused where it is not paused."""
    set_paused(stream, False, actor=actor, outcome="resumed")
    StreamCursor.objects.filter(stream=stream).update(due=timezone.now(), attempts=0)


def set_paused(stream: Stream, paused: bool, *, actor: str, outcome: str) -> None:
    """Pause or resume, and say how that came about."""
    with log.write(stream.log_id) as entries:
        row = Stream.objects.filter(pk=stream.pk).first()
        if row is None or row.paused == paused:
            raise StreamRefused("The stream is that already.")
        row.paused = stream.paused = paused
        row.save(update_fields=["paused"])
        entries.record("audit.stream.changed", actor=actor, saved=[row], outcome=outcome, data=naming(row))


def exchange_secret(stream: Stream, *, actor: str) -> str:
    """Give a webhook another secret, which signs from the next message on; it is shown this once."""
    secret = webhooks.new_secret()
    with log.write(stream.log_id) as entries:
        row = Stream.objects.filter(pk=stream.pk, kind=Kind.WEBHOOK).first()
        if row is None:
            raise StreamRefused("Only a webhook has a secret.")
        row.secret = seal(row, secret)
        row.save(update_fields=["secret"])
        entries.record("audit.stream.changed", actor=actor, saved=[row], outcome="secret", data=naming(row))
    return webhooks.shown(secret)


def remove(stream: Stream, *, actor: str) -> None:
    """End a stream; what it was to send yet is not sent. A file that it wrote stays."""
    with log.write(stream.log_id) as entries:
        row = Stream.objects.filter(pk=stream.pk).first()
        if row is None:
            return
        entries.record("audit.stream.removed", actor=actor, removed=[row], outcome=row.kind, data=naming(row))
        row.delete()


def naming(stream: Stream) -> dict[str, Any]:
    """Which stream an entry is about."""
    told = {"stream": stream.public_id, "format": stream.format}
    return {**told, "types": stream.types} if stream.types else told


def ask_for_test(stream: Stream) -> None:
    """Have the worker send a message that says it is a test; its outcome stands on the stream's page."""
    StreamCursor.objects.filter(stream=stream).update(tested_at=None, test_result="Waiting for the worker.")
    if not is_owed(TEST, stream):
        owed.owe(TEST, [{"stream": stream.pk}], due=timezone.now())


def is_owed(kind: str, stream: Stream) -> bool:
    """Whether the worker is to do this for a stream already. Asked often it is done once: a sink that hangs holds up
    others meanwhile."""
    return Owed.objects.filter(kind=kind, done_at=None, payload__stream=stream.pk).exists()


def address(stream: Stream, *, whole: bool) -> str:
    """Where a webhook goes, as people are shown it: never its query, and of the rest only the host unless they may
    change it, since many sinks' addresses are passwords."""
    parts = urlsplit(stream.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path if whole else '/…'}" if stream.url else ""


def in_log(log_id: int) -> QuerySet[Any]:
    """A log's streams, each with its cursor, ``dead``: how many dead letters it has, and the log's ``size``."""
    dead = Count("dead_letters", filter=Q(dead_letters__sent_at=None))
    size = Subquery(Head.objects.filter(log_id=log_id).values("size")[:1])
    return (
        Stream.objects.filter(log_id=log_id)
        .select_related("cursor", "log")
        .annotate(dead=dead, size=size)
        .order_by("pk")
    )


def health(stream: Stream, size: int) -> str:
    """In a word how a stream is doing: ``paused``, ``failing``, ``behind`` or ``well``."""
    cursor = stream.cursor
    if stream.paused:
        return "paused"
    if cursor.failing_since is not None:
        return "failing"
    return "behind" if cursor.next < size else "well"


def send_again(stream: Stream) -> int:
    """Have the worker send a stream's dead letters once more; how many."""
    waiting = stream.dead_letters.filter(sent_at=None).count()
    if waiting and not is_owed(AGAIN, stream):
        owed.owe(AGAIN, [{"stream": stream.pk, "after": -1}], due=timezone.now())
    return waiting


def seal(stream: Stream, secret: bytes) -> bytes:
    """A secret as it is stored: nonce and AES-256-GCM under the installation's key, bound to its stream."""
    if not secret:
        return b""
    return envelopes.wrap(secret, place_of(stream), keys.wrapping_key())


def secret_of(stream: Stream) -> bytes:
    """A stream's secret. Raises StreamRefused where it was sealed under another key."""
    try:
        return envelopes.unwrap(bytes(stream.secret), place_of(stream), keys.wrapping_key())
    except envelopes.SealedOtherwise:
        raise StreamRefused(
            "The stream's secret is sealed under another installation key; restore that, or make a new secret."
        ) from None


def place_of(stream: Stream) -> bytes:
    """Whose secret it is, as the seal names it."""
    return f"countersign stream {stream.public_id}".encode()
