"""Logs, their heads, their entries, what leaves them, and what is owed because of them."""

import secrets
import uuid

from django.conf import settings
from django.db import models


def export_id() -> str:
    """The public id of a new export."""
    return f"exp_{secrets.token_hex(12)}"


def stream_id() -> str:
    """The public id of a new stream."""
    return f"str_{secrets.token_hex(12)}"


def view_id() -> str:
    """The public id of a new saved view."""
    return f"viw_{secrets.token_hex(12)}"


def erasure_id() -> str:
    """The public id of a new erasure."""
    return f"ers_{secrets.token_hex(12)}"


class Log(models.Model):
    """One append-only log: the installation's, or one workspace's."""

    class Kind(models.TextChoices):
        INSTALLATION = "installation"
        WORKSPACE = "workspace"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=12, choices=Kind, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    origin = models.CharField(
        max_length=200,
        editable=False,
        help_text="Its name in checkpoints: the public address without scheme.",
    )
    epoch = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts how often a log that had lost entries was adopted."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=models.Q(kind="installation"), name="one_installation_log"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uuid}"


class Head(models.Model):
    """The row that every write locks first. No foreign key points here, so that no reader can hold it."""

    log_id = models.BigIntegerField(primary_key=True)
    size = models.BigIntegerField(default=0)
    frontier = models.BinaryField(default=bytes)
    revision = models.BigIntegerField(default=0, help_text="Counts configuration changes.")
    time = models.DateTimeField(help_text="Time of the last entry; the next is never earlier.")
    halted = models.CharField(
        max_length=200,
        blank=True,
        help_text="Why nothing may be written, where the publisher found the log shortened.",
    )

    def __str__(self) -> str:
        return f"log {self.log_id}: {self.size} entries"


class Entry(models.Model):
    """Canonical JSON, stored exactly as hashed. The columns beside the body only serve searching."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="entries", db_index=False)
    index = models.BigIntegerField()
    type = models.CharField(max_length=64)
    time = models.DateTimeField()
    actor = models.CharField(max_length=200)
    agent = models.CharField(max_length=40, blank=True)
    tool = models.CharField(max_length=200, blank=True)
    resource = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=40, blank=True)
    session = models.CharField(max_length=200, blank=True)
    body = models.BinaryField()
    leaf = models.BinaryField()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="one_entry_per_index")]
        indexes = [models.Index(fields=["log", "agent", "index"], name="entry_by_agent")]

    def __str__(self) -> str:
        return f"{self.type} #{self.index}"


class Detail(models.Model):
    """Personal and secret values of one entry, of which its body holds salted commitments only."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    index = models.BigIntegerField()
    content = models.BinaryField(help_text="JSON: field → {salt, value}.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="one_detail_per_entry")]

    def __str__(self) -> str:
        return f"detail of #{self.index}"


class DetailKey(models.Model):
    """The key under which a log's Details are sealed, itself sealed under the installation's key."""

    log = models.OneToOneField(Log, models.PROTECT, primary_key=True, related_name="detail_key")
    wrapped = models.BinaryField()

    def __str__(self) -> str:
        return f"key of {self.log_id}"


class Checkpoint(models.Model):
    """A signed statement of a log's size and root. A row for each that was published."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="checkpoints", db_index=False)
    epoch = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField(help_text="C2SP signed note, without the witnesses' lines.")
    time = models.DateTimeField(help_text="When it was signed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "epoch", "size"], name="one_checkpoint_per_size")
        ]

    def __str__(self) -> str:
        return f"{self.size} entries at {self.time:%F %T}"


class Cosignature(models.Model):
    """A witness's signature line on a checkpoint."""

    checkpoint = models.ForeignKey(Checkpoint, models.CASCADE, related_name="cosignatures")
    witness = models.CharField(max_length=255)
    line = models.TextField()
    time = models.DateTimeField(help_text="When the witness says that it signed.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "witness"], name="one_cosignature_per_witness")
        ]

    def __str__(self) -> str:
        return f"{self.witness} at {self.time:%F %T}"


class Timestamp(models.Model):
    """An RFC 3161 token over a checkpoint's note."""

    checkpoint = models.ForeignKey(Checkpoint, models.CASCADE, related_name="timestamps")
    authority = models.CharField(max_length=255, help_text="Address of the authority.")
    token = models.BinaryField(help_text="DER, as the authority answered.")
    time = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["checkpoint", "authority"], name="one_timestamp_per_authority")
        ]

    def __str__(self) -> str:
        return f"{self.authority} at {self.time:%F %T}"


class Witness(models.Model):
    """Who confirms checkpoints from outside, and how they answer: witnesses by the names of their keys, the time stamp
    authority by its address. Kept by the worker, for people to see."""

    name = models.CharField(max_length=255, primary_key=True)
    due = models.DateTimeField(help_text="Not asked before; a worker that asks sets it ahead.")
    answered = models.DateTimeField(null=True, help_text="When it last confirmed something.")
    failing = models.DateTimeField(null=True, help_text="Since when it has not.")
    error = models.CharField(max_length=300, blank=True)
    contradicts = models.BooleanField(default=False, help_text="It has seen another history.")

    def __str__(self) -> str:
        return self.name


