"""Calls with 1 MiB of arguments, judged under 100 rules, while other agents of the same workspace ask small ones.

Promised: the others' p99 rises by less than 20 ms. Three kinds of arguments: one long text; many small values; and many
small values among which one could be a card's number, so that each is searched for secrets.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.pressure import Answer, Caller, PromiseBroken, check, percentile, pressing, reading
from tests.faults.processes import GATE, Installation

RULES = 100
SECONDS = 5.0
PAIRS = 3
RISE = 20.0  # milliseconds
SIZE = 1024 * 1024 - 2048  # bytes of arguments; the rest of the body fits beside them
PAUSE = 0.01  # seconds between an answer and the next question of the others
OTHERS = 4

# A tool without a schema, granted to the bot that sends much, and rules that all look into its arguments.
SET_UP = f"""
from governance import policies
from tests.cast import ACTOR, declare
from workspaces import access, catalog
from workspaces.declarations import Action
from workspaces.models import Agent, Workspace
acme = Workspace.objects.get(slug="acme")
tool = catalog.set_tool(acme, declaration=declare("notes.write", Action.WRITE), actor=ACTOR).row
access.grant(Agent.objects.get(name="acme-0"), permission="use", obj=tool, actor=ACTOR)
rules = [
    {{"name": f"Rule {{number}}", "tools": ["notes.write"], "effect": "deny",
      "when": f"has(args.note) && args.note.contains('forbidden {{number}}')"}}
    for number in range({RULES})
]
policies.publish(policies.draft(acme, rules, actor=ACTOR), actor=ACTOR)
print("null")
"""


def text() -> dict[str, Any]:
    """One long text."""
    return {"note": "short", "text": "lorem ipsum " * (SIZE // 12)}


def values() -> dict[str, Any]:
    """Many small values."""
    return {
        "note": "short",
        "rows": [{"id": number, "name": f"row {number}"} for number in range(SIZE // 42)],
    }


def searched() -> dict[str, Any]:
    """Many small values and a number of nineteen digits."""
    return {**values(), "order": "4012888888881881999"}


def large(key: str, arguments: dict[str, Any]) -> Iterator[bytes]:
    """Endless calls with these arguments, each under another name."""
    number = 0
    while True:
        number += 1
        yield check(key, {"tool": "notes.write", "arguments": {**arguments, "name": f"call {number}"}})


def measure() -> None:
    """Print paired runs. Raises PromiseBroken when the p99 rises more than promised."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        world = Installation(Path(folder)).seed()
        world.script(SET_UP)
        try:
            port = world.serve(GATE)
            rises = {name: pairs(world, port, name, make()) for name, make in KINDS.items()}
        finally:
            world.end()
    if broken := [f"{name}: {rise:.1f} ms" for name, rise in rises.items() if rise >= RISE]:
        raise PromiseBroken(f"The others' p99 rises by 20 ms or more beside {'; '.join(broken)}.")


KINDS = {"one long text": text, "many values": values, "searched values": searched}


def pairs(world: Installation, port: int, name: str, arguments: dict[str, Any]) -> float:
    """Alternate runs without and with the large calls; the median rise of the others' p99, in milliseconds."""
    run(world, port, None)  # loads what the gate needs
    rises = []
    for _ in range(PAIRS):
        alone = run(world, port, None)
        beside = run(world, port, arguments)
        others = [answer for answer in beside if answer.caller == "other"]
        sent = [answer for answer in beside if answer.caller == "large"]
        if {answer.word for answer in beside} != {"allow"}:
            raise PromiseBroken(f"Answers other than allow: { {answer.word for answer in beside} }")
        figures = percentile(alone, 0.99), percentile(others, 0.99)
        rises.append(figures[1] - figures[0])
        print(f"{'':4}{name}: others' p50 {percentile(alone, 0.5):.2f} → {percentile(others, 0.5):.2f} ms, p99"
              f" {figures[0]:.2f} → {figures[1]:.2f} ms, beside {len(sent) / SECONDS:.1f} large calls a second of"
              f" {percentile(sent, 0.5):.0f} ms", flush=True)  # fmt: skip
    print(f"{'':4}{name}: p99 rises by {median(rises):.2f} ms, the median\n", flush=True)
    return median(rises)


def run(world: Installation, port: int, arguments: dict[str, Any] | None) -> Sequence[Answer]:
    """Other agents ask for some seconds, beside one that sends large calls or beside nobody."""
    callers = [
        Caller("other", port, reading(world.key(f"acme-{1 + number}"), f"{time.time_ns()}-{number}"))
        for number in range(OTHERS)
    ]
    if arguments is not None:
        callers.append(Caller("large", port, large(world.key("acme-0"), arguments)))
    with pressing(callers, pause=PAUSE) as answers:
        time.sleep(SECONDS)
    return answers
