"""What a chat tool is told of approvals by a stream of the log."""

import json
from typing import Any

import pytest

from audit import chat, delivery, streams
from audit.models import Stream
from governance import approvals
from governance.models import Approval
from tests.approving import ask, decide, requirement
from tests.audit.test_streams import Sink, deliver, grow, sink, size_of, work
from tests.cast import ACTOR, Cast
from tests.portal import enter

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["sink"]


def channel(cast: Cast, sink: Sink, **options: Any) -> Stream:
    """A stream of acme's approvals to a chat tool."""
    options = {"name": "chat", "kind": "webhook", "url": sink.url, "format": "chat", **options}
    return streams.create(cast.acme.log_id, actor=ACTOR, **options)[0]


def told(sink: Sink) -> list[dict[str, Any]]:
    """The messages, as the chat tool reads them."""
    return [json.loads(body) for _, body in sink.messages]


def test_a_chat_is_told_that_people_are_asked_and_how_it_ended(cast: Cast, sink: Sink) -> None:
    channel(cast, sink)
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    approvals.start(approval)
    deliver()
    decide(approval, cast.rita)
    deliver()
    asked, ended = told(sink)
    address = f"/admin/governance/approval/{approval.pk}/change/"
    assert asked["text"].startswith(
        "`report-bot` asks to use `mail.send` (medium risk) in `Acme Support`. Answer until "
    )
    assert asked["text"].endswith(address)
    assert ended["text"].startswith("`mail.send` of `report-bot` in `Acme Support`: approved. http")
    (entry,) = ended["countersign"]["entries"]
    assert (entry["approval"], entry["outcome"]) == (approval.public_id, "approved")
    assert entry["url"].endswith(address)
    headers, _ = sink.messages[0]
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["Content-Type"] == "application/json"


def test_a_chat_is_told_nothing_that_decides_and_nothing_that_was_sent(cast: Cast, sink: Sink) -> None:
    channel(cast, sink)
    approvals.start(
        ask(cast.report_bot, [requirement(cast.rita)], arguments={"to": "ann", "note": "canary-7391"})
    )
    deliver()
    (_, body), *_ = sink.messages
    assert b"canary-7391" not in body
    assert b"/a/" not in body
    assert b"rita" not in body.lower()
    assert b"the customer asked" not in body


HOSTILE = [
    "<!channel> look",
    "@channel @here @all",
    "[approve](https://evil.test)",
    "<https://evil.test|Countersign>",
    "`code` https://evil.test",
    "*bold* _it_ ~gone~ &lt;",
    "line\nApproved: yes",
    "right\u202eleft",
    "x" * 500,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_in_a_chat(name: str) -> None:
    shown = chat.name(name.replace("\n", "⟨U+000A⟩"))
    assert shown[0] == shown[-1] == "`"
    assert not set(shown[1:-1]) & set("`<>@\n")
    assert len(shown) < 200


def test_a_hostile_name_reaches_no_chat_as_it_is(cast: Cast, sink: Sink) -> None:
    channel(cast, sink)
    hostile = "<!channel> `@all` \u202e"
    approvals.start(ask(cast.report_bot, [requirement(cast.rita)], tool=hostile))
    deliver()
    (message,) = told(sink)
    assert "asks to use `&lt;!channel&gt; '(at)all' ⟨U+202E⟩` (" in message["text"]


def test_a_stream_of_some_types_passes_over_the_others(cast: Cast, sink: Sink, monkeypatch: Any) -> None:
    options: dict[str, Any] = {"name": "some", "kind": "webhook", "url": sink.url, "from_start": True}
    stream, _ = streams.create(cast.acme.log_id, types=["governance.approval.*"], actor=ACTOR, **options)
    for number in range(3):
        grow(cast, number)
    approvals.start(ask(cast.report_bot, [requirement(cast.rita)]))
    monkeypatch.setattr(delivery, "LOOKED_THROUGH", 4)
    deliver()
    bodies = [json.loads(line)["body"] for _, body in sink.messages for line in body.splitlines()]
    assert [body["type"] for body in bodies] == ["governance.approval.started"]
    assert streams.in_log(cast.acme.log_id).get(pk=stream.pk).cursor.next == size_of(cast)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kind": "file", "url": ""}, "incoming webhook"),
        ({"types": ["governance.check.allowed"]}, "these only"),
        ({"types": ["nothing.at.all"]}, "No entry is of the type"),
        ({"types": [f"a.{n}" for n in range(60)]}, "at most 50"),
    ],
)
def test_what_no_channel_may_be(
    cast: Cast, sink: Sink, settings: Any, tmp_path: Any, options: Any, why: str
) -> None:
    settings.STREAM_FOLDER = tmp_path
    with pytest.raises(streams.StreamRefused, match=why):
        channel(cast, sink, **options)


def test_an_owner_sets_up_a_channel_in_the_portal_and_tries_it(cast: Cast, sink: Sink) -> None:
    form = {
        "name": "ops", "sink": "webhook", "url": sink.url, "format": "chat",
        "types": "governance.approval.settled, governance.approval.started",
    }  # fmt: skip
    page = enter(cast.olga).post("/admin/log/acme/streams/new/", form)
    assert page.status_code == 200, page.content.decode()[:2000]
    stream = Stream.objects.get()
    assert stream.types == ["governance.approval.settled", "governance.approval.started"]
    streams.ask_for_test(stream)
    work()
    assert told(sink)[0]["text"] == "Countersign: a test. Approvals and warnings will be told here."
    assert Approval.objects.count() == 0