class Tile(models.Model):
    """Up to 256 consecutive hashes of one level of a log's tree (C2SP tlog-tiles, height 8). Only the last of a level
    grows; a full one never changes."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="+", db_index=False)
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hashes = models.BinaryField(help_text="32 bytes each.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "level", "index"], name="one_tile_per_place")]

    def __str__(self) -> str:
        return f"tile {self.level}/{self.index} of {self.log_id}"


class Posting(models.Model):
    """Which entries of one block of a log have a term. Written by ``audit.postings``, which says what a term is."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    level = models.PositiveSmallIntegerField(help_text="0 for blocks, 1 for wide ones.")
    block = models.BigIntegerField()
    term = models.BinaryField(help_text="facet:value in UTF-8, which every database orders alike.")
    content = models.BinaryField(help_text="Offsets in the block.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log", "level", "block", "term"], name="one_posting_per_term")
        ]

    def __str__(self) -> str:
        return f"{bytes(self.term).decode()} in block {self.level}/{self.block}"


class Indexed(models.Model):
    """How far the postings of a log reach."""

    log = models.OneToOneField(
        Log, models.PROTECT, primary_key=True, db_constraint=False, related_name="indexed"
    )
    size = models.BigIntegerField(default=0, help_text="Entries whose blocks have postings.")
    merged = models.BigIntegerField(default=0, help_text="Wide blocks that have postings.")
    thinned = models.BigIntegerField(default=0, help_text="Below it, no posting speaks of pruned entries.")

    def __str__(self) -> str:
        return f"{self.size} entries of log {self.log_id}"


class SavedView(models.Model):
    """What a person looks for in a log again and again. Theirs alone, and no configuration."""

    public_id = models.CharField(max_length=40, unique=True, default=view_id, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    log = models.ForeignKey(Log, models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, help_text="The page's address after the question mark.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "log", "name"], name="one_view_per_name")]

    def __str__(self) -> str:
        return self.name


class Change(models.Model):
    """What of the configuration changed at which revision, so that a process that is behind reads only that."""

    log = models.ForeignKey(Log, models.PROTECT, db_constraint=False, related_name="+", db_index=False)
    revision = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    key = models.BigIntegerField(help_text="What of a snapshot became stale: mostly a row's primary key.")

    class Meta:
        indexes = [models.Index(fields=["log", "revision"], name="change_by_revision")]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} at {self.revision}"


class Owed(models.Model):
    """Work that a committed change owes the world (mail, callback, expiry), claimed by the worker."""

    kind = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    due = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "owed work"
        verbose_name_plural = "owed work"
        indexes = [
            models.Index(fields=["due"], condition=models.Q(done_at__isnull=True), name="owed_and_not_done")
        ]

    def __str__(self) -> str:
        return f"{self.kind} due {self.due:%F %T}"


class Worker(models.Model):
    """A worker and when it was last heard of, so that people can tell whether one runs."""

    name = models.CharField(max_length=200, primary_key=True, help_text="Host and process.")
    started = models.DateTimeField()
    seen = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}, seen {self.seen:%F %T}"


