"""What is signed of a log, by us and from outside, and the tree that proofs are made of."""

from django.db import models

from audit.models.logs import Log


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

    @property
    def cosigned(self) -> str:
        """The note with the lines of its witnesses, by their names."""
        signed = sorted(self.cosignatures.all(), key=lambda each: each.witness)
        return self.note + "".join(f"{each.line.rstrip()}\n" for each in signed)


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
