"""An approval is used once, however many calls present it at once; and one answer settles it."""

import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.faults.processes import Installation

CROWD = 64
REFUND = {"invoice": "F-1", "amount": 250}
ROUNDS = 20

APPROVE = """
import json, sys
from governance.models import Approval
from tests.approving import decide
from workspaces.models import User
rita = User.objects.get(email="rita@acme.test")
found = Approval.objects.select_related("workspace", "agent").filter(public_id__in=sys.argv[1:])
print(json.dumps([decide(approval, rita).status for approval in found]))
"""
RACE = """
import json, sys
from threading import Barrier, Thread
from django.db import connection
from governance.approvals import NotPending
from governance.models import Approval
from tests.approving import ask, decide, requirement
from tests.cast import employ
from workspaces.models import Agent, User, Workspace

ann = employ(Workspace.objects.get(slug="acme"), "ann@acme.test", "Ann", "approver")
people = [ann, User.objects.get(email="rita@acme.test")]
bot = Agent.objects.select_related("workspace").get(name="acme-0")

def vote(number, approve, barrier, results):
    mine = Approval.objects.select_related("workspace", "agent").get(pk=number)
    person = User.objects.get(pk=people[approve].pk)
    barrier.wait()
    try:
        decide(mine, person, approve)
        results.append("approved" if approve else "rejected")
    except NotPending:
        results.append("NotPending")
    finally:
        connection.close()

told = []
for _ in range(int(sys.argv[1])):
    approval, barrier, results = ask(bot, [requirement(*people)]), Barrier(2), []
    threads = [Thread(target=vote, args=[approval.pk, yes, barrier, results]) for yes in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    approval.refresh_from_db()
    told.append({"results": sorted(results), "status": approval.status, "votes": approval.votes.count()})
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def gates(installation: Installation) -> list[int]:
    """One gate on SQLite, two on PostgreSQL."""
    return installation.gates(2 if installation.database_url else 1)


async def all_at_once(
    world: Installation, gates: list[int], bodies: list[dict[str, Any]], keys: list[str]
) -> list[Any]:
    """The answers to these checks of support-bot, over all gates, each on a connection that is open already."""
    bearer = {"Authorization": f"Bearer {world.key('support-bot')}"}
    clients = [
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gates[n % len(gates)]}", headers=bearer, timeout=30)
        for n in range(len(bodies))
    ]
    await asyncio.gather(*(client.get("/healthz") for client in clients))
    answers = await asyncio.gather(
        *(
            client.post("/v1/check", json=body, headers={"Idempotency-Key": key} if key else {})
            for client, body, key in zip(clients, bodies, keys, strict=True)
        )
    )
    await asyncio.gather(*(client.aclose() for client in clients))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return [answer.json() for answer in answers]


def approved(world: Installation, gates: list[int], session: str) -> str:
    """A refund that waited for a person, and was approved."""
    (asked,) = asyncio.run(all_at_once(world, gates[:1], [refund(session)], [""]))
    assert asked["decision"] == "pending"
    approval: str = asked["approval"]["id"]
    assert world.script(APPROVE, approval) == ["approved"]
    return approval


def refund(session: str, **more: str) -> dict[str, Any]:
    return {"tool": "billing.refund", "arguments": REFUND, "session": session, **more}


def uses(world: Installation, approval: str) -> list[str]:
    """The decisions that used the approval, by the log."""
    allowed = world.entries("acme", "governance.check.allowed")
    return [entry.data["decision"] for entry in allowed if entry.data.get("used_approval") == approval]


def test_sixty_four_uses_of_one_approval_are_one(installation: Installation, gates: list[int]) -> None:
    approval = approved(installation, gates, "plain")
    bodies = [refund("plain", approval=approval)] * CROWD
    answers = asyncio.run(all_at_once(installation, gates, bodies, [""] * CROWD))
    assert Counter((answer["decision"], answer["code"]) for answer in answers) == {
        ("allow", "granted"): 1,
        ("deny", "approval_used"): CROWD - 1,
    }
    assert len({answer["id"] for answer in answers}) == CROWD
    assert uses(installation, approval) == [a["id"] for a in answers if a["decision"] == "allow"]


def test_retries_of_the_one_use_hear_of_the_same_decision(
    installation: Installation, gates: list[int]
) -> None:
    """A third of the calls share an Idempotency-Key, a third a call_id, and the others have neither."""
    approval = approved(installation, gates, "retried")
    kinds = ["plain", "key", "call"] * (CROWD // 3) + ["plain"]
    bodies = [
        refund("retried", approval=approval, **({"call_id": "call-1"} if kind == "call" else {}))
        for kind in kinds
    ]
    keys = ["retry-1" if kind == "key" else "" for kind in kinds]
    answers = asyncio.run(all_at_once(installation, gates, bodies, keys))
    allowed = {answer["id"] for answer in answers if answer["decision"] == "allow"}
    assert len(allowed) == 1
    assert uses(installation, approval) == list(allowed)
    others = {answer["code"] for answer in answers if answer["decision"] != "allow"}
    assert others == {"approval_used"}
    for kind in ("key", "call"):
        told = [answer for answer, own in zip(answers, kinds, strict=True) if own == kind]
        for answer in told:  # signed anew with each batch
            answer["receipt"].pop("checkpoint")
        if any(answer["decision"] == "allow" for answer in told):
            assert all(answer == told[0] for answer in told), "A retry hears what the first call heard."


@pytest.mark.parametrize("how", ["Idempotency-Key", "call_id"])
def test_sixty_four_retries_of_one_call_are_one_decision(
    installation: Installation, gates: list[int], how: str
) -> None:
    approval = approved(installation, gates, how)
    more = {"call_id": f"call-{how}"} if how == "call_id" else {}
    keys = ["retry-2" if how == "Idempotency-Key" else ""] * CROWD
    bodies = [refund(how, approval=approval, **more)] * CROWD
    answers = asyncio.run(all_at_once(installation, gates, bodies, keys))
    assert {json.dumps(answer) for answer in answers} == {json.dumps(answers[0])}
    assert answers[0]["decision"] == "allow"
    assert uses(installation, approval) == [answers[0]["id"]]


def test_of_approve_and_reject_at_once_one_wins(installation: Installation) -> None:
    told = installation.script(RACE, str(ROUNDS))
    assert len(told) == ROUNDS
    for each in told:
        assert each["results"] == sorted(["NotPending", each["status"]]), told
        assert each["status"] in ("approved", "rejected")
        assert each["votes"] == 1
