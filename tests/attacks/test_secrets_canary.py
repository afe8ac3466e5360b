"""Secrets are planted in every field and header of every request to the gate, on a served installation; afterwards none
is found in the database's file, its write-ahead log, what processes say, opened Details, exports, mails or pages.

A word that nothing recognizes is planted too, and must be found in each of these places: the search can fail.
"""

import base64
import html
import json
import random
import re
import sqlite3
import string
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from websockets import Origin
from websockets.sync.client import connect

from tests.faults.processes import GATE, PORTAL, Installation
from tests.servers import SmtpSink, wait_until

RANDOM = random.Random(4711)
ALNUM = string.ascii_letters + string.digits
CONTROL = "zebrafinch"  # no secret: it is kept where it may be, and found there
SHORTEST_PART = 12
MAIL = {"to": "ann@customers.test", "subject": "x", "body": "y"}

DECLARE = """
import json
from tests.cast import ACTOR, declare
from workspaces import access, catalog, people
from workspaces.declarations import Action
from workspaces.models import Agent, User, Workspace
acme = Workspace.objects.get(slug="acme")
bot = Agent.objects.get(name="support-bot")
for name, template, pattern in (
    ("chat.post", "https://hooks.slack.com/services/{team}/{room}/{hook}", "https://hooks.slack.com/*/*/*/*"),
    ("vault.read", "vault://box/{card_number}/{name}", "vault://*/*/*"),
):
    tool = catalog.set_tool(
        acme, declaration=declare(name, Action.READ, template, sensitive=("/card_number",)), actor=ACTOR
    ).row
    resource = catalog.set_resource(acme, name=name, pattern=pattern, labels=[], actor=ACTOR).row
    access.grant(bot, permission="use", obj=tool, actor=ACTOR)
    access.grant(bot, permission="read", obj=resource, actor=ACTOR)
rita = User.objects.get(email="rita@acme.test")
print(json.dumps({"link": people.signin_link(rita, actor=ACTOR), "log": str(acme.log.uuid)}))
"""
OPENED = """
import json
from audit import envelopes
from audit.models import Detail, Log
told = []
for log in Log.objects.all():
    for index, content in Detail.objects.filter(log=log).values_list("index", "content"):
        told.append(envelopes.open_envelope(log.pk, str(log.uuid), index, bytes(content)).decode())
print(json.dumps(told))
"""
EXPORTED = """
import sys
from audit import exports, streams
from django.conf import settings
from workspaces.models import User, Workspace
from workspaces.people import actor_of
acme, rita = Workspace.objects.get(slug="acme"), User.objects.get(email="rita@acme.test")
for kind in ("jsonl", "csv", "ocsf", "cloudevents"):
    exports.start(acme.log_id, kind=kind, person=rita, actor=actor_of(rita))
settings.STREAM_FOLDER = sys.argv[1]
streams.create(acme.log_id, name="all", kind="file", actor=actor_of(rita), from_start=True)
print("[]")
"""


def text(count: int, alphabet: str = ALNUM) -> str:
    return "".join(RANDOM.choices(alphabet, k=count))


class Planted:
    """The tokens that were planted, each in one place, of every kind in turn."""

    def __init__(self) -> None:
        self.door = ""
        self.by_place: dict[str, str] = {}

    def token(self, place: str) -> str:
        """A new token, of which each kind gets its turn."""
        kinds = (
            lambda: f"csk_{text(46)}",
            lambda: f"AKIA{text(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}",
            lambda: f"ghp_{text(36)}",
            lambda: f"xoxb-{text(12, '123456789')}-{text(12, '123456789')}-{text(24)}",
            lambda: f"sk_live_{text(24)}",
            lambda: f"sk-ant-api03-{text(93)}AA",
            lambda: f"AIza{text(35)}",
            lambda: f"npm_{text(36)}",
            lambda: f"glpat-{text(20)}",
        )
        made = kinds[len(self.by_place) % len(kinds)]()
        return self.own(place, made)

    def own(self, place: str, made: str) -> str:
        """A token that is no known kind, where its place gives it away."""
        self.by_place[f"{place}, by {self.door}"] = made
        return made


