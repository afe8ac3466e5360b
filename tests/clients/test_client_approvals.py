"""The client and a real gate: waiting, questions, edits, taking back; and its stream of events, on both servers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any

import httpx
import pytest
from countersign import Approval, Countersign, Denied, Refused, current_decision

from tests.faults.processes import GATE, PORTAL, ROOT, Installation

REFUND = "billing.refund"
PEOPLE = """
import json, sys
import django
django.setup()
from governance import approvals, containment, edits, remarks
from governance.models import Approval
from workspaces.models import User

rita = User.objects.get(email="rita@acme.test")
actor = f"person:{rita.public_id}"
for line in sys.stdin:
    public_id, what, given = json.loads(line)
    row = Approval.objects.select_related("workspace", "agent").get(public_id=public_id)
    if what == "edit":
        edits.edit(row, person=rita, arguments=given, comment="This much is owed.", actor=actor,
                   second_factor="totp")
    elif what == "ask":
        remarks.ask(row, person=rita, text=given, actor=actor)
    elif what == "contain":
        containment.set_standing(row.agent, given, reason="It behaves oddly.", actor="cli:test@host", person=None)
    print("done", flush=True)
"""


class People:
    """Rita, in a process of her own."""

    def __init__(self, world: Installation) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEOPLE],
            cwd=ROOT,
            env=world.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, approval: str, what: str, given: Any) -> None:
        """Have something done about an approval, and wait until it is."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([approval, what, given]) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def meanwhile(self, approval: str, what: str, given: Any) -> Thread:
        thread = Thread(target=self.do, args=[approval, what, given])
        thread.start()
        return thread


class Waiter(Countersign):
    """An agent whose refund Rita edits once it waits, not before: else it would ask anew and wait for nobody."""

    people: People
    invoice = ""

    def wait(
        self, decision_or_approval_id: Any, timeout: float = 60.0, *, since: int | None = None
    ) -> Approval:
        """Have the call edited meanwhile."""
        approval = decision_or_approval_id.approval.id
        editing = self.people.meanwhile(approval, "edit", {"invoice": self.invoice, "amount": 120})
        told = super().wait(decision_or_approval_id, timeout, since=since)
        editing.join()
        return told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("client")).seed()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def people(world: Installation) -> Iterator[People]:
    made = People(world)
    yield made
    made.process.communicate()


@pytest.fixture(scope="module")
def port(world: Installation) -> int:
    return world.serve(GATE)


@pytest.fixture
def bot(world: Installation, port: int) -> Countersign:
    return Countersign(f"http://127.0.0.1:{port}", world.key("support-bot"), timeout=20)


@pytest.fixture
def waiter(world: Installation, port: int, people: People) -> Waiter:
    made = Waiter(f"http://127.0.0.1:{port}", world.key("support-bot"), timeout=20)
    made.people = people
    return made


def pending(bot: Countersign, invoice: str) -> str:
    """A refund that waits for Rita."""
    decision = bot.check(REFUND, {"invoice": invoice, "amount": 500})
    assert decision.approval is not None, decision.message()
    return decision.approval.id


def test_a_question_ends_a_wait_that_knows_a_version(people: People, bot: Countersign) -> None:
    approval = pending(bot, "asked")
    first = bot.wait(approval, 0)
    asking = people.meanwhile(approval, "ask", "Which order is it?")
    told = bot.wait(approval, 60, since=first.version)
    asking.join()
    assert [question["text"] for question in told.questions] == ["Which order is it?"]
    assert bot.reply(approval, "Order 17.").questions[0]["answered"]
    with pytest.raises(Refused, match="nothing_asked"):
        bot.reply(approval, "And more.")
    assert bot.cancel(approval, "The customer withdrew.").status == "cancelled"
    with pytest.raises(Refused, match="approval_settled"):
        bot.cancel(approval)
    assert [each.status for each in bot.follow(approval)] == ["cancelled"]


