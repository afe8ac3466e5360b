"""Files that a person takes along, by a page or by the API: each after its entry, and streamed."""

from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO, TypeVar

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from audit import exports
from audit.models import Export
from governance import matrix
from workspaces.access import Forbidden
from workspaces.models import User, Workspace
from workspaces.people import actor_of

CHUNK = 256 * 1024

Piece = TypeVar("Piece", str, bytes)


def export_file(request: HttpRequest, export: Export, person: User) -> StreamingHttpResponse:
    """An export's file, for who asked for it. Raises NotReady, and Forbidden for somebody else's."""
    if export.requested_by_id != person.pk:
        raise Forbidden("Only who asked for an export downloads it; ask for one of your own.")
    file = exports.take_along(export, actor=actor_of(person))
    kind = "application/x-ndjson"
    if export.kind in exports.makers:
        kind = "application/zip"
    elif export.kind == exports.Kind.CSV:
        kind = "text/csv"
    response = streamed(request, chunks(file), name=exports.name_of(export), kind=kind)
    response["Content-Length"] = str(export.written)
    return response


def matrix_file(request: HttpRequest, workspace: Workspace, *, actor: str) -> StreamingHttpResponse:
    """The whole matrix of a workspace's grants as CSV."""
    matrix.note_export(workspace, actor=actor)
    people = User.objects.filter(memberships__workspace=workspace).distinct()
    names = {f"person:{person.public_id}": str(person) for person in people}
    lines = matrix.lines_of_csv(workspace, names, timezone.now())
    return streamed(request, lines, name=f"access-{workspace.slug}.csv", kind="text/csv; charset=utf-8")


def streamed(request: HttpRequest, pieces: Iterator[Piece], *, name: str, kind: str) -> StreamingHttpResponse:
    """The pieces as a file to keep, in whichever way the server streams."""
    stream = in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(stream, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store, private"
    return response


async def in_threads(pieces: Iterator[Piece]) -> AsyncIterator[Piece]:
    """The pieces, each read in the thread that may ask the database."""

    def step() -> Piece | None:
        return next(pieces, None)

    while (piece := await sync_to_async(step)()) is not None:
        yield piece


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file, a piece at a time, so that its size is nobody's memory."""
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
