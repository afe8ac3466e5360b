"""Decisions on record and a draft to replay over them. ``python -m bench.recorded SEED.json CALLS RULES``, after
``bench.seeding``; adds to the file how long it takes to read them."""

import json
import random
import sys
import time
from pathlib import Path

import django

django.setup()

import orjson  # noqa: E402

from audit.models import Detail, Entry  # noqa: E402
from bench.seeding import rules  # noqa: E402
from bench.workload import TOOLS, tool_name  # noqa: E402
from gate import bodies, callers  # noqa: E402
from governance import checks, policies, replays  # noqa: E402
from governance.requests import Caller  # noqa: E402
from workspaces.models import User, Workspace  # noqa: E402

BATCH = 256


def record(log_id: int, keys: list[str], count: int) -> None:
    """Have so many distinct calls decided and recorded, as a gate would."""
    known = [callers.find(f"Bearer {key}".encode()) for key in keys]
    dice = random.Random(1)
    for first in range(0, count, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, count)):
            body = {
                "tool": tool_name(dice.randrange(1, TOOLS)),
                "session": f"run-{number % 7}",
                "arguments": {
                    "folder": "open",
                    "name": f"d-{number}",
                    "size": dice.randrange(1000),
                    "title": "A",
                },
            }
            caller = known[number % len(known)]
            assert isinstance(caller, Caller)
            batch.append(bodies.parse_check(json.dumps(body).encode(), caller, ""))
        checks.admit(log_id, batch)


def read(log_id: int) -> float:
    """Seconds that it takes to read every decision with its Detail."""
    begun = time.perf_counter()
    entries = Entry.objects.filter(log_id=log_id, type__startswith="governance.check.").order_by("index")
    for body in entries.values_list("body", flat=True).iterator():
        orjson.loads(bytes(body))
    for content in Detail.objects.filter(log_id=log_id).values_list("content", flat=True).iterator():
        orjson.loads(bytes(content))
    return time.perf_counter() - begun


def main(out: Path, calls: int, rule_count: int) -> None:
    told = json.loads(out.read_text())
    record(told["log_id"], told["keys"], calls)
    workspace = Workspace.objects.get(log_id=told["log_id"])
    changed = [
        {**rule, "when": f"args.size > {900 + number % 100}"}
        for number, rule in enumerate(rules(rule_count, 50))
    ]
    version = policies.draft(workspace, changed, actor="cli:bench@localhost")
    replays.start(version, person=User.objects.get(email="owner@bench.test"), most=calls)
    out.write_text(json.dumps({**told, "read_seconds": read(told["log_id"])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
