"""Which application answers which connection of the one origin."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]

GATE_PREFIX = "/v1/"
GATE_PATHS = frozenset(["/healthz", "/readyz"])


class FrontDoor:
    """Sends each connection to the application whose it is."""

    def __init__(self, *, gate: Application, sockets: Application, portal: Application) -> None:
        self.gate, self.sockets, self.portal = gate, sockets, portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "websocket":
                await self.sockets(scope, receive, send)
            case "lifespan":  # only the gate has something to finish when a server stops
                await self.gate(scope, receive, send)
            case "http" if is_gate(scope["path"]):
                await self.gate(scope, receive, send)
            case _:
                await self.portal(scope, receive, send)


def is_gate(path: str) -> bool:
    """Whether agents come this way."""
    return path.startswith(GATE_PREFIX) or path in GATE_PATHS
