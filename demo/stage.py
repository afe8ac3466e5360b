"""The demonstration: everything real is started here, and stopped however it ends."""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from demo.conversation import Conversation
from demo.installation import Installation, free_port
from demo.mailbox import Mailbox, closed_mailbox, open_mailbox
from demo.processes import Child, stopping
from demo.shop import Shop
from demo.table import BOLD, DIM, GREEN, RED, Table

if TYPE_CHECKING:  # it imports Django, whose settings are known only when the installation is set up
    from demo.story import Story

FAULTS = {
    "deny-rule": "the rule against sending after untrusted content is missing from the applied file",
    "flip-byte": "one byte of one entry is changed before the log is verified",
    "smtp-down": "the mail server refuses connections",
}
DENY_RULE = "Nothing leaves after untrusted content"


def run(fault: str | None) -> int:
    """Play the story, with one of FAULTS or none; 0 if every step went as it must."""
    table = Table(sys.stdout)
    children: list[Child] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-demo-")))
        stack.enter_context(stopping(children))
        mailbox = stack.enter_context(closed_mailbox() if fault == "smtp-down" else open_mailbox())
        started = time.monotonic()
        table.say("An agent asks before it acts. All of this is real: servers, files, database, mail.", BOLD)
        if fault:
            table.say(f"Planted fault {fault}: {FAULTS[fault]}. The demo must fail.", RED)
        try:
            story = set_the_stage(folder, children, mailbox, fault, table)
            failed = play(story, table)
        except Exception as error:
            table.say(f"The demo could not begin: {error}", RED)
            return 1
        seconds = time.monotonic() - started
        if failed is not None:
            table.say("\n".join(child.tail() for child in children if child.tail()), DIM)
            table.say(f"FAILED at {failed} What follows it was left out ({seconds:.0f} s).", RED)
            return 1
        table.say(f"Every step went as it must ({seconds:.0f} s).", GREEN)
        table.say("Next: make run    keeps a portal with this workspace open, to click through.")
        return 0


def set_the_stage(
    folder: Path, children: list[Child], mailbox: Mailbox, fault: str | None, table: Table
) -> "Story":
    """Database, workspace, servers, and the agent in its shop."""
    installation = Installation(folder / "server", free_port())
    installation.set_up(smtp_url=f"smtp://127.0.0.1:{mailbox.port}")
    from demo import records
    from demo.story import Story

    file, keys = records.FILE, folder / "keys.json"
    if fault == "deny-rule":
        file = folder / "workspace.yaml"
        records.write_without_rule(file, DENY_RULE)
    table.say(f"Workspace  demo/{records.FILE.name}: {records.apply(file, keys)}")
    installation.start(children)
    table.say(f"Server     {installation.url}, daphne and a worker, SQLite in {installation.folder}")
    shop = Shop(folder / "shop")
    key = json.loads(keys.read_text())[records.AGENT]
    log = installation.folder / "agent.log"
    agent = Conversation(installation.url, key, folder=shop.folder, log=log, smtp_port=mailbox.port)
    children.append(agent.child)
    table.say(f"Agent      process {agent.child.process.pid}, which knows that address and a key")
    table.say()
    story = Story(installation, agent, mailbox, shop)
    if fault == "flip-byte":
        story.before_verification = records.flip_byte
    return story


def play(story: "Story", table: Table) -> str | None:
    """Play each step and print its row; where one fails, which and why, and the rest is left out."""
    from demo.story import Wrong

    table.head()
    steps = story.steps()
    for number, step in enumerate(steps, 1):
        started = time.monotonic()
        try:
            seen = step.play()
        except Exception as error:
            got = error.got if isinstance(error, Wrong) else "could not be done"
            why = error.why if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - started
            table.row(number, step.who, step.does, step.expected, got, seconds, ok=False)
            table.say("\n".join(f"    {line}" for line in why.splitlines()), RED)
            table.say()
            return (
                f"step {number} of {len(steps)}, “{step.who} {step.does}”: {got} instead of {step.expected}."
            )
        table.row(number, step.who, step.does, step.expected, seen.got, seen.seconds, ok=True)
    table.say()
    return None
