"""What ``bench.search`` runs against one database.

``python -m bench.searching OUT.json`` makes a log of a million entries, indexes it as the worker does, and searches it.
Half of the entries are of a few busy agents, tools and outcomes, the others are spread over 5,000 agents and 200 tools,
so that every search has something common and something rare in it.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from audit import histograms, log, postings, search  # noqa: E402
from audit.log import adapt, insert  # noqa: E402
from audit.models import Entry, Head, Indexed, Posting  # noqa: E402
from workspaces import tenancy  # noqa: E402
from workspaces.models import Workspace  # noqa: E402

ENTRIES, AGENTS, TOOLS = 1_000_000, 5_000, 200
SECONDS = 2.5  # between two entries: a million of them are a month
BATCH = 20_000
ROUNDS = 200
TYPES = ["allowed"] * 6 + ["denied"] * 3 + ["pending"]
OUTCOMES = {"allowed": "granted", "denied": "no_permission", "pending": "rule"}
Facets = dict[str, list[str]]


def rows(log_id: int, first: int, count: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Entries as the log stores them, but for their hashes."""
    begin = timezone.now() - timedelta(seconds=SECONDS * ENTRIES)
    for index in range(first, first + count):
        busy = chance.random() < 0.5
        agent = f"agt_{chance.randrange(5 if busy else AGENTS):022}"
        tool = f"tool.number{chance.randrange(5 if busy else TOOLS)}"
        kind = chance.choice(TYPES)
        outcome = OUTCOMES[kind] if chance.random() < 0.98 else "contained"
        session = f"run-{index // 40}"
        body = json.dumps(
            {"index": index, "agent": agent, "tool": tool, "session": session, "outcome": outcome,
             "data": {"decision": f"dec_{index:032x}", "revision": 7, "rules": "m" * 20, "policy": "x" * 64}}
        )  # fmt: skip
        when = adapt(begin + timedelta(seconds=SECONDS * index))
        yield (log_id, index, f"governance.check.{kind}", when, f"agent:{agent}", agent, tool, f"doc://{index % 97}/x",
               outcome, session, body.encode(), bytes(32))  # fmt: skip


def seed(workspace: Workspace) -> None:
    """A million entries in the workspace's log, behind its back: it does not verify afterwards."""
    columns = "log_id index type time actor agent tool resource outcome session body leaf"
    chance, size = random.Random(7), log.newest(workspace.log_id)
    Entry.objects.filter(log_id=workspace.log_id).update(time="2020-01-01T00:00:00Z")
    for first in range(size, size + ENTRIES, BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            insert(cursor, Entry, columns, list(rows(workspace.log_id, first, BATCH, chance)))
    Head.objects.filter(log_id=workspace.log_id).update(size=size + ENTRIES)


def index(workspace: Workspace) -> dict[str, float]:
    """Index everything: entries a second, and how many postings there are."""
    begun = time.perf_counter()
    while postings.advance(workspace.log_id):
        pass
    taken = time.perf_counter() - begun
    size = Indexed.objects.get(log_id=workspace.log_id).size
    return {"rate": size / taken, "postings": Posting.objects.count()}


def questions() -> Iterator[Facets]:
    """Searches with three facets: common, rare, both, and such as nothing has."""
    chance = random.Random(11)
    while True:
        common = {"agent": f"agt_{chance.randrange(5):022}", "tool": f"tool.number{chance.randrange(5)}"}
        rare = {"agent": f"agt_{chance.randrange(5, AGENTS):022}", "tool": f"tool.number{chance.randrange(5, TOOLS)}",
                "session": f"run-{chance.randrange(ENTRIES // 40)}"}  # fmt: skip
        kind = {"type": f"governance.check.{chance.choice(TYPES)}"}
        outcome = {"outcome": chance.choice(["granted", "no_permission", "contained"])}
        for asked in (
            {**kind, **common},
            {**kind, "agent": rare["agent"], "tool": common["tool"]},
            {**kind, **outcome, "agent": rare["agent"]},
            {**outcome, "agent": common["agent"], "tool": rare["tool"]},
            {**kind, "session": rare["session"], "agent": common["agent"]},
            {**kind, **outcome, "tool": common["tool"]},
            {"agent": rare["agent"], "tool": rare["tool"], **kind},
        ):
            yield {facet: [value] for facet, value in asked.items()}


def page(workspace: Workspace, facets: Facets) -> list[int]:
    """The first page of results, with its entries."""
    found = search.search(workspace.log_id, facets=facets)
    entries = Entry.objects.filter(log_id=workspace.log_id, index__in=found.indexes).defer("body")
    return sorted((entry.index for entry in entries), reverse=True)


def survey(workspace: Workspace, facets: Facets) -> None:
    """What the page shows beside: counts of every facet and the bars."""
    found = search.find(workspace.log_id, facets=facets)
    search.counts(workspace.log_id, found, postings.FACETS, 8)
    histograms.histogram(workspace.log_id, found)


def plain(workspace: Workspace, facets: Facets) -> list[int]:
    """The same page by a filtered query, without postings."""
    columns = {facet: values[0] for facet, values in facets.items()}
    found = Entry.objects.filter(log_id=workspace.log_id, **columns).order_by("-index").defer("body")
    return [entry.index for entry in found[:50]]


def measured(ask: Callable[[Workspace, Facets], Any], workspace: Workspace, rounds: int) -> dict[str, float]:
    """p50 and p95 in milliseconds, and the slowest."""
    asked, taken = questions(), []
    for facets in (next(asked) for _ in range(rounds)):
        begun = time.perf_counter()
        ask(workspace, facets)
        taken.append((time.perf_counter() - begun) * 1000)
    steps = quantiles(taken, n=20, method="inclusive")
    return {"p50": steps[9], "p95": steps[18], "most": max(taken)}


def main() -> None:
    """Make, index, compare, measure."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor="system")
    workspace = tenancy.create_workspace("bench", name="Bench", timezone="UTC", actor="system")
    seed(workspace)
    told: dict[str, Any] = {"index": index(workspace)}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    asked = questions()
    for facets in (next(asked) for _ in range(14)):
        assert page(workspace, facets) == plain(workspace, facets), facets
    told["page"] = measured(page, workspace, ROUNDS)
    told["survey"] = measured(survey, workspace, ROUNDS)
    told["plain"] = measured(plain, workspace, ROUNDS // 5)
    Path(sys.argv[1]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
