"""A fleet of agents replays recorded traffic of language models, priced by its tokens, ungoverned and governed. Two of
them fail half way: one's context grows with each call, one repeats a call that fails.

The traffic is Azure's LLM inference trace of 2023 (AzurePublicDataset, CC-BY-4.0); AZURE names the folder with its
``code.csv.gz`` and ``conv.csv.gz``. Promised: no agent spends more than its budget, and whoever fails is stopped at the
next call: the one after its budget has no room, or the fourth that is the same.
"""

import asyncio
import csv
import gzip
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.budgets import Fleet
from bench.kill import installed
from bench.pressure import PromiseBroken
from tests.faults.processes import ROOT

AZURE = Path(os.environ.get("AZURE", ROOT.parent / "shared" / "data" / "azure"))
FLEET = 20
CALLS = 300  # of each agent
MODEL = "openai:gpt-4o"
INPUT, OUTPUT = 2_500, 10_000  # nano-US-dollars a token, as the public list has the model
MOST_OUTPUT = 2_048  # tokens that a call asks for at most
GROWS, REPEATS = 3, 7  # the agents that fail
AFTER = 600  # calls that a failing agent would go on for
LARGEST = 128_000  # tokens that the model reads at most
ROOM = 1.5  # the budget, as a share of what the agent costs while it is well


@dataclass(frozen=True, slots=True)
class Call:
    """One call: tokens that it reads and writes, and what it asks. ``fails``: it is part of a failure."""

    read: int
    written: int
    prompt: str
    fails: bool = False

    @property
    def nanos(self) -> int:
        return self.read * INPUT + self.written * OUTPUT


@dataclass(slots=True)
class Run:
    """What became of one agent. ``stopped_after`` counts the calls of its failure that went through, ``seconds`` from
    the failure's first call to the first refusal, ``over`` what it spent beyond its budget, in nano-dollars."""

    limit: int
    spent: int = 0
    refused: int = 0
    refused_well: int = 0
    stopped_after: int = 0
    code: str = ""
    began: float = 0.0
    seconds: float = 0.0
    room: int = 0  # what was left when it was refused first
    needed: int = 0
    codes: set[str] = field(default_factory=set)


def recorded() -> Iterator[tuple[int, int]]:
    """(tokens read, tokens written) of each recorded request, by time. Raises PromiseBroken without the data."""
    rows = []
    for name in ("code", "conv"):
        file = AZURE / f"{name}.csv.gz"
        if not file.exists():
            raise PromiseBroken(
                f"{file} is not there: name the folder of Azure's traces, such as AZURE=~/azure."
            )
        with gzip.open(file, "rt") as text:
            rows += [
                (row["TIMESTAMP"], row["ContextTokens"], row["GeneratedTokens"])
                for row in csv.DictReader(text)
            ]
    for _, read, written in sorted(rows):
        yield int(read), min(int(written), MOST_OUTPUT)


def traffic() -> list[list[Call]]:
    """What each agent does: its share of the record, and in the middle of two of them a failure."""
    source = recorded()
    fleet = [[Call(*next(source), f"{who}-{number}") for number in range(CALLS)] for who in range(FLEET)]
    middle = CALLS // 2
    read = fleet[GROWS][middle].read
    growing = [
        Call(min(LARGEST, int(read * 1.05**number) + 500 * number), 400, f"grown-{number}", fails=True)
        for number in range(AFTER)
    ]
    fleet[GROWS][middle:] = growing
    fleet[REPEATS][middle:] = [Call(fleet[REPEATS][middle].read, 200, "the same", fails=True)] * AFTER
    return fleet


def measure() -> None:
    """Print cost, overrun and how soon the failures were noticed. Raises PromiseBroken where money was spent beyond a
    budget, a failure went on, or an agent that was well was refused."""
    fleet = traffic()
    well = [sum(call.nanos for call in calls if not call.fails) for calls in fleet]
    limits = [int(cost * (2 if number in (GROWS, REPEATS) else 1) * ROOM) for number, cost in enumerate(well)]
    with installed() as world:
        keys = json.loads(world.run("-m", "bench.runaway_seeding", *map(str, limits)).splitlines()[-1])
        gates = Fleet(world, 1)
        began = time.monotonic()
        runs = asyncio.run(everybody(gates.ports[0], keys, fleet, limits))
        took = time.monotonic() - began
    report(fleet, runs, limits, took)
    broken = [f"agent {number} spent {dollars(run.spent - run.limit)} too much"
              for number, run in enumerate(runs) if run.spent > run.limit]  # fmt: skip
    broken += [f"agent {number} was well, and refused {run.refused_well} times" for number, run in enumerate(runs)
               if run.refused_well]  # fmt: skip
    if runs[REPEATS].stopped_after > 3:
        broken.append(f"the same call went through {runs[REPEATS].stopped_after} times")
    if runs[GROWS].needed <= runs[GROWS].room and "loop_detected" not in runs[GROWS].codes:
        broken.append("the growing context was refused though it fit")
    if not (runs[GROWS].refused and runs[REPEATS].refused):
        broken.append("a failure was not noticed")
    if broken:
        raise PromiseBroken("; ".join(broken))


