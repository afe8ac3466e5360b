"""Rounds of races over approvals in the database that the environment names: threads with connections of their own,
and for the uses of an approval 64 connections to gates.

``python -m bench.approval_rounds ROUNDS SCENARIO … [-- PORT …]`` prints one line of JSON a scenario: its outcomes and
what losers were told, each with how often, and every round that was not as it must be. Without ports nothing is used.
"""

import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402

from audit.models import Entry  # noqa: E402
from governance import approvals, containment, sweeps  # noqa: E402
from governance.models import Approval  # noqa: E402
from tests.approving import ask, decide, requirement  # noqa: E402
from tests.cast import ACTOR, employ  # noqa: E402
from workspaces import agents  # noqa: E402
from workspaces.models import Agent, User, Workspace  # noqa: E402

CROWD = 64
BATCH = 10  # approvals asked for together, below what one agent may have open
SOON = 0.03  # seconds until an approval expires, at most
LOSERS = {"approval_settled", "approval_expired", "approval_void"}
LATE = "approval_expired"
Call = Callable[[], Any]


@dataclass
class Told:
    """What became of one scenario's rounds."""

    scenario: str
    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    losers: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def broke(self, approval: str, how: object) -> None:
        self.broken.append(f"{approval}: {how}")

    def say(self, seconds: float) -> None:
        print(json.dumps({
            "scenario": self.scenario, "rounds": self.rounds, "outcomes": self.outcomes, "losers": self.losers,
            "broken": self.broken[:5], "failed": len(self.broken), "seconds": round(seconds, 1),
        }), flush=True)  # fmt: skip


class Track:
    """The people and the agent of the races, and threads that keep their connections."""

    def __init__(self) -> None:
        self.place = Workspace.objects.get(slug="acme")
        name = f"{time.time_ns()}"
        self.voters = [employ(self.place, f"{each}-{name}@race.test", each, "approver") for each in "abc"]
        owner = User.objects.get(email="olga@acme.test")
        self.agent = agents.create_agent(self.place, f"racer-{name}", owner=owner, actor=ACTOR)
        self.threads = ThreadPoolExecutor(8)
        self.random = random.Random(5)

    def ask(self, *, quorum: int = 1) -> Approval:
        """A call that waits; the process of every other one is started by its first vote."""
        agent = Agent.objects.select_related("workspace").get(pk=self.agent.pk)
        approval = ask(agent, [requirement(*self.voters, quorum=quorum)])
        if self.random.random() < 0.5:
            approvals.start(approval)
        return approval

    def race(self, *calls: Call) -> list[str]:
        """Run the calls at once; for each ``done``, or the code of a 409 with its reason."""
        barrier = threading.Barrier(len(calls))

        def run(call: Call) -> str:
            barrier.wait()
            try:
                call()
            except Exception as error:
                code, status = getattr(error, "code", ""), getattr(error, "status", 0)
                is_kind = status == 409 and code in LOSERS and str(error).endswith(".")
                return str(code) if is_kind else f"{type(error).__name__}: {error}"
            return "done"

        # Whoever comes to the barrier last goes through it first, so that is somebody else each time.
        order = self.random.sample(range(len(calls)), len(calls))
        futures = {number: self.threads.submit(run, calls[number]) for number in order}
        return [futures[number].result() for number in range(len(calls))]

    def vote(self, approval: Approval, voter: int, approve: bool = True) -> Call:
        return lambda: decide(approval, self.voters[voter], approve)


def run(track: Track, name: str, rounds: int) -> Told:
    """So many rounds of one scenario, judged one by one and then by the log."""
    told = Told(name)
    begin = log_size(track)
    expected: dict[str, str] = {}
    for _ in range(rounds):
        approval, results, good = SCENARIOS[name](track)
        approval.refresh_from_db()
        told.rounds += 1
        told.outcomes[approval.status] += 1
        told.losers.update(result for result in results if result != "done")
        expected[approval.public_id] = approval.status
        if (sorted(results), approval.status) not in [(sorted(each), status) for each, status in good]:
            told.broke(approval.public_id, (results, approval.status))
    settled: dict[str, list[str]] = {public_id: [] for public_id in expected}
    for entry in Entry.objects.filter(
        log=track.place.log, type="governance.approval.settled", index__gte=begin
    ):
        settled.setdefault(json.loads(bytes(entry.body))["data"]["approval"], []).append(entry.outcome)
    for public_id, status in expected.items():
        if settled[public_id] != [status]:
            told.broke(public_id, f"settled {settled[public_id]}, is {status}")
    return told


def log_size(track: Track) -> int:
    newest = Entry.objects.filter(log=track.place.log).order_by("-index").values_list("index", flat=True)
    return newest[0] + 1


Round = tuple[Approval, list[str], list[tuple[list[str], str]]]


def approve_and_reject(track: Track) -> Round:
    approval = track.ask()
    results = track.race(track.vote(approval, 0), track.vote(approval, 1, approve=False))
    lost = "approval_settled"
    winner = {"done": "approved", lost: "rejected"}.get(results[0], "")
    return approval, results, [(["done", lost], winner)]


