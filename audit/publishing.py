"""The publisher: signs the heads of logs that grew.

A round looks at all heads with one query. The head of each log that grew is computed anew (`audit.soundness`), written
to ``heads.json``, and only then signed and stored: checkpoint, tiles, and an entry in the installation's log, in one
transaction. The installation's own checkpoint comes last and is no entry. A log that is not sound is halted: nothing is
written to it until somebody looked (`manage.py log_adopt`).
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.db import Error, connections, transaction

from audit import heads, heartbeats, keys, log, notes, soundness
from audit.heads import Heads, Line
from audit.kinds import PUBLISHED
from audit.models import Checkpoint, Head, Log
from audit.soundness import Overtaken, Seen, Sound, Unsound
from audit.watermarks import Stopped

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two looks at the heads
SPACING = timedelta(seconds=1)  # between two checkpoints of a log
PATIENCE = timedelta(seconds=30)  # how long a worker without heads.json waits for one that has it
TOGETHER = 100  # logs whose checkpoints are stored in one transaction
REMINDER = 60.0  # seconds between two complaints of one text
AT_ONCE = timedelta(0)


class WrongKey(RuntimeError):
    """The key is not the one that signed before; nothing is signed."""


def publish(row: Log) -> Checkpoint | None:
    """Publish one log's committed head, where it grew and is sound. Raises WrongKey, heads.BadHeadsFile."""
    publisher = Publisher()
    with heads.held() as held:
        publisher.begin(held)
        found = publisher.publish(held, [soundness.seen(row)], AT_ONCE)
    return found[0] if found else None


class NoMemory(RuntimeError):
    """There is no ``heads.json`` here, and perhaps another worker has one; nothing is signed here."""