def forms(token: str) -> Iterator[bytes]:
    """A token as it may stand somewhere: itself, escaped, encoded, or as two parts of one address."""
    yield token.encode()
    yield json.dumps(token)[1:-1].encode()
    yield json.dumps(json.dumps(token))[3:-3].encode()
    yield "".join(f"\\u{ord(each):04x}" for each in token).encode()
    yield quote(token, safe="").encode()
    yield quote_plus(token).encode()
    yield "".join(f"%{ord(each):02X}" for each in token).encode()
    yield html.escape(token).encode()
    yield token.encode().hex().encode()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            padded = encode(b"\0" * shift + token.encode())
            # The first group holds what stands before, the last what stands after.
            yield padded[4 if shift else 0 : -4]
    half = len(token) // 2
    for first, second in ((":", "@"), ("&", "="), ("/", "/")):
        if half >= SHORTEST_PART:
            yield token[:half].encode() + first.encode()
            yield second.encode() + token[half:].encode()


def lines(parts: Iterator[bytes]) -> bytes:
    """Texts without the lines that were there before: pages have most of theirs in common."""
    return b"\n".join({line.strip(): None for part in parts for line in part.split(b"\n")})


def found(planted: dict[str, str], haystack: bytes) -> list[str]:
    """The places whose tokens stand in it, in whatever form."""
    return [
        place
        for place, token in planted.items()
        if any(form in haystack for form in dict.fromkeys(forms(token)))
    ]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    world = Installation(tmp_path_factory.mktemp("canary")).seed()
    try:
        yield world
    finally:
        world.end()


def plant_addresses(check: Callable[[Any], object], planted: Planted) -> None:
    """Secrets in URLs: user and password, query parameters."""
    for place, url in (
        ("user and password", "https://{}:{}@web.example/x"),
        ("user and user", "https://{}@web.example/x {}@web.example".replace(" ", "?next=https://")),
        ("query", "https://web.example/x?access_token={}&password={}"),
        ("two parameters", "https://web.example/x?key={}&sig={}"),
    ):
        parts = planted.own(f"url {place} 1", text(24) + "1"), planted.own(f"url {place} 2", text(24) + "2")
        check({"tool": "web.fetch", "arguments": {"url": url.format(*parts)}})
        check({"tool": "mail.send", "arguments": MAIL, "reason": f"from {url.format(*parts)}"})


def plant_outcomes(agent: httpx.Client, decision: str, planted: Planted) -> None:
    """Everything that an agent can say of what became of a call."""
    token = planted.token
    agent.post(f"/v1/decisions/{decision}/outcome", json={"status": token("outcome status")})
    agent.post(
        f"/v1/decisions/{decision}/outcome", json={"status": "failed", "cost_usd": token("outcome cost")}
    )
    agent.post(f"/v1/decisions/{decision}/outcome", json={"status": "failed", token("outcome name"): 1})
    agent.post(
        f"/v1/decisions/{decision}/outcome",
        json={
            "status": "succeeded",
            "summary": f"{CONTROL} did {token('summary')}",
            "changes": [{"row": token("change"), token("change key"): 1}],
        },
        headers={"X-Trace": token("outcome header")},
    )
    agent.post(f"/v1/decisions/{token('outcome path')}/outcome", json={"status": "failed"})