class Export(models.Model):
    """A file of a part of a log, made by the worker for one person."""

    class Kind(models.TextChoices):
        JSONL = "jsonl", "Entries as JSON lines"
        CSV = "csv", "Entries as CSV, for a spreadsheet"
        OCSF = "ocsf", "OCSF API Activity, as JSON lines"
        CLOUDEVENTS = "cloudevents", "CloudEvents 1.0, as JSON lines"
        BUNDLE = "bundle", "Bundle that an auditor can verify offline"
        PACK = "pack", "Evidence pack of a period"

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting for the worker"
        RUNNING = "running", "Being made"
        DONE = "done", "Ready"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Deleted after its time"

    public_id = models.CharField(max_length=40, unique=True, default=export_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="exports")
    kind = models.CharField(max_length=12, choices=Kind)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="exports")
    since = models.DateTimeField(null=True, blank=True, help_text="Nothing earlier.")
    until = models.DateTimeField(null=True, blank=True, help_text="Only what is earlier.")
    only = models.JSONField(default=dict, help_text="Column → the exact text that an entry has in it.")
    first = models.BigIntegerField(help_text="Index of the first entry.")
    end = models.BigIntegerField(help_text="Index after the last entry.")
    position = models.BigIntegerField(help_text="Index from which it goes on.")
    written = models.BigIntegerField(default=0, help_text="Bytes that are safely in the file.")
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    error = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField()
    finished = models.DateTimeField(null=True, blank=True)
    expires = models.DateTimeField(null=True, blank=True, help_text="When the file is deleted.")

    class Meta:
        indexes = [
            models.Index(
                fields=["expires"], condition=models.Q(status__in=["done", "failed"]), name="export_by_expiry"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.created:%F %T}"


class Stream(models.Model):
    """A log's entries sent on as they come: to an address that takes webhooks, or into a file beside."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        FILE = "file", "File of JSON lines"

    class Format(models.TextChoices):
        JSONL = "jsonl", "Entries as JSON lines"
        OCSF = "ocsf", "OCSF API Activity"
        CLOUDEVENTS = "cloudevents", "CloudEvents 1.0"

    public_id = models.CharField(max_length=40, unique=True, default=stream_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="streams")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=Kind)
    url = models.CharField(max_length=2000, blank=True, help_text="Where a webhook goes.")
    format = models.CharField(max_length=12, choices=Format, default=Format.JSONL)
    secret = models.BinaryField(default=bytes, help_text="A webhook's, sealed under the installation's key.")
    paused = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "name"], name="one_stream_per_name")]

    def __str__(self) -> str:
        return self.name


class StreamCursor(models.Model):
    """How far a stream is, and how its sink is doing. No configuration: every delivery writes here."""

    stream = models.OneToOneField(Stream, models.CASCADE, primary_key=True, related_name="cursor")
    next = models.BigIntegerField(help_text="Index of the first entry that is not delivered.")
    batch_end = models.BigIntegerField(
        null=True,
        help_text="Index after the batch that is being tried, which stays the same until it is taken.",
    )
    attempts = models.PositiveIntegerField(default=0, help_text="Failures since the last delivery.")
    claims = models.BigIntegerField(
        default=0, help_text="Counts who took a turn, so that a late one does not count."
    )
    due = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    tested_at = models.DateTimeField(null=True)
    test_result = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.stream_id}: entry {self.next}"


class DeadLetter(models.Model):
    """An entry that a sink refused for good, and what became of it."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="dead_letters")
    index = models.BigIntegerField()
    reason = models.CharField(max_length=300)
    time = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="When it was taken after all.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "index"], name="one_dead_letter_per_entry")]

    def __str__(self) -> str:
        return f"entry {self.index} of {self.stream_id}"


class Pruning(models.Model):
    """A part of a log whose entries were deleted when their time was over, but for those that stay; the entry
    ``entry_index`` states it. Details went further than entries, whose tree needs full tiles."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="prunings", db_index=False)
    start = models.BigIntegerField(help_text="Index of the first entry.")
    end = models.BigIntegerField(help_text="Index after the last entry.")
    details_start = models.BigIntegerField(help_text="Index of the first entry whose Detail went.")
    details_end = models.BigIntegerField(help_text="Index after the last one.")
    entry_index = models.BigIntegerField(help_text="The entry that states it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "entry_index"], name="one_pruning_per_entry")]

    def __str__(self) -> str:
        return f"entries {self.start} to {self.end} of {self.log_id}"


class Erasure(models.Model):
    """Values to be erased from a log's Details, from the search for them to the last one."""

    class Status(models.TextChoices):
        SEARCHING = "searching", "Looking for what is to be erased"
        FOUND = "found", "Waiting to be confirmed"
        WAITING = "waiting", "Waiting for its turn"
        HELD = "held", "Waiting for a legal hold to be released"
        ERASING = "erasing", "Erasing"
        DONE = "done", "Erased"
        CANCELLED = "cancelled", "Cancelled"

    public_id = models.CharField(max_length=40, unique=True, default=erasure_id, editable=False)
    log = models.ForeignKey(Log, models.PROTECT, related_name="erasures")
    actor = models.CharField(max_length=200)
    basis = models.CharField(max_length=200, help_text="Legal basis, as the log names it for good.")
    query = models.BinaryField(
        default=bytes, help_text="The text that is looked for, sealed; gone at the end."
    )
    field = models.CharField(max_length=200, blank=True, help_text="This field alone; empty for every one.")
    first = models.BigIntegerField(help_text="Index of the first entry that is looked at.")
    end = models.BigIntegerField(help_text="Index after the last one.")
    position = models.BigIntegerField(help_text="Index from which the search goes on.")
    status = models.CharField(max_length=9, choices=Status, default=Status.SEARCHING)
    found = models.PositiveIntegerField(default=0, help_text="Entries that hold something to be erased.")
    in_use = models.PositiveIntegerField(default=0, help_text="Values that stay: the configuration has them.")
    in_clear = models.PositiveIntegerField(default=0, help_text="Entries whose body has the text, for good.")
    erased = models.PositiveIntegerField(default=0, help_text="Entries that are done.")
    left = models.JSONField(default=dict, help_text="What of it had left already: exports, streams, mails.")
    created = models.DateTimeField()
    finished = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["log"],
                condition=models.Q(status__in=["searching", "waiting", "held", "erasing"]),
                name="erasure_under_way",
            )
        ]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.get_status_display()}"


class ErasureItem(models.Model):
    """An entry's fields that are to be erased; the row goes with them."""

    erasure = models.ForeignKey(Erasure, models.CASCADE, related_name="items", db_index=False)
    index = models.BigIntegerField()
    fields = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["erasure", "index"], name="one_erasure_item_per_entry")
        ]

    def __str__(self) -> str:
        return f"entry {self.index}"
