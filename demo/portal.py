"""The portal kept open: one server, one worker, and the demonstration's workspace in a folder that stays."""

import fcntl
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.installation import HOST, Installation, NotReady, free_port
from demo.processes import Child, Stopped, stopping
from demo.table import BOLD, DIM, RED, Table

PORT = 8000
LOOK = 0.5  # seconds between two looks at the servers
CALL = '{"tool": "billing.refund", "arguments": {"invoice": "INV-1002", "amount": 250}}'


class Running(Exception):
    """Another process serves this folder; SQLite takes one."""


def run(folder: Path, port: int, *, new_key: bool) -> int:
    """Serve until Ctrl-C; 0 after that, 1 when a server ended by itself or none could be started."""
    table = Table(sys.stdout)
    try:
        serve(folder, port, table, new_key=new_key)
    except KeyboardInterrupt:
        table.say("\nStopped. The data stays; make run opens it again.")
        return 0
    except (Running, Stopped, NotReady) as error:
        table.say(str(error), RED)
    return 1


def serve(folder: Path, port: int, table: Table, *, new_key: bool) -> None:
    """Start everything, greet, and look after it. Raises Running, Stopped and NotReady."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    children: list[Child] = []
    with alone(folder), stopping(children):
        installation = Installation(folder, port if is_free(port) else free_port())
        table.say("Starting …", DIM)
        installation.set_up()
        key = prepare(folder, new_key=new_key)
        installation.start(children)
        if installation.port != port:
            table.say(f"Port {port} is taken; this is another one.", DIM)
        greet(installation, key, table)
        while True:
            for child in children:
                child.check()
            time.sleep(LOOK)


def is_free(port: int) -> bool:
    """Whether the servers can have this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises Running."""
    with (folder / "serving.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Running(f"A portal with the data in {folder} is open already. Use that one.") from None
        yield


def prepare(folder: Path, *, new_key: bool) -> str | None:
    """Apply the workspace at the first start. A key that may be shown now, and is kept nowhere."""
    from demo import records

    first = folder / "first-key.json"
    if not records.exists():
        records.apply(records.FILE, first)
    key: str | None = None
    if first.exists():
        key = json.loads(first.read_text())[records.AGENT]
        first.unlink()
    return records.new_key() if new_key else key


def greet(installation: Installation, key: str | None, table: Table) -> None:
    """What a newcomer needs: where it is, how to get in, and a call to try."""
    from demo import records

    url = installation.url
    table.say()
    table.say(f"The portal is open: {url}/", BOLD)
    table.say(f"  Its data is in {installation.folder}; mail becomes files in its outbox. Ctrl-C stops it.")
    table.say()
    table.say("Sign in, once and within the hour (there are no passwords):", BOLD)
    table.say(f"  Olga, owner:    {records.signin_link(url, 'olga@shop.test')}")
    table.say(f"  Rita, reviewer: {records.signin_link(url, 'rita@shop.test')}")
    table.say()
    table.say("Ask as the agent, and see the call wait for Rita:", BOLD)
    if key is None:
        key = "YOUR_KEY"
    table.say(f"  curl -s {url}/v1/check -H 'Authorization: Bearer {key}' -d '{CALL}'")
    if key == "YOUR_KEY":
        table.say("  The key was shown at the first start only. For another one: make run ARGS=--new-key")
    else:
        table.say(
            "  The key is shown this once, and stored nowhere. For another one: make run ARGS=--new-key"
        )
