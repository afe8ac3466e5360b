"""Delivering streams: at least once, in order, from a cursor.

Several threads of several workers ask for a stream that is due; one of them takes it by a conditional UPDATE and a
lease. A batch keeps its bounds, and so its id, until it is taken. What the sink refuses for its content is halved
until one entry is left; that becomes a dead letter, and the stream goes on. Whatever else fails is tried again, for as
long as it takes: the cursor does not move. Times are passed in, so that a day can pass in a test.
"""

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import Error
from django.db.models import F, OuterRef, Q, Subquery

from audit import chat, destinations, folders, formats, log, owed, streams, webhooks
from audit.destinations import Answer, NotAllowed, Unreachable
from audit.exports import lines
from audit.formats import Line
from audit.lines import printable
from audit.models import DeadLetter, Entry, Head, Stream, StreamCursor

BATCH = 100  # entries of a message
MESSAGE = 512 * 1024  # bytes of bodies in a message, unless one alone has more
INTO_FILE = 5_000  # entries before another stream gets its turn
LEASE = timedelta(seconds=90)  # longer than an exchange may take
FIRST_RETRY, LONGEST_RETRY = 5.0, 3600.0  # seconds
UNFIT = frozenset({400, 413, 415, 422})  # answers that are about what was sent
GONE = 410
CROWD = 8
LOOKED_THROUGH = 10_000  # entries among which a turn looks for those of a stream's types
SYSTEM = "system"


class Refused(RuntimeError):
    """An answer that is no success; the message tells it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(told(answer))
        self.answer = answer


def deliver_due(now: datetime | None = None) -> bool:
    """Deliver one batch of a stream that is due; False when none is."""
    now = now or log.database_time()
    cursor = claim(now)
    if cursor is None:
        return False
    try:
        send = into_file if cursor.stream.kind == Stream.Kind.FILE else by_webhook
        send(cursor, now)
    except Error:
        raise
    except Exception as error:
        after = error.answer.retry_after if isinstance(error, Refused) else 0
        fail(cursor, now, str(error) or type(error).__name__, after)
    return True


def claim(now: datetime) -> StreamCursor | None:
    """Take a stream that has something to send and is due, the one that waited longest, for as long as the lease."""
    size = Head.objects.filter(log_id=OuterRef("stream__log_id")).values("size")[:1]
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    due = StreamCursor.objects.filter(free, stream__paused=False, due__lte=now, next__lt=Subquery(size))
    for cursor in due.select_related("stream__log").order_by("due", "pk")[:CROWD]:
        same = StreamCursor.objects.filter(pk=cursor.pk, claims=cursor.claims)
        if same.update(claims=F("claims") + 1, lease_until=now + LEASE):
            cursor.claims += 1
            return cursor
    return None


def by_webhook(cursor: StreamCursor, now: datetime) -> None:
    """Send the cursor's batch. Raises Unreachable, NotAllowed, StreamRefused and Refused where it is to be tried
    again."""
    stream = cursor.stream
    until, types = reach(cursor), streams.types_of(stream)
    batch = batch_of(cursor, until, types)
    if not batch and types is not None and cursor.batch_end is None:  # nothing that it sends
        note(cursor, next=until, due=now, lease_until=None)
        return
    if not batch:  # pruned meanwhile
        move(cursor, now, next=until)
        return
    end = batch[-1].index + 1
    if cursor.batch_end != end:
        note(cursor, batch_end=end)
    answer = post(stream, batch, now)
    if 200 <= answer.status < 300:
        move(cursor, now, next=end)
    elif answer.status == GONE:
        note(cursor, lease_until=None, error="The sink says that it is gone for good; the stream was paused.")
        streams.pause(stream, actor=SYSTEM)
    elif answer.status not in UNFIT:
        raise Refused(answer)
    elif len(batch) > 1:
        note(cursor, batch_end=batch[len(batch) // 2].index, lease_until=None)
    else:
        letter = {"reason": told(answer), "time": now, "sent_at": None}
        DeadLetter.objects.update_or_create(stream=stream, index=batch[0].index, defaults=letter)
        move(cursor, now, next=end)


def reach(cursor: StreamCursor) -> int:
    """Before which index a turn ends at the latest."""
    end = cursor.batch_end or log.newest(cursor.stream.log_id)
    limited = cursor.batch_end is None and streams.types_of(cursor.stream) is not None
    return min(end, cursor.next + LOOKED_THROUGH) if limited else end


def batch_of(cursor: StreamCursor, until: int, types: list[str] | None) -> list[Line]:
    """The entries that are next: those that were tried before, or as many as a message holds."""
    stream = cursor.stream
    only = {} if types is None else {"type__in": types}
    rows = Entry.objects.filter(log_id=stream.log_id, index__gte=cursor.next, index__lt=until, **only)
    most = chat.MOST if stream.format == Stream.Format.CHAT else BATCH
    chosen, size = list(rows.order_by("index").values_list("index", flat=True)[:most]), 0
    batch: list[Line] = []
    for line in lines(stream.log, cursor.next, chosen[-1] + 1, **only) if chosen else ():
        size += len(line.body)
        if batch and cursor.batch_end is None and size > MESSAGE:
            break
        batch.append(line)
    return batch


def post(stream: Stream, batch: list[Line], now: datetime) -> Answer:
    """One message of these entries."""
    is_chat = stream.format == Stream.Format.CHAT
    body, kind = chat.message(stream.log_id, batch) if is_chat else formats.message(stream.format, batch)
    message = f"msg_{stream.log.uuid.hex}_{batch[0].index}_{batch[-1].index + 1}"
    return send(stream, message, body, kind, now)


def send(stream: Stream, message: str, body: bytes, kind: str, now: datetime) -> Answer:
    """One signed POST to the stream's address."""
    signed = webhooks.headers(streams.secret_of(stream), message=message, at=int(now.timestamp()), body=body)
    return destinations.post(stream.url, body, {"Content-Type": kind, **signed})


