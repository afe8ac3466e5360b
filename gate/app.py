"""The gate: a bare ASGI application for agents. No session, no template, no middleware.

The check has a path of its own ahead of Starlette's router, because agents call it thousands of times for every
click in the portal.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from django.conf import settings
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from gate import approvals, bodies, readiness
from gate.admission import admission
from gate.answers import send_json, send_problem
from gate.approvals import LONGEST_WAIT as LONGEST_WAIT
from gate.exchange import (
    LARGE_BODY,
    answer,
    authenticate,
    elsewhere,
    header,
    lookups,
    say,
    submit,
    take_question,
)
from gate.exchange import known as known
from governance import preparation
from governance.requests import AccessQuery, Caller, CheckRequest, Problem, StandingQuery

CHECK = "/v1/check"
ACCESS_COST = 100  # requests
RETRIES = b"x-stainless-retry-count"

BAD_KEY = Problem(
    400,
    "invalid_idempotency_key",
    "An Idempotency-Key has 1 to 200 printable ASCII characters; send another.",
)
NOT_FOUND = Problem(404, "not_found", "The gate has no such path; see docs/api.md for those it has.")
NOT_ALLOWED = Problem(405, "method_not_allowed", "This path takes another method; see docs/api.md.")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI entry point."""
    if scope["type"] == "http":
        if scope["path"] == CHECK and scope["method"] == "POST":
            await check(scope, receive, send)
        else:
            await router(scope, receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    """Servers that say when they stop let the committers finish. (daphne does not; nothing is lost then either.)"""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.to_thread(admission.stop)
    await send({"type": "lifespan.shutdown.complete"})


async def check(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/check."""
    async with AsyncExitStack() as turn:
        asked = await take_question(scope, receive, send, turn)
        if asked is None:
            return
        caller, raw = asked
        key = header(scope, b"idempotency-key")
        if key is not None and not (0 < len(key) <= 200 and key.isascii() and key.decode().isprintable()):
            await send_problem(send, BAD_KEY)
            return
        idempotency_key = key.decode() if key else ""
        said = header(scope, RETRIES) or b""
        retries = int(said) if said.isdigit() and len(said) < 7 else 0  # written by clients, not by agents
        try:
            if len(raw) > LARGE_BODY:
                request = await elsewhere(scope, partial(parse_large, raw, caller, idempotency_key, retries))
            else:
                request = bodies.parse_check(raw, caller, idempotency_key, retries)
        except bodies.Refused as refused:
            await send_problem(send, refused.problem)
            return
    await answer(send, await submit(scope, request))


def parse_large(raw: bytes, caller: Caller, idempotency_key: str, retries: int = 0) -> CheckRequest:
    """A check of which as much as can be is done before it is locked."""
    return preparation.prepare(bodies.parse_check(raw, caller, idempotency_key, retries))


async def outcome(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/decisions/{id}/outcome."""
    await say(scope, receive, send, bodies.parse_outcome, scope["path_params"]["decision"])


async def me(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/me."""
    caller = await authenticate(scope, send)
    if caller is not None:
        await answer(send, await submit(scope, StandingQuery(caller)))


async def request_access(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/access-requests. It has the agent's latest denials read, and counts for as much."""
    await say(scope, receive, send, bodies.parse_access_request, cost=ACCESS_COST)


async def access_request(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/access-requests/{id}."""
    caller = await authenticate(scope, send)
    if caller is not None:
        await answer(send, await submit(scope, AccessQuery(caller, scope["path_params"]["request"])))


async def healthz(scope: Scope, receive: Receive, send: Send) -> None:
    """The process runs."""
    await send_json(send, b'{"status":"ok"}')


async def readyz(scope: Scope, receive: Receive, send: Send) -> None:
    """The process can record decisions."""
    looking = asyncio.get_running_loop().run_in_executor(lookups, readiness.problems)
    try:
        problems = await asyncio.wait_for(looking, settings.GATE_DEADLINE)
    except TimeoutError:
        problems = ["The database does not answer in time."]
    if problems:
        await send_problem(send, Problem(503, "not_ready", " ".join(problems)))
    else:
        await send_json(send, b'{"status":"ready"}')


def only(method: str, handler: Handler) -> type:
    """A Starlette endpoint that takes one method and answers others with a problem document."""

    class Endpoint:
        def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.arguments = scope, receive, send

        def __await__(self) -> Any:
            scope, receive, send = self.arguments
            allowed = scope["method"] == method
            return (handler(scope, receive, send) if allowed else send_problem(send, NOT_ALLOWED)).__await__()

    return Endpoint


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await send_problem(send, NOT_FOUND)


router = Router(
    [
        Route(CHECK, only("POST", check)),
        Route("/v1/decisions/{decision}/outcome", only("POST", outcome)),
        Route("/v1/approvals/{approval}", only("GET", approvals.approval)),
        Route("/v1/approvals/{approval}/events", only("GET", approvals.events)),
        Route("/v1/approvals/{approval}/cancel", only("POST", approvals.cancel)),
        Route("/v1/approvals/{approval}/reply", only("POST", approvals.reply)),
        Route("/v1/access-requests", only("POST", request_access)),
        Route("/v1/access-requests/{request}", only("GET", access_request)),
        Route("/v1/me", only("GET", me)),
        Route("/healthz", only("GET", healthz)),
        Route("/readyz", only("GET", readyz)),
    ],
    default=not_found,
    redirect_slashes=False,
)