def votes_of_a_quorum(track: Track) -> Round:
    """Three answer of whom two are needed: two count, and the third is late."""
    approval = track.ask(quorum=2)
    results = track.race(*(track.vote(approval, voter) for voter in range(3)))
    if approval.votes.count() != 2:
        results.append(f"{approval.votes.count()} votes")
    return approval, results, [(["done", "done", "approval_settled"], "approved")]


def approve_and_expire(track: Track) -> Round:
    approval = track.ask()
    over = timezone.now() + timedelta(seconds=track.random.uniform(0, SOON))
    Approval.objects.filter(pk=approval.pk).update(expires_at=over)

    def expire() -> None:
        while not approvals.expire(approval):
            if approvals.read(approval).status != Approval.Status.PENDING:
                return

    results = track.race(track.vote(approval, 0), expire)
    return approval, results, [(["done", "done"], "approved"), (["done", LATE], "expired")]


def approve_and_cancel(track: Track) -> Round:
    approval = track.ask()
    results = track.race(
        track.vote(approval, 0),
        lambda: approvals.cancel(approval, actor="system", reason="Asked by mistake."),
    )
    lost = "approval_settled"
    winner = {"done": "approved", lost: "cancelled"}.get(results[0], "")
    return approval, results, [(["done", lost], winner)]


def approve_and_kill(track: Track) -> Round:
    """What was approved before the step is void as well, by its epoch; what was not is cancelled."""
    approval = track.ask()
    results = track.race(track.vote(approval, 0), lambda: stand(track, "suspended"))
    sweeps.cancel_void()
    stand(track, "active")
    return approval, results, [(["done", "done"], "approved"), (["done", "approval_void"], "cancelled")]


def stand(track: Track, standing: str) -> None:
    agent = Agent.objects.select_related("workspace").get(pk=track.agent.pk)
    containment.set_standing(agent, standing, reason="A race.", actor="cli:bench@host", person=None)


SCENARIOS: dict[str, Callable[[Track], Round]] = {
    "approve/reject": approve_and_reject,
    "votes of a quorum": votes_of_a_quorum,
    "approve/expire": approve_and_expire,
    "approve/cancel": approve_and_cancel,
    "approve/kill": approve_and_kill,
}
CONSUMERS = "64 consumers"


class Line:
    """A connection to a gate that stays open. Speaks just enough HTTP, since 64 of them share the gate's cores."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self.reader, self.writer, self.key = reader, writer, key

    @classmethod
    async def open(cls, port: int, key: str) -> "Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port), key)

    async def check(self, body: bytes) -> dict[str, Any]:
        """The answer to one check."""
        head = f"POST /v1/check HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {self.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        told = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(told.split(b"content-length:")[1].split(b"\r\n")[0])
        answer: dict[str, Any] = json.loads(await self.reader.readexactly(length))
        return answer


async def consume(key: str, rounds: int, ports: list[int]) -> Told:
    """Each round 64 connections use one approval at once: one is allowed, the others hear that it was used."""
    told = Told(CONSUMERS)
    while told.rounds < rounds:
        asker = await Line.open(ports[0], key)
        bodies: list[dict[str, Any]] = [
            {"tool": "billing.refund", "arguments": {"invoice": "F-1", "amount": 250 + number}}
            for number in range(min(BATCH, rounds - told.rounds))
        ]
        for body in bodies:
            body["approval"] = (await asker.check(json.dumps(body).encode()))["approval"]["id"]
        await asyncio.to_thread(approve, [body["approval"] for body in bodies])
        # Opened now: a gate closes a connection on which nothing was asked for some seconds.
        lines = [await Line.open(ports[number % len(ports)], key) for number in range(CROWD)]
        for body in bodies:
            question = json.dumps(body).encode()
            answers = await asyncio.gather(*(line.check(question) for line in lines))
            codes = Counter(answer["code"] for answer in answers)
            told.rounds += 1
            told.outcomes[f"{codes['granted']} used"] += 1
            told.losers.update({code: count for code, count in codes.items() if code != "granted"})
            if codes != {"granted": 1, "approval_used": CROWD - 1}:
                told.broke(body["approval"], dict(codes))
        for line in (asker, *lines):
            line.writer.close()
    return told


def key_of(track: Track, name: str) -> str:
    """A new key of an agent."""
    agent = Agent.objects.select_related("workspace").get(workspace=track.place, name=name)
    return agents.create_key(agent, actor=ACTOR)[1]


def approve(waiting: list[str]) -> None:
    """Rita approves what waits."""
    rita = User.objects.get(email="rita@acme.test")
    for approval in Approval.objects.select_related("workspace", "agent").filter(public_id__in=waiting):
        assert decide(approval, rita).status == Approval.Status.APPROVED


def main() -> None:
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    rounds, chosen, ports = int(arguments[0]), arguments[1:cut], [int(port) for port in arguments[cut + 1 :]]
    track = Track()
    for name in chosen:
        began = time.monotonic()
        if name == CONSUMERS:
            told = asyncio.run(consume(key_of(track, "support-bot"), rounds, ports))
        else:
            told = run(track, name, rounds)
        told.say(time.monotonic() - began)
    track.threads.shutdown()


if __name__ == "__main__":
    main()
