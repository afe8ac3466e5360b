"""An agent's own address is told that something became of an approval: signed, ids only, never where it must not go."""

import base64
import hmac
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit import destinations, log, owed, webhooks
from audit.log import stamp
from audit.models import Entry, Owed
from audit.rebuild import Rebuild
from audit.verification import verify
from governance.callbacks import CALLBACK, deliver, owe_callback
from governance.models import Approval, CallbackState
from tests.approving import ask, requirement
from tests.audit.test_streams import Sink
from tests.cast import ACTOR, Cast
from workspaces import callbacks
from workspaces.models import User

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    settings.STREAM_ALLOW = ["127.0.0.1"]
    server = Sink()
    yield server
    server.close()


@pytest.fixture
def secret(cast: Cast, sink: Sink) -> bytes:
    """What support-bot's messages are signed with."""
    shown = callbacks.set_callback(cast.support_bot, url=sink.url, actor=ACTOR)
    return base64.b64decode(shown.removeprefix(webhooks.PREFIX))


@pytest.fixture
def waiting(cast: Cast, rita: User) -> Approval:
    return ask(cast.support_bot, [requirement(rita)])


def owe(approval: Approval, event: str = "settled") -> Owed:
    approval.refresh_from_db()
    with log.write(approval.workspace.log_id) as entries:
        owe_callback(approval, event, entries)
    return Owed.objects.filter(kind=CALLBACK).latest("pk")


def attempt() -> str:
    """Perform the one row that is owed, whatever it waits for. Raises what the performer raises."""
    CallbackState.objects.update(next_at=None)
    return deliver(Owed.objects.get(kind=CALLBACK).payload) or ""


def test_the_documented_recipe_knows_our_messages(sink: Sink, secret: bytes, waiting: Approval) -> None:
    (recipe,) = re.findall(r"```python\n(import base64.*?)```", (ROOT / "docs/api.md").read_text(), re.S)
    told: dict[str, Any] = {}
    exec(recipe, told)
    owe(waiting)
    attempt()
    ((headers, body),) = sink.messages
    given = {name.lower(): value for name, value in headers.items()}
    shown = webhooks.PREFIX + base64.b64encode(secret).decode()
    assert told["is_ours"](given, body, shown)
    assert not told["is_ours"](given, body + b" ", shown)
    assert not told["is_ours"](given | {"webhook-timestamp": "1"}, body, shown)


def test_a_message_is_signed_and_says_no_more_than_ids(sink: Sink, secret: bytes, waiting: Approval) -> None:
    owe(waiting)
    assert attempt().endswith("taken")
    ((headers, body),) = sink.messages
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "approval.settled"
    assert told["data"] == {
        "approval": waiting.public_id,
        "agent": waiting.agent.public_id,
        "status": "pending",
        "version": 1,
    }


def test_an_agent_without_an_address_owes_nothing(waiting: Approval) -> None:
    with log.write(waiting.workspace.log_id) as entries:
        owe_callback(waiting, "settled", entries)
    assert not Owed.objects.filter(kind=CALLBACK).exists()


def test_a_refusal_is_tried_again_and_then_forgotten(sink: Sink, secret: bytes, waiting: Approval) -> None:
    sink.answers = [500, 200]
    owe(waiting)
    with pytest.raises(RuntimeError, match="HTTP 500"):
        attempt()
    state = CallbackState.objects.get(agent=waiting.agent)
    assert (state.failures, state.error) == (1, "HTTP 500")
    assert attempt().endswith("taken")
    state.refresh_from_db()
    assert (state.failures, state.error, state.failing_since) == (0, "", None)


def test_a_dead_address_is_not_asked_for_each_message(sink: Sink, secret: bytes, waiting: Approval) -> None:
    sink.answers = [500]
    payload = owe(waiting).payload
    for told in ("HTTP 500", "The address failed lately: HTTP 500"):
        with pytest.raises(RuntimeError, match=told):
            deliver(payload)
    assert not sink.messages  # the second would have been taken


def test_after_a_day_nobody_tries_any_more_and_the_error_stands(
    sink: Sink, secret: bytes, waiting: Approval
) -> None:
    sink.answers = [500]
    row = owe(waiting)
    row.payload["at"] = stamp(timezone.now() - timedelta(days=1))
    assert "given up, HTTP 500" in (deliver(row.payload) or "")
    assert CallbackState.objects.get(agent=waiting.agent).error == "HTTP 500"


def test_what_is_given_up_does_not_ask_a_dead_address_again(
    sink: Sink, secret: bytes, waiting: Approval
) -> None:
    sink.answers = [500]
    row = owe(waiting)
    with pytest.raises(RuntimeError, match="HTTP 500"):
        deliver(row.payload)
    row.payload["at"] = stamp(timezone.now() - timedelta(days=1))
    assert "given up, HTTP 500" in (deliver(row.payload) or "")
    assert not sink.messages  # a second request would have been taken


def test_an_address_that_hangs_holds_up_no_export(waiting: Approval, secret: bytes) -> None:
    owe(waiting)
    assert not [row for row in owed.claim(9, aside=False) if row.kind == CALLBACK]
    assert not owed.claim(9, aside=True, outward=False)
    assert [row.kind for row in owed.claim(1, aside=True, outward=True)] == [CALLBACK]


def test_an_address_is_judged_again_when_it_is_used(
    sink: Sink, secret: bytes, waiting: Approval, settings: Any
) -> None:
    payload = owe(waiting).payload
    settings.STREAM_ALLOW = []
    with pytest.raises(RuntimeError, match="https"):
        deliver(payload)
    assert not sink.messages


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://169.254.169.254/", "https://[::1]/", "https://u:p@example.com/", "x"],
)
def test_an_address_inside_is_refused(cast: Cast, url: str) -> None:
    with pytest.raises(destinations.NotAllowed):
        callbacks.set_callback(cast.support_bot, url=url, actor=ACTOR)


def test_setting_one_is_an_entry_that_holds_neither_address_nor_secret(cast: Cast) -> None:
    url = "https://hooks.example.com/T0K3N"
    shown = callbacks.set_callback(cast.support_bot, url=url, actor=ACTOR)
    assert shown.startswith("whsec_")
    body = bytes(Entry.objects.filter(log_id=cast.acme.log_id).latest("index").body).decode()
    assert "T0K3N" not in body
    assert '"callback":"set"' in body
    assert callbacks.address(cast.support_bot, whole=False) == "https://hooks.example.com/…"
    assert callbacks.set_callback(cast.support_bot, url="", actor=ACTOR) == ""
    with pytest.raises(callbacks.NoCallback):
        callbacks.secret_of(cast.support_bot)
    assert verify(cast.acme.log, [Rebuild(cast.acme.log_id)]).intact
