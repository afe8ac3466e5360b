"""An agent that sends as much as it may, as often as it may. Others notice nothing: they do not wait in its line, and
what takes long is done before anybody's log is locked."""

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest
from pytest_django import Settings

from audit import secrets
from audit.details import read_detail
from gate.admission import admission
from gate.app import application
from gate.exchange import LARGE_BODY
from gate.turns import AT_ONCE, Turns
from governance import records
from tests.cast import Cast
from tests.gate.conftest import Bot

MANY = 24
CARD = "4012888888881881"
ROWS = [{"id": number, "name": f"row {number}"} for number in range(2_000)]
REPORT = {"path": "/srv/reports/q3.csv"}


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which something large was searched for secrets."""
    found: list[str] = []
    withhold = secrets.withhold

    def noted(value: Any) -> Any:
        if len(str(value)) > LARGE_BODY:
            found.append(threading.current_thread().name)
        return withhold(value)

    for module in (secrets, records):
        monkeypatch.setattr(module, "withhold", noted)
    return found


def test_who_sends_much_waits_in_a_line_of_their_own(
    cast: Cast, gate: httpx.Client, settings: Settings
) -> None:
    """The other agent asks last, and is answered when the first few of the many are."""
    settings.GATE_DEADLINE = 60  # that on a busy machine all of the many are answered too
    answered: list[str] = []

    async def ask(client: httpx.AsyncClient, who: str, key: str) -> None:
        body = {"tool": "files.read", "arguments": REPORT, "context": {"rows": ROWS}}
        answer = await client.post("/v1/check", json=body, headers={"authorization": f"Bearer {key}"})
        answered.append(who if answer.status_code == 200 else answer.text)

    async def everybody() -> None:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate", timeout=60) as client:
            many = [asyncio.create_task(ask(client, "many", cast.report_bot_key)) for number in range(MANY)]
            await asyncio.sleep(0)
            await asyncio.gather(ask(client, "other", cast.support_bot_key), *many)

    asyncio.run(everybody())
    admission.stop()
    assert sorted(answered) == ["many"] * MANY + ["other"]
    assert answered.index("other") <= 3 * AT_ONCE


def test_a_turn_comes_back_and_others_need_not_wait() -> None:
    async def take() -> None:
        turns = Turns(1)
        async with turns.turn(7, within=1):
            with pytest.raises(TimeoutError):
                await turns.turn(7, within=0.01).__aenter__()
            async with turns.turn(8, within=0.01):
                assert set(turns.lines) == {7, 8}
        async with turns.turn(7, within=0.01):
            pass
        assert not turns.lines
        assert not turns.waiting

    asyncio.run(take())


def test_a_large_report_is_read_apart_and_searched_before_anything_is_locked(
    reporter: Bot, cast: Cast, searched: list[str]
) -> None:
    """Agents may say ``running`` as often as they like, each time with a mebibyte."""
    allowed = reporter.check("files.read", REPORT)
    changes = [*ROWS, {"paid with": CARD}]
    for status in ("running", "running", "succeeded"):
        reporter.report(allowed["id"], status=status, changes=changes)
    assert [name.partition("_")[0] for name in searched] == ["parser"] * 3
    kept = read_detail(cast.acme.log_id, allowed["receipt"]["index"] + 3)
    assert kept["changes"][:2] == ROWS[:2]
    assert CARD not in json.dumps(kept)


def test_a_large_context_is_searched_before_anything_is_locked(
    reporter: Bot, cast: Cast, searched: list[str]
) -> None:
    context = {"rows": ROWS, "paid with": CARD}
    told = reporter.check("files.read", REPORT, context=context)
    assert {name.partition("_")[0] for name in searched} == {"parser"}
    kept = read_detail(cast.acme.log_id, told["receipt"]["index"])
    assert kept["context"]["rows"][:2] == ROWS[:2]
    assert CARD not in json.dumps(kept)


def test_a_secret_in_the_arguments_withholds_those_of_the_context(reporter: Bot, cast: Cast) -> None:
    told = reporter.check("files.read", {**REPORT, "note": CARD}, context={"too": CARD}, reason=CARD)
    assert CARD not in json.dumps(read_detail(cast.acme.log_id, told["receipt"]["index"]))
