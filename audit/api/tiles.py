"""A log as C2SP has it served (https://c2sp.org/tlog-tiles): checkpoint, tiles and bundles of entries.

Each log has a prefix of addresses, which its origin names: ``/ws/<uuid>``, ``/installation/<uuid>``, and after these
``/<epoch>`` for a later epoch. They are for who may read the log whole, and the installation's for its operators.
"""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils.functional import cached_property
from django.utils.module_loading import import_string
from rest_framework.request import Request

from audit import merkle, proofs, tiles
from audit.api.entries import LogView, readable
from audit.api.views import SIGNED_IN
from audit.models import Checkpoint, Entry, Log

LONGEST_ENTRY = 2**16 - 1  # a bundle gives an entry's length in two bytes
FOR_EVER = "private, max-age=31536000, immutable"


class EntryTooLong(Exception):
    """An entry that no bundle can hold."""

    status, code = 413, "entry_too_long"


class StaticView(LogView):
    """A resource of a log's prefix. It is no part of the API's document: the specification describes it."""

    permission = {"GET": SIGNED_IN}
    schema = None
    kind: Log.Kind = Log.Kind.WORKSPACE
    lasting = True

    @cached_property
    def log(self) -> Log:
        """The log of the address. Raises Http404 where the person may not read it whole, or it has no such epoch."""
        found = self.logs().filter(uuid=self.kwargs["uuid"], epoch__gte=self.epoch).first()
        if found is None:
            raise Http404("There is no such log.")
        return found

    @property
    def epoch(self) -> int:
        """The epoch of the address."""
        return min(int(self.kwargs.get("epoch", 0)), 2**31 - 1)

    def logs(self) -> QuerySet[Log]:
        """Those of this kind that the person may read whole."""
        if self.kind == Log.Kind.WORKSPACE:
            return Log.objects.filter(kind=self.kind, pk__in=readable(self.request))
        operates = import_string(settings.AUDIT_OPERATORS)(self.request.user)
        return Log.objects.filter(kind=self.kind) if operates else Log.objects.none()

    def newest(self) -> Checkpoint:
        """The newest checkpoint of the address's epoch. Raises Http404."""
        stored = Checkpoint.objects.filter(log=self.log, epoch=self.epoch)
        found = stored.order_by("-size").prefetch_related("cosignatures").first()
        if found is None:
            raise Http404("No checkpoint of this log is published yet.")
        return found

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What never changes need not be asked for again, by the one who may see it."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.lasting and response.status_code == 200:
            response["Cache-Control"] = FOR_EVER
        return response


class CheckpointFile(StaticView):
    """``checkpoint``: the newest note, with the witnesses' lines."""

    lasting = False

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        newest = self.newest()
        lines = "".join(f"{each.line.rstrip()}\n" for each in newest.cosignatures.all())
        return HttpResponse(newest.note + lines, content_type="text/plain; charset=utf-8")


class TileFile(StaticView):
    """``tile/…``: a tile, or a bundle of entries, whole or as far as it went at an earlier size."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            asked = tiles.parse(kwargs["tile"])
        except tiles.BadPath as refusal:
            raise Http404(str(refusal)) from None
        if self.log.epoch != self.epoch:
            raise Http404("This epoch of the log is over; its tiles are those of the newest one.")
        if tiles.width_of(asked.place, self.newest().size) < asked.width:
            raise Http404("No checkpoint over so many entries is published yet.")
        content = self.bundle(asked) if asked.entries else self.hashes(asked)
        return HttpResponse(content, content_type="application/octet-stream")

    def hashes(self, asked: tiles.Asked) -> bytes:
        """The tile's hashes, as many as were asked for. Raises Http404."""
        found = proofs.read(self.log.pk, [asked.place]).get(asked.place, b"")[
            : asked.width * merkle.HASH_SIZE
        ]
        if len(found) < asked.width * merkle.HASH_SIZE:
            raise Http404("The tile is not there.")
        return found

    def bundle(self, asked: tiles.Asked) -> bytes:
        """The entries, each with its length in two bytes before it. Raises Http404, EntryTooLong."""
        start = asked.place.number * tiles.WIDTH
        rows = Entry.objects.filter(log=self.log, index__gte=start, index__lt=start + asked.width)
        bodies = [bytes(body) for body in rows.order_by("index").values_list("body", flat=True)]
        if len(bodies) < asked.width:
            raise Http404("Some of these entries were pruned; the others are in the API, one by one.")
        for index, body in enumerate(bodies, start):
            if len(body) > LONGEST_ENTRY:
                raise EntryTooLong(
                    f"Entry {index} has {len(body)} bytes, which a bundle cannot hold; get the entries one by one at"
                    f" /api/v1/logs/{self.log.uuid}/entries/{index}."
                )
        return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


class InstallationCheckpointFile(CheckpointFile):
    """The same of the installation's log, for its operators."""

    kind = Log.Kind.INSTALLATION


class InstallationTileFile(TileFile):
    """The same of the installation's log, for its operators."""

    kind = Log.Kind.INSTALLATION
