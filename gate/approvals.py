"""Approvals at the gate: waiting for one, being told of one as it goes on, taking it back, answering a question."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from gate import bodies
from gate.admission import TOO_LATE, UNAVAILABLE
from gate.answers import date_header, send_problem
from gate.exchange import answer, authenticate, header, say, submit
from gate.watch import watch
from governance.requests import ApprovalQuery, Problem

LONGEST_WAIT = 60
BEAT = 15.0  # seconds between two signs of life of a stream
PAUSE = 1.0  # seconds until a gate that could not answer is asked again
MOST_STREAMS = 32  # of one agent, in one process
MOST_WAITS = 256  # long polls of one agent that wait at a time, in one process
WHOLE = re.compile("[0-9]{1,3}")  # isdigit() would take superscripts and any length, on which int() fails
VERSION = re.compile("[0-9]{1,9}")
BAD_WAIT = Problem(
    400, "invalid_field", "wait is a number of seconds from 0 to 60, and since the version that you know."
)
TOO_MANY_STREAMS = Problem(
    429,
    "too_many_requests",
    f"This agent holds {MOST_STREAMS} streams open already; close one, or poll with ?wait= instead.",
)
TOO_MANY_WAITS = Problem(
    429,
    "too_many_requests",
    f"{MOST_WAITS} requests of this agent wait already; let one of them wait for each approval.",
)

streams: Counter[int] = Counter()
waits: Counter[int] = Counter()


class View(msgspec.Struct):
    """What tells one state of an approval from another."""

    status: str
    version: int
    edited: bool = False
    arguments: Any = None
    tool: str = ""
    questions: list[Any] = []


async def approval(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/approvals/{id}?wait=30&since=2: answers when there is something newer than that version, or than what
    it is now; when it is settled; or when the wait is over."""
    caller = await authenticate(scope, send)
    if caller is None:
        return
    asked = wait_of(scope)
    if asked is None:
        await send_problem(send, BAD_WAIT)
        return
    wait, since = asked
    query = ApprovalQuery(caller, scope["path_params"]["approval"])
    told = await submit(scope, query)
    if wait and isinstance(told, bytes):
        view = msgspec.json.decode(told, type=View)
        if view.status == "pending" and (since is None or view.version <= since):
            if waits[caller.agent_id] >= MOST_WAITS:
                await send_problem(send, TOO_MANY_WAITS, retry_after=1)
                return
            with counted(waits, caller.agent_id):
                await watch.newer(query.approval, max(view.version, since or 0), wait)
            told = await submit(scope, query)
    await answer(send, told)


@contextmanager
def counted(open_ones: Counter[int], agent: int) -> Iterator[None]:
    """Count one more of an agent's while it lasts."""
    open_ones[agent] += 1
    try:
        yield
    finally:
        open_ones[agent] -= 1
        if not open_ones[agent]:
            del open_ones[agent]


def wait_of(scope: Scope) -> tuple[float, int | None] | None:
    """The seconds of ``?wait=`` (0 without it) and the version of ``&since=``; None where they are no such numbers."""
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    wait, since = query.get("wait", "0"), query.get("since")
    if not WHOLE.fullmatch(wait) or int(wait) > LONGEST_WAIT:
        return None
    if since is not None and not VERSION.fullmatch(since):
        return None
    return float(wait), int(since) if since is not None else None


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/approvals/{id}/events: server-sent events until it is settled."""
    caller = await authenticate(scope, send)
    if caller is None:
        return
    query = ApprovalQuery(caller, scope["path_params"]["approval"])
    told = await submit(scope, query)
    if isinstance(told, Problem):
        await send_problem(send, told)
        return
    if streams[caller.agent_id] >= MOST_STREAMS:
        await send_problem(send, TOO_MANY_STREAMS, retry_after=1)
        return
    with counted(streams, caller.agent_id):
        leaving = asyncio.create_task(left(receive))
        streaming = asyncio.create_task(Stream(scope, send, query).run(told))
        try:
            await asyncio.wait({leaving, streaming}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, streaming):
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task


async def left(receive: Receive) -> None:
    """Return when the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream:
    """One open stream."""

    def __init__(self, scope: Scope, send: Send, query: ApprovalQuery) -> None:
        self.scope, self.send, self.query = scope, send, query
        known = header(scope, b"last-event-id")
        self.known = int(known) if known and VERSION.fullmatch(known.decode("latin-1")) else 0

    async def run(self, told: bytes) -> None:
        """Tell what it is now, then each change, until it is settled or the stream is cut."""
        view = msgspec.json.decode(told, type=View)
        if view.status != "pending" and view.version <= self.known:
            await self.begin(HTTPStatus.NO_CONTENT)  # so that a browser's EventSource comes back no more
            await self.part(b"", more=False)
            return
        await self.begin(HTTPStatus.OK)
        if view.version > self.known:
            await self.tell(told, view, ["status"] if view.status == "pending" else ["settled"])
        while view.status == "pending":
            before = view
            if await watch.newer(self.query.approval, view.version, BEAT, caller=self.query.caller):
                break
            answered = await submit(self.scope, self.query)
            if isinstance(answered, bytes):
                view = msgspec.json.decode(answered, type=View)
                if names := changes(before, view):
                    await self.tell(answered, view, names)
                    continue
            elif answered not in (TOO_LATE, UNAVAILABLE):
                break  # its key is good no more
            else:
                await asyncio.sleep(PAUSE)
            await self.part(b": still waiting\n\n")
        await self.part(b"", more=False)

    async def begin(self, status: HTTPStatus) -> None:
        """Send the head of the answer."""
        headers = [(b"cache-control", b"no-store"), (b"date", date_header(int(time.time())))]
        if status == HTTPStatus.OK:
            headers += [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await self.send({"type": "http.response.start", "status": status.value, "headers": headers})

    async def tell(self, told: bytes, view: View, names: list[str]) -> None:
        """Send the approval under each of these names; only the last carries the version, so that who was cut off
        between them is told again."""
        lines = [f"event: {name}\ndata: ".encode() + told + b"\n\n" for name in names]
        lines[-1] = f"id: {view.version}\n".encode() + lines[-1]
        await self.part(b"".join(lines))

    async def part(self, body: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


def changes(before: View, after: View) -> list[str]:
    """The names of the events that lead from one state to the other, the last one last."""
    names = []
    if len(after.questions) > len(before.questions):
        names.append("question")
    if after.edited and (before.tool, before.arguments) != (after.tool, after.arguments):
        names.append("edited")
    if after.status != "pending":
        names.append("settled")
    return names or (["status"] if after.version > before.version else [])


async def cancel(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/approvals/{id}/cancel."""
    await say(scope, receive, send, bodies.parse_cancel, scope["path_params"]["approval"])


async def reply(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/approvals/{id}/reply."""
    await say(scope, receive, send, bodies.parse_reply, scope["path_params"]["approval"])