class Publisher:
    """A process's publisher. ``stored`` is (epoch, size) of each log's newest checkpoint, as far as it knows."""

    def __init__(self) -> None:
        self.started = log.database_time()
        self.stored = soundness.newest_sizes()
        self.key: tuple[int, int] | None = None

    def round(self, spacing: timedelta = SPACING) -> list[Checkpoint]:
        """Publish every log that grew, the installation's last; tell of those that are gone.

        Raises WrongKey, NoMemory, heads.BadHeadsFile and OSError."""
        logs = soundness.look()
        known = heads.read()
        grown = [each for each in logs if self.is_grown(each, known)]
        if not grown and known.found and not any(soundness.missing(known, logs)):
            return []
        try:
            with heads.held(wait=False) as held:
                self.begin(held)
                for uuid in list(soundness.missing(held, logs)):
                    note_missing(held, uuid)
                workspaces = [each for each in grown if each.kind != Log.Kind.INSTALLATION]
                published = self.publish(held, workspaces, spacing)
                return published + self.publish(held, soundness.look(Log.Kind.INSTALLATION), spacing)
        except heads.Busy:
            return []

    def begin(self, held: Heads) -> None:
        """Whether the file and the key are those that signed before; halts every log that was signed, where the file
        was lost. Raises WrongKey, NoMemory."""
        self.read_key()
        ours = public_key()
        if held.found and held.key != ours:
            raise WrongKey(
                f"{keys.path_of(keys.CHECKPOINT)} is not the key that signed before; restore it from your backup of"
                " keys. Nothing is signed until then."
            )
        if held.found:
            return
        if self.stored and heartbeats.others() and not self.is_urgent():
            raise NoMemory(
                f"{heads.path()} is not there, and another worker runs. Give this one the folder of that, or a copy of"
                " its files; it signs nothing until then."
            )
        held.key, held.found = ours, True
        self.mark_lost(held)
        heads.save(held)

    def read_key(self) -> None:
        """Read the key's file again where it was exchanged."""
        path = keys.path_of(keys.CHECKPOINT)
        status = path.stat() if path.exists() else None
        stamp = (status.st_ino, status.st_mtime_ns) if status else None
        if stamp is None or stamp != self.key:
            keys.forget()
        self.key = stamp

    def is_urgent(self) -> bool:
        """Whether logs grow and nobody has signed anything since this publisher started: no other has the file."""
        if (
            log.database_time() - self.started < PATIENCE
            or Checkpoint.objects.filter(time__gt=self.started).exists()
        ):
            return False
        return any(self.stored.get(each.log_id) != (each.epoch, each.size) for each in soundness.look())

    def mark_lost(self, held: Heads) -> None:
        """Halt every log that was signed, where nothing tells any more what was signed."""
        for each in soundness.look():
            if self.stored.get(each.log_id, (each.epoch, 0)) != (each.epoch, 0):
                held.lines[each.uuid] = Line(each.epoch, 0, b"", lost=True)
                halt(each, "What was signed of it is not known here any more: heads.json was lost.")

    def is_grown(self, seen: Seen, known: Heads) -> bool:
        """Whether a log has another head than its newest checkpoint or the file says, and may be signed at all."""
        now, line = (seen.epoch, seen.size), known.lines.get(seen.uuid)
        signed = self.stored.get(seen.log_id, (seen.epoch, 0))
        return not seen.halted and (signed != now or (line is not None and (line.epoch, line.size) != now))

    def publish(self, held: Heads, logs: Iterable[Seen], spacing: timedelta) -> list[Checkpoint]:
        """Publish those of the logs that grew, so many in one transaction; halt those that are not sound."""
        grown = [each for each in logs if self.is_grown(each, held)]
        published = []
        for start in range(0, len(grown), TOGETHER):
            sound = list(examined(held, grown[start : start + TOGETHER], spacing))
            if sound:
                held.lines |= {each.seen.uuid: each.line for each in sound}
                heads.save(held)
                with suppress(Overtaken):
                    published += self.store(sound)
        return published

    def store(self, logs: list[Sound]) -> list[Checkpoint]:
        """Sign and store, all or nothing. What another publisher signed meanwhile is left to the next round.

        Raises Overtaken where it is storing one of them just now."""
        published = []
        with anchor([each.seen for each in logs]) as entries:
            soundness.lock_logs([each.seen.log_id for each in logs])
            for each in logs:
                newest = soundness.newest_checkpoint(each.seen.log_id, each.seen.epoch)
                if (newest.size if newest else 0) != each.signed:
                    continue
                if each.size > each.signed:
                    published.append(sign(each))
                    if entries is not None:
                        entries.append(PUBLISHED, actor="system", data=told(each, published[-1]))
        self.stored |= {each.seen.log_id: (each.seen.epoch, each.signed) for each in logs}
        self.stored |= {each.log_id: (each.epoch, each.size) for each in published}
        return published


def examined(held: Heads, logs: list[Seen], spacing: timedelta) -> Iterator[Sound]:
    """Those whose newest checkpoint is old enough for another, and that are sound; what is unsound is halted."""
    since = log.database_time() - spacing
    for each in logs:
        newest = soundness.newest_checkpoint(each.log_id, each.epoch)
        if newest is not None and spacing and newest.time > since:
            continue
        try:
            yield soundness.examine(each, held, newest)
        except Unsound:
            if reason := confirmed(each, held):
                halt(each, reason)
        except (Overtaken, Head.DoesNotExist):
            continue


def confirmed(seen: Seen, held: Heads) -> str:
    """Why a log is not sound, looked at again while no other publisher can store anything of it: checkpoint and tiles
    are read one after the other, and may be of two states. "" where it is sound, or gone."""
    with transaction.atomic():
        soundness.lock_logs([seen.log_id])
        try:
            soundness.examine(seen, held, soundness.newest_checkpoint(seen.log_id, seen.epoch))
        except Unsound as reason:
            return str(reason)
        except (Overtaken, Head.DoesNotExist):
            pass
    return ""


def sign(sound: Sound) -> Checkpoint:
    """The checkpoint of a head, stored with its tiles. Inside a transaction that locked the log's row."""
    soundness.store_tiles(sound.seen.log_id, sound.growth, sound.stored)
    text = notes.Checkpoint(sound.seen.name, sound.size, sound.root).text
    return Checkpoint.objects.create(
        log_id=sound.seen.log_id,
        epoch=sound.seen.epoch,
        size=sound.size,
        root=sound.root,
        note=notes.sign(text, [signer(sound.seen.name)]),
        time=log.database_time(),
    )


