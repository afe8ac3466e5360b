"""What ``bench.audit`` runs against one database: ``python -m bench.auditing SEED.json ENTRIES``, after
``bench.seeding``. Adds the figures to the file, and leaves the workspace's bundle and a policy beside it."""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import django

django.setup()

from audit import bundles, log, proofs, publishing  # noqa: E402
from audit.models import Checkpoint, Entry  # noqa: E402
from bench.recorded import record  # noqa: E402

ROUND = 50_000  # decisions between two checkpoints
PROOFS = 2_000


def fill(log_id: int, keys: list[str], entries: int) -> dict[str, float]:
    """Record so many decisions and publish them: how many a second were published, the recording apart."""
    publisher, seconds = publishing.Publisher(), 0.0
    for done in range(0, entries, ROUND):
        record(log_id, keys, min(ROUND, entries - done))
        begun = time.perf_counter()
        publisher.round(publishing.AT_ONCE)
        seconds += time.perf_counter() - begun
    return {"published_per_second": entries / seconds}


def timed(work: Callable[[int], object], places: list[int]) -> dict[str, float]:
    """Milliseconds a call, at each of these places."""
    taken = []
    for place in places:
        begun = time.perf_counter()
        work(place)
        taken.append((time.perf_counter() - begun) * 1000)
    cuts = quantiles(taken, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "most": max(taken)}


def main(out: Path, entries: int) -> None:
    told = json.loads(out.read_text())
    log_id = told["log_id"]
    told["publishing"] = fill(log_id, told["keys"], entries)
    size = proofs.size(log_id)
    dice = random.Random(3)
    places = [dice.randrange(size) for _ in range(PROOFS)]
    told["read"] = timed(lambda index: Entry.objects.get(log_id=log_id, index=index), places)
    told["inclusion"] = timed(lambda index: proofs.inclusion(log_id, index, size), places)
    told["consistency"] = timed(lambda first: proofs.consistency(log_id, first + 1, size), places)
    begun = time.perf_counter()
    bundles.write(log_id, out.parent / "bundle.zip")
    told["export_seconds"] = time.perf_counter() - begun
    told["size"] = size
    installation = Checkpoint.objects.filter(log_id=log.installation_log_id()).latest("size")
    verifier = publishing.signer(installation.note.partition("\n")[0]).verifier
    (out.parent / "policy.txt").write_text(f"log {verifier}\nquorum none\n")
    out.write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