async def everybody(port: int, keys: list[str], fleet: list[list[Call]], limits: list[int]) -> list[Run]:
    """All agents at once, each one call after the other."""
    runs = [Run(limit) for limit in limits]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        await asyncio.gather(*(play(client, *each) for each in zip(keys, fleet, runs, strict=True)))
    return runs


async def play(client: httpx.AsyncClient, key: str, calls: list[Call], run: Run) -> None:
    """One agent: ask, call, tell what it cost. It goes on after a refusal, as a broken agent does."""
    headers = {"Authorization": f"Bearer {key}"}
    for call in calls:
        if call.fails and not run.began:
            run.began = time.monotonic()
        usage = {"input_tokens": call.read, "output_tokens": MOST_OUTPUT}
        body = {"tool": "llm.call", "arguments": {"prompt": call.prompt}, "session": "run", "model": MODEL,
                "estimated_usage": usage}  # fmt: skip
        answer = (await client.post("/v1/check", json=body, headers=headers)).json()
        if answer.get("decision") != "allow":
            refuse(run, call, answer)
            continue
        run.spent += call.nanos
        run.stopped_after += call.fails and not run.seconds
        outcome = {
            "status": "failed" if call.prompt == "the same" else "succeeded",
            "model": MODEL,
            "usage": usage | {"output_tokens": call.written},
            "result": call.prompt,
        }
        told = await client.post(f"/v1/decisions/{answer['id']}/outcome", json=outcome, headers=headers)
        if told.status_code != 200:
            raise PromiseBroken(f"An outcome was answered {told.status_code}: {told.text}")


def refuse(run: Run, call: Call, answer: dict[str, str]) -> None:
    """Note a refusal, and what was left when the first of a failure came."""
    run.refused += 1
    run.codes.add(answer["code"])
    if not call.fails:
        run.refused_well += 1
    elif not run.seconds:
        run.seconds = time.monotonic() - run.began
        run.code = answer["code"]
        run.room, run.needed = run.limit - run.spent, call.read * INPUT + MOST_OUTPUT * OUTPUT


def report(fleet: list[list[Call]], runs: list[Run], limits: list[int], took: float) -> None:
    """The figures, the ungoverned fleet's beside them."""
    ungoverned = [sum(call.nanos for call in calls) for calls in fleet]
    governed = [run.spent for run in runs]
    over = [max(0, cost - limit) for cost, limit in zip(ungoverned, limits, strict=True)]
    calls = sum(map(len, fleet))
    print(
        f"{FLEET} agents, {calls:,} calls of Azure's trace and of two failures, at {MODEL}'s price; {took:.0f} s\n"
    )
    print(f"{'':34}{'cost':>12}{'beyond budgets':>17}")
    print(f"{'ungoverned':34}{dollars(sum(ungoverned)):>12}{dollars(sum(over)):>17}")
    print(f"{'governed':34}{dollars(sum(governed)):>12}"
          f"{dollars(sum(max(0, run.spent - run.limit) for run in runs)):>17}")  # fmt: skip
    print(f"{'ungoverned / governed':34}{sum(ungoverned) / sum(governed):>11.2f}×\n")
    for name, number in (("context that grows", GROWS), ("a call that is repeated", REPEATS)):
        run = runs[number]
        print(f"{name:34}{dollars(ungoverned[number])} → {dollars(run.spent)}, budget {dollars(run.limit)}; refused"
              f" ({run.code}) after {run.stopped_after} calls of the failure, {run.seconds * 1000:.0f} ms;"
              f" the next call needed {dollars(run.needed)}, {dollars(run.room)} were left")  # fmt: skip
    others = sum(run.refused_well for run in runs)
    print(f"{'calls refused while all was well':34}{others}\n", flush=True)


def dollars(nanos: int) -> str:
    return f"${nanos / 10**9:,.2f}"
