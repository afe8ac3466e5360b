"""What the worker does beside its rounds, in threads of its own, so that what takes long keeps nobody waiting."""

import threading
from collections.abc import Callable

from django.db import Error, close_old_connections, connections

LONGEST_PAUSE = 30.0  # seconds between two tries while the database is away


class Beside:
    """One thread that calls ``step`` until it says that there is nothing to do, and then every ``interval`` seconds."""

    def __init__(
        self, name: str, step: Callable[[], bool], *, complain: Callable[[str], None], interval: float = 1.0
    ) -> None:
        self.name, self.step, self.complain, self.interval = name, step, complain, interval
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Let it finish what it is at, for so many seconds at most; what it leaves is taken up again."""
        self.stopping.set()
        self.thread.join(timeout)

    def run(self) -> None:
        pause = self.interval
        while not self.stopping.is_set():
            close_old_connections()
            try:
                while not self.stopping.is_set() and self.step():
                    pass
                pause = self.interval
            except Error as error:
                connections.close_all()
                pause = min(max(pause, 0.5) * 2, LONGEST_PAUSE)
                self.complain(f"{self.name}: the database failed, next try in {pause:.0f} s: {error}")
            except Exception as error:
                pause = LONGEST_PAUSE
                self.complain(f"{self.name} failed: {type(error).__name__}: {error}")
            self.stopping.wait(pause)
        connections.close_all()
