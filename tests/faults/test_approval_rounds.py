"""Approve, reject, expire, cancel, kill and use at once, on both databases: a few rounds of ``make
bench-approval-races``, which runs a thousand."""

import json

from bench.approval_races import SCENARIOS
from tests.faults.processes import Installation

ROUNDS = 10


def test_each_race_has_one_outcome_and_tells_its_losers(installation: Installation) -> None:
    ports = [str(port) for port in installation.gates(2 if installation.database_url else 1)]
    said = installation.run("-m", "bench.approval_rounds", str(ROUNDS), *SCENARIOS, "--", *ports)
    told = {each["scenario"]: each for each in map(json.loads, said.splitlines())}
    assert told.keys() == set(SCENARIOS)
    for scenario, each in told.items():
        assert (each["rounds"], each["failed"]) == (ROUNDS, 0), (scenario, each["broken"])
