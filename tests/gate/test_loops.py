"""Calls that go round in circles are stopped, however they are dressed up; what gets somewhere goes on."""

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from starlette.testclient import TestClient

from audit.models import Entry
from governance import approvals
from governance.models import Approval, Vote
from tests.cast import Cast
from tests.gate.conftest import Bot
from workspaces import agents

REPORT = {"path": "/srv/reports/q3.csv"}
STOPPED = ["granted"] * 3 + ["loop_detected"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bot(cast: Cast, gate: TestClient) -> Bot:
    """report-bot, who may read reports, with the limits that are usual."""
    limit(cast)
    return Bot(gate, cast.report_bot_key)


def limit(cast: Cast, **limits: Any) -> None:
    agents.change_agent(cast.report_bot, loop_limits=limits, actor="system")


def report(bot: Bot, answer: dict[str, Any], status: str = "succeeded", **more: Any) -> None:
    """Tell what came of an allowed call."""
    path = f"/v1/decisions/{answer['id']}/outcome"
    response = bot.client.post(path, json={"status": status, **more}, headers=bot.headers)
    assert response.status_code == 200, response.text


def codes(bot: Bot, calls: Iterable[dict[str, Any]], tool: str = "files.read", **told: Any) -> list[str]:
    """What each of these calls is answered; ``told`` is reported of each that is allowed."""
    found = []
    for arguments in calls:
        answer = bot.check(tool, arguments)
        found.append(answer["code"])
        if told and answer["decision"] == "allow":
            report(bot, answer, **told)
    return found


def test_the_fourth_identical_call_is_stopped_and_says_why(bot: Bot, cast: Cast) -> None:
    answers = [bot.check("files.read", REPORT) for _ in range(4)]
    assert [answer["code"] for answer in answers] == STOPPED
    (reason,) = answers[3]["reasons"]
    assert answers[3]["decision"] == reason["effect"] == "deny"
    assert "was made 3 times within 10 minutes" in reason["message"]
    assert "Change the arguments" in reason["message"]
    entries = [answer["receipt"]["index"] for answer in answers[:3]]
    assert reason["loop"] == {"kind": "repeats", "count": 3, "limit": 4, "entries": entries}
    entry = Entry.objects.get(log_id=cast.acme.log_id, index=answers[3]["receipt"]["index"])
    data = json.loads(bytes(entry.body))["data"]
    assert (data["short"], data["facts"]["loop"]) == ("loop_detected", reason["loop"])


@pytest.mark.parametrize(
    "more",
    [
        lambda n: {"session": f"run-{n}"},
        lambda n: {"call_id": f"call-{n}", "reason": f"asked {n} times", "context": {"n": n}},
        lambda n: {"headers": {"idempotency-key": f"key-{n}"}},
    ],
    ids=["sessions", "names and claims", "keys"],
)
def test_what_is_said_beside_the_call_washes_nothing_off(
    bot: Bot, more: Callable[[int], dict[str, Any]]
) -> None:
    assert [bot.check("files.read", REPORT, **more(n))["code"] for n in range(4)] == STOPPED


@pytest.mark.parametrize(
    "dressed",
    [
        lambda n: dict(sorted({**REPORT, "a": 1, "b": 2}.items(), reverse=n % 2 == 0)),
        lambda n: {**REPORT, "request_id": str(uuid.uuid4())},
        lambda n: {**REPORT, "meta": {"x-Request-ID": uuid.uuid4().hex, "attempt": n, "page": 1}},
        lambda n: {**REPORT, "note": f"{' ' * n}Look {'AT' if n % 2 else 'at'}\n{' ' * n}it"},
        lambda n: {**REPORT, "nonce": n} | ({"nothing": None} if n % 2 else {}),
    ],
    ids=["order of keys", "request id", "nested", "case and space", "nonce and nulls"],
)
def test_a_call_dressed_up_is_the_same_call(bot: Bot, dressed: Callable[[int], dict[str, Any]]) -> None:
    assert codes(bot, [dressed(n) for n in range(4)]) == STOPPED


def test_a_name_that_is_made_up_each_time_is_seen_by_what_came_back(bot: Bot) -> None:
    calls = [{**REPORT, "marker": f"m-{uuid.uuid4().hex}"} for _ in range(4)]
    assert codes(bot, calls, result="sha256:5f") == STOPPED


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_the_same_result_or_error_each_time_is_a_loop(bot: Bot, status: str) -> None:
    said = {"error": "timed out"} if status == "failed" else {"result": "sha256:5f"}
    assert codes(bot, [REPORT] * 4, status=status, **said) == STOPPED


def test_an_error_that_tells_the_time_is_the_same_error(bot: Bot) -> None:
    for n in range(3):
        answer = bot.check("files.read", REPORT)
        report(bot, answer, "failed", error=f"Too many requests; wait 3{n} s (12:00:0{n})")
    assert bot.check("files.read", REPORT)["code"] == "loop_detected"


def test_polling_goes_on_while_something_comes_of_it(bot: Bot) -> None:
    for n in range(8):
        answer = bot.check("files.read", REPORT)
        assert answer["code"] == "granted"
        report(bot, answer, result=f"sha256:{n}")


def test_things_of_their_own_are_no_loop(bot: Bot) -> None:
    paths = [{"path": f"/srv/reports/{uuid.uuid4()}"} for _ in range(8)]
    assert codes(bot, paths, result="sha256:empty") == ["granted"] * 8
    orders = [{**REPORT, "order_id": str(uuid.uuid4())} for _ in range(8)]
    assert codes(bot, orders, result="sha256:empty") == ["granted"] * 8
    markers = [{**REPORT, "marker": uuid.uuid4().hex} for _ in range(8)]
    assert codes(bot, markers, summary="done") == ["granted"] * 8  # perhaps another thing each


def test_two_calls_in_turn_are_stopped_in_the_third_round(bot: Bot) -> None:
    pair = [REPORT, {"path": "/srv/reports/q4.csv"}]
    assert codes(bot, pair * 3) == ["granted"] * 5 + ["loop_detected"]
    assert bot.check("files.read", pair[1])["reasons"][0]["loop"]["kind"] == "ping_pong"


def test_a_cycle_of_many_calls_is_a_loop_in_its_fourth_round(bot: Bot) -> None:
    cycle = [{"path": f"/srv/reports/{n}.csv"} for n in range(12)]
    assert codes(bot, cycle * 3 + cycle[:1]) == ["granted"] * 36 + ["loop_detected"]


def test_the_same_call_again_by_its_name_is_no_new_call(bot: Bot) -> None:
    named = [bot.check("files.read", REPORT, call_id="c1")["id"] for _ in range(6)]
    keyed = [bot.check("files.read", REPORT, headers={"idempotency-key": "k"})["id"] for _ in range(6)]
    assert len({*named, *keyed}) == 2
    assert codes(bot, [REPORT] * 2) == ["granted", "loop_detected"]


def test_trying_counts_for_nothing_and_tells_of_the_loop(bot: Bot) -> None:
    assert {bot.check("files.read", REPORT, dry_run=True)["code"] for _ in range(6)} == {"granted"}
    codes(bot, [REPORT] * 3)
    assert bot.check("files.read", REPORT, dry_run=True)["code"] == "loop_detected"


def test_a_client_that_retries_for_ever_is_stopped(bot: Bot) -> None:
    said = [bot.check("files.read", {"path": f"/srv/reports/{n}"}, retry_count=n)["code"] for n in range(4)]
    assert said == STOPPED
    header = {"x-stainless-retry-count": "3"}
    assert bot.check("files.read", {"path": "/srv/reports/x"}, headers=header)["code"] == "loop_detected"


def test_limits_are_the_agents_and_the_tools(bot: Bot, cast: Cast) -> None:
    limit(cast, repeats=2, ping_pong=0)
    assert codes(bot, [REPORT] * 2) == ["granted", "loop_detected"]
    limit(cast, repeats=2, ping_pong=0, tools={"files.read": 0})
    assert codes(bot, [REPORT] * 5) == ["granted"] * 5


def test_runs_that_are_apart_are_judged_apart(bot: Bot, cast: Cast) -> None:
    agents.change_agent(cast.report_bot, isolated_runs=True, actor="system")
    assert {bot.check("files.read", REPORT, session=f"user-{n}")["code"] for n in range(6)} == {"granted"}
    assert [bot.check("files.read", REPORT, session="one")["code"] for _ in range(4)] == STOPPED


def test_another_agent_may_do_the_same(bot: Bot, cast: Cast, gate: TestClient) -> None:
    assert codes(bot, [REPORT] * 4) == STOPPED
    assert codes(Bot(gate, cast.support_bot_key), [REPORT]) == ["granted"]


def test_people_may_be_asked_instead_and_let_it_go_on_once(bot: Bot, cast: Cast) -> None:
    limit(cast, then="ask")
    codes(bot, [REPORT] * 3)
    waiting = bot.check("files.read", REPORT)
    assert (waiting["decision"], waiting["code"]) == ("pending", "loop_detected")
    approval = Approval.objects.get(public_id=waiting["approval"]["id"])
    approvals.decide(
        approval, person=cast.rita, approve=True, comment="", known_by=Vote.KnownBy.SESSION, actor="system"
    )
    assert bot.check("files.read", REPORT, approval=approval.public_id)["code"] == "granted"
    again = bot.check("files.read", REPORT)
    assert (again["code"], again["approval"]["id"] != approval.public_id) == ("loop_detected", True)
