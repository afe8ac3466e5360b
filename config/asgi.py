"""One origin for everything: the gate's paths go to the gate, websockets to the feed, the rest to Django."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
portal = get_asgi_application()  # sets Django up; what follows needs that

from audit.live.feed import Feed  # noqa: E402
from gate.app import application as gate  # noqa: E402
from workspaces.access import get_workspace  # noqa: E402
from workspaces.models import User  # noqa: E402

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


def log_of(person: User, slug: str) -> int:
    """The log of a workspace that the person may see. Raises NotVisible, which is a Http404."""
    return get_workspace(person, slug).log_id


application = FrontDoor(gate=gate, sockets=Feed.as_asgi(log_of=log_of), portal=portal)
