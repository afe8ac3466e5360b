"""Approvals as people and agents meet them: the inbox of a busy reviewer, and how long an agent waits for the answer.

Promised: the inbox with 100,000 requests of which 1,000 wait for the viewer takes at most 200 ms (95th percentile) and
as many queries as with 10; from the moment a reviewer presses “approve” to the waiting agent's answer it takes at most
500 ms (99th percentile), on SQLite and on PostgreSQL.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import httpx
import pytest  # its skips say which program is not installed

from bench.kill import installed
from bench.portal import Browser, measured
from bench.pressure import PromiseBroken
from bench.servers import serving, surroundings
from tests.faults.processes import PORTAL, Installation
from tests.servers import postgres_cluster

ROOT = Path(__file__).resolve().parents[1]
INBOX_PROMISED, ANSWER_PROMISED = 200.0, 500.0  # milliseconds
ROUNDS = 200
MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}
REVIEWER = """
from django.test import Client
from governance import policies
from tests.cast import ACTOR
from workspaces.models import User, Workspace
rule = {"name": "Mail is looked at", "tools": ["mail.send"], "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test"]}}
policies.replace(Workspace.objects.get(slug="acme"), [rule], actor=ACTOR)
browser = Client()
browser.force_login(User.objects.get(email="rita@acme.test"), backend="django.contrib.auth.backends.ModelBackend")
print('"%s"' % browser.cookies["sessionid"].value)
"""


def measure() -> None:
    """Print the figures. Raises PromiseBroken."""
    broken = [*inbox(), *waits()]
    print()
    if broken:
        raise PromiseBroken(f"Worse than promised: {'; '.join(broken)}.")


def inbox() -> Iterator[str]:
    """The inbox and an approval's page of a crowded workspace, beside what an empty answer costs."""
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        described = Path(folder) / "pages.json"
        environment = surroundings(folder, COUNTERSIGN_SQLITE=f"{folder}/countersign.sqlite3")
        seeding = [sys.executable, "-m", "bench.approval_seeding", str(described)]
        subprocess.run(seeding, cwd=ROOT, env={**os.environ, **environment}, check=True)
        told = json.loads(described.read_text())
        pages = {"an empty answer (/healthz)": "/healthz", "the inbox": "/admin/governance/approval/"}
        pages |= {"everything, settled too": "/admin/governance/approval/?status=all"}
        pages |= {"one approval": told["approval"]}
        print(f"{'100,000 requests, 1,000 wait for the viewer; daphne, SQLite':68}{'p50 ms':>8}{'p95 ms':>8}")
        with serving("daphne", PORTAL, environment) as (port,):
            browser = Browser(port, told["session"])
            for name, address in pages.items():
                p50, p95, status, _ = measured(browser, address)
                print(f"{name:68}{p50:>8.0f}{p95:>8.0f}", flush=True)
                if status != 200:
                    yield f"{name} answers {status}"
                if name == "the inbox" and p95 > INBOX_PROMISED:
                    yield f"the inbox takes {p95:.0f} ms"
    few, many = told["queries"]["few"], told["queries"]["many"]
    print(f"queries of the inbox: {few} with 10 requests, {many} with 100,000")
    if many > few:
        yield f"the inbox costs {many} queries instead of {few}"


def waits() -> Iterator[str]:
    """From the press of a button to the agent's answer, on both databases."""
    print(f"\n{'one reviewer, one waiting agent; portal, gate and worker':68}{'p50 ms':>8}{'p99 ms':>8}")
    for name, world in worlds():
        late = answered(name, world)
        if late > ANSWER_PROMISED:
            yield f"{name}: the agent has its answer after {late:.0f} ms"


def worlds() -> Iterator[tuple[str, Installation]]:
    """An installation on each database."""
    with installed() as world:
        yield "SQLite", world
    try:
        with postgres_cluster() as cluster, installed(cluster.create_database("bench")) as world:
            yield "PostgreSQL", world
    except pytest.skip.Exception as error:
        print(f"PostgreSQL: not measured. {error}")


def answered(name: str, world: Installation) -> float:
    """Let an agent ask and a reviewer approve, round after round; the 99th percentile of the agent's wait."""
    session = world.script(REVIEWER)
    (gate,), portal = world.gates(1), world.serve(PORTAL, server="daphne")
    world.worker()
    opened, decided, waited, idle = [], [], [], []
    with agent_of(world, gate) as agent, reviewer_of(portal, session) as reviewer:
        for number in range(ROUNDS):
            idle.append(taken(partial(reviewer.get, "/healthz")))
            asked: dict[str, str] = {}
            opened.append(taken(partial(ask, agent, number, asked)))
            told: list[float] = []
            waiting = threading.Thread(target=wait, args=(agent, asked["id"], told))
            waiting.start()
            time.sleep(0.1)  # the agent waits, the person reads
            begun = time.perf_counter()
            decided.append(taken(partial(approve, reviewer, asked["id"])))
            waiting.join()
            waited.append((told[0] - begun) * 1000)
    for what, figures in (
        ("an empty answer of the portal (/healthz)", idle),
        ("a check is answered “pending”", opened),
        ("“approve” is pressed and confirmed", decided),
        ("“approve” is pressed, and the waiting agent has the answer", waited),
    ):
        print(f"{name + ': ' + what:68}{middle(figures):>8.0f}{latest(figures):>8.0f}", flush=True)
    return latest(waited)


@contextmanager
def agent_of(world: Installation, gate: int) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {world.key('support-bot')}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{gate}", headers=headers, timeout=70) as agent:
        yield agent


@contextmanager
def reviewer_of(portal: int, session: str) -> Iterator[httpx.Client]:
    """Rita's session with the API."""
    address = f"http://127.0.0.1:{portal}"
    cookies = {"sessionid": session, "csrftoken": "c" * 32}
    headers = {"Referer": address, "X-CSRFToken": "c" * 32}
    with httpx.Client(base_url=address, cookies=cookies, headers=headers, timeout=30) as browser:
        yield browser


def ask(agent: httpx.Client, number: int, asked: dict[str, str]) -> None:
    """One call that waits for people; its approval goes into ``asked``."""
    arguments = MAIL | {"subject": f"Your refund {number}"}
    answer = agent.post("/v1/check", json={"tool": "mail.send", "arguments": arguments}).json()
    assert answer["decision"] == "pending", answer
    asked.update(answer["approval"])


def wait(agent: httpx.Client, approval: str, told: list[float]) -> None:
    """Note when the agent knows that it was approved."""
    while agent.get(f"/v1/approvals/{approval}", params={"wait": "30"}).json()["status"] == "pending":
        pass
    told.append(time.perf_counter())


def approve(reviewer: httpx.Client, approval: str) -> None:
    answer = reviewer.post(
        f"/api/v1/workspaces/acme/approvals/{approval}/decide", json={"approve": True, "comment": ""}
    )
    assert answer.status_code == 200, answer.text


def taken(act: Callable[[], object]) -> float:
    """Milliseconds that something takes."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def middle(figures: Sequence[float]) -> float:
    return quantiles(figures, n=2, method="inclusive")[0]


def latest(figures: Sequence[float]) -> float:
    return quantiles(figures, n=100, method="inclusive")[98]
