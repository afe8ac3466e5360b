"""Real conversations and planted loops through the decision path: how many conversations are stopped that go round in
no circle, and by which call a loop is stopped.

The conversations are 50 of tau-bench's airline agent (sierra-research/tau-bench, MIT); TAU names the folder with
``tau_airline_gpt4o_trial0_messages.json`` and ``tau_tool_schemas_and_policy.json``. They are one agent's, in turn and
ten at once, with and without reports of what came back. Promised: at most 2 % are stopped wrongly, and every planted
loop by its fourth identical call.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.pressure import PromiseBroken
from bench.servers import surroundings

TAU = Path(os.environ.get("TAU", Path(__file__).resolve().parents[2] / "shared" / "data" / "tau"))
MOST_WRONG = 0.02
STOPPED_BY = 4
SAYS = {True: "results reported", False: "nothing reported"}


def measure() -> None:
    """Print both figures. Raises PromiseBroken."""
    if not TAU.is_dir():
        print(f"loops: no conversations in {TAU}. Get the airline's of sierra-research/tau-bench"
              " (historical_trajectories), and name their folder: TAU=… make bench-loops\n")  # fmt: skip
        return
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.loop_replaying", str(TAU)],
            env={**os.environ, **surroundings(folder)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise PromiseBroken(f"The conversations could not be replayed:\n{done.stderr[-3000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    count, broken = told["conversations"], []
    for run in told["runs"]:
        what = f"conversations {run['name']}, {SAYS[run['reports']]}"
        print(f"{'':4}{what:52}{run['stopped']:>4} of {count} stopped wrongly"
              f"   ({sum(run['answered'].values())} calls)")  # fmt: skip
        if run["stopped"] > MOST_WRONG * count:
            broken.append(f"{run['stopped']} of {count} conversations were stopped that were no loop")
    for loop in told["planted"]:
        what = f"planted: {loop['kind']}, {SAYS[loop['reports']]}"
        at = {call: number for call, number in sorted(loop["stopped_at"].items()) if call != "None"}
        stopped = sum(at.values())
        print(f"{'':4}{what:52}{stopped:>4} of {count} stopped, by call "
              + ", ".join(f"{call}: {number}" for call, number in at.items()))  # fmt: skip
        if stopped < count or any(int(call) > STOPPED_BY for call in at):
            broken.append(f"loops of the kind “{loop['kind']}” were not stopped by call {STOPPED_BY}")
    print()
    if broken:
        raise PromiseBroken("; ".join(broken))