def into_file(cursor: StreamCursor, now: datetime) -> None:
    """Append what is next to the stream's file. Raises OSError, NotOurs."""
    stream, size = cursor.stream, log.newest(cursor.stream.log_id)
    write, reached = formats.WRITERS[stream.format], size

    def following(first: int) -> Iterator[bytes]:
        nonlocal reached
        for count, line in enumerate(lines(stream.log, first, size)):
            if count == INTO_FILE:
                reached = line.index
                return
            yield write(line)

    folders.append(stream, otherwise=cursor.next, size=size, lines=following)
    move(cursor, now, next=reached)


def move(cursor: StreamCursor, now: datetime, *, next: int) -> None:
    """All before ``next`` was taken."""
    note(
        cursor,
        next=next,
        batch_end=None,
        attempts=0,
        due=now,
        lease_until=None,
        delivered_at=now,
        failing_since=None,
        error="",
    )


def fail(cursor: StreamCursor, now: datetime, error: str, after: int = 0) -> None:
    """Try again later, the later the oftener it failed, or when the sink asked to be."""
    wait = max(retry_after(cursor.attempts, secrets.randbelow(1001) / 1000), min(after, LONGEST_RETRY))
    note(
        cursor,
        attempts=cursor.attempts + 1,
        due=now + timedelta(seconds=wait),
        lease_until=None,
        failing_since=cursor.failing_since or now,
        error=printable(error)[:300],
    )


def retry_after(attempts: int, chance: float) -> float:
    """Seconds until the next try: 5, 10, 20 … at most an hour, of which the upper half is left to chance (0 to 1), so
    that many streams do not come back at once."""
    whole = min(FIRST_RETRY * 2.0 ** min(attempts, 20), LONGEST_RETRY)
    return whole / 2 * (1 + chance)


def note(cursor: StreamCursor, **columns: Any) -> None:
    """Change the cursor, unless somebody else took the stream since."""
    StreamCursor.objects.filter(pk=cursor.pk, claims=cursor.claims).update(**columns)


def told(answer: Answer) -> str:
    """An answer in a line."""
    if 300 <= answer.status < 400:
        return f"HTTP {answer.status}: a redirect, which is not followed; give the address itself."
    return f"HTTP {answer.status}: {printable(' '.join(answer.text.split()))[:200]}"


def send_test(payload: dict[str, Any]) -> str | None:
    """Try a stream without an entry, and note on it what came of that."""
    stream = Stream.objects.select_related("log").filter(pk=payload["stream"]).first()
    if stream is None:
        return "removed meanwhile"
    now = log.database_time()
    try:
        if stream.kind == Stream.Kind.FILE:
            result = f"The file can be written: {folders.probe(stream)}"
        else:
            message = f"msg_test_{secrets.token_hex(8)}"
            result = told(send(stream, message, *body_of_test(stream, now), now))
    except (Unreachable, NotAllowed, streams.StreamRefused, folders.NotOurs, OSError) as error:
        result = printable(str(error))
    StreamCursor.objects.filter(pk=stream.pk).update(tested_at=now, test_result=result[:300])
    return f"{stream.public_id}: {result}"


def body_of_test(stream: Stream, now: datetime) -> tuple[bytes, str]:
    """What is sent to try a webhook, and its media type."""
    if stream.format == Stream.Format.CHAT:
        return chat.trial(log.stamp(now))
    body = {"type": "countersign.test", "timestamp": log.stamp(now), "data": {}}
    return orjson.dumps(body), "application/json"


def send_dead_letters(payload: dict[str, Any]) -> str | None:
    """Send the next dead letter once more, and owe the rest. Stops where nobody answers."""
    stream = Stream.objects.select_related("log").filter(pk=payload["stream"]).first()
    if stream is None:
        return "removed meanwhile"
    waiting = stream.dead_letters.filter(sent_at=None, index__gt=payload["after"])
    letter = waiting.order_by("index").first()
    if letter is None:
        return "no more"
    now = log.database_time()
    try:
        batch = list(lines(stream.log, letter.index, letter.index + 1))
        if not batch:
            letter.delete()  # the entry was pruned
        elif 200 <= (answer := post(stream, batch, now)).status < 300:
            letter.sent_at = now
            letter.save(update_fields=["sent_at"])
        else:
            letter.reason = told(answer)
            letter.save(update_fields=["reason"])
    except (Unreachable, NotAllowed, streams.StreamRefused) as error:
        letter.reason = printable(str(error))[:300]
        letter.save(update_fields=["reason"])
        return letter.reason
    owed.owe(streams.AGAIN, [{**payload, "after": letter.index}], due=now)
    return f"{stream.public_id}: entry {letter.index}"
