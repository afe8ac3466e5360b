"""The doors that are no pages: the agents' gate and the websocket. Neither opens a hand's breadth to next door."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client
from starlette.testclient import TestClient

from audit.live import feed
from config.front_door import GATE_PATHS, GATE_PREFIX, is_gate
from governance import snapshot
from tests.gate.conftest import gate
from tests.isolation.routes import gate_routes
from tests.isolation.world import Wall, build, ghost
from workspaces.access import get_workspace
from workspaces.models import User

__all__ = ["gate"]  # a fixture of the gate's own tests
pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "http://127.0.0.1:8000"
PATIENCE = 10.0


@pytest.fixture
def both(transactional_db: None) -> Wall:
    """The wall, committed: the gate and the sockets have connections of their own."""
    snapshot.forget()
    return build()


# The bodies that paths take, by their ends.
BODIES = {"/outcome": {"status": "succeeded"}, "/cancel": {"reason": "words"}, "/reply": {"text": "words"}}


def knock(gate: TestClient, key: str, path: str) -> list[tuple[int, str]]:
    """Status and body of a path, by each method that agents use."""
    answers = []
    for method, body in (("GET", None), ("POST", BODIES.get("/" + path.rpartition("/")[2], {}))):
        answer = gate.request(method, path, json=body, headers={"authorization": f"Bearer {key}"})
        answers.append((answer.status_code, answer.text))
    return answers


def test_a_key_opens_no_path_to_what_is_not_its_agents(gate: TestClient, both: Wall) -> None:
    """Not to the other workspace's, and not to those of the agent beside it: 404, as for what never was."""
    ids = both.acme.ids_of
    for key in (both.globex.keys[0], both.acme.keys[1]):
        for path in gate_routes():
            names = [name for name in ids if "{" + name + "}" in path]
            assert path.count("{") == len(names), (
                f"{path}: fill its parameter in tests/isolation/test_doors.py."
            )
            for name in names:
                theirs = knock(gate, key, path.replace("{" + name + "}", ids[name]))
                nothing = knock(gate, key, path.replace("{" + name + "}", ghost(ids[name])))
                assert theirs == nothing, path
                assert {status for status, _ in theirs} <= {404, 405}, path


def test_a_check_reaches_no_tool_approval_or_person_of_theirs(gate: TestClient, both: Wall) -> None:
    """Every field of a check that names something, filled with acme's, is answered as if it named nothing."""
    acme, key = both.acme, both.globex.keys[0]
    own = "local.write"
    path = {"path": "/local/x"}
    bodies: list[tuple[dict[str, Any], str, Any]] = [
        ({"tool": own, "arguments": path}, "approval", acme.ids_of["approval"]),
        ({"tool": own, "arguments": path}, "on_behalf_of", acme.developers[0].email),
        ({"tool": own, "arguments": path}, "resource", f"file:///{acme.workspace.slug}/x"),
        ({"arguments": path}, "tool", f"{acme.workspace.slug}.write"),
        ({"tool": own}, "arguments", {"path": f"/{acme.workspace.slug}/x"}),
    ]
    for body, field, theirs in bodies:
        nothing = {"path": "/nowhere/x"} if isinstance(theirs, dict) else ghost(theirs)
        answers = []
        for value in (theirs, nothing):
            answer = gate.post(
                "/v1/check", json=body | {field: value}, headers={"authorization": f"Bearer {key}"}
            )
            told = answer.json()
            answers.append((answer.status_code, told.get("decision"), told.get("code")))
            assert acme.ids_of["agent"] not in answer.text
        assert answers[0] == answers[1], (field, answers)
        assert answers[0][1] != "allow" or field == "approval", field
    me = gate.get("/v1/me", headers={"authorization": f"Bearer {key}"})
    assert me.status_code == 200
    assert not both.leaks(me.text)


def test_front_door_sends_to_the_gate_only_what_it_has_routes_for() -> None:
    assert GATE_PREFIX == "/v1/"
    for path in gate_routes():
        assert is_gate(path)
    assert set(gate_routes()) >= GATE_PATHS


def log_of(person: User, slug: str) -> int:
    """As ``config.asgi`` has it, which cannot be imported before there is a database."""
    return get_workspace(person, slug).log_id


async def overheard(person: User | None, slug: str) -> tuple[int, str, list[str]]:
    """The code and sentence with which a socket closes at once, and what it said before."""
    headers = [(b"origin", ORIGIN.encode())]
    if person is not None:
        cookie = await asyncio.to_thread(cookie_of, person)
        headers.append((b"cookie", f"sessionid={cookie}".encode()))
    application = feed.Feed.as_asgi(log_of=log_of)
    socket = WebsocketCommunicator(
        application, f"{feed.PATH}?{urlencode({'workspace': slug, 'after': -1})}", headers
    )
    await socket.connect(timeout=PATIENCE)
    said: list[str] = []
    try:
        while True:
            message = await socket.receive_output(timeout=PATIENCE)
            if message["type"] == "websocket.close":
                return int(message["code"]), str(message.get("reason", "")), said
            said.append(str(message.get("text", "")))
            if len(said) > 3:
                return 0, "", said
    finally:
        await socket.disconnect(timeout=PATIENCE)


def cookie_of(person: User) -> str:
    """A session of this person; the thread's connection is closed."""
    try:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client.cookies["sessionid"].value
    finally:
        connections.close_all()


def test_a_socket_of_theirs_closes_as_one_of_nothing(both: Wall) -> None:
    """Websockets have one path and one parameter; its group is the workspace's log."""
    theirs = both.acme.workspace.slug

    async def story() -> None:
        for person in (both.globex.everyone, both.sam, both.root, None):
            there = await overheard(person, theirs)
            nothing = await overheard(person, ghost(theirs))
            assert there == nothing
            assert there[0] == (4404 if person else 4401)
            assert there[2] == []

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_socket_of_ours_carries_nothing_of_theirs(both: Wall) -> None:
    """The whole of the own log, and not one entry of the other."""

    async def story() -> None:
        headers = [(b"origin", ORIGIN.encode())]
        cookie = await asyncio.to_thread(cookie_of, both.globex.everyone)
        headers.append((b"cookie", f"sessionid={cookie}".encode()))
        query = urlencode({"workspace": both.globex.workspace.slug, "after": -1})
        application = feed.Feed.as_asgi(log_of=log_of)
        socket = WebsocketCommunicator(application, f"{feed.PATH}?{query}", headers)
        await socket.connect(timeout=PATIENCE)
        message = await socket.receive_output(timeout=PATIENCE)
        assert '"entries"' in message["text"]
        assert not both.leaks(message["text"])
        await socket.disconnect(timeout=PATIENCE)

    asyncio.run(asyncio.wait_for(story(), 60))
