"""The live feed in one process: who may listen, what they hear, and when they are cut off."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlencode

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.db import connections
from django.db.models import F
from django.test import Client

from audit import live, log
from audit.live import feed, readers, watches
from audit.live.feed import Feed
from audit.models import Head
from tests.cast import Cast
from workspaces import people
from workspaces.access import get_workspace
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
ORIGIN = "http://127.0.0.1:8000"
PATIENCE = 10.0  # seconds until a message that ought to come is missed


def log_of(person: User, slug: str) -> int:
    return get_workspace(person, slug).log_id


def cookie_of(person: User) -> str:
    client = Client()
    client.force_login(person)
    return client.cookies["sessionid"].value


def ask(log_id: int, count: int = 1, agent: str = "", tool: str = "files.read") -> None:
    """Decisions of an agent, in one write."""
    with log.write(log_id) as entries:
        for _ in range(count):
            entries.append(
                "governance.check.allowed", actor=f"agent:{agent}", agent=agent, tool=tool, outcome="granted"
            )


async def apart(change: Callable[..., T], *args: Any, **more: Any) -> T:
    """Do something synchronous in a thread, and close the connection that it used."""

    def work() -> T:
        try:
            return change(*args, **more)
        finally:
            connections.close_all()

    return await asyncio.to_thread(work)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))
    assert watches.watched == {}
    assert readers.shared is None


@asynccontextmanager
async def listening(
    session: str | None, origin: str | None = ORIGIN, path: str = feed.PATH, **query: Any
) -> AsyncIterator[WebsocketCommunicator]:
    headers = []
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if session is not None:
        headers.append((b"cookie", f"theme=dark; sessionid={session}".encode()))
    application = Feed.as_asgi(log_of=log_of)
    socket = WebsocketCommunicator(application, f"{path}?{urlencode(query)}", headers)
    connected, _ = await socket.connect(timeout=PATIENCE)
    assert connected
    try:
        yield socket
    finally:
        await socket.disconnect(timeout=PATIENCE)


async def hear(socket: WebsocketCommunicator, count: int) -> list[dict[str, Any]]:
    """The next ``count`` entries, however many messages they take."""
    entries: list[dict[str, Any]] = []
    while len(entries) < count:
        message = await socket.receive_json_from(timeout=PATIENCE)
        assert len(message["entries"]) <= 200
        entries += message["entries"]
    return entries


async def closing_code(socket: WebsocketCommunicator) -> int:
    """The code with which the server closes, whatever it says before."""
    while True:
        message = await socket.receive_output(timeout=PATIENCE)
        if message["type"] == "websocket.close":
            return int(message["code"])


async def refusal(session: str | None, **asked: Any) -> int:
    async with listening(session, **asked) as socket:
        message = await socket.receive_output(timeout=PATIENCE)
        assert message["type"] == "websocket.close", "Something was sent before the refusal."
        return int(message["code"])


def test_entries_come_in_order_and_each_once(cast: Cast) -> None:
    session = cookie_of(cast.olga)
    start = log.newest(cast.acme.log_id)

    async def story() -> None:
        async with listening(session, workspace="acme", after=-1) as socket:
            assert [entry["index"] for entry in await hear(socket, start)] == list(range(start))
            await apart(ask, cast.acme.log_id, 450)
            heard = await hear(socket, 450)
            assert [entry["index"] for entry in heard] == list(range(start, start + 450))

    run(story)


def test_an_entry_says_what_happened_in_words(cast: Cast) -> None:
    session = cookie_of(cast.olga)
    bot = cast.report_bot.public_id
    start = log.newest(cast.acme.log_id)

    async def story() -> None:
        async with listening(session, workspace="acme", after=start - 1) as socket:
            await apart(ask, cast.acme.log_id, agent=bot)
            (entry,) = await hear(socket, 1)
            assert entry.pop("time").endswith("+00:00")
            assert entry.pop("id") > 0
            assert entry == {
                "index": start,
                "type": "governance.check.allowed",
                "actor": f"agent:{bot}",
                "agent": bot,
                "tool": "files.read",
                "resource": "",
                "outcome": "granted",
                "session": "",
                "sentence": f"{bot} was allowed to use files.read.",
            }

    run(story)


def test_without_a_cursor_only_what_is_new_comes(cast: Cast) -> None:
    session = cookie_of(cast.olga)
    start = log.newest(cast.acme.log_id)

    async def story() -> None:
        async with listening(session, workspace="acme") as socket:
            first = await socket.receive_json_from(timeout=PATIENCE)
            assert first == {"entries": [], "size": start}
            await apart(ask, cast.acme.log_id)
            assert [entry["index"] for entry in await hear(socket, 1)] == [start]

    run(story)


def test_who_only_views_hears_of_agents_and_who_reads_the_log_of_everything(cast: Cast) -> None:
    operator, owner = cookie_of(cast.otto), cookie_of(cast.olga)
    bot = cast.report_bot.public_id
    start = log.newest(cast.acme.log_id)

    async def story() -> None:
        await apart(people.set_roles, cast.acme, cast.sam, roles=["auditor"], actor="system")
        await apart(ask, cast.acme.log_id, agent=bot)
        async with listening(operator, workspace="acme", after=start - 1) as socket:
            assert [entry["agent"] for entry in await hear(socket, 1)] == [bot]
        async with listening(owner, workspace="acme", after=start - 1) as socket:
            assert [entry["agent"] for entry in await hear(socket, 2)] == ["", bot]

    run(story)


def test_other_workspaces_are_not_heard(cast: Cast) -> None:
    session = cookie_of(cast.olga)
    start = log.newest(cast.acme.log_id)

    async def story() -> None:
        async with listening(session, workspace="acme", after=start - 1) as socket:
            await apart(ask, cast.globex.log_id, 3, tool="globex.secret")
            await apart(ask, cast.acme.log_id)
            (entry,) = await hear(socket, 1)
            assert (entry["index"], entry["tool"]) == (start, "files.read")

    run(story)


def test_who_may_not_listen_is_told_why_by_the_code_and_nothing_else(cast: Cast) -> None:
    olga, sam, gina = cookie_of(cast.olga), cookie_of(cast.sam), cookie_of(cast.gina)

    async def story() -> None:
        assert await refusal(None, workspace="acme") == 4401
        assert await refusal("made-up", workspace="acme") == 4401
        for origin in (
            None,
            "null",
            "http://evil.test",
            "https://127.0.0.1:8000",
            "http://127.0.0.1:8001",
            "x:y:z",
        ):
            assert await refusal(olga, origin=origin, workspace="acme") == 4403, origin
        for session in (sam, gina):
            assert await refusal(session, workspace="acme", after=-1) == 4404
        assert await refusal(olga, workspace="nowhere") == 4404
        assert await refusal(olga, path="/ws/other/", workspace="acme") == 4404
        assert await refusal(olga) == 4400
        for after in ("x", "-2", "1.5", "--1", 2**63):
            assert await refusal(olga, workspace="acme", after=after) == 4400, after

    run(story)


@pytest.mark.parametrize("loss", ["membership", "activity", "session"])
def test_who_loses_the_right_is_cut_off_and_hears_nothing_more(cast: Cast, loss: str) -> None:
    session = cookie_of(cast.olga)
    start = log.newest(cast.acme.log_id)

    def lose() -> None:
        if loss == "membership":
            people.set_roles(cast.acme, cast.olga, roles=[], actor="system")
        elif loss == "activity":
            people.deactivate(cast.olga, actor="system")
        else:
            Session.objects.all().delete()

    async def story() -> None:
        async with listening(session, workspace="acme", after=start - 1) as socket:
            await socket.receive_json_from(timeout=PATIENCE)
            await apart(lose)
            assert await closing_code(socket) == (4404 if loss == "membership" else 4401)
            await apart(ask, cast.acme.log_id)
            assert await socket.receive_nothing()

    run(story)


def test_a_client_that_does_not_follow_is_waited_for_and_then_cut_off(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "WINDOW", 10)
    session = cookie_of(cast.olga)
    start = log.newest(cast.acme.log_id)
    ask(cast.acme.log_id, 25)

    async def story() -> None:
        async with listening(session, workspace="acme", after=start - 1) as socket:
            assert (await hear(socket, 10))[-1]["index"] == start + 9
            assert await socket.receive_nothing(timeout=1.0)
            await socket.send_json_to({"seen": start + 4})
            assert (await hear(socket, 5))[-1]["index"] == start + 14
            await socket.send_json_to({"seen": 2**62})  # nobody has seen what was never sent
            assert (await hear(socket, 10))[-1]["index"] == start + 24
            monkeypatch.setattr(feed, "STALL", 0.0)
            assert await closing_code(socket) == 4408

    run(story)


@pytest.mark.parametrize(
    "nonsense", ["hello", "7", "[]", "{}", '{"seen": "1"}', '{"seen": true}', "[" * 10_000]
)
def test_a_client_that_talks_nonsense_is_cut_off(cast: Cast, nonsense: str) -> None:
    session = cookie_of(cast.olga)

    async def story() -> None:
        async with listening(session, workspace="acme") as socket:
            await socket.receive_json_from(timeout=PATIENCE)
            await socket.send_to(text_data=nonsense)
            assert await closing_code(socket) == 4400

    run(story)


def test_what_another_process_writes_wakes_watchers_here(cast: Cast) -> None:
    log_id = cast.acme.log_id

    async def story() -> None:
        with watches.watching(log_id) as watch, watches.watching(cast.globex.log_id) as other:
            for each in (watch, other):  # the first look
                await asyncio.wait_for(each.grew.wait(), PATIENCE)
                await each.grown(PATIENCE)
            # As another process would: the head grows, and nobody publishes here.
            await apart(Head.objects.filter(log_id=log_id).update, size=F("size") + 1)
            await asyncio.wait_for(watch.grew.wait(), PATIENCE)
            assert not other.grew.is_set()

    run(story)


def test_a_busy_log_wakes_a_watcher_once_until_it_has_looked() -> None:
    log_id = 10**9
    scheduled: list[Any] = []

    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(  # type: ignore[override]
            self, callback: Any, *args: Any, **more: Any
        ) -> asyncio.Handle:
            scheduled.append(callback)
            return super().call_soon_threadsafe(callback, *args, **more)

    def publish_often() -> None:
        for _ in range(1000):
            live.publish(log_id)

    async def story() -> None:
        with watches.watching(log_id) as watch:
            publishers = [threading.Thread(target=publish_often) for _ in range(4)]
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                await asyncio.to_thread(publisher.join)
            assert 1 <= scheduled.count(watch.grew.set) <= len(publishers)
            await watch.grown(PATIENCE)
            assert not watch.grew.is_set()
            live.publish(log_id)
            await asyncio.wait_for(watch.grew.wait(), PATIENCE)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(story())


def test_waking_a_loop_that_has_ended_harms_nobody() -> None:
    async def begin() -> watches.Watch:
        return watches.Watch(10**9)

    asyncio.run(begin()).wake()


def test_nobody_hears_of_a_write_that_was_undone(cast: Cast) -> None:
    heard: list[int] = []

    async def story() -> None:
        with watches.watching(cast.acme.log_id) as watch:
            await watch.grown(PATIENCE)
            await apart(undone)
            heard.append(watch.grew.is_set())

    def undone() -> None:
        with suppress(ZeroDivisionError), log.write(cast.acme.log_id) as entries:
            entries.append("governance.check.denied", actor="system")
            raise ZeroDivisionError

    run(story)
    assert heard == [False]
