"""Child processes that never outlive this one."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
GRACE = 5.0  # seconds that a child has to stop by itself
TAIL = 15  # lines of a log
PR_SET_PDEATHSIG = 1  # prctl(2)
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Stopped(Exception):
    """A child ended that should have gone on."""


class Child:
    """A process in a group of its own, so that Ctrl-C reaches this process alone, which then stops it.

    Its output goes to ``log``, or, with ``talks``, its stdin and stdout are pipes and only stderr goes there.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        talks: bool = False,
    ) -> None:
        self.name, self.log = name, log
        pipe = subprocess.PIPE
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=pipe if talks else subprocess.DEVNULL,
                stdout=pipe if talks else output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
                text=True,
            )

    @property
    def stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def check(self) -> None:
        """Raises Stopped, with the end of its log, when the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise Stopped(f"{self.name} ended with exit code {code}.\n{self.tail()}".rstrip())

    def tail(self) -> str:
        """The last lines of its log, indented; empty when there are none."""
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
            return "\n".join(f"    {self.name}: {line}" for line in lines)
        return ""

    def terminate(self) -> None:
        """Ask the process and what it started to stop."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def finish(self) -> None:
        """Wait for the end, and force it after GRACE seconds."""
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def die_with_parent() -> None:
    """In the child before it starts: be told to stop when the parent is gone, however that went (Linux)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@contextmanager
def stopping(children: list[Child]) -> Iterator[None]:
    """Stop all these children at the end, also after SIGTERM and SIGHUP, which become SystemExit."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for child in children:
            child.terminate()
        for child in children:
            child.finish()
