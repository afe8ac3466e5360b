"""Checkpoints of logs and proofs out of their trees, for who may read a log whole."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit import merkle, proofs
from audit.api.entries import LogView
from audit.api.problems import Exact
from audit.api.views import SIGNED_IN
from audit.log import in_epoch
from audit.models import Checkpoint, Cosignature, Entry

LARGEST = 2**62


class CosignatureDocument(serializers.Serializer[Cosignature]):
    """A witness's signature."""

    witness = serializers.CharField()
    line = serializers.CharField(help_text="The signature's line, to be appended to the note.")
    time = serializers.DateTimeField(help_text="When the witness says that it signed.")


class CheckpointDocument(serializers.Serializer[Checkpoint]):
    """A signed statement of how many entries a log has, and of their root hash."""

    origin = serializers.SerializerMethodField(help_text="The log's name in the note.")
    epoch = serializers.IntegerField()
    size = serializers.IntegerField()
    root = serializers.SerializerMethodField(  # type: ignore[assignment]  # the framework has a property of this name
        help_text="RFC 6962 root hash, in hex."
    )
    note = serializers.CharField(help_text="C2SP signed note of a tlog-checkpoint.")
    time = serializers.DateTimeField(help_text="When it was signed.")
    cosignatures = CosignatureDocument(many=True)

    def get_origin(self, checkpoint: Checkpoint) -> str:
        """The address without scheme, and the epoch after the first."""
        return in_epoch(checkpoint.log.origin, checkpoint.epoch)

    def get_root(self, checkpoint: Checkpoint) -> str:
        """The stored hash."""
        return bytes(checkpoint.root).hex()


class ProofDocument(serializers.Serializer[Any]):
    """That an entry is in a log of this size."""

    index = serializers.IntegerField()
    size = serializers.IntegerField(help_text="Of the tree that the proof leads to.")
    leaf = serializers.CharField(help_text="SHA-256(0x00 ‖ body), in hex.")
    root = serializers.CharField(  # type: ignore[assignment]  # as above
        help_text="The root hash that the proof leads to, in hex."
    )
    hashes = serializers.ListField(
        child=serializers.CharField(), help_text="RFC 6962 inclusion proof, in hex."
    )
    checkpoint = CheckpointDocument(
        allow_null=True, help_text="The signed one of this size, where there is one."
    )


class ConsistencyDocument(serializers.Serializer[Any]):
    """That a log of the second size only added to the first."""

    first = serializers.IntegerField()
    second = serializers.IntegerField()
    first_root = serializers.CharField(help_text="Root hash at the first size, in hex.")
    second_root = serializers.CharField(help_text="Root hash at the second size, in hex.")
    hashes = serializers.ListField(
        child=serializers.CharField(), help_text="RFC 6962 consistency proof, in hex."
    )


class ProofQuery(Exact):
    """Which tree the proof is to lead to."""

    size = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST, help_text="By default the newest checkpoint's."
    )


class ConsistencyQuery(Exact):
    """Between which sizes."""

    def get_fields(self) -> dict[str, Any]:
        """``from`` is no name that Python lets a class have."""
        return {
            "from": serializers.IntegerField(default=1, min_value=1, max_value=LARGEST),
            "to": serializers.IntegerField(
                required=False,
                min_value=1,
                max_value=LARGEST,
                help_text="By default the newest checkpoint's.",
            ),
        }


class EvidenceView(LogView):
    """Something that follows from a log's published tree."""

    def checkpoints(self) -> QuerySet[Checkpoint]:
        """Those of the log's epoch, newest first."""
        stored = Checkpoint.objects.filter(log=self.log, epoch=self.log.epoch).order_by("-size")
        return stored.select_related("log").prefetch_related("cosignatures")

    def newest(self) -> Checkpoint:
        """The newest one. Raises Http404."""
        found = self.checkpoints().first()
        if found is None:
            raise Http404("No checkpoint of this log is published yet.")
        return found


class LogCheckpoint(EvidenceView):
    """The log's newest checkpoint."""

    permission = {"GET": SIGNED_IN}
    serializer_class = CheckpointDocument

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.shown(self.newest())


class EntryProof(EvidenceView):
    """The proof that an entry is in the log, as of the newest checkpoint or of a smaller size."""

    permission = {"GET": SIGNED_IN}
    serializer_class = ProofDocument
    query_class = ProofQuery

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        index = min(kwargs["index"], LARGEST)
        size = self.asked_for(request).get("size") or self.newest().size
        leaf = Entry.objects.filter(log=self.log, index=index).values_list("leaf", flat=True).first()
        try:
            if leaf is None:
                raise Http404("The log has no such entry.")
            hashes, root = proofs.proof_and_root(self.log.pk, index, size)
        except merkle.ProofError as refusal:
            raise Http404(str(refusal)) from None
        return self.shown(
            {
                "index": index,
                "size": size,
                "leaf": bytes(leaf).hex(),
                "root": root.hex(),
                "hashes": [each.hex() for each in hashes],
                "checkpoint": self.checkpoints().filter(size=size).first(),
            }
        )


class Consistency(EvidenceView):
    """The proof that the log only grew between two sizes."""

    permission = {"GET": SIGNED_IN}
    serializer_class = ConsistencyDocument
    query_class = ConsistencyQuery

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = self.asked_for(request)
        first, second = asked["from"], asked.get("to") or self.newest().size
        try:
            hashes = proofs.consistency(self.log.pk, first, second)
            roots = [proofs.root(self.log.pk, size) for size in (first, second)]
        except merkle.ProofError as refusal:
            raise Http404(str(refusal)) from None
        return self.shown(
            {
                "first": first,
                "second": second,
                "first_root": roots[0].hex(),
                "second_root": roots[1].hex(),
                "hashes": [each.hex() for each in hashes],
            }
        )
