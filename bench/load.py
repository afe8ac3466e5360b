"""A load of its own: a fixed number of requests over a fixed number of connections, so that answers can be counted
exactly. One asyncio protocol a connection, requests rendered before the clock starts."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import uvloop

from bench.workload import requests

WORDS = ("allow", "deny", "pending")


@dataclass(slots=True)
class Outcome:
    """What one run measured: seconds, latencies in milliseconds, and what was answered."""

    seconds: float
    latencies: list[float]
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Connection(asyncio.Protocol):
    """Sends its requests one after the other, each when the one before was answered."""

    def __init__(self, queue: Iterator[bytes], outcome: Outcome, done: "asyncio.Future[None]") -> None:
        self.queue = queue
        self.outcome = outcome
        self.done = done
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        request = next(self.queue, None)
        if request is None:
            self.transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self.sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        at = lowered.index(b"content-length:") + 15
        length = int(lowered[at:].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.outcome.latencies.append((time.perf_counter() - self.sent) * 1000)
        status = head[9:12].decode()
        word = next((word for word in WORDS if f'"decision":"{word}"'.encode() in body[:120]), "none")
        self.outcome.answers[word if status == "200" else status] += 1
        self.buffer = b""
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def drive(ports: list[int], connections: int, prepared: list[bytes]) -> Outcome:
    loop = asyncio.get_running_loop()
    outcome = Outcome(0.0, [])
    queue = iter(prepared)
    finished = []
    started = time.perf_counter()
    for number in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        finished.append(done)
        await loop.create_connection(
            partial(Connection, queue, outcome, done), "127.0.0.1", ports[number % len(ports)]
        )
    await asyncio.gather(*finished)
    outcome.seconds = time.perf_counter() - started
    return outcome


def run(ports: list[int], keys: list[str], *, connections: int, count: int, seed: int) -> Outcome:
    """Send ``count`` checks over ``connections`` connections, spread over the ports, and wait for every answer."""
    prepared = list(requests(keys, count, seed))
    return uvloop.run(drive(ports, connections, prepared))
