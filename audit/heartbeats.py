"""Workers say every few seconds that they are there."""

import os
import socket
import time
from datetime import timedelta

from audit.log import database_time
from audit.models import Worker

INTERVAL = 5.0  # seconds between two beats
# A worker that was not heard of for so long is away: nothing it performs takes longer.
LATE = timedelta(seconds=45)
FORGOTTEN = timedelta(days=1)


def own_name() -> str:
    """How this process is called where it is a worker."""
    return f"{socket.gethostname()[:150]}, process {os.getpid()}"


def others() -> bool:
    """Whether other workers were heard of lately."""
    return Worker.objects.filter(seen__gte=database_time() - LATE).exclude(name=own_name()).exists()


class Pulse:
    """One worker's beats."""

    def __init__(self) -> None:
        self.name = own_name()
        self.started = database_time()
        self.last = float("-inf")

    def beat(self) -> None:
        """Note that this worker is there, unless it just did; forget those that have been away for a day."""
        if time.monotonic() - self.last < INTERVAL:
            return
        now = database_time()
        Worker.objects.update_or_create(name=self.name, defaults={"started": self.started, "seen": now})
        Worker.objects.filter(seen__lt=now - FORGOTTEN).delete()
        self.last = time.monotonic()
