"""What a newcomer runs first: the demonstration passes, notices planted faults, and leaves nothing behind."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "-m", "demo"]
FAULTS = {
    "deny-rule": "does as it says: mails a stranger",
    "flip-byte": "is verified: manage.py verify_log",
    "smtp-down": "opens the link in her mail",
}

pytestmark = pytest.mark.timeout(420)  # the first test waits for all four demonstrations

Finished = subprocess.CompletedProcess[str]


def play(*options: str) -> Finished:
    return subprocess.run(
        [*DEMO, *options], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture(scope="module")
def played() -> dict[str, Finished]:
    """The demonstration by its fault, "" for none. Two at a time, since each mostly waits for its servers."""
    with ThreadPoolExecutor(2) as pool:
        runs = {fault: pool.submit(play, *(["--fault", fault] if fault else [])) for fault in ["", *FAULTS]}
        return {fault: run.result() for fault, run in runs.items()}


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_every_step_goes_as_it_must(played: dict[str, Finished]) -> None:
    output = played[""].stdout
    assert played[""].returncode == 0, output + played[""].stderr
    assert "FAILED" not in output
    rows = re.findall(r"^ ?\d+  .*\bok$", output, re.M)
    assert len(rows) == 22
    assert "Every step went as it must" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_the_step_that_must_notice_it(fault: str, played: dict[str, Finished]) -> None:
    run = played[fault]
    assert run.returncode == 1, run.stdout + run.stderr
    (row,) = re.findall(r"^ ?\d+  .*\bFAILED$", run.stdout, re.M)
    assert FAULTS[fault] in row
    assert FAULTS[fault] in run.stdout.splitlines()[-1]


@pytest.mark.parametrize("fault", ["", "flip-byte"])
def test_nothing_is_left_behind(fault: str, played: dict[str, Finished]) -> None:
    place = re.search(r"^Server +http://127\.0\.0\.1:(\d+),.* SQLite in (\S+)$", played[fault].stdout, re.M)
    assert place is not None
    assert not Path(place[2]).parent.exists()
    assert not is_open(int(place[1]))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[int], tuple[subprocess.Popen[str], str]]]:
    """Opens the portal on a port, over a folder that stays the same; the process, and its greeting."""
    started = []

    def start(port: int) -> tuple[subprocess.Popen[str], str]:
        command = [*DEMO, "--serve", "--data", str(tmp_path / "var"), "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        greeting = ""
        for line in process.stdout:
            greeting += line
            if "--new-key" in line:
                break
        return process, greeting

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.thorough
def test_the_portal_stays_open_and_keeps_its_data(
    serve: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    port = free_port()
    process, greeting = serve(port)
    for link in re.findall(r"http\S+/signin/\S+", greeting):
        assert httpx.get(link).status_code == 200
    (curl,) = re.findall(r"^ +(curl .*)$", greeting, re.M)
    _, _, url, _, header, _, body = shlex.split(curl)
    name, value = header.split(": ")
    answer = httpx.post(url, headers={name: value}, content=body.encode()).json()
    assert answer["decision"] == "pending"
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(120) == 0
    assert not is_open(port)

    process, greeting = serve(port)
    assert "csk_" not in greeting
    again = httpx.get(answer["approval"]["url"], headers={name: value}).json()
    assert again["id"] == answer["approval"]["id"]
    process.kill()  # not even then do its servers stay
    wait_until(lambda: not is_open(port), what="The end of the server")