def plant(gate: str, key: str, planted: Planted) -> list[str]:
    """Ask everything that the gate answers, with a token in each place; the ids of approvals that were opened."""
    agent = httpx.Client(base_url=gate, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    approvals: list[str] = []
    door = planted.door

    def check(body: Any, **more: Any) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = agent.post("/v1/check", content=content, **more)
        told: dict[str, Any] = answer.json()
        if told.get("approval"):
            approvals.append(told["approval"]["id"])
        return told

    token = planted.token
    mail: dict[str, Any] = {"tool": "mail.send", "arguments": MAIL}
    # Each field of a check, on its own, and all that can stand together.
    for name in ("tool", "session", "call_id", "on_behalf_of", "reason", "resource", "action", "approval",
                 "estimated_cost_usd", "dry_run", "context", "arguments"):  # fmt: skip
        check(mail | {name: token(f"check {name}")})
    for name in ("on_behalf_of", "session", "call_id", "tool"):
        check(mail | {name: f"{token(f'check {name} as an address')}@customers.test"})
    check(mail | {token("unknown field"): 1, "wish": token("unknown field's value")})
    check({**mail, "session": f"{CONTROL}-session", "call_id": f"{CONTROL}-{door}",
           "reason": f"{CONTROL} asks: {token('reason with words')}",
           "context": {"a": [{token("context key"): token("context value")}], "password": planted.own(
               "context password", text(20))}},
          headers={"Idempotency-Key": f"{CONTROL}-{door}"})  # fmt: skip
    check({**mail, "arguments": {**mail["arguments"], "body": f"see {token('body')} {CONTROL}"}})
    check({**mail, "arguments": {**mail["arguments"], "to": f"{token('address')}@customers.test"}})
    check({**mail, "arguments": {**mail["arguments"], token("argument key"): 1}})
    check({**mail, "arguments": {**mail["arguments"], "body": f"{token('large')} {'x' * 40_000}"}})
    check(mail, headers={"Idempotency-Key": token("Idempotency-Key")})
    check(mail, headers={"User-Agent": token("User-Agent"), "Cookie": f"a={token('Cookie')}",
                         "X-Request-Id": token("X-Request-Id"), "Referer": f"https://x/?{token('Referer')}",
                         "Content-Type": f"text/{token('Content-Type')}"})  # fmt: skip
    check(mail, headers={"Authorization": f"Bearer {token('Authorization')}"})
    check(mail, params={"q": token("query"), token("query name"): "1"})
    plant_addresses(check, planted)
    # A secret that only joining makes.
    team, room, hook = f"T{text(9, 'ABC0')}", f"B{text(9, 'ABC0')}", planted.own("joined", text(24))
    check(
        {
            "tool": "chat.post",
            "arguments": {"team": team, "room": room, "hook": hook},
            "call_id": f"chat-{door}",
        }
    )
    sensitive = planted.own("sensitive", text(30))
    check({"tool": "vault.read", "arguments": {"card_number": sensitive, "name": "x"}, "call_id": f"vault-{door}"},
          headers={"Idempotency-Key": f"vault-{door}"})  # fmt: skip
    check({"tool": "vault.read", "arguments": {"card_number": f"{sensitive}/../x", "name": "x"}})
    # What a person is asked, by mail and on a page.
    check({"tool": "billing.refund", "reason": f"{CONTROL} {token('asked reason')}", "session": f"{CONTROL}-asks",
           "arguments": {"invoice": token("asked invoice"), "amount": 250,
                         "card_number": planted.own("asked card", text(16))}})  # fmt: skip
    # Bodies that are none.
    for place, raw in (("cut", '{{"tool": "{}", "argu'), ("twice", '{{"tool": "{0}", "tool": "{0}"}}'), ("text", "{}"),
                       ("bytes", '{{"tool": "\xff{}"}}')):  # fmt: skip
        check(raw.format(token(f"malformed {place}")).encode("latin-1"))
    allowed = check(mail)["id"]
    plant_outcomes(agent, allowed, planted)
    agent.get(f"/v1/approvals/{token('approval path')}", params={"wait": token("wait")})
    agent.get("/v1/me", params={"q": token("me query")}, headers={"X-Trace": token("me header")})
    agent.get(f"/v1/{token('no path')}")
    return approvals


def signed_in(address: str, link: str) -> httpx.Client:
    """Rita's session, who may see content and decides."""
    browser = httpx.Client(base_url=address, headers={"Referer": address}, timeout=60, follow_redirects=True)
    page = browser.get(f"/signin/{link}/")
    form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert form is not None
    browser.post(page.url.path, data={"csrfmiddlewaretoken": form[1]})
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
    return browser


def pages(browser: httpx.Client, installation: Installation, since: int) -> Iterator[bytes]:
    """The lists, the agent, what waits, an entry of each type, and each decision from an index on, with its content."""
    ((bot,),) = installation.execute("SELECT id FROM workspaces_agent WHERE name = 'support-bot'")
    addresses = ["/admin/", "/admin/live/acme/", "/admin/policy/acme/try/", "/admin/workspaces/agent/",
                 f"/admin/workspaces/agent/{bot}/change/", "/admin/governance/approval/",
                 "/admin/governance/decisionrecord/", "/admin/audit/entry/"]  # fmt: skip
    for number, public_id in installation.execute("SELECT id, public_id FROM governance_approval"):
        addresses.append(f"/admin/governance/approval/{number}/change/")
        addresses.append(f"/api/v1/workspaces/acme/approvals/{public_id}/content")
    where = f"log_id = {installation.logs['acme']} AND agent <> ''"
    for (number,) in installation.execute(f"SELECT max(id) FROM audit_entry WHERE {where} GROUP BY type"):
        addresses.append(f"/admin/audit/entry/{number}/change/")
    decided = installation.execute(
        f'SELECT id, "index" FROM audit_entry WHERE {where} AND "index" >= {since} AND type LIKE \'governance.check.%\''
    )
    for number, index in decided:
        addresses.append(f"/admin/governance/decisionrecord/{number}/change/")
        addresses.append(f"/api/v1/workspaces/acme/decisions/{index}/content")
    for address in addresses:
        answer = browser.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        yield answer.content


def feed(portal: int, browser: httpx.Client) -> bytes:
    """What the live feed tells of everything so far."""
    address = f"ws://127.0.0.1:{portal}/ws/feed/?workspace=acme&after=0"
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
    told = b""
    with connect(
        address, origin=Origin("http://127.0.0.1:8000"), additional_headers=cookie, proxy=None
    ) as socket:
        try:
            while CONTROL.encode() not in told or len(told) < 20_000:
                message = socket.recv(timeout=3)
                told += message.encode() if isinstance(message, str) else message
        except TimeoutError:
            pass
    return told


def letters(messages: list[EmailMessage]) -> bytes:
    """Mails as sent, and as read."""
    told = b""
    for message in messages:
        told += message.as_bytes()
        for part in message.walk():
            payload = part.get_payload(decode=True)
            told += payload if isinstance(payload, bytes) else b""
    return told


def files(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """The database's files as they lie there, and whatever else lies in the folder, but keys."""
    for path in sorted(installation.folder.rglob("*")):
        if path.is_file() and "keys" not in path.parts and path.name != "secret.key":
            yield str(path.relative_to(installation.folder)), path.read_bytes()


def lines_in(folder: Path) -> int:
    """How many lines the files of a folder have."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl"))


def unfinished(installation: Installation) -> list[Any]:
    """What is owed and due."""
    return installation.execute("SELECT id FROM audit_owed WHERE done_at IS NULL")


def unpacked(path: Path) -> bytes:
    """Every value of every table: a file may hold a value in pieces, on pages that overflow."""
    told = b""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                told += b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in row) + b"\n"
    return told


def test_no_secret_that_an_agent_sends_is_anywhere(installation: Installation, smtp_sink: SmtpSink) -> None:
    made = installation.script(DECLARE)
    talkative = {"COUNTERSIGN_LOG_LEVEL": "INFO"}
    gate, portal = (
        installation.serve(GATE, **talkative),
        installation.serve(PORTAL, server="daphne", **talkative),
    )
    planted, key = Planted(), installation.key("support-bot")
    planted.own("the agent's own key", key)
    planted.door = "gate"
    assert len(plant(f"http://127.0.0.1:{gate}", key, planted)) == 1
    installation.manage("work", "--once")  # its mail goes into the folder that stands for a mail server
    streamed = installation.folder / "streams"
    streamed.mkdir(mode=0o700)
    sinks = {"COUNTERSIGN_SMTP_URL": smtp_sink.url, "COUNTERSIGN_STREAM_FOLDER": str(streamed)}
    installation.worker(**sinks, **talkative)
    planted.door, since = "portal", installation.size("acme")
    assert len(plant(f"http://127.0.0.1:{portal}", key, planted)) == 1
    installation.script(EXPORTED, str(streamed))
    wait_until(lambda: bool(smtp_sink.messages) and not unfinished(installation), what="Mail and exports")
    wait_until(lambda: lines_in(streamed) >= installation.size("acme"), what="The stream")
    browser = signed_in(f"http://127.0.0.1:{portal}", made["link"])
    haystacks = {
        "opened Details": "\n".join(installation.script(OPENED)).encode(),
        "mails": letters(smtp_sink.messages),
        "pages": lines(pages(browser, installation, since)),
        "the feed": feed(portal, browser),
        **dict(files(installation)),
        "the database's values": unpacked(installation.sqlite),
    }
    installation.end()
    haystacks["the database at rest"] = installation.sqlite.read_bytes()
    told = {name: found(planted.by_place, content) for name, content in haystacks.items()}
    assert {name: places for name, places in told.items() if places} == {}
    silent = {"countersign.sqlite3-shm", "processes.log"}
    for name, content in haystacks.items():
        assert CONTROL.encode() in content or not content or name in silent, name
    assert {"outbox", "exports", "streams"} <= {Path(name).parent.name for name in haystacks}
    assert len(planted.by_place) > 120


def test_a_secret_is_found_in_each_form() -> None:
    token = f"ghp_{text(36)}"
    for shift in range(3):
        hidden = base64.b64encode(b"x" * shift + token.encode() + b" and more")
        assert found({"here": token}, b"before " + hidden) == ["here"]
    for form in (
        quote(token, safe=""),
        f"https://{token[:20]}:{token[20:]}@h",
        f"?a={token[:20]}&b={token[20:]}",
    ):
        assert found({"here": token}, form.encode()) == ["here"]
    assert found({"here": token}, f"ghp_{text(36)}".encode()) == []
