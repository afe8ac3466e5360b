"""What the worker does beside its rounds, in threads of its own, so that what takes long keeps nobody waiting."""

import threading
from collections.abc import Callable

from django.db import Error, close_old_connections, connections

INTERVAL = 1.0  # seconds between two looks
LONGEST_PAUSE = 30.0  # seconds between two tries while the database is away
PATIENCE = 10.0  # seconds that a thread has to end; what it leaves then is taken up again


class Beside(threading.Thread):
    """Calls ``step`` until it says that there is nothing to do, and again every second, until ``stop`` is set."""

    def __init__(
        self, name: str, step: Callable[[], bool], *, stop: threading.Event, complain: Callable[[str], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.step, self.stop, self.complain = step, stop, complain

    def run(self) -> None:
        pause = INTERVAL
        while not self.stop.is_set():
            close_old_connections()
            try:
                while not self.stop.is_set() and self.step():
                    pass
                pause = INTERVAL
            except Error as error:
                connections.close_all()
                pause = min(pause * 2, LONGEST_PAUSE)
                self.complain(f"{self.name}: the database failed, next try in {pause:.0f} s: {error}")
            except Exception as error:
                pause = LONGEST_PAUSE
                self.complain(f"{self.name} failed: {type(error).__name__}: {error}")
            self.stop.wait(pause)
        connections.close_all()
