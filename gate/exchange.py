"""One exchange with an agent: who asks, what was sent, and the answer of admission."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from django.conf import settings
from starlette.types import Receive, Scope, Send

from gate import callers
from gate.admission import TOO_LATE, UNAVAILABLE, admission
from gate.answers import send_json, send_problem
from gate.bodies import Refused
from gate.turns import AT_ONCE, Turns
from governance.requests import Answer, Caller, Problem, Request, ThrottleNote

logger = logging.getLogger(__name__)

LONGEST_BODY = 1024 * 1024
LONGEST_HEADERS = 64 * 1024
LARGE_BODY = 32 * 1024
SPENT = "countersign.spent"  # in a scope: seconds of its deadline that went before admission

TOO_LARGE = Problem(
    413, "body_too_large", "A body has at most 1 MiB; send what the decision needs, not the payload."
)
HEADERS_TOO_LARGE = Problem(
    431, "headers_too_large", "The values of all headers have at most 64 KiB; send what an agent needs."
)

known = callers.Callers(settings.GATE_RATE, settings.GATE_BURST)
# Apart, so that a database that hangs, and with it who looks keys up, keeps no large body from being read.
lookups = ThreadPoolExecutor(4, thread_name_prefix="lookup")
parsers = ThreadPoolExecutor(1, thread_name_prefix="parser")
turns = Turns(AT_ONCE)
Asked = TypeVar("Asked")


async def take_question(
    scope: Scope, receive: Receive, send: Send, turn: AsyncExitStack, *, cost: int = 1
) -> tuple[Caller, bytes] | None:
    """Who asks, and the body, in the agent's turn where it is a large one; None when the answer was sent already."""
    caller = await authenticate(scope, send, cost=cost)
    if caller is None:
        return None
    try:
        raw = await read_body(scope, receive, partial(wait_for_turn, scope, caller, turn))
    except TimeoutError:
        await send_problem(send, callers.TOO_OFTEN, retry_after=1)
        return None
    if raw is None:
        await send_problem(send, TOO_LARGE)
        return None
    return caller, raw


async def wait_for_turn(scope: Scope, caller: Caller, turn: AsyncExitStack) -> None:
    """Wait for the agent's turn to send a large body; ``turn`` ends it. Raises TimeoutError after half the deadline:
    what comes late could still be allowed, and its answer be missed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await turn.enter_async_context(turns.turn(caller.agent_id, within=settings.GATE_DEADLINE / 2))
    scope[SPENT] = scope.get(SPENT, 0.0) + loop.time() - began


async def authenticate(scope: Scope, send: Send, *, cost: int = 1) -> Caller | None:
    """Whose key it is, after its rate limit, where this counts for ``cost`` requests; None when the answer was sent
    already."""
    if sum(len(value) for _, value in scope["headers"]) > LONGEST_HEADERS:
        await send_problem(send, HEADERS_TOO_LARGE)
        return None
    sent = header(scope, b"authorization")
    digest = callers.digest_of(sent) if sent else None
    if sent is None or digest is None:
        await send_problem(send, callers.NO_KEY)
        return None
    caller = known.remembered(digest)
    if caller is None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            found = await asyncio.wait_for(
                loop.run_in_executor(lookups, callers.find, sent), settings.GATE_DEADLINE
            )
        except Exception as error:  # a database that is away or hangs must refuse, whatever it raises
            logger.warning("a key could not be looked up: %s", str(error) or type(error).__name__)
            await send_problem(send, UNAVAILABLE)
            return None
        if isinstance(found, Problem):
            await send_problem(send, found)
            return None
        caller = found
        known.remember(caller)
        scope[SPENT] = loop.time() - started
    if not known.take(caller, cost):
        if count := known.to_note(caller):
            admission.submit(caller.log_id, ThrottleNote(caller, count))
        await send_problem(send, callers.TOO_OFTEN, retry_after=1)
        return None
    return caller


async def submit(scope: Scope, request: Request) -> Answer:
    """Hand a request to admission and wait for its answer, at most until the deadline."""
    future = admission.submit(request.caller.log_id, request)
    left = settings.GATE_DEADLINE - scope.pop(SPENT, 0.0)
    timer = asyncio.get_running_loop().call_later(left, too_late, future)
    try:
        return await future
    finally:
        timer.cancel()


def too_late(future: "asyncio.Future[Answer]") -> None:
    if not future.done():
        future.set_result(TOO_LATE)


async def answer(send: Send, told: Answer) -> None:
    if isinstance(told, Problem):
        await send_problem(send, told)
    else:
        await send_json(send, told)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def read_body(
    scope: Scope, receive: Receive, before_large: Callable[[], Awaitable[None]]
) -> bytes | None:
    """The whole body, or None as soon as it is larger than allowed. Of a caller who left before its end: nothing, which
    is no request either. ``before_large`` is awaited, once, as soon as it shows to be large."""
    announced = header(scope, b"content-length")
    size = int(announced[:12]) if announced is not None and announced.isdigit() else 0
    if size > LONGEST_BODY:
        return None
    is_large = size > LARGE_BODY
    if is_large:
        await before_large()
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= LONGEST_BODY else None
    parts, size = [body], len(body)
    while message.get("more_body"):
        if size > LARGE_BODY and not is_large:
            is_large = True
            await before_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > LONGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


async def say(
    scope: Scope, receive: Receive, send: Send, parse: Callable[..., Request], *named: str, cost: int = 1
) -> None:
    """Take a body, make a request of it by ``parse(raw, caller, *named)``, and send admission's answer. ``cost``: how
    many ordinary requests it counts for."""
    async with AsyncExitStack() as turn:
        asked = await take_question(scope, receive, send, turn, cost=cost)
        if asked is None:
            return
        caller, raw = asked
        parsed = partial(parse, raw, caller, *named)
        try:
            request = await elsewhere(scope, parsed) if len(raw) > LARGE_BODY else parsed()
        except Refused as refused:
            await send_problem(send, refused.problem)
            return
    await answer(send, await submit(scope, request))


async def elsewhere(scope: Scope, parse: Callable[[], Asked]) -> Asked:
    """What the parsers' thread makes of a large body. The time counts towards the request's deadline."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await loop.run_in_executor(parsers, unhurried, parse)
    finally:
        scope[SPENT] = scope.get(SPENT, 0.0) + loop.time() - began


def unhurried(parse: Callable[[], Asked]) -> Asked:
    """Parse in the parsers' one thread, which gives the interpreter away a hundred times as often while it does: a
    committer lets go of it with each of its dozen statements, and would wait Python's 5 ms each time to have it back.
    At all other times short turns would cost a third of the throughput. Then it rests for as long as it worked, so that
    who sends much takes at most half of this thread, and others their turn between."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    began = time.perf_counter()
    try:
        return parse()
    finally:
        sys.setswitchinterval(usual)
        time.sleep(time.perf_counter() - began)
