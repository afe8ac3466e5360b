"""Tasks for the agent's process, and what it says about them."""

import json
import queue
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.processes import ROOT, Child, Stopped

PATIENCE = 20.0  # seconds for one answer


@dataclass(frozen=True)
class Event:
    """One call of the agent: what the gate decided, and what the agent then did."""

    decision: str  # allow, deny, pending; none where there was no answer to trust
    code: str
    message: str
    asked: float  # seconds of the monotonic clock, which processes of one machine share
    answered: float
    receipt: dict[str, Any] | None = None
    approval: str | None = None
    result: str | None = None
    failure: str | None = None

    @property
    def verdict(self) -> str:
        """The decision as the table shows it."""
        return self.decision if self.decision in ("allow", "pending") else f"{self.decision}, {self.code}"

    @property
    def milliseconds(self) -> float:
        """How long the gate took."""
        return (self.answered - self.asked) * 1000


class Conversation:
    """The agent's process, started here. Raises Stopped when it has ended."""

    def __init__(self, url: str, key: str, *, folder: Path, log: Path, smtp_port: int) -> None:
        environment = {
            "COUNTERSIGN_URL": url,
            "COUNTERSIGN_KEY": key,
            "PYTHONPATH": str(ROOT / "clients" / "python"),
        }
        command = [sys.executable, "-P", str(ROOT / "demo" / "agent.py"), str(smtp_port)]
        self.child = Child("agent", command, env=environment, cwd=folder, log=log, talks=True)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.child.stdout:
            self._events.put(Event(**json.loads(line)))
        self._events.put(None)

    def give(self, tool: str, arguments: dict[str, Any], **task: Any) -> None:
        """Have the agent try this; ``task`` may hold session, approval, or how many refusals to watch for."""
        try:
            print(
                json.dumps({"tool": tool, "arguments": arguments, **task}), file=self.child.stdin, flush=True
            )
        except BrokenPipeError:
            raise Stopped(f"The agent has ended.\n{self.child.tail()}") from None

    def hear(self, within: float = PATIENCE) -> Event:
        """What the agent says next. Raises TimeoutError."""
        try:
            event = self._events.get(timeout=max(0.0, within))
        except queue.Empty:
            raise TimeoutError(f"The agent said nothing for {within:.0f} s.") from None
        if event is None:
            raise Stopped(f"The agent has ended.\n{self.child.tail()}")
        return event

    def hear_refusals(self, count: int, within: float = PATIENCE) -> list[Event]:
        """All that the agent says until it was refused so often. Raises TimeoutError."""
        events: list[Event] = []
        end = time.monotonic() + within
        while count:
            events.append(self.hear(end - time.monotonic()))
            count -= events[-1].decision != "allow"
        return events
