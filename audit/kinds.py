"""The entry types and the configuration of the audit app: what happens to logs themselves, and what leaves them."""

from audit.models import Stream
from audit.registry import register_kind, register_types

# Types that somebody reads again.
PUBLISHED = "audit.checkpoint.published"
ROTATED = "audit.key.rotated"
PRUNED = "audit.retention.pruned"
SENTENCES = {
    PUBLISHED: "A checkpoint of a workspace's log was signed.",
    "audit.log.halted": "A log was halted: it is not what was signed before.",
    "audit.log.missing": "A log that was signed before is gone.",
    "audit.log.adopted": "{actor} adopted a log as it is, in a new epoch.",
    "audit.log.exported": "{actor} exported a log as a bundle.",
    ROTATED: "{actor} exchanged the key that signs checkpoints.",
    "audit.key.rewrapped": "{actor} exchanged the key that Details are sealed under.",
    PRUNED: "Entries and Details whose time was over were pruned.",
    "audit.export.requested": "{actor} asked for an export of the log: {outcome}.",
    "audit.export.downloaded": "{actor} downloaded an export of the log: {outcome}.",
    "audit.stream.created": "{actor} set up a stream of the log: {outcome}.",
    "audit.stream.changed": "{actor} changed a stream of the log: {outcome}.",
    "audit.stream.removed": "{actor} removed a stream of the log: {outcome}.",
}


def register() -> None:
    """Make them known, once, when the app is ready."""
    register_types(SENTENCES)
    register_kind(
        Stream,
        rows_of=lambda log_id: Stream.objects.filter(log_id=log_id),
        private=("name", "url", "secret"),  # an address may hold a token
        touches=lambda row: ("stream", row.pk),
    )
