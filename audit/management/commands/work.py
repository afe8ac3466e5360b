"""manage.py work: performs what is owed, sweeps what is due, and publishes checkpoints."""

import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections, connections

from audit import cosigning, delivery, heartbeats, owed, publishing
from audit.beside import PATIENCE, Beside

ROUND = 1.0  # seconds of owed rows before the sweeps get their turn
LONGEST_PAUSE = 30.0  # seconds between two tries while the database is away
MESSENGERS = 2  # callbacks that one worker delivers at once, for the same reason
SENDERS = 4  # streams that one worker delivers at once, so that a sink that hangs holds up few


class Command(BaseCommand):
    help = "Send mail, start approvals, expire what is due, sign checkpoints. On PostgreSQL run as many as you like."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Do everything that is due, then stop.")
        parser.add_argument("--interval", type=float, default=1.0, help="Seconds between two rounds (1.0).")
        parser.add_argument("--quiet", action="store_true", help="Print failures only.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.quiet: bool = options["quiet"]
        self.pulse = heartbeats.Pulse()
        if options["once"]:
            self.pulse.beat()
            self.perform_due(until=None)
            self.sweep()
            while delivery.deliver_due():
                pass
            publishing.Publisher().round(publishing.AT_ONCE)
            cosigning.confirm()
            return
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        self.tell("Working; stop with SIGTERM.")
        publisher = publishing.Thread(stop)
        publisher.start()
        beside = self.start_beside(stop)
        self.work(stop, options["interval"])
        publisher.join()
        for thread in beside:
            thread.join(PATIENCE)
        self.tell("Stopped.")

    def start_beside(self, stop: threading.Event) -> list[Beside]:
        """Threads for what may take long: exports, witnesses and sinks that hang."""
        exports, messages = (partial(self.perform_aside, outward=outward) for outward in (False, True))
        steps: list[tuple[str, Callable[[], bool]]] = [("exports", exports), ("witnesses", cosigning.confirm)]
        steps += [(f"message sender {number + 1}", messages) for number in range(MESSENGERS)]
        steps += [(f"stream sender {number + 1}", delivery.deliver_due) for number in range(SENDERS)]
        threads = [Beside(name, step, stop=stop, complain=self.complain) for name, step in steps]
        for thread in threads:
            thread.start()
        return threads

    def perform_aside(self, *, outward: bool) -> bool:
        """Perform one row of those that may take long; False when none is due."""
        rows = owed.claim(1, aside=True, outward=outward)
        for row in rows:
            result = owed.perform(row)
            (self.tell if result.done else self.complain)(str(result))
        return bool(rows)

    def work(self, stop: threading.Event, interval: float) -> None:
        """Rounds until ``stop`` is set; what is being performed then is finished first."""
        pause = interval
        while not stop.is_set():
            close_old_connections()
            try:
                self.pulse.beat()
                self.perform_due(until=time.monotonic() + ROUND, stop=stop)
                self.sweep()
                pause = interval
            except Error as error:
                connections.close_all()
                pause = min(max(pause, 0.5) * 2, LONGEST_PAUSE)
                self.complain(f"The database failed, next try in {pause:.0f} s: {error}")
            stop.wait(pause)

    def perform_due(self, until: float | None, stop: threading.Event | None = None) -> None:
        """Perform due rows, one claimed at a time, so that no lease runs out while a row waits its turn."""
        while not (stop and stop.is_set()) and (until is None or time.monotonic() < until):
            rows = owed.claim(1, aside=None if until is None else False)
            if not rows:
                return
            result = owed.perform(rows[0])
            (self.tell if result.done else self.complain)(str(result))

    def sweep(self) -> None:
        """Call each registered sweep; one that fails does not keep the others from running."""
        for name, function in owed.periodics.items():
            try:
                count = function()
            except Error:
                raise
            except Exception as error:
                self.complain(f"{name} failed: {type(error).__name__}: {error}")
                continue
            if count:
                self.tell(f"{name}: {count}")

    def tell(self, line: str) -> None:
        if not self.quiet:
            self.stdout.write(line)
            self.stdout.flush()

    def complain(self, line: str) -> None:
        self.stderr.write(line)
        self.stderr.flush()
