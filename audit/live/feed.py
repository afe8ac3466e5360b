"""The websocket of the live feed: ``/ws/feed/?workspace=<slug>&after=<index>``.

It sends ``{"entries": [...], "size": N}``: entries after the cursor, in order, each once, only what the
person may see. The cursor makes it lossless: whoever comes back with the last index they have misses nothing.
A client says how far it has come by ``{"seen": <index>}``; the feed is never more than WINDOW entries ahead.

Close codes: 4400 bad question, 4401 signed out, 4403 wrong origin, 4404 no such workspace, 4408 too slow.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import SplitResult, parse_qs, urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import Error
from django.http import Http404, parse_cookie

from audit.live import pages
from audit.live.pages import Access, Refused
from audit.live.readers import Readers, reading
from audit.live.watches import Watch, watching
from audit.log import newest

logger = logging.getLogger(__name__)

PATH = "/ws/feed/"
FRESHNESS = 0.5  # seconds that a permission is believed, and between two looks without a message
HEARTBEAT = 10.0  # seconds of silence after which the size is sent alone
WINDOW = 20_000  # entries sent and not yet seen; some 6 MB
STALL = 30.0  # seconds that a client may leave the window full
RECOVERY = 1.0  # seconds until a database that failed is asked again
LONGEST_REASON = 120  # bytes: a close frame has room for 123

LogOf: TypeAlias = Callable[[Any, str], int]


class Feed(AsyncWebsocketConsumer):
    """One person's socket. ``log_of(person, slug)`` names a workspace's log, and raises Http404 where the
    person may not know of it."""

    # Configured nowhere: everything the feed says comes from the database, so no broker can silence it.
    channel_layer_alias = "none"

    def __init__(self, *, log_of: LogOf) -> None:
        super().__init__()
        self.log_of = log_of
        self.task: asyncio.Task[None] | None = None
        self.watch: Watch | None = None
        self.seen = self.sent = -1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.task is not None:
                self.task.cancel()
                await asyncio.wait([self.task])

    async def connect(self) -> None:
        """Accept always: a browser cannot read the code of a socket that was never opened."""
        await self.accept()
        self.task = asyncio.create_task(self.follow())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Note how far the client has come."""
        try:
            seen = json.loads(text_data or "")["seen"]
        except (ValueError, TypeError, KeyError, RecursionError):
            seen = None
        if type(seen) is not int:
            if self.task is not None:
                self.task.cancel()
            await self.refuse(Refused(4400, 'Send {"seen": <index>} and nothing else.'))
            return
        self.seen = max(self.seen, min(seen, self.sent))
        if self.watch is not None:
            self.watch.wake()

    async def follow(self) -> None:
        """Send what the log gains until the client leaves or loses its right to it."""
        try:
            async with reading() as readers:
                check_origin(self.scope)
                slug, after = question(self.scope)
                session_key = session_of(self.scope)
                log_id, start = await readers.run(enter, session_key, slug, self.log_of)
                with watching(log_id) as self.watch:
                    await self.stream(readers, session_key, log_id, start if after is None else after)
        except Refused as refusal:
            await self.refuse(refusal)
        except Exception:
            logger.exception("A live feed failed.")
            await self.close(1011)

    async def stream(self, readers: Readers, session_key: str | None, log_id: int, cursor: int) -> None:
        """Page after page from the cursor on, for ever. Raises Refused."""
        assert self.watch is not None
        self.seen = self.sent = cursor
        granted: Access | None = None
        spoke = moved = float("-inf")
        while True:
            room = WINDOW - (self.sent - self.seen)
            try:
                granted, page = await readers.run(
                    look, session_key, log_id, granted, after=cursor, limit=min(pages.PAGE, room)
                )
            except Error:
                logger.warning("The live feed cannot read the database; trying again.", exc_info=True)
                granted = None
                await asyncio.sleep(RECOVERY)
                continue
            now = time.monotonic()
            cursor = page.cursor
            if page.entries or now - spoke >= HEARTBEAT:
                if page.entries:
                    self.sent = page.entries[-1]["index"]
                await self.send(json.dumps({"entries": page.entries, "size": page.size}))
                spoke = now
            if room > 0:
                moved = now
            elif now - moved > STALL:
                raise Refused(
                    4408, 'Say how far you have come by {"seen": <index>}, and come back from there.'
                )
            if room <= 0 or len(page.entries) < pages.PAGE:
                await self.watch.grown(FRESHNESS)

    async def refuse(self, refusal: Refused) -> None:
        """Close with the code and the sentence."""
        await self.close(refusal.code, refusal.reason[:LONGEST_REASON])


def enter(session_key: str | None, slug: str, log_of: LogOf) -> tuple[int, int]:
    """The log of the workspace, and the index of its newest entry. Raises Refused: 4401, 4404."""
    try:
        log_id = log_of(pages.person_of(session_key), slug)
    except Http404:
        raise Refused(4404, "There is no such workspace.") from None
    return log_id, newest(log_id) - 1


def look(
    session_key: str | None, log_id: int, granted: Access | None, *, after: int, limit: int
) -> tuple[Access, pages.Page]:
    """The next page, and the permission it was read under, itself read again when too old. Raises Refused."""
    if granted is None or time.monotonic() - granted.read_at >= FRESHNESS:
        granted = pages.access(session_key, log_id)
    return granted, pages.read(log_id, granted, after=after, limit=limit)


def question(scope: dict[str, Any]) -> tuple[str, int | None]:
    """Workspace and cursor that are asked for; no cursor means only what is new. Raises Refused."""
    if scope["path"] != PATH:
        raise Refused(4404, f"The feed is at {PATH}.")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    slug, after = query.get("workspace", [""])[-1], query.get("after", [None])[-1]
    if not slug:
        raise Refused(4400, "Name a workspace: ?workspace=<slug>.")
    if after is None:
        return slug, None
    if not after.removeprefix("-").isdecimal() or not -1 <= int(after) < 2**62:
        raise Refused(4400, "after is the index of the last entry that you have, or -1.")
    return slug, int(after)


def check_origin(scope: dict[str, Any]) -> None:
    """Raise Refused unless a page of this installation opened the socket: any page's carries the cookie."""
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    try:
        same = len(origins) == 1 and place(urlsplit(origins[0])) == place(urlsplit(settings.PUBLIC_URL))
    except ValueError:
        same = False
    if not same:
        raise Refused(4403, "Open the feed from the portal's own address.")


def place(url: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address, as RFC 6454 compares origins. Raises ValueError for a bad port."""
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def session_of(scope: dict[str, Any]) -> str | None:
    """The key of the portal's session, from the cookie."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            return parse_cookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
    return None
