"""Waiting for approvals: however many agents wait, one query looks for all of them a few times a second."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.db import Error, connection
from django.utils import timezone

from governance.models import Approval

INTERVAL = 0.2
CHUNK = 500


class Watch:
    """The approvals that agents of this process wait for."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[asyncio.Event]] = {}
        self.task: asyncio.Task[None] | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="watch")

    async def until_settled(self, approval: str, seconds: float) -> None:
        """Return when the approval no longer waits, or when the time is over."""
        event = asyncio.Event()
        self.waiting.setdefault(approval, set()).add(event)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.look())
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            events = self.waiting.get(approval, set())
            events.discard(event)
            if not events:
                self.waiting.pop(approval, None)

    async def look(self) -> None:
        """Look until nobody waits any more."""
        loop = asyncio.get_running_loop()
        while self.waiting:
            for settled in await loop.run_in_executor(self.thread, settled_among, list(self.waiting)):
                for event in self.waiting.get(settled, ()):
                    event.set()
            await asyncio.sleep(INTERVAL)


def settled_among(approvals: list[str]) -> list[str]:
    """Those that no longer wait for people. A database that is away is asked again at the next look."""
    settled: list[str] = []
    now = timezone.now()
    try:
        for start in range(0, len(approvals), CHUNK):
            chunk = approvals[start : start + CHUNK]
            rows = Approval.objects.filter(public_id__in=chunk, status="pending", expires_at__gt=now)
            still = set(rows.values_list("public_id", flat=True))
            settled += [approval for approval in chunk if approval not in still]
    except Error:
        connection.close()
    return settled


watch = Watch()
