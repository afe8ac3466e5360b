"""A log as C2SP has it served (https://c2sp.org/tlog-tiles): checkpoint, tiles and bundles of entries.

Each log has a prefix of addresses, which its origin names: ``/ws/<uuid>``, ``/installation/<uuid>``, and after these
``/<epoch>`` for a later epoch. They are for who may read the log whole, and the installation's for its operators.
"""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
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
RESOURCE = re.compile(r"(?:(?P<epoch>[1-9][0-9]{0,8})/)?(?:checkpoint|tile/(?P<tile>.+))")
FOR_EVER = "private, max-age=31536000, immutable"


class EntryTooLong(Exception):
    """An entry that no bundle can hold."""

    status, code = 413, "entry_too_long"


class LogResource(LogView):
    """What stands below a log's prefix. It is no part of the API's document: the specification describes it."""

    permission = {"GET": SIGNED_IN}
    schema = None
    kind: Log.Kind = Log.Kind.WORKSPACE

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        found = RESOURCE.fullmatch(kwargs["resource"])
        if found is None:
            raise Http404("There is nothing at this address of the log.")
        newest = self.newest(int(found["epoch"] or 0))
        if found["tile"] is None:
            return HttpResponse(newest.cosigned, content_type="text/plain; charset=utf-8")
        try:
            asked = tiles.parse(found["tile"])
        except tiles.BadPath as refusal:
            raise Http404(str(refusal)) from None
        if newest.epoch != self.log.epoch:
            raise Http404("This epoch of the log is over; its tiles are those of the newest one.")
        if tiles.width_of(asked.place, newest.size) < asked.width:
            raise Http404("No checkpoint over so many entries is published yet.")
        content = self.bundle(asked) if asked.entries else self.hashes(asked)
        return HttpResponse(content, content_type="application/octet-stream")

    @cached_property
    def log(self) -> Log:
        """The log of the address. Raises Http404 where the person may not read it whole."""
        found = self.logs().filter(kind=self.kind, uuid=self.kwargs["uuid"]).first()
        if found is None:
            raise Http404("There is no such log.")
        return found

    def logs(self) -> QuerySet[Log]:
        """Those that the person may read whole."""
        return Log.objects.filter(pk__in=readable(self.request))

    def newest(self, epoch: int) -> Checkpoint:
        """The newest checkpoint of an epoch. Raises Http404."""
        stored = Checkpoint.objects.filter(log=self.log, epoch=epoch)
        found = stored.order_by("-size").prefetch_related("cosignatures").first()
        if found is None:
            raise Http404("No checkpoint of this log is published yet.")
        return found

    def hashes(self, asked: tiles.Asked) -> bytes:
        """The tile's hashes, as many as were asked for. Raises Http404."""
        length = asked.width * merkle.HASH_SIZE
        found = proofs.read(self.log.pk, [asked.place]).get(asked.place, b"")[:length]
        if len(found) < length:
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

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What never changes need not be asked for again, by the one who may see it."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == 200 and response["Content-Type"] == "application/octet-stream":
            response["Cache-Control"] = FOR_EVER
        return response


class InstallationResource(LogResource):
    """The same of the installation's log, for its operators."""

    kind = Log.Kind.INSTALLATION

    def logs(self) -> QuerySet[Log]:
        """The one, for who operates the installation. Raises PermissionDenied."""
        if not import_string(settings.AUDIT_OPERATORS)(self.request.user):
            raise PermissionDenied("The installation's log is for its operators.")
        return Log.objects.all()
