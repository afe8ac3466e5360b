"""Where logs are served in the form of https://c2sp.org/tlog-tiles: each below the address that its origin names."""

from typing import Any

from django.urls import path
from django.urls.resolvers import URLPattern

from audit.api import tiles


def below(prefix: str, checkpoint: Any, tile: Any) -> list[URLPattern]:
    """The addresses of a log, and of its later epochs."""
    return [
        path(f"{prefix}/<uuid:uuid>/{epoch}{address}", view.as_view())
        for epoch in ("", "<int:epoch>/")
        for address, view in (("checkpoint", checkpoint), ("tile/<path:tile>", tile))
    ]


urlpatterns = [
    *below("ws", tiles.CheckpointFile, tiles.TileFile),
    *below("installation", tiles.InstallationCheckpointFile, tiles.InstallationTileFile),
]
