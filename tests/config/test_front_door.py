"""One origin: which application answers which connection."""

import asyncio
from typing import Any

import pytest

from config.front_door import FrontDoor


class Door:
    """An application that notes who came."""

    def __init__(self, name: str, came: list[str]) -> None:
        self.name, self.came = name, came

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.came.append(self.name)


@pytest.mark.parametrize(
    ("kind", "path", "door"),
    [
        ("http", "/v1/check", "gate"),
        ("http", "/v1/approvals/apr_x", "gate"),
        ("http", "/v1/nothing", "gate"),
        ("http", "/healthz", "gate"),
        ("http", "/readyz", "gate"),
        ("http", "/", "portal"),
        ("http", "/v1", "portal"),
        ("http", "/healthz/", "portal"),
        ("http", "/api/v1/installation/containment", "portal"),
        ("http", "/admin/v1/", "portal"),
        ("http", "/ws/feed/", "portal"),
        ("websocket", "/ws/feed/", "sockets"),
        ("websocket", "/v1/check", "sockets"),
        ("lifespan", None, "gate"),
    ],
)
def test_each_connection_goes_to_whom_it_belongs(kind: str, path: str | None, door: str) -> None:
    came: list[str] = []
    front = FrontDoor(gate=Door("gate", came), sockets=Door("sockets", came), portal=Door("portal", came))
    scope = {"type": kind} | ({"path": path} if path else {})
    asyncio.run(front(scope, None, None))  # type: ignore[arg-type]
    assert came == [door]
