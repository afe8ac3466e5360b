"""Load that goes on until it is told to stop, and remembers when each answer came and what it said."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop

ENDS_WITHIN = 15.0  # seconds for the last answers, so that a caller who hangs is noticed


class PromiseBroken(Exception):
    """A figure is worse than what is promised."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, at which port, and with what: whole HTTP requests, rendered as they are sent."""

    name: str
    port: int
    requests: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """When a caller asked and was answered, in seconds of the wall clock, and what: the decision, or the code
    of a problem document, or ``lost`` where the connection ended first."""

    caller: str
    asked: float
    at: float
    word: str

    @property
    def milliseconds(self) -> float:
        return (self.at - self.asked) * 1000


class Connection(asyncio.Protocol):
    """Asks, waits for the answer and, after a pause, asks again."""

    def __init__(self, load: "Load", caller: Caller, done: "asyncio.Future[None]") -> None:
        self.load = load
        self.caller = caller
        self.done = done
        self.buffer = b""
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.ask()

    def ask(self) -> None:
        if self.load.stopped is not None:
            self.transport.close()
            return
        self.asked = time.time()
        self.transport.write(next(self.caller.requests))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        at = lowered.index(b"content-length:") + 15
        if len(body) < int(lowered[at:].split(b"\r\n", 1)[0]):
            return
        now = time.time()
        told = json.loads(body)
        self.load.note(self.caller, self.asked, now, str(told.get("decision") or told["code"]))
        self.buffer, self.asked = b"", 0.0
        if self.load.pause:
            asyncio.get_running_loop().call_later(self.load.pause, self.ask)
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if self.asked:
            self.load.note(self.caller, self.asked, time.time(), "lost")
        if not self.done.done():
            self.done.set_result(None)


class Load:
    """The callers' connections, one a caller, in an event loop of their own."""

    def __init__(self, callers: Sequence[Caller], pause: float) -> None:
        self.callers = callers
        self.pause = pause
        self.stopped: float | None = None
        self.answers: list[Answer] = []

    def note(self, caller: Caller, asked: float, at: float, word: str) -> None:
        self.answers.append(Answer(caller.name, asked, at, word))

    def run(self) -> None:
        uvloop.run(self.drive())

    async def drive(self) -> None:
        loop = asyncio.get_running_loop()
        waiting = set()
        for caller in self.callers:
            done: asyncio.Future[None] = loop.create_future()
            waiting.add(done)
            await loop.create_connection(partial(Connection, self, caller, done), "127.0.0.1", caller.port)
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=0.5)
            if waiting and self.stopped is not None and time.monotonic() > self.stopped + ENDS_WITHIN:
                raise TimeoutError(f"{len(waiting)} callers were never answered.")


@contextmanager
def pressing(callers: Sequence[Caller], *, pause: float = 0.0) -> Iterator[list[Answer]]:
    """Callers ask while the block runs, ``pause`` seconds after each answer; the list grows meanwhile, and is
    complete after the block. Raises TimeoutError when an answer never comes."""
    load = Load(callers, pause)
    with ThreadPoolExecutor(1, thread_name_prefix="load") as thread:
        running = thread.submit(load.run)
        try:
            yield load.answers
        finally:
            load.stopped = time.monotonic()
            running.result()


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Milliseconds within which that share of the answers came."""
    ordered = sorted(answer.milliseconds for answer in answers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def reading(key: str, name: str) -> Iterator[bytes]:
    """Endless checks of distinct calls that are allowed to whoever may read reports."""
    number = 0
    while True:
        number += 1
        yield check(key, {"tool": "files.read", "arguments": {"path": f"/srv/reports/{name}-{number}.csv"}})


def check(key: str, body: dict[str, Any], **headers: str) -> bytes:
    """One check as an HTTP request."""
    content = json.dumps(body).encode()
    lines = ["POST /v1/check HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {key}",
             "content-type: application/json", f"content-length: {len(content)}",
             *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
