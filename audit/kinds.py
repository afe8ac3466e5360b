"""The entry types of the audit app: what happens to logs themselves."""

from audit.registry import register_types

SENTENCES = {
    "audit.checkpoint.published": "A checkpoint of a workspace's log was signed.",
    "audit.log.halted": "A log was halted: it is not what was signed before.",
    "audit.log.missing": "A log that was signed before is gone.",
    "audit.log.adopted": "{actor} adopted a log as it is, in a new epoch.",
    "audit.log.exported": "{actor} exported a log as a bundle.",
    "audit.key.rotated": "{actor} exchanged the key that signs checkpoints.",
    "audit.key.rewrapped": "{actor} exchanged the key that Details are sealed under.",
}


def register() -> None:
    """Make them known, once, when the app is ready."""
    register_types(SENTENCES)