def test_a_guarded_function_makes_the_edited_call(people: People, bot: Countersign, waiter: Waiter) -> None:
    made: list[tuple[str, float, str]] = []

    @waiter.guarded(REFUND, wait=60)
    def refund(invoice: str, amount: float) -> None:
        made.append((invoice, amount, current_decision().id))

    @waiter.guarded(REFUND, lambda order, euros: {"invoice": order, "amount": euros}, wait=60)
    def refund_order(order: str, euros: float) -> None:
        made.append((order, euros, current_decision().id))

    @waiter.guarded(
        REFUND,
        lambda order, euros: {"invoice": order, "amount": euros},
        wait=60,
        edited=lambda arguments: {"euros": arguments["amount"]},
    )
    def refund_back(order: str, euros: float) -> None:
        made.append((order, euros, current_decision().id))

    approval = pending(bot, "edited")  # the same call waits for the same approval
    people.do(approval, "edit", {"invoice": "edited", "amount": 120})
    assert bot.wait(approval).changes == [{"path": "/amount", "from": 500, "to": 120}]
    for number, function in enumerate((refund, refund_order, refund_back)):
        waiter.invoice = f"order-{number}"
        if function is refund_order:
            with pytest.raises(Denied) as denied:
                function(waiter.invoice, 500)
            assert denied.value.decision.code == "approval_edited"
        else:
            function(waiter.invoice, 500)
    assert [(invoice, amount) for invoice, amount, _ in made] == [("order-0", 120), ("order-2", 120)]


def test_check_and_wait_takes_an_edit_only_where_it_is_expected(waiter: Waiter) -> None:
    waiter.invoice = "expected"
    call = {"invoice": "expected", "amount": 500}
    decision = waiter.check_and_wait(REFUND, call, wait=60, accept_edits=True, call_id="expected-1")
    assert decision.allowed, decision.message()
    assert decision.arguments == {"invoice": "expected", "amount": 120}


def events(port: int, key: str, approval: str, known: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, id, approval) of each event, until the stream ends."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Last-Event-ID": known} if known else {})
    url = f"http://127.0.0.1:{port}/v1/approvals/{approval}/events"
    with httpx.stream("GET", url, headers=headers, timeout=30) as response:
        if response.status_code == 204:
            return
        assert response.headers["content-type"] == "text/event-stream"
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
                fields = {}


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_events_tell_each_change_and_end(
    world: Installation, people: People, port: int, bot: Countersign, server: str
) -> None:
    where = port if server == "uvicorn" else world.serve(PORTAL, server="daphne")
    key, approval = world.key("support-bot"), pending(bot, f"events-{server}")
    names = []
    for name, version, told in events(where, key, approval):
        names.append((name, version))
        if name == "status":
            people.do(approval, "ask", "Which order is it?")
        elif name == "question":
            assert told["questions"][0]["text"] == "Which order is it?"
            people.do(approval, "edit", {"invoice": f"events-{server}", "amount": 120})
    last = told["version"]
    assert [name for name, _ in names] == ["status", "question", "edited", "settled"]
    assert [version for _, version in names if version][-1] == str(last)
    assert list(events(where, key, approval, known=str(last))) == []
    assert [name for name, *_ in events(where, key, approval, known="1")] == ["settled"]


def test_a_stream_ends_when_its_agent_is_contained(
    world: Installation, people: People, port: int, bot: Countersign
) -> None:
    approval = pending(bot, "contained")
    seen = []
    for name, _, told in events(port, world.key("support-bot"), approval):
        seen.append((name, told["status"]))
        people.do(approval, "contain", "read_only")
    assert seen[0] == ("status", "pending")
    assert len(seen) == 1, "It is cut, and not told of an end that nobody has written yet."
    people.do(approval, "contain", "active")


def test_nobody_else_follows_it(world: Installation, port: int, bot: Countersign) -> None:
    approval = pending(bot, "mine")
    url = f"http://127.0.0.1:{port}/v1/approvals/{approval}/events"
    for key, status in ((world.key("acme-0"), 404), ("csk_none", 401)):
        assert httpx.get(url, headers={"Authorization": f"Bearer {key}"}).status_code == status
