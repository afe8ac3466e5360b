"""Large bodies, a few of each agent at a time: one thread parses them for everybody, and who sends many waits in a line
of their own. What waits is not read yet, and so takes no memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 4  # large bodies of one agent that are read, or in the parser's line


class Turns:
    """The lines of all agents in this process; of those without a large body nothing is kept."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.lines: dict[int, asyncio.Semaphore] = {}
        self.waiting: Counter[int] = Counter()

    @asynccontextmanager
    async def turn(self, agent_id: int, *, within: float) -> AsyncIterator[None]:
        """The agent's next turn, for as long as the block runs. Raises TimeoutError where it does not come within so
        many seconds."""
        self.waiting[agent_id] += 1
        line = self.lines.setdefault(agent_id, asyncio.Semaphore(self.at_once))
        try:
            await asyncio.wait_for(line.acquire(), within)
            try:
                yield
            finally:
                line.release()
        finally:
            self.waiting[agent_id] -= 1
            if not self.waiting[agent_id]:
                del self.waiting[agent_id], self.lines[agent_id]