def told(sound: Sound, checkpoint: Checkpoint) -> dict[str, Any]:
    """What the installation's log says of a checkpoint: everything that its note can be written from."""
    (signature,) = notes.Note.parse(checkpoint.note).signatures
    return {
        "log": sound.seen.uuid,
        "origin": sound.seen.name,
        "epoch": checkpoint.epoch,
        "size": checkpoint.size,
        "root": sound.root.hex(),
        "signature": signature.line.rstrip("\n"),
    }


@contextmanager
def anchor(logs: list[Seen]) -> Iterator[log.Writer | None]:
    """A transaction, with the installation's log to write to: unless it is its own checkpoint, or it is halted."""
    with transaction.atomic():
        if any(each.kind == Log.Kind.INSTALLATION for each in logs) or not is_writable():
            yield None
        else:
            with log.write(log.installation_log_id()) as entries:
                yield entries


def is_writable() -> bool:
    """Whether the installation's log can be written to; inside a transaction, which then holds its head."""
    try:
        log.lock([log.installation_log_id()])
    except (log.NoSuchLog, Log.DoesNotExist, Stopped):
        return False
    return True


def halt(seen: Seen, reason: str) -> None:
    """Let nothing be written to a log any more, and tell."""
    logger.critical(
        "The log %s was halted. %s Look at docs/operations.md, then manage.py log_adopt.", seen.name, reason
    )
    Head.objects.filter(log_id=seen.log_id).update(halted=reason[:200])
    if seen.kind != Log.Kind.INSTALLATION:
        tell(
            "audit.log.halted",
            log=seen.uuid,
            origin=seen.name,
            epoch=seen.epoch,
            size=seen.size,
            reason=reason,
        )


def note_missing(held: Heads, uuid: str) -> None:
    """Tell once that a log is gone that was signed."""
    line = held.lines[uuid]
    logger.critical(
        "The log %s, of which %d entries were signed, is gone. Restore a backup.", uuid, line.size
    )
    held.lines[uuid] = Line(line.epoch, line.size, line.root, missing=True, lost=line.lost)
    heads.save(held)
    tell("audit.log.missing", log=uuid, epoch=line.epoch, size=line.size, root=line.root.hex())


def tell(type: str, **data: Any) -> None:
    """An entry of the installation's log, where that can be written."""
    try:
        with log.write(log.installation_log_id()) as entries:
            entries.append(type, actor="system", data=data)
    except (log.NoSuchLog, Log.DoesNotExist, Stopped):
        logger.critical("The installation's log cannot be written either.")


def signer(name: str) -> notes.Signer:
    """The installation's key under a log's name."""
    return notes.Signer(name, keys.signing_key(keys.CHECKPOINT))


def public_key() -> str:
    """The key that signs checkpoints, its public half in hex."""
    return keys.signing_key(keys.CHECKPOINT).public_key().public_bytes_raw().hex()


class Thread(threading.Thread):
    """Publishes until it is told to stop, on a connection of its own: nothing that the worker does delays it."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(name="countersign-publisher", daemon=True)
        self.stop = stop

    def run(self) -> None:
        publisher: Publisher | None = None
        said, pause = "", PAUSE
        try:
            while not self.stop.is_set():
                try:
                    publisher = publisher or Publisher()
                    publisher.round()
                    said, pause = "", PAUSE
                except Exception as error:
                    if str(error) != said:
                        logger.critical("No checkpoint can be signed: %s", error, exc_info=is_surprise(error))
                    said, pause = str(error), min(pause * 2, REMINDER / 2)
                    connections.close_all()
                self.stop.wait(pause)
        finally:
            connections.close_all()


def is_surprise(error: Exception) -> bool:
    """Whether an error's text alone does not say what to do."""
    return not isinstance(error, Error | OSError | WrongKey | NoMemory | heads.BadHeadsFile | keys.BadKeyFile)
