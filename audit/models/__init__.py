"""The rows of logs, by concept; imported from here."""

from audit.models.checkpoints import Checkpoint, Cosignature, Tile, Timestamp, Witness
from audit.models.exports import Export, export_id
from audit.models.logs import Change, Detail, DetailKey, Entry, Head, Log
from audit.models.removals import Erasure, ErasureItem, Pruning, erasure_id
from audit.models.searches import Indexed, Posting, SavedView, view_id
from audit.models.streams import DeadLetter, Stream, StreamCursor, stream_id
from audit.models.work import Owed, Worker

__all__ = [
    "Change",
    "Checkpoint",
    "Cosignature",
    "DeadLetter",
    "Detail",
    "DetailKey",
    "Entry",
    "Erasure",
    "ErasureItem",
    "Export",
    "Head",
    "Indexed",
    "Log",
    "Owed",
    "Posting",
    "Pruning",
    "SavedView",
    "Stream",
    "StreamCursor",
    "Tile",
    "Timestamp",
    "Witness",
    "Worker",
    "erasure_id",
    "export_id",
    "stream_id",
    "view_id",
]
