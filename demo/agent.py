"""An agent in a process of its own. Of Countersign it knows an address and a key, both from its environment.

It works in the folder it was started in, which its tools see as /. Its tasks come on stdin, one JSON object a
line; a language model would choose them elsewhere. Before each it asks, and after each it says what became of
it, one JSON object a line on stdout. Needs the standard library and clients/python/countersign.py.
"""

import json
import smtplib
import sqlite3
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from countersign import Countersign, CountersignError, Decision

PATIENCE = 60.0  # seconds that the agent waits for people
PACE = 0.01  # seconds between two calls of a watch
LONGEST_WATCH = 15.0  # seconds
SHOP = Path("shop.sqlite3")

Arguments = dict[str, Any]
client = Countersign()


def say(**event: Any) -> None:
    """One line for whoever gave the task."""
    print(json.dumps(event), flush=True)


def place(resource: str) -> Path:
    """Where a file:/// resource lies: / is the folder that the agent works in."""
    return Path(unquote(urlsplit(resource).path).lstrip("/"))


def read_file(resources: list[str], arguments: Arguments) -> str:
    """What stands in the file."""
    return place(resources[0]).read_text()


def write_file(resources: list[str], arguments: Arguments) -> str:
    """Write the text, and say how much it was."""
    written = place(resources[0]).write_text(arguments["text"])
    return f"{written} characters"


def send_mail(resources: list[str], arguments: Arguments) -> str:
    """Send one mail through the shop's mail server, and say to whom."""
    message = EmailMessage()
    message["From"] = "support-bot@shop.test"
    message["To"] = to = unquote(urlsplit(resources[0]).path)
    message["Subject"] = arguments["subject"]
    message.set_content(arguments["body"])
    with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=5) as server:
        server.send_message(message)
    return to


def refund(resources: list[str], arguments: Arguments) -> str:
    """Pay money back, in the shop's database; the invoice's own limit is the shop's business."""
    invoice = unquote(urlsplit(resources[0]).netloc)
    cents = round(arguments["amount"] * 100)
    shop = sqlite3.connect(SHOP)
    try:
        with shop:
            shop.execute("INSERT INTO refund (invoice, cents) VALUES (?, ?)", (invoice, cents))
            shop.execute("UPDATE invoice SET refunded = refunded + ? WHERE number = ?", (cents, invoice))
    finally:
        shop.close()
    return f"{arguments['amount']} on {invoice}"


TOOLS: dict[str, Callable[[list[str], Arguments], str]] = {
    "files.read": read_file,
    "files.write": write_file,
    "inbox.read": read_file,
    "mail.send": send_mail,
    "billing.refund": refund,
}


def check(task: dict[str, Any], approval: str | None = None) -> Decision | None:
    """Ask, do what was allowed, report it, and say all that. None where there was no answer to trust."""
    asked = time.monotonic()
    try:
        decision = client.check(
            task["tool"], task["arguments"], session=task.get("session"), approval=approval
        )
    except CountersignError as error:
        say(
            decision="none",
            code=type(error).__name__,
            message=str(error),
            asked=asked,
            answered=time.monotonic(),
        )
        return None
    answered = time.monotonic()
    result, failure = None, None
    if decision.allowed:
        try:
            result = TOOLS[decision.tool](decision.resources, task["arguments"])
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        client.report(decision, "failed" if failure else "succeeded", failure)
    say(
        decision=decision.decision,
        code=decision.code,
        message=decision.message(),
        receipt=decision.receipt,
        approval=decision.approval.id if decision.approval else None,
        result=result,
        failure=failure,
        asked=asked,
        answered=answered,
    )
    return decision


def perform(task: dict[str, Any]) -> None:
    """One call; where a person has to decide, wait for them, and make it again with their approval."""
    decision = check(task, task.get("approval"))
    if decision is not None and decision.decision == "pending":
        try:
            approval = client.wait(decision, PATIENCE)
        except CountersignError as error:
            say(decision="none", code=type(error).__name__, message=str(error), asked=0.0, answered=0.0)
            return
        if approval.edited:  # people approved another call: that one is made
            task = {**task, "tool": approval.tool, "arguments": approval.arguments}
        check(task, approval.id)


def watch(task: dict[str, Any]) -> None:
    """Make the same call over and over until it was refused ``refusals`` times."""
    left, end = task["refusals"], time.monotonic() + LONGEST_WATCH
    while left and time.monotonic() < end:
        decision = check(task)
        left -= decision is None or decision.decision != "allow"
        time.sleep(PACE)


def main() -> None:
    """Perform tasks until stdin ends."""
    for line in sys.stdin:
        task = json.loads(line)
        (watch if "refusals" in task else perform)(task)


if __name__ == "__main__":
    main()
