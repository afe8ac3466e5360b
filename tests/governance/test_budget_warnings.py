"""Who hears that a budget gives warning: people by mail, one for many; the agent's address and streams, signed."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from audit import owed, streams, webhooks
from audit.models import Owed
from billing import limits, warnings
from governance import callbacks, warning_mail
from tests.audit.test_streams import Sink, deliver, sink
from tests.billing.test_warnings import limit, refuse, spend
from tests.cast import ACTOR, Cast
from workspaces import agents, people
from workspaces import callbacks as addresses
from workspaces.models import Agent

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["sink"]
KINDS = (warnings.WARNED, warning_mail.MAIL, callbacks.WARNING)


def work(*kinds: str, after: timedelta = timedelta()) -> list[str]:
    """Perform what is owed of these kinds and due after that time; what each performer told."""
    told = []
    for kind in kinds or KINDS:
        for row in Owed.objects.filter(kind=kind, done_at=None, due__lte=timezone.now() + after):
            told.append(owed.performer_of(kind)(row.payload) or "")
            Owed.objects.filter(pk=row.pk).update(done_at=timezone.now(), attempts=1)
    return told


def soon() -> list[str]:
    return work(after=warning_mail.GATHERING)


def box() -> dict[str, str]:
    """Subject of the mail to each person; one each."""
    assert len({message.to[0] for message in mail.outbox}) == len(mail.outbox)
    return {message.to[0]: str(message.subject) for message in mail.outbox}


@pytest.fixture
def own_agent(cast: Cast) -> Agent:
    """An agent whose owner does not manage budgets."""
    return agents.create_agent(cast.acme, "own-bot", owner=cast.otto, actor=ACTOR)


def test_who_manages_budgets_and_the_owner_are_mailed_once(cast: Cast, own_agent: Agent) -> None:
    limit(cast.acme, own_agent)
    spend(own_agent, "5")
    soon()
    subject = "Countersign: the daily budget of own-bot: 50% spent"
    assert box() == {"olga@acme.test": subject, own_agent.owner.email: subject}
    body = mail.outbox[0].body
    assert "50% spent: $5.00 of $10.00" in body
    assert "/admin/billing/budget/" in body
    soon()
    assert len(mail.outbox) == 2


def test_a_workspaces_budget_is_told_to_who_manages_budgets_alone(cast: Cast) -> None:
    limit(cast.acme, None)
    refuse(cast.support_bot)
    soon()
    assert box() == {"olga@acme.test": "Countersign: the daily budget of the workspace: exhausted"}
    assert "a call was refused" in mail.outbox[0].body


def test_many_at_once_are_one_mail_to_a_person(cast: Cast, own_agent: Agent) -> None:
    for window in ("day", "week", "month", "ever"):
        limit(cast.acme, own_agent, window=window)
    limit(cast.acme, None)
    spend(own_agent, "9")
    soon()
    assert box() == {
        "olga@acme.test": "Countersign: 5 budgets give warning",
        own_agent.owner.email: "Countersign: 4 budgets give warning",
    }


def test_after_some_mails_the_rest_is_collected(cast: Cast) -> None:
    for session in range(8):
        limit(cast.acme, None, per_session=True, window="ever")
        spend(cast.report_bot, "5", session=f"run-{session}")
        soon()
    mine = [message.subject for message in mail.outbox if message.to == ["olga@acme.test"]]
    assert len(mine) == warning_mail.MOST
    work(after=warning_mail.SPAN)
    mine = [message.subject for message in mail.outbox if message.to == ["olga@acme.test"]]
    assert mine[warning_mail.MOST :] == ["Countersign: 5 budgets give warning"]
    work(after=warning_mail.SPAN)
    assert not Owed.objects.filter(kind=warning_mail.MAIL, done_at=None).exists()  # a quiet span ends it


def test_who_left_in_the_meantime_is_not_mailed(cast: Cast, own_agent: Agent) -> None:
    limit(cast.acme, own_agent)
    spend(own_agent, "5")
    work(warnings.WARNED)
    people.set_roles(cast.acme, own_agent.owner, roles=[], actor=ACTOR)
    work(warning_mail.MAIL, after=warning_mail.GATHERING)
    assert list(box()) == ["olga@acme.test"]


def test_a_name_that_an_agent_chose_is_shown_as_it_is(cast: Cast) -> None:
    limit(cast.acme, None, per_session=True, window="ever")
    spend(cast.report_bot, "5", session="run\u202e<b>")
    soon()
    message: Any = mail.outbox[0]
    assert "session run⟨U+202E⟩<b> of report-bot" in message.body
    assert "run⟨U+202E⟩&lt;b&gt;" in message.alternatives[0][0]


def signature(secret: bytes, headers: dict[str, str], body: bytes) -> str:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def test_the_agents_address_is_told_signed(cast: Cast, sink: Sink) -> None:
    shown = addresses.set_callback(cast.support_bot, url=sink.url, actor=ACTOR)
    budget = limit(cast.acme, cast.support_bot)
    spend(cast.support_bot, "8")
    work()
    ((headers, body),) = sink.messages
    secret = base64.b64decode(shown.removeprefix(webhooks.PREFIX))
    assert headers["webhook-signature"] == signature(secret, headers, body)
    told = json.loads(body)
    assert told["type"] == "budget.warned"
    assert told["data"] == {
        "budget": budget.public_id, "share": 80, "unit": "usd", "spent": "8.00", "limit": "10.00",
        "agent": cast.support_bot.public_id, "session": "", "exhausted": False,
    }  # fmt: skip


@pytest.fixture
def channels(cast: Cast, sink: Sink) -> dict[str, bytes]:
    """Secrets of a stream of each format that is told warnings alone."""
    found = {}
    for format in ("jsonl", "ocsf", "cloudevents", "chat"):
        _, shown = streams.create(
            cast.acme.log_id, name=format, kind="webhook", url=sink.url, format=format,
            types=["billing.budget.warned"], actor=ACTOR,
        )  # fmt: skip
        found[format] = base64.b64decode(shown.removeprefix(webhooks.PREFIX))
    return found


def test_streams_are_told_signed_in_every_format(cast: Cast, sink: Sink, channels: dict[str, bytes]) -> None:
    limit(cast.acme, cast.support_bot, tool="mail.send", warn_at=[50])
    limit(cast.acme, cast.support_bot)
    spend(cast.support_bot, "5")
    deliver()
    assert len(sink.messages) == len(channels)
    signed_by = {
        format
        for headers, body in sink.messages
        for format, secret in channels.items()
        if headers["webhook-signature"] == signature(secret, headers, body)
    }
    assert signed_by == set(channels)
    assert all(b"budget.warned" in body for _, body in sink.messages)
    (chat,) = [json.loads(body) for _, body in sink.messages if b'"text"' in body]
    assert chat["text"].startswith(
        "`the daily budget of support-bot` in `Acme Support`: 50% spent, $5.00 of $10.00. http"
    )
    assert chat["countersign"]["entries"][0]["share"] == 50


def test_a_chat_is_not_told_what_an_agent_calls_its_session(
    cast: Cast, sink: Sink, channels: dict[str, bytes]
) -> None:
    limit(cast.acme, None, per_session=True, window="ever")
    spend(cast.report_bot, "5", session="canary-7391")
    deliver()
    (chat,) = [json.loads(body) for _, body in sink.messages if b'"text"' in body]
    assert chat["text"].startswith("`the whole budget of a session of report-bot` in ")
    assert "canary" not in json.dumps(chat)


def test_a_stream_tells_of_a_budget_that_is_gone(cast: Cast, sink: Sink, channels: dict[str, bytes]) -> None:
    budget = limit(cast.acme, None)
    refuse(cast.support_bot)
    limits.remove_budget(budget, actor=ACTOR)
    deliver()
    (chat,) = [json.loads(body) for _, body in sink.messages if b'"text"' in body]
    assert "`a budget of the workspace that was removed since`" in chat["text"]
    assert "A call was refused for it." in chat["text"]
