"""Writers of one database stand in line: in the order in which they came, in threads and in processes."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from audit.turnstile import SelfDeadlock, Turnstile, TurnTimeout

PATIENCE = 60.0

# A process that holds the turn until it is killed or told to go on.
HOLDER = """
import sys
from audit.turnstile import Turnstile
class Connection: pass
connection = Connection()
turn = Turnstile(sys.argv[1]).enter(connection, 60)
print("inside", flush=True)
sys.stdin.readline()
"""

# A process that holds the turn and has a child by fork, which outlives it.
PARENT = """
import os, sys, time
from audit.turnstile import turnstile_of
class Connection: pass
connection = Connection()
turn = turnstile_of(sys.argv[1]).enter(connection, 60)
child = os.fork()
if child == 0:
    assert not turn.held
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""

# A process that takes turn after turn, and counts them in a file.
COMMITTER = """
import sys, time
from audit.turnstile import Turnstile
class Connection: pass
connection, turnstile, count = Connection(), Turnstile(sys.argv[1]), 0
print("started", flush=True)
while True:
    turn = turnstile.enter(connection, 60)
    count += 1
    with open(sys.argv[1] + ".count", "w") as file:
        file.write(f"{count:09}")
    time.sleep(0.002)
    turn.leave()
"""


class Connection:
    """Whoever writes: a turnstile only asks whether it still exists."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "db.sqlite3")


@pytest.fixture
def start(path: str):
    started = []

    def start(script: str) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", script, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.001)


def test_threads_pass_in_the_order_in_which_they_came(path: str) -> None:
    turnstile, order, threads = Turnstile(path), [], []
    me = Connection()
    first = turnstile.enter(me, PATIENCE)

    def pass_through(number: int) -> None:
        connection = Connection()
        turn = turnstile.enter(connection, PATIENCE)
        order.append(number)
        turn.leave()

    for number in range(12):
        threads.append(threading.Thread(target=pass_through, args=(number,)))
        threads[-1].start()
        until(lambda: turnstile.waiting == len(threads))
    assert order == []
    first.leave()
    for thread in threads:
        thread.join(PATIENCE)
    assert order == list(range(12))
    assert turnstile.waiting == 0


def test_only_one_is_inside_at_a_time(path: str) -> None:
    turnstile, inside, most = Turnstile(path), [], []

    def pass_through() -> None:
        connection = Connection()
        for _ in range(50):
            turn = turnstile.enter(connection, PATIENCE)
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            turn.leave()

    threads = [threading.Thread(target=pass_through) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (len(most), max(most)) == (400, 1)


def test_who_waits_too_long_gives_up_its_place(path: str) -> None:
    turnstile, errors = Turnstile(path), []
    turn = turnstile.enter(me := Connection(), PATIENCE)

    def impatient() -> None:
        with pytest.raises(TurnTimeout) as caught:
            turnstile.enter(Connection(), 0.05)
        errors.append(str(caught.value))

    thread = threading.Thread(target=impatient)
    thread.start()
    thread.join(PATIENCE)
    assert "did not come within 0.05 s" in errors[0]
    assert turnstile.waiting == 0
    turn.leave()
    turnstile.enter(me, 0).leave()


def test_a_thread_does_not_wait_for_itself(path: str) -> None:
    turnstile = Turnstile(path)
    turn = turnstile.enter(me := Connection(), PATIENCE)
    with pytest.raises(SelfDeadlock, match="another connection"):
        turnstile.enter(Connection(), PATIENCE)
    assert turn.held
    turn.leave()
    turnstile.enter(me, 0).leave()


def test_a_thread_may_be_inside_of_two_turnstiles(tmp_path: Path) -> None:
    one, other, me = Turnstile(str(tmp_path / "one")), Turnstile(str(tmp_path / "other")), Connection()
    turns = [one.enter(me, 0), other.enter(me, 0)]
    assert all(turn.held for turn in turns)
    for turn in turns:
        turn.leave()


def test_leaving_twice_does_not_push_out_the_next_one(path: str) -> None:
    turnstile, me = Turnstile(path), Connection()
    first = turnstile.enter(me, 0)
    first.leave()
    second = turnstile.enter(me, 0)
    first.leave()
    assert second.held
    second.leave()


def test_the_turn_of_a_connection_that_is_gone_is_over(path: str) -> None:
    turnstile, connection = Turnstile(path), Connection()
    turn = turnstile.enter(connection, 0)
    del connection
    gc.collect()
    assert not turn.held
    me = Connection()
    turnstile.enter(me, 0).leave()


def test_a_process_waits_for_another_one(path: str, start) -> None:
    holder = start(HOLDER)
    assert holder.stdout.readline() == "inside\n"
    turnstile, me, passed = Turnstile(path), Connection(), []
    with pytest.raises(TurnTimeout, match="another process was writing"):
        turnstile.enter(me, 0.05)
    thread = threading.Thread(target=lambda: passed.append(turnstile.enter(me, PATIENCE)))
    thread.start()
    until(lambda: turnstile.waiting == 1)
    holder.communicate("go on\n")
    thread.join(PATIENCE)
    assert passed[0].held
    passed[0].leave()


def test_who_gave_up_waiting_for_a_process_stands_in_nobodys_way(path: str, start) -> None:
    holder = start(HOLDER)
    assert holder.stdout.readline() == "inside\n"
    impatient, patient, me = Turnstile(path), Turnstile(path), Connection()
    with pytest.raises(TurnTimeout):
        impatient.enter(me, 0.05)
    holder.communicate("go on\n")
    patient.enter(me, PATIENCE).leave()


def test_kill_9_of_the_holder_frees_the_turn(path: str, start) -> None:
    holder = start(HOLDER)
    assert holder.stdout.readline() == "inside\n"
    os.kill(holder.pid, signal.SIGKILL)
    me = Connection()
    Turnstile(path).enter(me, PATIENCE).leave()


def test_a_forked_child_neither_holds_the_turn_nor_keeps_it_from_others(path: str, start) -> None:
    parent = start(PARENT)
    child = int(parent.stdout.readline())
    try:
        turnstile, me = Turnstile(path), Connection()
        with pytest.raises(TurnTimeout):
            turnstile.enter(me, 0.05)
        os.kill(parent.pid, signal.SIGKILL)
        turnstile.enter(me, PATIENCE).leave()
        os.kill(child, 0)  # it lived all the while
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_busy_committer_does_not_starve_another_process(path: str, start) -> None:
    assert start(COMMITTER).stdout.readline() == "started\n"
    counter, turnstile, me = Path(path + ".count"), Turnstile(path), Connection()
    until(lambda: counter.exists() and counter.read_text())
    before = int(counter.read_text())
    for _ in range(30):
        turn = turnstile.enter(me, PATIENCE)
        after = int(counter.read_text())
        turn.leave()
    # Two turns of the committer for each of ours when nothing else runs; hundreds without the queue.
    assert after - before < 30 * 10


def test_a_lock_file_that_was_removed_is_made_again(path: str) -> None:
    turnstile, other, me = Turnstile(path), Turnstile(path), Connection()
    turnstile.enter(me, 0).leave()
    os.remove(f"{path}.turnstile")
    turn = turnstile.enter(me, 1)
    assert os.path.exists(f"{path}.turnstile")
    with pytest.raises(TurnTimeout):
        other.enter(me, 0.05)
    turn.leave()
